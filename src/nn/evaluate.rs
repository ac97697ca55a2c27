//! Evaluating a whole network on many examples.

use rayon::iter::ParallelIterator;
use rayon::slice::ParallelSlice;

use crate::nn::examples::{CHUNK, Labelled};
use crate::nn::loss::Score;
use crate::nn::network::{Network, Prepared};
use crate::nn::params::Params;

/// Computes errors and losses of a network on all examples, on the threads of the current rayon pool.
pub fn score(network: &Network, params: &Params, examples: &Labelled) -> Score {
    let layers: Vec<_> = (0..network.layers().len()).map(|layer| network.prepare(layer, params)).collect();
    let order: Vec<u32> = (0..examples.labels.len() as u32).collect();
    let tasks = order.par_chunks(CHUNK).map_init(Default::default, |buffers, indices| {
        score_task(network, &layers, examples, indices, buffers)
    });
    // Collected, then added in order: the sum of the losses does not depend on the threads.
    let scores: Vec<Score> = tasks.collect();
    let mut total = Score::default();
    for score in scores {
        total.add(score);
    }
    total
}

fn score_task(
    network: &Network,
    layers: &[Prepared],
    examples: &Labelled,
    indices: &[u32],
    (input, output): &mut (Vec<f32>, Vec<f32>),
) -> Score {
    let rows = indices.len();
    input.resize(rows * network.features(), 0.0);
    (examples.fill)(indices, input);
    for (index, layer) in layers.iter().enumerate() {
        network.forward(index, layer, input, rows, output);
        std::mem::swap(input, output);
    }
    let mut total = Score::default();
    for (logits, index) in input.chunks(network.classes()).zip(indices) {
        total.add(Score::of(logits, examples.labels[*index as usize]));
    }
    total
}
