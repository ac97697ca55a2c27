//! Deterministic figures: SVG, and PNG beside it.
//!
//! A figure is described by plain data ([`heatmap::Heatmap`]) and drawn by plain functions: [`svg`] for the page, [`png`]
//! for whoever cannot show that, [`terminal`] for a terminal. Same description, same bytes: coordinates have two
//! decimals, nothing is numbered by a counter, and the font is part of the program, so no machine's fonts are asked.

pub mod chart;
pub mod colour;
pub mod font;
pub mod graph;
pub mod heatmap;
mod layout;
pub mod png;
pub mod scale;
pub mod scatter;
pub mod svg;
pub mod terminal;
