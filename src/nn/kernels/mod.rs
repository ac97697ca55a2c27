//! The arithmetic: the only module with `unsafe`, and the only one that knows of instruction sets.
//!
//! Everything is `f32`. Each number of a result is summed in one order, that depends on the length of the sum only; for
//! the gradient at a convolution's weight, on the shapes. So results are the same bits for any number of threads, and on
//! every machine of one [`Path`]; and a row of a product or of a convolution for any number of other rows.

mod aligned;
pub mod attention;
pub mod convolution;
pub mod elementwise;
pub mod finish;
pub mod gelu;
pub mod layer_norm;
pub mod matrix;
pub mod norm;
pub mod peak;
pub mod pool;
pub mod product;
mod tile;
pub mod tokens;
mod vector;
pub mod winograd;

use std::sync::OnceLock;

pub use convolution::{Convolution, Taps, WeightGradient, Window, transpose_taps};
pub use finish::Finish;
pub use matrix::Matrix;
pub use pool::Pooling;
pub use product::Product;
pub use winograd::{Size, Tiles, Winograd, WinogradGradient, transform_weight};

/// Raised when a change of the kernels changes results.
const GENERATION: u32 = 3;

/// Which instructions the kernels use; one exists only where the machine has them. Results of two paths differ in the
/// last bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path(Instructions);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Instructions {
    /// Sixteen lanes, fused multiply-add.
    Avx512,
    /// Eight lanes, fused multiply-add.
    Avx2,
    /// Whatever the compiler makes of plain multiplications and additions.
    Portable,
}

static CHOSEN: OnceLock<Path> = OnceLock::new();

/// A path that is unknown, or that this machine does not have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there are no kernels '{name}' on this machine")]
pub struct NoSuchPath {
    /// What was asked for.
    pub name: String,
    /// What there is, fastest first.
    pub available: Vec<&'static str>,
}

impl Path {
    /// The paths of this machine, fastest first.
    pub fn available() -> Vec<Self> {
        let mut paths = vec![Self(Instructions::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 {
                paths.insert(0, Self(Instructions::Avx2));
            }
            if avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                paths.insert(0, Self(Instructions::Avx512));
            }
        }
        paths
    }

    /// The path of this process: the one that was chosen, else the fastest of this machine.
    pub fn detect() -> Self {
        *CHOSEN.get_or_init(|| Self::available()[0])
    }

    /// Chooses the path of this process by its name. Comes before all arithmetic: the first answer of [`Path::detect`] stands.
    pub fn choose(name: &str) -> Result<(), NoSuchPath> {
        let available = Self::available();
        let Some(path) = available.iter().find(|path| path.name() == name) else {
            let available = available.iter().map(|path| path.name()).collect();
            return Err(NoSuchPath { name: name.to_owned(), available });
        };
        CHOSEN.get_or_init(|| *path);
        Ok(())
    }

    /// `avx512`, `avx2` or `portable`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Instructions::Avx512 => "avx512",
            Instructions::Avx2 => "avx2",
            Instructions::Portable => "portable",
        }
    }
}

/// What the results of this machine depend on, beside the input: device, data type, path, generation of the kernels.
pub fn numerics_class() -> String {
    class(Path::detect())
}

/// The classes of all machines, that of this one first.
pub fn numerics_classes() -> Vec<String> {
    let all = [Instructions::Avx512, Instructions::Avx2, Instructions::Portable].map(Path);
    let others = all.into_iter().filter(|path| *path != Path::detect());
    std::iter::once(Path::detect()).chain(others).map(class).collect()
}

fn class(path: Path) -> String {
    format!("cpu-f32-{}-{GENERATION}", path.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portable_path_is_everywhere_and_last() {
        let paths = Path::available();
        assert_eq!(paths.last().map(|path| path.name()), Some("portable"));
        assert_eq!(Path::detect(), paths[0]);
        assert_eq!(Path::choose("sse9").unwrap_err().available.last(), Some(&"portable"));
        assert_eq!(numerics_class(), format!("cpu-f32-{}-{GENERATION}", paths[0].name()));
    }
}
