//! A graph as SVG, written by hand.

use std::fmt::Write;

use crate::figure::colour::{FAINT, INK};
use crate::figure::font::{self, Weight};
use crate::figure::graph::layers::{Heights, Layers};
use crate::figure::graph::{Graph, State};
use crate::figure::layout::{MARGIN, TITLE};
use crate::figure::svg::{self, Text, escape, px, text};

const NAME: f64 = 11.0;
const NOTE: f64 = 9.0;
/// Around the words of a box.
const PADDING: f64 = 10.0;
/// Between layers: room for the arrows.
const ALLEY: f64 = 44.0;
const HEIGHTS: Heights = Heights { unit: 36.0, passage: 4.0, gap: 14.0 };
/// Length of an arrow's head.
const HEAD: f64 = 6.0;
const SWATCH: f64 = 12.0;
const LINE: &str = "#8c959f";

/// Left edge and width of each layer.
type Columns = Vec<(f64, f64)>;

/// Draws a graph from left to right.
pub fn svg(graph: &Graph) -> String {
    let layers = Layers::new(graph.boxes.len(), &graph.arrows, &HEIGHTS);
    let columns = columns(graph, &layers);
    let top = MARGIN + if graph.title.is_empty() { 0.0 } else { TITLE + 14.0 };
    let lowest = layers.items.iter().map(|item| item.y + HEIGHTS.unit / 2.0).fold(0.0, f64::max);
    let legend_y = top + lowest + 26.0;
    let legend = legend(graph);
    let legend_end = legend.last().map_or(0.0, |(_, x, words)| x + SWATCH + 6.0 + wide(words, NAME));
    let title_end = MARGIN + font::width(&graph.title, TITLE, Weight::Bold);
    let right = columns.last().map_or(MARGIN, |(x, width)| x + width).max(legend_end).max(title_end);
    let (width, height) = (right + MARGIN, legend_y + SWATCH / 2.0 + MARGIN);
    let mut page = svg::page(width.ceil(), height.ceil(), &graph.title);
    arrows(&mut page, &layers, &columns, top);
    boxes(&mut page, graph, &layers, &columns, top);
    for (state, x, words) in legend {
        rectangle(&mut page, [x, legend_y - SWATCH / 2.0, SWATCH, SWATCH], state);
        words_at(&mut page, x + SWATCH + 6.0, legend_y, NAME, "start", &words);
    }
    page + "</svg>\n"
}

fn wide(words: &str, size: f64) -> f64 {
    font::width(words, size, Weight::Regular)
}

fn columns(graph: &Graph, layers: &Layers) -> Columns {
    let mut left = MARGIN;
    let column = |layer: &Vec<usize>| {
        let boxes = layer.iter().filter(|item| layers.is_box(**item)).map(|item| &graph.boxes[*item]);
        let width = boxes.map(|b| wide(&b.name, NAME).max(wide(&b.note, NOTE))).fold(0.0, f64::max);
        let column = (left, width + 2.0 * PADDING);
        left += column.1 + ALLEY;
        column
    };
    layers.order.iter().map(column).collect()
}

/// State, left edge and words of each entry.
fn legend(graph: &Graph) -> Vec<(State, f64, String)> {
    let mut x = MARGIN;
    let entry = |(state, count): (State, usize)| {
        let words = format!("{}: {count}", state.word());
        let entry = (state, x, words.clone());
        x += SWATCH + 6.0 + wide(&words, NAME) + 18.0;
        entry
    };
    graph.legend().into_iter().map(entry).collect()
}

/// Each piece is a curve between two layers; where a passage begins, a line across the layer follows.
fn arrows(page: &mut String, layers: &Layers, columns: &Columns, top: f64) {
    for (from, to) in &layers.pieces {
        let (a, b) = (&layers.items[*from], &layers.items[*to]);
        let (left, width) = columns[a.layer];
        let (start, end) = (left + width, columns[b.layer].0);
        let is_last = layers.is_box(*to);
        let tip = if is_last { end - HEAD } else { end };
        let (y0, y1, middle) = (px(top + a.y), px(top + b.y), px(f64::midpoint(start, tip)));
        let across = if is_last { String::new() } else { format!("H{}", px(end + columns[b.layer].1)) };
        _ = writeln!(
            page,
            "<path d=\"M{} {y0}C{middle} {y0} {middle} {y1} {} {y1}{across}\" fill=\"none\" stroke=\"{LINE}\"/>",
            px(start),
            px(tip)
        );
        if is_last {
            let (back, up, down) = (px(tip), px(top + b.y - HEAD / 2.0), px(top + b.y + HEAD / 2.0));
            _ = writeln!(page, "<path d=\"M{back} {up}L{} {y1}L{back} {down}Z\" fill=\"{LINE}\"/>", px(end));
        }
    }
}

fn boxes(page: &mut String, graph: &Graph, layers: &Layers, columns: &Columns, top: f64) {
    for (unit, item) in graph.boxes.iter().zip(&layers.items) {
        let (left, width) = columns[item.layer];
        let (x, y) = (left + width / 2.0, top + item.y);
        _ = writeln!(page, "<g><title>{}: {}</title>", escape(&unit.name), unit.state.word());
        rectangle(page, [left, y - HEIGHTS.unit / 2.0, width, HEIGHTS.unit], unit.state);
        let (name, note) = if unit.note.is_empty() { (y, y) } else { (y - 7.0, y + 8.0) };
        words_at(page, x, name, NAME, "middle", &unit.name);
        words_at(page, x, note, NOTE, "middle", &unit.note);
        *page += "</g>\n";
    }
}

fn rectangle(page: &mut String, [x, y, width, height]: [f64; 4], state: State) {
    let (fill, line) = state.colours();
    let dashes = state.dashes();
    let dashes = if dashes.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dashes}\"") };
    _ = writeln!(
        page,
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"4\" fill=\"{fill}\" stroke=\"{line}\"{dashes}/>",
        px(x),
        px(y),
        px(width),
        px(height)
    );
}

fn words_at(page: &mut String, x: f64, y: f64, size: f64, anchor: &str, words: &str) {
    let colour = if size == NOTE { FAINT } else { INK };
    text(page, &Text { x, y, size, colour, anchor, weight: Weight::Regular }, words);
}

#[cfg(test)]
mod tests {
    use resvg::usvg::{Options, Tree};

    use super::*;
    use crate::figure::graph::tests::awkward;

    #[test]
    fn bytes_are_stable() {
        let drawn = svg(&awkward());
        assert_eq!(drawn, svg(&awkward()));
        insta::assert_snapshot!(drawn);
    }

    #[test]
    fn any_graph_is_a_picture_that_holds_its_words() {
        for graph in
            [Graph::default(), Graph { title: "a title that is wider than all else".into(), ..awkward() }]
        {
            let options = Options { fontdb: font::database(), ..Options::default() };
            let tree = Tree::from_str(&svg(&graph), &options).unwrap();
            let words = tree.root().abs_bounding_box();
            assert!(words.left() >= 0.0 && words.right() <= tree.size().width(), "{words:?}");
            assert!(words.top() >= 0.0 && words.bottom() <= tree.size().height(), "{words:?}");
        }
    }
}
