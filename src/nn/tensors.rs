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

/// The bytes of a safetensors file with these tensors (all names different) and `format=pt`, which Python's readers ask for.
///
/// The format sorts tensors by name.
pub fn to_bytes<'a>(tensors: impl IntoIterator<Item = &'a Parameter>) -> Vec<u8> {
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(tensors.into_iter().map(|tensor| (&tensor.name, tensor)), Some(metadata))
        .expect("each tensor has as many values as its shape says")
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
