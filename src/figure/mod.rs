//! Deterministic figures: SVG, and PNG beside it.
