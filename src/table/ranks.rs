//! Rank correlation.

/// Spearman's rank correlation of pairs, ties getting their mean rank; `None` if one side has no two different values.
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let (a, b): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
    pearson(&ranks(&a), &ranks(&b))
}

/// Rank of each value from 1 up; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|i, j| values[*i].total_cmp(&values[*j]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tied in order.chunk_by(|i, j| values[*i] == values[*j]) {
        let mean = first as f64 + (tied.len() + 1) as f64 / 2.0;
        for i in tied {
            ranks[*i] = mean;
        }
        first += tied.len();
    }
    ranks
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let product =
        |x: &[f64], m: f64, y: &[f64], n: f64| x.iter().zip(y).map(|(x, y)| (x - m) * (y - n)).sum::<f64>();
    let variances = product(a, mean_a, a, mean_a) * product(b, mean_b, b, mean_b);
    (variances > 0.0).then(|| product(a, mean_a, b, mean_b) / variances.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `from scipy.stats import spearmanr, rankdata` (scipy 1.17.1)
    /// `a = [.884, .377, .061, .021, .021, .021, .05]; b = [.9, .36, .09, .03, .02, .02, .02]`
    /// `rankdata(b); spearmanr(a, b).statistic`
    #[test]
    fn agrees_with_scipy_on_ties() {
        let a = [0.884, 0.377, 0.061, 0.021, 0.021, 0.021, 0.05];
        let b = [0.9, 0.36, 0.09, 0.03, 0.02, 0.02, 0.02];
        assert_eq!(ranks(&b), [7.0, 6.0, 5.0, 4.0, 2.0, 2.0, 2.0]);
        let pairs: Vec<_> = a.into_iter().zip(b).collect();
        let ours = spearman(&pairs).unwrap();
        assert!((ours - 0.846_153_846_153_846_3).abs() < 1e-12, "{ours}");
    }

    #[test]
    fn undefined_without_variation() {
        assert_eq!(spearman(&[]), None);
        assert_eq!(spearman(&[(1.0, 2.0), (2.0, 2.0)]), None);
        assert_eq!(spearman(&[(1.0, 2.0), (2.0, 3.0)]), Some(1.0));
    }
}
