//! A heatmap as SVG, written by hand.

use std::fmt::Write;

use crate::figure::colour::{self, FAINT, INK, Rgb};
use crate::figure::font::{CAPITAL, FAMILY, Weight};
use crate::figure::heatmap::Heatmap;
use crate::figure::layout::{BAR, LABEL, Layout, MARGIN, SPACE, TICK, TITLE};

/// Steps in which the colour bar shows the colours between.
const STOPS: u32 = 16;

/// Draws a heatmap.
pub fn heatmap(map: &Heatmap) -> String {
    let layout = Layout::new(map);
    let mut svg = opening(map, &layout);
    titles(&mut svg, map, &layout);
    labels(&mut svg, map, &layout);
    cells(&mut svg, map, &layout);
    bar(&mut svg, map, &layout);
    svg + "</svg>\n"
}

/// Begins a picture of this size.
fn open(width: f64, height: f64, title: &str) -> String {
    let (width, height) = (px(width), px(height));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"{FAMILY}\" role=\"img\">\n"
    );
    if !title.is_empty() {
        _ = writeln!(svg, "<title>{}</title>", escape(title));
    }
    svg
}

/// Begins a picture on white, with its title at the top.
pub(super) fn page(width: f64, height: f64, title: &str) -> String {
    let mut svg = open(width, height, title);
    svg += "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
    heading(&mut svg, title);
    svg
}

fn heading(svg: &mut String, title: &str) {
    let y = MARGIN + TITLE / 2.0;
    text(svg, &Text { x: MARGIN, y, size: TITLE, colour: INK, anchor: "start", weight: Weight::Bold }, title);
}

fn opening(map: &Heatmap, layout: &Layout) -> String {
    let mut svg = open(layout.width, layout.height, &map.title);
    svg += "<defs>\n<linearGradient id=\"colours\" x1=\"0\" y1=\"1\" x2=\"0\" y2=\"0\">\n";
    for stop in 0..=STOPS {
        let at = f64::from(stop) / f64::from(STOPS);
        let colour = colour::hex(map.palette.fill(at));
        _ = writeln!(svg, "<stop offset=\"{at:.4}\" stop-color=\"{colour}\"/>");
    }
    svg += "</linearGradient>\n\
            <pattern id=\"missing\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
            <rect width=\"5\" height=\"5\" fill=\"#f6f8fa\"/><rect width=\"1.5\" height=\"5\" fill=\"#d0d7de\"/></pattern>\n\
            </defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
    svg
}

/// A text: where its reference point is, how it looks.
pub(super) struct Text<'a> {
    pub(super) x: f64,
    /// Middle of the capital letters.
    pub(super) y: f64,
    pub(super) size: f64,
    pub(super) colour: Rgb,
    /// `start`, `middle` or `end`.
    pub(super) anchor: &'a str,
    pub(super) weight: Weight,
}

pub(super) fn text(svg: &mut String, text: &Text, words: &str) {
    if words.is_empty() {
        return;
    }
    let Text { x, y, size, colour, anchor, weight } = text;
    let bold = if *weight == Weight::Bold { " font-weight=\"bold\"" } else { "" };
    let baseline = y + size * CAPITAL / 2.0;
    _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" font-size=\"{}\" text-anchor=\"{anchor}\" fill=\"{}\"{bold}>{}</text>",
        px(*x),
        px(baseline),
        px(*size),
        colour::hex(*colour),
        escape(words)
    );
}

fn titles(svg: &mut String, map: &Heatmap, layout: &Layout) {
    let faint = |x, y, anchor| Text { x, y, size: LABEL, colour: FAINT, anchor, weight: Weight::Regular };
    heading(svg, &map.title);
    let (left, top) = layout.corner;
    let headings = top - SPACE - LABEL / 2.0;
    text(svg, &faint(left - SPACE, headings, "end"), &map.row_title);
    text(svg, &faint(layout.bar, headings, "start"), &map.value_title);
    text(svg, &faint(layout.middle, headings - LABEL - SPACE, "middle"), &map.column_title);
}

fn labels(svg: &mut String, map: &Heatmap, layout: &Layout) {
    let label = |x, y, anchor| Text { x, y, size: LABEL, colour: INK, anchor, weight: Weight::Regular };
    let (left, top) = layout.corner;
    for (words, y) in map.rows.iter().zip(&layout.rows) {
        text(svg, &label(left - SPACE, y + layout.cell.1 / 2.0, "end"), words);
    }
    for (words, x) in map.columns.iter().zip(&layout.columns) {
        let y = top - SPACE - LABEL / 2.0;
        text(svg, &label(x + layout.cell.0 / 2.0, y, "middle"), words);
    }
}

fn cells(svg: &mut String, map: &Heatmap, layout: &Layout) {
    let (width, height) = layout.cell;
    let places = layout.rows.iter().enumerate().flat_map(|(i, y)| {
        layout.columns.iter().enumerate().map(move |(j, x)| (&map.rows[i], &map.columns[j], *x, *y))
    });
    for ((row, column, x, y), (value, words)) in places.zip(map.values.iter().zip(map.texts())) {
        let fill =
            value.filter(|value| value.is_finite()).map(|value| map.palette.fill(map.scale.fraction(value)));
        let paint = fill.map_or("url(#missing)".to_owned(), colour::hex);
        let told = value.map_or("no value".to_owned(), |value| value.to_string());
        _ = writeln!(
            svg,
            "<g><title>{}, {}: {told}</title>\
             <rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"1.5\" fill=\"{paint}\"/>",
            escape(row),
            escape(column),
            px(x),
            px(y),
            px(width),
            px(height)
        );
        let (x, y, colour) = (x + width / 2.0, y + height / 2.0, fill.map_or(INK, colour::ink_on));
        text(
            svg,
            &Text { x, y, size: layout.number, colour, anchor: "middle", weight: Weight::Regular },
            &words,
        );
        *svg += "</g>\n";
    }
}

fn bar(svg: &mut String, map: &Heatmap, layout: &Layout) {
    let (_, top) = layout.corner;
    let (x, height) = (layout.bar, layout.bar_height);
    _ = writeln!(
        svg,
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"1.5\" fill=\"url(#colours)\" stroke=\"#d0d7de\" \
         stroke-width=\"0.5\"/>",
        px(x),
        px(top),
        px(BAR),
        px(height)
    );
    for (value, words) in map.scale.marks(layout.ticks) {
        let y = top + height * (1.0 - map.scale.fraction(value));
        let (from, to, line) = (px(x + BAR), px(x + BAR + 3.5), px(y));
        _ = writeln!(
            svg,
            "<path d=\"M{from} {line}H{to}\" stroke=\"{}\" stroke-width=\"0.75\"/>",
            colour::hex(FAINT)
        );
        let x = x + BAR + 7.0;
        text(
            svg,
            &Text { x, y, size: TICK, colour: FAINT, anchor: "start", weight: Weight::Regular },
            &words,
        );
    }
}

/// A length with two decimals at most.
pub(super) fn px(length: f64) -> String {
    let text = format!("{length:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
pub(super) mod tests {
    use resvg::usvg::{Group, Node, Options, Tree};

    use super::*;
    use crate::figure::font;
    use crate::figure::heatmap::tests::small;

    #[test]
    fn bytes_are_stable() {
        let svg = heatmap(&small());
        assert_eq!(svg, heatmap(&small()));
        insta::assert_snapshot!(svg);
    }

    /// Box of each text of a picture: left, top, right, bottom.
    fn texts(group: &Group) -> Vec<[f32; 4]> {
        let of_node = |node: &Node| match node {
            Node::Text(text) => {
                let r = text.abs_bounding_box();
                vec![[r.left(), r.top(), r.right(), r.bottom()]]
            }
            Node::Group(group) => texts(group),
            _ => Vec::new(),
        };
        group.children().iter().flat_map(of_node).collect()
    }

    /// Measured with the font: no text leaves the picture, none touches another one.
    pub(in crate::figure) fn assert_texts_apart(svg: &str, more_than: usize) {
        let options = Options { fontdb: font::database(), ..Options::default() };
        let tree = Tree::from_str(svg, &options).unwrap();
        let texts = texts(tree.root());
        assert!(texts.len() > more_than, "{} texts", texts.len());
        for (i, a) in texts.iter().enumerate() {
            let inside =
                a[0] >= 0.0 && a[1] >= 0.0 && a[2] <= tree.size().width() && a[3] <= tree.size().height();
            assert!(inside, "{a:?}: {svg}");
            for b in &texts[..i] {
                let apart = a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
                assert!(apart, "{a:?} and {b:?}: {svg}");
            }
        }
    }

    #[test]
    fn no_text_is_cut_or_covered() {
        let shapes = [
            (1, 1, "a"),
            (2, 3, "stage0 + stage1.resblk1–3 + stage2.resblk1"),
            (54, 5, "stage3.resblk"),
            (3, 12, "layer"),
        ];
        for (rows, columns, label) in shapes {
            let map = Heatmap {
                rows: (0..rows).map(|i| format!("{label}{i}")).collect(),
                columns: (0..columns).map(|i| (i * 1111).to_string()).collect(),
                values: (0..rows * columns).map(|i| Some(i as f64 * 12.5)).collect(),
                column_title: "a long title of the columns".into(),
                ..small()
            };
            assert_texts_apart(&heatmap(&map), rows * columns + rows + columns);
        }
    }
}
