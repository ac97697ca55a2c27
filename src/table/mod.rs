//! Tables, from tidy rows to a verdict. Polars lives here and nowhere else.
//!
//! Two forms. [`tidy::Tidy`] is text under named columns, one row per measurement; [`grid::Grid`] is what
//! [`aggregate`] makes of it, rows × columns of summaries. Everything that is shown or compared is made from a grid:
//! [`render`] writes it for people, [`comparison`] puts it beside the values that [`mod@reference`] holds. No type of
//! polars leaves this module, and no path is given a meaning here.

pub mod aggregate;
pub mod claim;
pub mod classes;
pub mod comparison;
pub mod difference;
pub mod grid;
pub mod label;
pub mod order;
pub mod parquet;
pub mod ranks;
pub mod reference;
pub mod render;
pub mod sql;
pub mod student;
pub mod tidy;
pub mod verdict;
