//! Training speed.

fn main() {}
