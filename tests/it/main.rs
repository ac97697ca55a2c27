//! The one integration binary.

mod numerics;
