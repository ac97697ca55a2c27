//! Labelled examples, as this module sees them: wherever they are kept.

/// Labelled examples.
#[derive(Clone, Copy)]
pub struct Labelled<'a> {
    /// A class per example.
    pub labels: &'a [u8],
    /// Writes the rows of the examples with these indices, as the network takes them.
    pub fill: &'a (dyn Fn(&[u32], &mut [f32]) + Sync),
}
