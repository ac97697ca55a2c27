//! Training speed.
use layerwise::nn::kernels::*;
use std::time::Instant;
fn main() {
    let threads: usize = std::env::args().nth(1).and_then(|t| t.parse().ok()).unwrap_or(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        for path in Path::available() {
            for (m, k, n, t) in [
                (128usize, 784usize, 64usize, false),
                (128, 784, 128, false),
                (128, 784, 192, false),
                (128, 784, 256, false),
                (128, 256, 64, false),
                (128, 256, 256, false),
                (128, 512, 64, false),
                (128, 512, 128, false),
                (128, 512, 256, false),
                (128, 512, 512, false),
            ] {
                let a = Matrix::from_rows(if t { k } else { m }, if t { m } else { k }, &vec![1.0; m * k]);
                let b = Matrix::from_rows(k, n, &vec![1.0; n * k]);
                let mut c = Matrix::zeros(m, n);
                let mut best = [0.0f64; 2];
                let rows = vec![1.0; m * k];
                for kind in 0..2 {
                    let left = if kind == 0 { a.view() } else { View::rows(&rows, if t { m } else { k }) };
                    let p = Product { left, transposed: t, right: &b, finish: Finish::Store, path };
                    let mut ts: Vec<f64> = (0..50)
                        .map(|_| {
                            let s = Instant::now();
                            for _ in 0..10 {
                                p.into_panels(&mut c)
                            }
                            s.elapsed().as_secs_f64() / 10.0
                        })
                        .collect();
                    ts.sort_by(f64::total_cmp);
                    best[kind] = ts[ts.len() / 2];
                }
                println!(
                    "{} {m}x{k}x{n} {t}: panels {:.0} us {:.0} GF  rows {:.0} GF",
                    path.name(),
                    best[0] * 1e6,
                    2.0 * (m * n * k) as f64 / best[0] / 1e9,
                    2.0 * (m * n * k) as f64 / best[1] / 1e9
                );
            }
        }
    });
}
