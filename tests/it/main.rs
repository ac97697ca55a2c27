//! The one integration binary: the real program on real data.

mod architecture;
mod cli;
mod determinism;
mod errors;
mod numerics;
mod paper;
mod space;
