//! A tensor in training, in the kernels' layout.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};

use crate::nn::kernels::Matrix;
use crate::nn::kernels::elementwise::TASK;
use crate::nn::optimizer::Update;
use crate::nn::params::Parameter;

/// How the kernels keep a tensor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// A weight `[out, in]` as an in×out matrix: the right operand of the forward product.
    Transposed,
    /// A vector `[n]` as a matrix of one row.
    Row,
    /// A table `[1, n, channels]` as an n×channels matrix.
    Rows,
    /// A convolution's weight `[out, in, height, width]` as a (taps·in)×out matrix, tap by tap.
    Taps,
}

impl Layout {
    /// From PyTorch's layout.
    pub fn pack(self, parameter: &Parameter) -> Matrix {
        match (self, parameter.shape.as_slice()) {
            (Self::Transposed, &[out, inputs]) => {
                let mut matrix = Matrix::zeros(inputs, out);
                Matrix::from_rows(out, inputs, &parameter.values).transpose_into(&mut matrix);
                matrix
            }
            (Self::Taps, &[out, inputs, height, width]) => {
                let taps = height * width;
                let mut matrix = Matrix::zeros(taps * inputs, out);
                let mut row = vec![0.0; out];
                for (tap, input) in (0..taps).flat_map(|tap| (0..inputs).map(move |input| (tap, input))) {
                    let values = parameter.values[input * taps + tap..].iter().step_by(inputs * taps);
                    row.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
                    matrix.set_row(tap * inputs + input, &row);
                }
                matrix
            }
            (Self::Rows, &[_, rows, columns]) => Matrix::from_rows(rows, columns, &parameter.values),
            _ => Matrix::from_rows(1, parameter.values.len(), &parameter.values),
        }
    }

    /// To PyTorch's layout.
    pub fn unpack(self, matrix: &Matrix, shape: &[usize]) -> Vec<f32> {
        match self {
            Self::Transposed => {
                let mut rows = Matrix::zeros(matrix.columns(), matrix.rows());
                matrix.transpose_into(&mut rows);
                rows.to_rows()
            }
            Self::Row | Self::Rows => matrix.to_rows(),
            Self::Taps => {
                let (taps, inputs) = (shape[2] * shape[3], shape[1]);
                let mut values = vec![0.0; shape.iter().product()];
                let mut row = vec![0.0; shape[0]];
                for (tap, input) in (0..taps).flat_map(|tap| (0..inputs).map(move |input| (tap, input))) {
                    matrix.copy_row(tap * inputs + input, &mut row);
                    let targets = values[input * taps + tap..].iter_mut().step_by(inputs * taps);
                    targets.zip(&row).for_each(|(to, from)| *to = *from);
                }
                values
            }
        }
    }
}

/// A tensor with its gradient and the optimizer's memory of it.
#[derive(Debug)]
pub struct Variable {
    /// The values.
    pub value: Matrix,
    /// Derivative of the batch's mean loss.
    pub gradient: Matrix,
    /// The optimizer's momentum buffer.
    pub momentum: Matrix,
    layout: Layout,
    /// Whether the optimizer changes it.
    is_trained: bool,
    /// Whether nothing does, and nobody asks for its gradient.
    is_fixed: bool,
}

impl Variable {
    /// A variable with these values, and no momentum.
    pub fn new(parameter: &Parameter, layout: Layout) -> Self {
        let value = layout.pack(parameter);
        let zeros = || Matrix::zeros(value.rows(), value.columns());
        Self { gradient: zeros(), momentum: zeros(), value, layout, is_trained: true, is_fixed: false }
    }

    /// A tensor that the link itself keeps up to date, without a gradient.
    pub fn statistic(parameter: &Parameter, layout: Layout) -> Self {
        Self { is_trained: false, ..Self::new(parameter, layout) }
    }

    /// How it is kept.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Keeps its value from now on.
    pub fn freeze(&mut self) {
        self.is_trained = false;
    }

    /// Makes it a constant: it is not trained, its gradient is not wanted, and a running mean or variance is used in the place of the batch's.
    pub fn fix(&mut self) {
        self.momentum = Matrix::default();
        (self.is_trained, self.is_fixed) = (false, true);
    }

    /// Whether it is a constant.
    pub fn is_fixed(&self) -> bool {
        self.is_fixed
    }

    /// Makes a step of the optimizer.
    pub fn update(&mut self, update: &Update) {
        if !self.is_trained {
            return;
        }
        let values = self.value.values_mut().par_chunks_mut(TASK);
        let momenta = self.momentum.values_mut().par_chunks_mut(TASK);
        let gradients = self.gradient.values().par_chunks(TASK);
        values.zip(momenta).zip(gradients).for_each(|((values, momenta), gradients)| {
            update.apply(values, momenta, gradients);
        });
    }
}
