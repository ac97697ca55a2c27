//! Weights that another program wrote, as parameters of a network.
//!
//! A file is a safetensors file, its tensors under names of ours or of a library whose network is the same; of these a model says how they
//! begin ([`Arch::prefixes`](crate::nn::zoo::Arch::prefixes)). Shapes are never adapted, and nothing is left over: a network that is not
//! quite the one in the file is an error. Deliberately not here: pickles, which are programs.

use std::collections::BTreeSet;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::suggest;
use crate::nn::links::TensorSpec;
use crate::nn::network::Network;
use crate::nn::params::{Parameter, Params};

/// Whose names the tensors of a file have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// Ours, as in a checkpoint.
    #[default]
    Own,
    /// Those of torchvision.
    Torchvision,
    /// Those of timm.
    Timm,
}

impl Names {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Torchvision => "torchvision",
            Self::Timm => "timm",
        }
    }
}

/// How the names of some tensors begin, here and in another library.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// Here.
    pub ours: String,
    /// There.
    pub theirs: String,
}

impl Prefix {
    /// Joins the two.
    pub fn new(ours: impl Into<String>, theirs: impl Into<String>) -> Self {
        Self { ours: ours.into(), theirs: theirs.into() }
    }
}

/// Why a file is not the parameters of a network. A message continues the name of the file.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ImportError {
    #[error("is a pickle, as 'torch.save' writes it, and not a safetensors file")]
    Pickle,
    #[error("is not a safetensors file: {0}")]
    Format(SafeTensorError),
    #[error("has no tensor {}", list(missing))]
    Missing { missing: Vec<String>, unused: Vec<String> },
    #[error("has '{tensor}' in the shape {found:?}, where the network takes {expected:?}")]
    Shape { tensor: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("has '{tensor}' in the type {found}, where f32, f16 and bf16 are read")]
    Type { tensor: String, found: Dtype },
    #[error("has what the network has no place for: {}", list(tensors))]
    Superfluous { tensors: Vec<String> },
}

impl ImportError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Pickle => "convert it, as in: python3 -c \"import torch, safetensors.torch as s; \
                s.save_file(torch.load('weights.pt', 'cpu', weights_only=True), 'weights.safetensors')\""
                .to_owned(),
            Self::Format(_) => "write it with 'safetensors.torch.save_file', or download it again".to_owned(),
            Self::Missing { missing, unused } => match alike(&missing[0], unused) {
                Some(name) => {
                    format!("rename the tensors, as it has '{name}', or choose 'names' and 'model' to fit it")
                }
                None => "choose 'names' and 'model' to fit the file".to_owned(),
            },
            Self::Shape { .. } => "choose 'model', 'shape' and 'classes' to fit the file".to_owned(),
            Self::Type { .. } => "convert the tensors before they are saved: 'tensor.float()'".to_owned(),
            Self::Superfluous { .. } => {
                "choose 'model' to fit the file, or leave these tensors out of it".to_owned()
            }
        }
    }
}

/// A few of these names.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("'{name}'")).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    shown.join(", ") + &more
}

/// The name that was meant: the same behind another prefix, or nearly the same.
fn alike<'a>(name: &str, others: &'a [String]) -> Option<&'a str> {
    let names = || others.iter().map(String::as_str);
    let is_tail = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|head| head.ends_with('.'));
    let prefixed = names().find(|other| is_tail(other, name) || is_tail(name, other));
    prefixed.or_else(|| suggest::nearest(name, names()))
}

/// Reads the parameters of a network from the bytes of a file, in which names begin as `prefixes` say.
pub fn params(network: &Network, prefixes: &[Prefix], bytes: &[u8]) -> Result<Params, ImportError> {
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x80\x02") {
        return Err(ImportError::Pickle);
    }
    let file = SafeTensors::deserialize(bytes).map_err(ImportError::Format)?;
    let names: Vec<_> = network.tensors().map(|(name, _)| theirs(&name, prefixes)).collect();
    let missing: Vec<_> = names.iter().filter(|name| file.tensor(name).is_err()).cloned().collect();
    let unused = unused(&file, &names);
    if !missing.is_empty() {
        return Err(ImportError::Missing { missing, unused });
    }
    let params = network.tensors().zip(names).map(|((name, TensorSpec { shape, .. }), tensor)| {
        let view = file.tensor(&tensor).map_err(ImportError::Format)?;
        parameter(name, shape, &view, tensor)
    });
    let params = Params(params.collect::<Result<_, _>>()?);
    if unused.is_empty() { Ok(params) } else { Err(ImportError::Superfluous { tensors: unused }) }
}

/// What a tensor of ours is called there.
pub fn theirs(name: &str, prefixes: &[Prefix]) -> String {
    let renamed = |prefix: &Prefix| Some(prefix.theirs.clone() + name.strip_prefix(&prefix.ours)?);
    prefixes.iter().find_map(renamed).unwrap_or_else(|| name.to_owned())
}

/// Tensors of the file that nobody wants, sorted. PyTorch's batch norms count their batches, which is not used.
fn unused(file: &SafeTensors, wanted: &[String]) -> Vec<String> {
    let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    let present: BTreeSet<&str> = file.names().into_iter().collect();
    let unused = present.difference(&wanted).filter(|name| !name.ends_with("num_batches_tracked"));
    unused.map(|name| (*name).to_owned()).collect()
}

/// A tensor of the file under our name.
fn parameter(
    name: String,
    expected: Vec<usize>,
    view: &TensorView,
    tensor: String,
) -> Result<Parameter, ImportError> {
    let found = view.shape().to_vec();
    if found != expected {
        return Err(ImportError::Shape { tensor, found, expected });
    }
    let values = values(view).ok_or(ImportError::Type { tensor, found: view.dtype() })?;
    Ok(Parameter { name, shape: found, values })
}

/// The values of a tensor; `None` if it is of a type that is not read.
fn values(view: &TensorView) -> Option<Vec<f32>> {
    let halves = || view.data().as_chunks().0.iter().copied();
    match view.dtype() {
        Dtype::F32 => {
            Some(view.data().as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
        }
        Dtype::F16 => Some(halves().map(|chunk| f16::from_le_bytes(chunk).to_f32()).collect()),
        Dtype::BF16 => Some(halves().map(|chunk| bf16::from_le_bytes(chunk).to_f32()).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::zoo::Arch;

    fn network() -> (Network, Vec<Prefix>) {
        let arch: Arch = serde_json::from_str(r#"{"vit": {"depth": 1, "width": 2, "heads": 1}}"#).unwrap();
        (arch.network([1, 4, 4], 3), arch.prefixes(Names::Timm).unwrap())
    }

    /// A file with the network's tensors, in which every number has these bytes.
    fn file(dtype: Dtype, number: &[u8], change: impl Fn(&mut Vec<(String, Vec<usize>)>)) -> Vec<u8> {
        let (network, prefixes) = network();
        let mut tensors: Vec<_> =
            network.tensors().map(|(name, spec)| (theirs(&name, &prefixes), spec.shape)).collect();
        change(&mut tensors);
        let bytes: Vec<_> =
            tensors.iter().map(|(_, shape)| number.repeat(shape.iter().product::<usize>())).collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape), bytes)| {
            (name, TensorView::new(dtype, shape.clone(), bytes).expect("as many as the shape says"))
        });
        safetensors::serialize(views, None).unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Params, ImportError> {
        let (network, prefixes) = network();
        params(&network, &prefixes, bytes)
    }

    #[test]
    fn types_of_16_bits_are_read_like_f32() {
        for (dtype, bytes) in [
            (Dtype::F32, (-1.5_f32).to_le_bytes().to_vec()),
            (Dtype::F16, f16::from_f32(-1.5).to_le_bytes().to_vec()),
            (Dtype::BF16, bf16::from_f32(-1.5).to_le_bytes().to_vec()),
        ] {
            let params = read(&file(dtype, &bytes, |_| ())).unwrap();
            let names: Vec<_> = params.iter().map(|tensor| tensor.name.clone()).collect();
            assert_eq!(names, network().0.tensors().map(|(name, _)| name).collect::<Vec<_>>());
            assert!(params.iter().all(|tensor| tensor.values.iter().all(|value| *value == -1.5)), "{dtype}");
        }
        let error = read(&file(Dtype::F64, &[0; 8], |_| ())).unwrap_err().to_string();
        assert_eq!(error, "has 'patch_embed.proj.weight' in the type F64, where f32, f16 and bf16 are read");
    }

    #[test]
    fn what_is_missing_is_looked_for() {
        let missing = |renamed: &str| {
            let bytes = file(Dtype::F32, &[0; 4], |tensors| {
                tensors.retain(|(name, _)| name != "blocks.0.norm1.bias");
                tensors.iter_mut().filter(|(name, _)| name == "norm.bias").for_each(|(name, _)| {
                    renamed.clone_into(name);
                });
            });
            let error = read(&bytes).unwrap_err();
            (error.to_string(), error.hint())
        };
        let nothing = "has no tensor 'blocks.0.norm1.bias', 'norm.bias'";
        let hint = "choose 'names' and 'model' to fit the file";
        assert_eq!(missing("x"), (nothing.to_owned(), hint.to_owned()));
        for other in ["module.blocks.0.norm1.bias", "blocks.0.norm_1.bias"] {
            let hint =
                format!("rename the tensors, as it has '{other}', or choose 'names' and 'model' to fit it");
            assert_eq!(missing(other), (nothing.to_owned(), hint));
        }
    }

    #[test]
    fn counters_of_batches_are_the_only_thing_left_over() {
        let with = |name: &str| file(Dtype::F32, &[0; 4], |tensors| tensors.push((name.to_owned(), vec![1])));
        assert!(read(&with("bn1.num_batches_tracked")).is_ok());
        let error = read(&with("dist_token")).unwrap_err().to_string();
        assert_eq!(error, "has what the network has no place for: 'dist_token'");
    }

    /// Whoever wrote them: an error, or parameters of the right shapes.
    #[test]
    fn any_bytes_are_read_or_refused() {
        let whole = file(Dtype::F32, &[0; 4], |_| ());
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "the first {length} bytes");
        }
        let expected = read(&whole).unwrap();
        for place in 0..whole.len() {
            for byte in [0, b'9', b'"', 0xff] {
                let mut bytes = whole.clone();
                bytes[place] = byte;
                if let Ok(params) = read(&bytes) {
                    assert!(params.iter().zip(&expected).all(|(a, b)| a.shape == b.shape), "{place} {byte}");
                    assert!(params.iter().all(|a| a.values.len() == a.shape.iter().product::<usize>()));
                }
            }
        }
    }

    #[test]
    fn lists_of_names_are_short() {
        let names: Vec<_> = (0..6).map(|number: u32| number.to_string()).collect();
        assert_eq!(list(&names), "'0', '1', '2', '3' and 2 more");
        assert_eq!(list(&names[..1]), "'0'");
    }
}
