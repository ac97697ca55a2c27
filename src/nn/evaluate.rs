//! Evaluating a whole network on many examples.

use std::cell::RefCell;
use std::ops::Range;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

use crate::nn::examples::{CHUNK, Labelled};
use crate::nn::loss::Score;
use crate::nn::network::Network;
use crate::nn::params::Params;
use crate::nn::prefix_tree::{Buffers, PrefixTree};

/// Computes errors and losses of a network on all examples, on the threads of the current rayon pool.
pub fn score(network: &Network, params: &Params, examples: &Labelled) -> Score {
    let layers = 0..network.layers().len();
    let layers: Vec<_> = layers.into_par_iter().map(|layer| network.prepare(layer, params)).collect();
    let tree = PrefixTree::new(network, &[layers.iter().collect()]);
    let order: Vec<u32> = (0..examples.labels.len() as u32).collect();
    let rows = |range: Range<usize>, rows: &mut [f32]| (examples.fill)(&order[range], rows);
    let tasks = order.par_chunks(CHUNK).map(|chunk| {
        let (mut total, mut row) = (Score::default(), vec![0.0; network.classes()]);
        let range = chunk[0] as usize..chunk[0] as usize + chunk.len();
        BUFFERS.with_borrow_mut(|buffers| {
            tree.evaluate(range, &rows, buffers, &mut |logits| {
                logits.each(&mut row, |example, row| total.add(Score::of(row, examples.labels[example])));
                Some(())
            })
        });
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

thread_local! {
    /// Kept from call to call: new memory takes the system longer to give than many a layer to compute.
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}
