//! What happens to a sum before it is stored for good.

use crate::nn::kernels::matrix::Matrix;

/// What happens to a sum before it is stored.
#[derive(Clone, Copy, Debug)]
pub enum Finish<'a> {
    /// Nothing.
    Store,
    /// A number per column is added, and perhaps a ReLU follows.
    Bias {
        /// One row.
        bias: &'a Matrix,
        /// Whether negative numbers become 0.
        relu: bool,
    },
    /// It becomes 0 where this matrix, of the result's shape, is not positive: the derivative of a ReLU.
    Mask(&'a Matrix),
}

impl Finish<'_> {
    /// Finishes rows of a panel, from the row `first` on.
    #[inline(always)]
    pub(super) fn apply(self, panel: usize, first: usize, out: &mut [f32]) {
        match self {
            Finish::Store => {}
            Finish::Bias { bias, relu } => {
                let (bias, width) = bias.panel(panel);
                for out in out.chunks_mut(width) {
                    for (sum, bias) in out.iter_mut().zip(bias) {
                        *sum += bias;
                        // Not `max`, which would turn NaN into 0.
                        *sum = if relu && *sum < 0.0 { 0.0 } else { *sum };
                    }
                }
            }
            Finish::Mask(mask) => {
                let (mask, width) = mask.panel(panel);
                for (sum, mask) in out.iter_mut().zip(&mask[first * width..]) {
                    *sum = if *mask > 0.0 { *sum } else { 0.0 };
                }
            }
        }
    }
}
