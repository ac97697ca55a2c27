//! Resets: which layers of the final model are overwritten, and with what.
//!
//! A patch names layers and a source; it holds no tensors. Re-initialization to τ takes a layer's values of checkpoint τ,
//! re-randomization a fresh draw from the distribution that initialised it (the study's section 2). The host is always the
//! final model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::files::{Files, NoSuchFile};
use crate::base::fsx::{self, FileError};
use crate::base::name::LayerName;
use crate::nn::params::{Parameter, Params};
use crate::nn::run::Run;
use crate::nn::unit::{self, Unit};

pub use crate::nn::source::Source;

/// The row in which every layer is reset.
pub const FULL_MODEL: &str = "fullmodel";

/// A number that some sources have.
type Number = fn(Source) -> Option<f64>;

const VERSION: u32 = 1;
const FILE: &str = "patches.json";

/// What a reset leaves alone in batch norms, though it overwrites their layer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// The running mean and variance.
    Running,
    /// γ and β.
    Affine,
}

/// A reset of one or more layers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// Head of the row: the layer, the layers of a joint set joined by `+`, or [`FULL_MODEL`].
    pub layer: String,
    /// The layers that are overwritten, or [units](Unit) within layers, in chain order; at least one.
    pub layers: Vec<LayerName>,
    /// What with.
    pub source: Source,
    /// What is not overwritten.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keep: BTreeSet<Kept>,
}

impl Patch {
    /// Overwrites the patch's layers in `model` with the source's values, and nothing else. Both are of the same network.
    pub fn apply(&self, model: &mut Params, values: &Params) {
        for place in self.places(values) {
            model.0[place].values.copy_from_slice(&values.0[place].values);
        }
    }

    /// Places of the tensors that are overwritten, among those of their network.
    pub fn places(&self, params: &Params) -> Vec<usize> {
        let norms = params.iter().filter_map(|tensor| tensor.name.strip_suffix(".running_mean"));
        let norms: BTreeSet<&str> = if self.keep.is_empty() { BTreeSet::new() } else { norms.collect() };
        let is_kept = |tensor: &Parameter| {
            let (module, name) = tensor.name.rsplit_once('.').unwrap_or_default();
            norms.contains(module)
                && self.keep.contains(if name.starts_with("running_") {
                    &Kept::Running
                } else {
                    &Kept::Affine
                })
        };
        let is_overwritten =
            |tensor: &Parameter| self.layers.iter().any(|layer| tensor.is_of(layer)) && !is_kept(tensor);
        (0..params.0.len()).filter(|place| is_overwritten(&params.0[*place])).collect()
    }
}

/// `patches.json`: the resets of one run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patches {
    /// Version of the format.
    version: u32,
    /// Name of the run's architecture.
    pub model: String,
    /// Seed of the run.
    pub seed: u64,
    /// Which family of fresh draws.
    pub rerand_seed: u64,
    /// On how many batches of training examples running statistics are counted anew behind each reset; 0: they are not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recalibrate: u32,
    /// The resets, in the order of a table's rows and columns.
    pub patches: Vec<Patch>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Why resets could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// The artifact lacks `patches.json`.
    #[error(transparent)]
    NoSuchFile(#[from] NoSuchFile),
    /// `patches.json` is something else.
    #[error("'{FILE}' is not a list of resets: {0}")]
    Format(#[from] serde_json::Error),
    /// `patches.json` is of another version of this program.
    #[error("'{FILE}' is of format {found}, and this program reads format {VERSION}")]
    Version {
        /// The format that it has.
        found: u32,
    },
    /// The network has no such layer.
    #[error("the network has no layer '{layer}'")]
    UnknownLayer {
        /// What was asked for.
        layer: String,
        /// Those that it has, in chain order.
        present: Vec<String>,
    },
    /// A pattern that is none.
    #[error("'{pattern}' is not a pattern: {problem}")]
    Pattern {
        /// What was asked for.
        pattern: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nothing is left of a set.
    #[error("no layer is in '{selection}'")]
    Nothing {
        /// What was asked for.
        selection: String,
    },
    /// There is nothing to recalibrate.
    #[error("the network has no running means and variances to recalibrate")]
    NoStatistics,
    /// The resets were made for another run.
    #[error("the resets are of '{model}' with seed {seed}, the run is of '{run_model}' with seed {run_seed}")]
    OtherRun {
        /// Architecture that the resets are of.
        model: String,
        /// Seed of the run that they are of.
        seed: u64,
        /// Architecture of the run.
        run_model: String,
        /// Seed of the run.
        run_seed: u64,
    },
}

impl ResetError {
    /// A name or pattern that no layer of the chain has.
    pub(super) fn no_layer(layer: &str, chain: &[LayerName]) -> Self {
        Self::UnknownLayer {
            layer: layer.to_owned(),
            present: chain.iter().map(LayerName::to_string).collect(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownLayer { layer, present } => {
                Some(crate::base::suggest::hint(layer, present.iter().map(String::as_str)))
            }
            Self::Pattern { .. } => {
                Some("write '*' for any characters, '?' for one, '[24]' for one of these".to_owned())
            }
            Self::NoStatistics => {
                Some("leave 'recalibrate' out, or train a network with batch norms".to_owned())
            }
            Self::Nothing { .. } => Some("take fewer layers away".to_owned()),
            Self::OtherRun { .. } => Some("connect both slots to stages of the same run".to_owned()),
            _ => None,
        }
    }
}

impl Patches {
    /// Lists the resets of a run: of each row, all sources.
    pub fn new(run: &Run, rerand_seed: u64, rows: &[Row], sources: &[Source], keep: &BTreeSet<Kept>) -> Self {
        let patch = |row: &Row, source: &Source| Patch {
            layer: row.label.clone(),
            layers: row.layers.clone(),
            source: *source,
            keep: keep.clone(),
        };
        let patches = rows.iter().flat_map(|row| sources.iter().map(move |source| patch(row, source)));
        let (model, seed) = (run.description.arch.name(), run.description.seed);
        Self { version: VERSION, model, seed, rerand_seed, recalibrate: 0, patches: patches.collect() }
    }

    /// Columns of a tidy table that say which reset a row is about; `alpha` and `sigma` only where a source has one.
    pub fn columns(&self) -> Vec<&'static str> {
        let optional = self.optional().into_iter().map(|(name, _)| name);
        ["model", "layer", "source", "epoch"].into_iter().chain(optional).chain(["draw"]).collect()
    }

    /// The cells of these columns.
    pub fn cells(&self, patch: &Patch) -> Vec<String> {
        let [source, epoch, draw] = patch.source.columns();
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let optional = self.optional().into_iter().map(|(_, value)| number(value(patch.source)));
        let head = [self.model.clone(), patch.layer.clone(), source, epoch];
        head.into_iter().chain(optional).chain([draw]).collect()
    }

    /// The columns that not every table has, and their values.
    fn optional(&self) -> Vec<(&'static str, Number)> {
        let columns: [(_, Number); 2] = [("alpha", Source::alpha), ("sigma", Source::sigma)];
        let is_there =
            |value: fn(Source) -> Option<f64>| self.patches.iter().any(|patch| value(patch.source).is_some());
        columns.into_iter().filter(|(_, value)| is_there(*value)).collect()
    }

    /// Writes `patches.json`.
    pub fn write(&self, folder: &Path) -> Result<(), FileError> {
        let mut text = serde_json::to_vec_pretty(self).expect("resets are plain data");
        text.push(b'\n');
        fsx::write_atomic(&folder.join(FILE), &text)
    }

    /// Reads the resets of a run, and checks that they are of this one.
    pub fn open(files: &Files, run: &Run) -> Result<Self, ResetError> {
        let patches: Self = serde_json::from_slice(&fsx::read(files.path(FILE)?)?)?;
        if patches.version != VERSION {
            return Err(ResetError::Version { found: patches.version });
        }
        let (run_model, run_seed) = (run.description.arch.name(), run.description.seed);
        if (&patches.model, patches.seed) != (&run_model, run_seed) {
            let Self { model, seed, .. } = patches;
            return Err(ResetError::OtherRun { model, seed, run_model, run_seed });
        }
        let mut known = BTreeSet::new();
        for (name, _) in run.network().tensors() {
            let dots = name.match_indices('.').map(|(place, _)| LayerName::new(&name[..place]));
            known.extend(dots.collect::<Vec<_>>());
        }
        let layers = patches.patches.iter().flat_map(|patch| &patch.layers);
        if let Some(layer) = layers.into_iter().find(|layer| !known.contains(*layer)) {
            return Err(ResetError::no_layer(layer.as_str(), &unit::names(run.network(), Unit::Layer)));
        }
        Ok(patches)
    }
}

/// Indices of patches by their source, so that the values of one source are held at a time.
pub fn by_source(patches: &[Patch]) -> BTreeMap<Source, Vec<usize>> {
    let mut sources = BTreeMap::<_, Vec<_>>::new();
    for (index, patch) in patches.iter().enumerate() {
        sources.entry(patch.source).or_default().push(index);
    }
    sources
}

/// A row of a table: layers that are reset together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// See [`Patch::layer`].
    pub label: String,
    /// See [`Patch::layers`].
    pub layers: Vec<LayerName>,
}

impl Row {
    /// Every layer at once.
    pub fn full_model(chain: &[LayerName]) -> Self {
        Self { label: FULL_MODEL.to_owned(), layers: chain.to_vec() }
    }

    /// Layers at once, labelled by their names.
    pub fn of(layers: Vec<LayerName>) -> Self {
        let label = layers.iter().map(LayerName::as_str).collect::<Vec<_>>().join("+");
        Self { label, layers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::zoo::{Arch, Fcn};

    fn name(text: &str) -> LayerName {
        LayerName::new(text)
    }

    #[test]
    fn a_patch_overwrites_its_layers_only() {
        let network = Arch::Fcn(Fcn { depth: 10, width: 3 }).network([1, 2, 2], 2);
        let (host, values) = (network.draw(1, 7), network.init(1));
        let layers = vec![name("layer1"), name("layer3")];
        let source = Source::Reinit { epoch: 0 };
        let patch = Patch { layer: String::new(), layers, source, keep: BTreeSet::new() };
        let mut model = host.clone();
        patch.apply(&mut model, &values);
        for tensor in &model {
            let changed = tensor.name.starts_with("layer1.") || tensor.name.starts_with("layer3.");
            let expected = if changed { &values } else { &host };
            assert_eq!(Some(tensor), expected.get(&tensor.name));
            assert_ne!(values.get(&tensor.name), host.get(&tensor.name));
        }
    }

    #[test]
    fn what_is_kept_of_a_norm_is_not_overwritten() {
        let arch: Arch =
            serde_json::from_str(r#"{"resnet": {"depth": 18, "bn": true, "width": 4}}"#).unwrap();
        let params = arch.network([3, 8, 8], 3).init(0);
        let names = |keep: &[Kept]| {
            let (layers, keep) = (vec![name("stage1.resblk2")], keep.iter().copied().collect());
            let patch = Patch { layer: String::new(), layers, source: Source::Rerand { draw: 0 }, keep };
            let short = |place: usize| params.0[place].name.replace("stage1.resblk2.", "");
            patch.places(&params).into_iter().map(short).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]).len(), 10);
        assert_eq!(names(&[Kept::Running, Kept::Affine]), ["conv1.weight", "conv2.weight"]);
        let convolutions_and = |parts: [&str; 2]| {
            let norm = |norm: &str| parts.map(|part| format!("{norm}.{part}"));
            [
                norm("norm1").to_vec(),
                vec!["conv1.weight".into()],
                norm("norm2").to_vec(),
                vec!["conv2.weight".into()],
            ]
            .concat()
        };
        assert_eq!(names(&[Kept::Running]), convolutions_and(["weight", "bias"]));
        assert_eq!(names(&[Kept::Affine]), convolutions_and(["running_mean", "running_var"]));
    }

    /// The first mistake of other implementations: a "fresh draw" that is θ⁰.
    #[test]
    fn fresh_draws_differ_from_the_initialisation_and_from_each_other() {
        let network = Arch::Fcn(Fcn { depth: 1, width: 3 }).network([1, 2, 2], 2);
        let mut seen = vec![network.init(5)];
        for rerand_seed in 0..3 {
            for draw in 0..3 {
                seen.push(network.draw(crate::nn::source::draw_seed(5, rerand_seed), draw));
            }
        }
        for (i, a) in seen.iter().enumerate() {
            for b in &seen[i + 1..] {
                assert!(a.iter().zip(b).all(|(a, b)| a.values.iter().zip(&b.values).all(|(a, b)| a != b)));
            }
        }
    }

    #[test]
    fn sources_are_in_the_order_of_columns() {
        let reinit = |epoch| Source::Reinit { epoch };
        let patch =
            |source| Patch { layer: String::new(), layers: Vec::new(), source, keep: BTreeSet::new() };
        let patches = [reinit(2), Source::Rerand { draw: 1 }, reinit(0), reinit(2)].map(patch);
        let sources: Vec<_> = by_source(&patches).into_iter().collect();
        assert_eq!(
            sources,
            [(Source::Rerand { draw: 1 }, vec![1]), (reinit(0), vec![2]), (reinit(2), vec![0, 3])]
        );
        assert_eq!(reinit(2).columns(), ["reinit", "2", ""]);
        assert_eq!(Source::Rerand { draw: 1 }.columns(), ["rerand", "", "1"]);
    }
}
