//! Named tensors to and from the bytes of a safetensors file, which Python and candle open too.

use std::borrow::Cow;

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, View};

use crate::nn::params::Parameter;

impl View for &Parameter {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        size_of::<f32>() * self.values.len()
    }
}

/// The metadata that Python's readers ask for.
pub const FORMAT: (&str, &str) = ("format", "pt");

/// The bytes of a safetensors file with these tensors (all names different), and one entry of metadata.
///
/// The format sorts tensors by name; it does not sort metadata, so that the bytes are stable with one entry only.
pub fn to_bytes<'a>(tensors: impl IntoIterator<Item = &'a Parameter>, (key, value): (&str, &str)) -> Vec<u8> {
    let metadata = [(key.to_owned(), value.to_owned())].into();
    safetensors::serialize(tensors.into_iter().map(|tensor| (&tensor.name, tensor)), Some(metadata))
        .expect("each tensor has as many values as its shape says")
}

/// Reads an entry of a safetensors file's metadata.
pub fn metadata(bytes: &[u8], key: &str) -> Option<String> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    header.metadata().as_ref()?.get(key).cloned()
}

/// Reads all tensors of a safetensors file; the order is the file's.
pub fn from_bytes(bytes: &[u8]) -> Result<Vec<Parameter>, SafeTensorError> {
    let file = SafeTensors::deserialize(bytes)?;
    file.iter()
        .map(|(name, view)| {
            if view.dtype() != Dtype::F32 {
                return Err(SafeTensorError::InvalidTensorView(
                    view.dtype(),
                    view.shape().to_vec(),
                    view.data().len(),
                ));
            }
            let (chunks, _) = view.data().as_chunks();
            let values = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
            Ok(Parameter { name: name.to_owned(), shape: view.shape().to_vec(), values })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candle_reads_what_we_write() {
        let parameter = |name: &str, values: &[f32]| Parameter {
            name: name.to_owned(),
            shape: vec![1, values.len()],
            values: values.to_vec(),
        };
        let tensors = [parameter("b", &[1.5, f32::MIN_POSITIVE, -0.0]), parameter("a", &[3.0])];
        let bytes = to_bytes(&tensors, FORMAT);
        let theirs = candle_core::safetensors::load_buffer(&bytes, &candle_core::Device::Cpu).unwrap();
        assert_eq!(theirs["b"].to_vec2::<f32>().unwrap(), [tensors[0].values.as_slice()]);
        assert_eq!(theirs["a"].dims(), [1, 1]);
        let mut ours = from_bytes(&bytes).unwrap();
        ours.sort_by(|a, b| b.name.cmp(&a.name));
        assert_eq!(ours, tensors);
        assert_eq!(metadata(&bytes, "format").as_deref(), Some("pt"));
    }

    #[test]
    fn other_types_are_refused() {
        let view = safetensors::tensor::TensorView::new(Dtype::I64, vec![1], &[0; 8]).unwrap();
        let bytes = safetensors::serialize([("a", view)], None).unwrap();
        assert!(from_bytes(&bytes).is_err());
    }
}
