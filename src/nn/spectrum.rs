//! What the singular values of a weight matrix say of it.

/// Steps of the power iteration, at most.
const STEPS: usize = 2000;
/// Relative change of ‖W‖₂² at which it ends.
const PRECISION: f64 = 1e-10;

/// Stable rank ‖W‖_F² / ‖W‖₂² of a matrix, given row by row: from 1 (rank one) to the rank. (Rudelson and Vershynin, "Sampling from
/// large matrices", 2007.) The largest singular value is found by power iteration on the Gram matrix. NaN of a matrix of zeros.
pub fn stable_rank(values: &[f32], rows: usize) -> f64 {
    let columns = values.len() / rows.max(1);
    let frobenius: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
    // Nothing is orthogonal to it but by an unlucky choice: steps of the golden ratio.
    let mut direction: Vec<f64> =
        (0..columns).map(|i| 0.5 + (i as f64 * 0.618_033_988_749_894_9).fract()).collect();
    let mut largest = 0.0;
    for _ in 0..STEPS {
        let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        for x in &mut direction {
            *x /= norm;
        }
        let mut image = vec![0.0; columns];
        let mut square = 0.0;
        for row in values.chunks_exact(columns) {
            let product: f64 = row.iter().zip(&direction).map(|(w, x)| f64::from(*w) * x).sum();
            square += product * product;
            image.iter_mut().zip(row).for_each(|(sum, w)| *sum += f64::from(*w) * product);
        }
        direction = image;
        let is_settled = (square - largest).abs() <= PRECISION * square;
        largest = square;
        if is_settled {
            break;
        }
    }
    frobenius / largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::zoo::{Arch, Fcn};

    #[test]
    fn closed_forms() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} and {b}");
        close(stable_rank(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], 2), 2.0); // orthogonal rows of one length
        close(stable_rank(&[3.0, 4.0, 6.0, 8.0], 2), 1.0); // rank one
        close(stable_rank(&[3.0, 0.0, 0.0, 1.0], 2), 10.0 / 9.0); // singular values 3 and 1
        close(stable_rank(&[3.0, 0.0, 4.0, 5.0], 2), 50.0 / 45.0); // singular values √45 and √5
        assert!(stable_rank(&[0.0; 6], 2).is_nan());
    }

    /// The initial values of FCN 3×256 with seed 0, by `numpy.linalg.svd` in double precision (numpy 2).
    #[test]
    fn agrees_with_a_singular_value_decomposition() {
        let params = Arch::Fcn(Fcn { depth: 3, width: 256 }).network([1, 28, 28], 10).init(0);
        for (name, rank) in [("layer1.weight", 107.431_349_695_6), ("layer4.weight", 6.961_275_400_2)] {
            let tensor = params.get(name).unwrap();
            let ours = stable_rank(&tensor.values, tensor.shape[0]);
            assert!((ours / rank - 1.0).abs() < 1e-6, "{name}: {ours} and {rank}");
        }
    }
}
