//! Self-attention of several heads (Vaswani et al.): of each head, softmax(q·kᵀ/√d)·v over the positions of one example.
//!
//! A row of the input has the queries of all heads, then the keys, then the values; each head has `d` columns of each. The rows of an
//! example and head are copied to near memory, and the products are made there. The probabilities of a batch are not kept: the
//! backward pass computes them again: they would be the largest thing in memory.

mod head;

use std::ops::Range;

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use crate::nn::kernels::Path;
use crate::nn::kernels::attention::head::Head;
use crate::nn::kernels::matrix::{Matrix, PANEL};

/// Neighbouring examples that one task computes.
const GROUP: usize = 4;

/// An attention, to be computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attention {
    /// Positions that see each other.
    pub positions: usize,
    /// Heads side by side.
    pub heads: usize,
    /// Columns of a head: `d`.
    pub depth: usize,
    /// The instructions to use.
    pub path: Path,
}

impl Attention {
    /// Computes it for a batch of positions·examples rows and 3·heads·d columns, in parallel. `out` has its shape already.
    pub fn forward(&self, input: &Matrix, examples: usize, out: &mut Matrix) {
        self.check(input, examples, out);
        let groups = out.pieces_mut(examples, GROUP).into_par_iter().enumerate();
        groups.for_each_init(
            || Head::new(self),
            |head, (group, mut pieces)| self.forward_of(head, input, [group, examples], &mut pieces),
        );
    }

    /// The same bits, on this thread.
    pub fn forward_on_this_thread(&self, input: &Matrix, examples: usize, out: &mut Matrix) {
        self.check(input, examples, out);
        let mut head = Head::new(self);
        for (group, mut pieces) in out.pieces_mut(examples, GROUP).into_iter().enumerate() {
            self.forward_of(&mut head, input, [group, examples], &mut pieces);
        }
    }

    /// Computes the gradient at the input, in parallel. `out` has its shape already.
    pub fn backward(&self, input: &Matrix, examples: usize, gradient: &Matrix, out: &mut Matrix) {
        self.check(input, examples, gradient);
        assert_eq!((input.rows(), input.columns()), (out.rows(), out.columns()), "shape of a gradient");
        let groups = out.pieces_mut(examples, GROUP).into_par_iter().enumerate();
        groups.for_each_init(
            || Head::new(self),
            |head, (group, mut pieces)| {
                self.backward_of(head, [input, gradient], [group, examples], &mut pieces);
            },
        );
    }

    fn check(&self, input: &Matrix, examples: usize, out: &Matrix) {
        let (rows, width) = (self.positions * examples, self.heads * self.depth);
        assert_eq!((rows, 3 * width), (input.rows(), input.columns()), "shape of queries, keys and values");
        assert_eq!((rows, width), (out.rows(), out.columns()), "shape of what the heads give");
    }

    /// The columns of a head's queries, keys or values.
    fn columns(&self, which: usize, head: usize) -> Range<usize> {
        let first = (which * self.heads + head) * self.depth;
        first..first + self.depth
    }

    /// Computes the examples of a group.
    fn forward_of(&self, head: &mut Head, input: &Matrix, place: [usize; 2], pieces: &mut [&mut [f32]]) {
        for (place, index) in self.each(place) {
            for (which, rows) in head.input.iter_mut().enumerate() {
                place.read(input, self.columns(which, index), rows);
            }
            head.forward();
            place.write(&head.output, self.columns(0, index), pieces);
        }
    }

    /// Computes the gradients of a group.
    fn backward_of(
        &self,
        head: &mut Head,
        [input, gradient]: [&Matrix; 2],
        place: [usize; 2],
        pieces: &mut [&mut [f32]],
    ) {
        for (place, index) in self.each(place) {
            for (which, rows) in head.input.iter_mut().enumerate() {
                place.read(input, self.columns(which, index), rows);
            }
            place.read(gradient, self.columns(0, index), &mut head.output);
            head.backward();
            for (which, rows) in head.gradients.iter().enumerate() {
                place.write(rows, self.columns(which, index), pieces);
            }
        }
    }

    /// Each example of a group, with each head.
    fn each(&self, [group, examples]: [usize; 2]) -> impl Iterator<Item = (Place, usize)> {
        let first = group * GROUP;
        let count = GROUP.min(examples - first);
        let place = move |slot| Place { first, slot, count, examples };
        (0..count).flat_map(move |slot| (0..self.heads).map(move |head| (place(slot), head)))
    }
}

/// Where an example is.
#[derive(Clone, Copy)]
struct Place {
    /// First example of its group.
    first: usize,
    /// Its number within the group, of so many.
    slot: usize,
    count: usize,
    /// Examples of the batch.
    examples: usize,
}

impl Place {
    /// Copies some columns of the example, a row per position.
    fn read(self, batch: &Matrix, columns: Range<usize>, rows: &mut Matrix) {
        for part in parts(columns) {
            let (from, stride) = batch.panel(part.panel);
            let from = from[part.column..].chunks(stride).skip(self.first + self.slot).step_by(self.examples);
            let (to, stride) = rows.panel_mut(part.offset / PANEL);
            let to = to[part.offset % PANEL..].chunks_mut(stride);
            to.zip(from).for_each(|(to, from)| to[..part.count].copy_from_slice(&from[..part.count]));
        }
    }

    /// Copies rows, one per position, to some columns of the example in its group's pieces.
    fn write(self, rows: &Matrix, columns: Range<usize>, pieces: &mut [&mut [f32]]) {
        for part in parts(columns) {
            let (from, stride) = rows.panel(part.offset / PANEL);
            let from = from[part.offset % PANEL..].chunks(stride);
            let to = &mut pieces[part.panel * rows.rows()..][..rows.rows()];
            let start = self.slot * (to[0].len() / self.count) + part.column;
            for (to, from) in to.iter_mut().zip(from) {
                to[start..][..part.count].copy_from_slice(&from[..part.count]);
            }
        }
    }
}

/// Columns that lie side by side in a panel, both of the batch and of a head.
struct Part {
    panel: usize,
    /// Within the panel.
    column: usize,
    /// Within the head.
    offset: usize,
    count: usize,
}

/// Cuts columns of a batch into parts.
fn parts(columns: Range<usize>) -> impl Iterator<Item = Part> {
    let mut at = columns.start;
    std::iter::from_fn(move || {
        let (column, offset) = (at % PANEL, at - columns.start);
        let count = (PANEL - column).min(PANEL - offset % PANEL).min(columns.end - at);
        let part = Part { panel: at / PANEL, column, offset, count };
        at += count;
        (count > 0).then_some(part)
    })
}

#[cfg(test)]
mod tests;
