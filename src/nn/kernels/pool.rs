//! Pooling of maps, channel by channel.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::nn::kernels::convolution::Taps;
use crate::nn::kernels::matrix::{Matrix, PANEL};

/// What is taken of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pooling {
    /// The largest number; of several, the first.
    Largest,
    /// The mean.
    Mean,
}

/// Pools a batch, on this thread. `out` has its shape already.
pub fn forward(pooling: Pooling, taps: &Taps, input: &Matrix, out: &mut Matrix) {
    let (rows, block) = (out.rows(), out.rows() / taps.outputs());
    for (panel, values) in out.values_mut().chunks_mut(PANEL * rows).enumerate() {
        let width = values.len() / rows;
        for (position, out) in values.chunks_mut(width * block).enumerate() {
            window(pooling, taps, input, panel, position, out);
        }
    }
}

/// Pools a batch, in parallel, and remembers which tap each number is from.
pub fn forward_to_train(
    pooling: Pooling,
    taps: &Taps,
    input: &Matrix,
    out: &mut Matrix,
    chosen: &mut Vec<u8>,
) {
    let (rows, block) = (out.rows(), out.rows() / taps.outputs());
    chosen.resize(out.values().len(), 0);
    let chosen = chosen.par_chunks_mut(PANEL * rows);
    out.values_mut().par_chunks_mut(PANEL * rows).zip(chosen).enumerate().for_each(
        |(panel, (values, chosen))| {
            let width = values.len() / rows;
            let chosen = chosen.par_chunks_mut(width * block);
            values.par_chunks_mut(width * block).zip(chosen).enumerate().for_each(
                |(position, (out, chosen))| match pooling {
                    Pooling::Mean => window(pooling, taps, input, panel, position, out),
                    Pooling::Largest => largest(taps, input, panel, position, out, chosen),
                },
            );
        },
    );
}

/// Computes the gradient at the input; 0 where `mask`, of its shape, is not positive.
pub fn backward(
    pooling: Pooling,
    flipped: &Taps,
    gradient: &Matrix,
    chosen: &[u8],
    mask: Option<&Matrix>,
    out: &mut Matrix,
) {
    let (rows, block) = (out.rows(), out.rows() / flipped.outputs());
    let share = 1.0 / flipped.count() as f32;
    out.values_mut().par_chunks_mut(PANEL * rows).enumerate().for_each(|(panel, values)| {
        let width = values.len() / rows;
        values.par_chunks_mut(width * block).enumerate().for_each(|(position, out)| {
            out.fill(0.0);
            for sight in flipped.of(position) {
                let at = panel * PANEL * gradient.rows() + sight.position * out.len();
                let gradient = &gradient.values()[at..][..out.len()];
                match pooling {
                    Pooling::Mean => out.iter_mut().zip(gradient).for_each(|(out, g)| *out += g * share),
                    Pooling::Largest => {
                        let chosen = &chosen[at..][..out.len()];
                        for ((out, g), chosen) in out.iter_mut().zip(gradient).zip(chosen) {
                            *out += if usize::from(*chosen) == sight.tap { *g } else { 0.0 };
                        }
                    }
                }
            }
            if let Some(mask) = mask {
                let mask = &mask.panel(panel).0[position * out.len()..];
                out.iter_mut().zip(mask).for_each(|(out, mask)| *out = if *mask > 0.0 { *out } else { 0.0 });
            }
        });
    });
}

/// The inputs of a window, each a block of as many numbers as the output's.
fn sources<'a>(
    taps: &'a Taps,
    input: &'a Matrix,
    panel: usize,
    position: usize,
    size: usize,
) -> impl Iterator<Item = (usize, &'a [f32])> {
    let values = input.panel(panel).0;
    taps.of(position).iter().map(move |sight| (sight.tap, &values[sight.position * size..][..size]))
}

fn window(pooling: Pooling, taps: &Taps, input: &Matrix, panel: usize, position: usize, out: &mut [f32]) {
    let mut sources = sources(taps, input, panel, position, out.len()).map(|(_, values)| values);
    out.copy_from_slice(sources.next().expect("a window sees some of the map"));
    for values in sources {
        let pairs = out.iter_mut().zip(values);
        match pooling {
            Pooling::Largest => {
                pairs.for_each(|(out, value)| *out = if *value > *out { *value } else { *out });
            }
            Pooling::Mean => pairs.for_each(|(out, value)| *out += value),
        }
    }
    if pooling == Pooling::Mean {
        let share = 1.0 / taps.count() as f32;
        for out in out.iter_mut() {
            *out *= share;
        }
    }
}

fn largest(taps: &Taps, input: &Matrix, panel: usize, position: usize, out: &mut [f32], chosen: &mut [u8]) {
    let mut sources = sources(taps, input, panel, position, out.len());
    let (tap, first) = sources.next().expect("a window sees some of the map");
    out.copy_from_slice(first);
    chosen.fill(tap as u8);
    for (tap, values) in sources {
        for ((out, chosen), value) in out.iter_mut().zip(chosen.iter_mut()).zip(values) {
            let is_larger = *value > *out;
            *out = if is_larger { *value } else { *out };
            *chosen = if is_larger { tap as u8 } else { *chosen };
        }
    }
}
