//! Tables. Polars lives here and nowhere else.
