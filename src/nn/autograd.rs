//! The same networks in candle's operations, differentiated by candle: an independent reference for the kernels.

use candle_core::{Device, Result, Tensor, Var};

use crate::nn::network::Network;
use crate::nn::params::{Parameter, Params};

/// What candle computes for a batch.
#[derive(Debug)]
pub struct Reference {
    /// Rows × classes, row-major.
    pub logits: Vec<f32>,
    /// Mean cross-entropy.
    pub loss: f32,
    /// Its gradients.
    pub gradients: Params,
}

/// Differentiates the mean cross-entropy of a batch: `input` is labels × features, row-major.
pub fn differentiate(network: &Network, params: &Params, input: &[f32], labels: &[u16]) -> Result<Reference> {
    let variables: Vec<_> = params.iter().map(variable).collect::<Result<_>>()?;
    let mut rows = Tensor::from_slice(input, (labels.len(), network.features()), &Device::Cpu)?;
    let mut rest = variables.as_slice();
    for layer in network.layers() {
        let (own, others) = rest.split_at(layer.link.tensors().len());
        let own: Vec<&Tensor> = own.iter().map(|variable| &**variable).collect();
        rows = layer.link.reference(&own, &rows)?;
        rest = others;
    }
    let labels: Vec<u32> = labels.iter().map(|label| u32::from(*label)).collect();
    let targets = Tensor::from_slice(&labels, labels.len(), &Device::Cpu)?;
    let loss = candle_nn::loss::cross_entropy(&rows, &targets)?;
    let gradients = loss.backward()?;
    let gradient = |(parameter, variable): (&Parameter, &Var)| {
        // The loss does not depend on running means, which only evaluation uses.
        let values = match gradients.get(variable) {
            Some(gradient) => gradient.flatten_all()?.to_vec1()?,
            None => vec![0.0; parameter.values.len()],
        };
        Ok(Parameter { values, ..parameter.clone() })
    };
    Ok(Reference {
        logits: rows.flatten_all()?.to_vec1()?,
        loss: loss.to_scalar()?,
        gradients: Params(params.iter().zip(&variables).map(gradient).collect::<Result<_>>()?),
    })
}

fn variable(parameter: &Parameter) -> Result<Var> {
    Var::from_slice(&parameter.values, parameter.shape.as_slice(), &Device::Cpu)
}
