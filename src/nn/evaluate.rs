//! Evaluating a whole network on many examples.

use std::cell::RefCell;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

use crate::nn::examples::{CHUNK, Labelled};
use crate::nn::kernels::Matrix;
use crate::nn::links::Spare;
use crate::nn::loss::Score;
use crate::nn::network::{Network, Prepared};
use crate::nn::params::Params;

/// Computes errors and losses of a network on all examples, on the threads of the current rayon pool.
pub fn score(network: &Network, params: &Params, examples: &Labelled) -> Score {
    let layers = 0..network.layers().len();
    let layers: Vec<_> = layers.into_par_iter().map(|layer| network.prepare(layer, params)).collect();
    let order: Vec<u32> = (0..examples.labels.len() as u32).collect();
    let tasks = order.par_chunks(CHUNK).map(|indices| {
        let mut total = Score::default();
        for indices in indices.chunks(network.at_once(CHUNK)) {
            BUFFERS.with_borrow_mut(|buffers| {
                add_scores(network, &layers, examples, indices, buffers, &mut total);
            });
        }
        total
    });
    // Collected, then added in order: the sum of the losses does not depend on the threads.
    let scores: Vec<Score> = tasks.collect();
    let mut total = Score::default();
    for score in scores {
        total.add(score);
    }
    total
}

/// Memory that a thread works in.
#[derive(Default)]
struct Buffers {
    rows: Vec<f32>,
    input: Matrix,
    output: Matrix,
    logits: Vec<f32>,
    spare: Spare,
}

thread_local! {
    /// Kept from call to call: new memory takes the system longer to give than many a layer to compute.
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

fn add_scores(
    network: &Network,
    layers: &[Prepared],
    examples: &Labelled,
    indices: &[u32],
    buffers: &mut Buffers,
    total: &mut Score,
) {
    let Buffers { rows, input, output, logits, spare } = buffers;
    rows.resize(indices.len() * network.features(), 0.0);
    (examples.fill)(indices, rows);
    network.input().load(rows, input);
    for layer in layers {
        layer.forward(input, indices.len(), output, spare);
        std::mem::swap(input, output);
    }
    logits.resize(network.classes(), 0.0);
    for (row, index) in indices.iter().enumerate() {
        input.copy_row(row, logits);
        total.add(Score::of(logits, examples.labels[*index as usize]));
    }
}
