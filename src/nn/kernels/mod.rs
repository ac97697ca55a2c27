//! The arithmetic: the only module with `unsafe`, and the only one that knows of instruction sets.

/// Which instructions the kernels use. Results are the same on every machine of one path, and differ between paths in
/// the last bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// Sixteen lanes, fused multiply-add.
    Avx512,
    /// Eight lanes, fused multiply-add.
    Avx2,
    /// Whatever the compiler makes of plain multiplications and additions.
    Portable,
}

impl Path {
    /// The fastest path of this machine.
    pub fn detect() -> Self {
        Self::Portable
    }
}
