//! Labelled examples, as this module sees them: wherever they are kept.

/// Examples that are evaluated together. Losses are summed per chunk, so it has a say in their last bits: all who evaluate use the
/// same, and the full model's probe at τ equals the learning curve at τ.
pub const CHUNK: usize = 500;

/// Labelled examples.
#[derive(Clone, Copy)]
pub struct Labelled<'a> {
    /// A class per example.
    pub labels: &'a [u16],
    /// Writes the rows of the examples with these indices, as the network takes them.
    pub fill: &'a (dyn Fn(&[u32], &mut [f32]) + Sync),
}
