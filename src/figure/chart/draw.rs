//! A chart as SVG, written by hand.

use std::fmt::Write;

use crate::figure::chart::layout::{Layout, SAMPLE, SERIES_STEP};
use crate::figure::chart::{Chart, Form, Point, Series};
use crate::figure::colour::{self, FAINT, INK, Rgb};
use crate::figure::font::{CAPITAL, Weight};
use crate::figure::layout::{LABEL, MARGIN, SPACE, TICK};
use crate::figure::svg::{self, Text, escape, px, text};

/// Okabe and Ito's colours but for black and yellow, which is too pale for lines on white.
const COLOURS: [Rgb; 6] = [
    [0x00, 0x72, 0xb2],
    [0xd5, 0x5e, 0x00],
    [0x00, 0x9e, 0x73],
    [0xcc, 0x79, 0xa7],
    [0xe6, 0x9f, 0x00],
    [0x56, 0xb4, 0xe9],
];
/// Half the size of a mark.
const MARK: f64 = 3.2;

/// Draws a chart.
pub fn svg(chart: &Chart) -> String {
    let layout = Layout::new(chart);
    let mut svg = svg::page(layout.width, layout.height, &chart.title);
    titles(&mut svg, chart, &layout);
    axes(&mut svg, chart, &layout);
    for (index, series) in chart.series.iter().enumerate() {
        match chart.form {
            Form::Lines => line(&mut svg, chart, &layout, index, series),
            Form::Bars => bars(&mut svg, chart, &layout, index, series),
        }
    }
    names(&mut svg, chart, &layout);
    svg + "</svg>\n"
}

fn label(x: f64, y: f64, colour: Rgb, anchor: &str) -> Text<'_> {
    Text { x, y, size: LABEL, colour, anchor, weight: Weight::Regular }
}

fn titles(svg: &mut String, chart: &Chart, layout: &Layout) {
    let [left, top, right, _] = layout.plot;
    text(svg, &label(MARGIN, top - SPACE - LABEL / 2.0, FAINT, "start"), &chart.value_title);
    text(svg, &label(f64::midpoint(left, right), layout.place_title, FAINT, "middle"), &chart.place_title);
}

/// Marked values with a line across the plot, and the names of the places.
fn axes(svg: &mut String, chart: &Chart, layout: &Layout) {
    let [left, _, right, bottom] = layout.plot;
    for (value, words) in &layout.marks {
        let y = height(chart, layout, *value);
        let (from, line, to) = (px(left), px(y), px(right));
        _ = writeln!(svg, "<path d=\"M{from} {line}H{to}\" stroke=\"#d0d7de\" stroke-width=\"0.75\"/>");
        text(svg, &Text { size: TICK, ..label(left - SPACE, y, FAINT, "end") }, words);
    }
    for (name, x) in chart.places.iter().zip(&layout.places).step_by(layout.every) {
        if layout.is_vertical {
            let (x, y) = (px(x + LABEL * CAPITAL / 2.0), px(bottom + SPACE));
            _ = writeln!(
                svg,
                "<text transform=\"translate({x} {y}) rotate(-90)\" font-size=\"{}\" text-anchor=\"end\" fill=\"{}\">{}</text>",
                px(LABEL),
                colour::hex(INK),
                escape(name)
            );
        } else {
            text(svg, &label(*x, bottom + SPACE + LABEL / 2.0, INK, "middle"), name);
        }
    }
}

/// Where a value is, from the top.
fn height(chart: &Chart, layout: &Layout, value: f64) -> f64 {
    let [_, top, _, bottom] = layout.plot;
    bottom - (bottom - top) * chart.scale.fraction(value)
}

fn paint(index: usize) -> String {
    colour::hex(COLOURS[index % COLOURS.len()])
}

/// Points with a place of their own: (x, y, point, what is said of it).
fn points<'a>(
    chart: &'a Chart,
    layout: &'a Layout,
    series: &'a Series,
) -> impl Iterator<Item = Option<(f64, f64, Point, String)>> {
    let places = chart.places.iter().zip(&layout.places).zip(&series.points);
    places.map(move |((place, x), point)| {
        let point = point.filter(|point| point.value.is_finite())?;
        let told = format!("{}, {}: {}", escape(place), escape(&series.name), point.value);
        Some((*x, height(chart, layout, point.value), point, told))
    })
}

fn line(svg: &mut String, chart: &Chart, layout: &Layout, index: usize, series: &Series) {
    let paint = paint(index);
    let all: Vec<_> = points(chart, layout, series).collect();
    // A missing point ends a line: nothing is drawn where nothing was measured.
    for stretch in all.split(Option::is_none).filter(|stretch| stretch.len() > 1) {
        let corners: Vec<_> =
            stretch.iter().flatten().map(|(x, y, ..)| format!("{} {}", px(*x), px(*y))).collect();
        let path = corners.join("L");
        _ = writeln!(svg, "<path d=\"M{path}\" fill=\"none\" stroke=\"{paint}\" stroke-width=\"1.5\"/>");
    }
    for (x, y, point, told) in all.into_iter().flatten() {
        whisker(svg, chart, layout, x, &point, &paint);
        _ = writeln!(svg, "<g><title>{told}</title>{}</g>", mark(index, x, y, &paint));
    }
}

fn bars(svg: &mut String, chart: &Chart, layout: &Layout, index: usize, series: &Series) {
    let (paint, width) = (paint(index), layout.bar);
    let from = width * (index as f64 - chart.series.len() as f64 / 2.0);
    let ground = height(chart, layout, 0.0);
    for (x, y, point, told) in points(chart, layout, series).flatten() {
        let (left, top, tall) = (px(x + from + 0.5), px(y.min(ground)), px((ground - y).abs().max(0.5)));
        let width = px(width - 1.0);
        _ = writeln!(
            svg,
            "<g><title>{told}</title><rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{tall}\" fill=\"{paint}\"/></g>"
        );
        whisker(svg, chart, layout, x + from + layout.bar / 2.0, &point, &colour::hex(INK));
    }
}

fn whisker(svg: &mut String, chart: &Chart, layout: &Layout, x: f64, point: &Point, paint: &str) {
    let Some(reach) = point.whisker.filter(|reach| *reach > 0.0) else { return };
    let [low, high] = [point.value - reach, point.value + reach].map(|end| px(height(chart, layout, end)));
    let (left, middle, right) = (px(x - 2.5), px(x), px(x + 2.5));
    _ = writeln!(
        svg,
        "<path d=\"M{left} {low}H{right}M{middle} {low}V{high}M{left} {high}H{right}\" fill=\"none\" stroke=\"{paint}\" stroke-width=\"1\"/>"
    );
}

/// A mark whose shape says which series it is of.
fn mark(index: usize, x: f64, y: f64, paint: &str) -> String {
    let at = |dx: f64, dy: f64| format!("{} {}", px(x + dx * MARK), px(y + dy * MARK));
    let polygon = |corners: &[(f64, f64)]| {
        let corners: Vec<_> = corners.iter().map(|(dx, dy)| at(*dx, *dy)).collect();
        format!("<path d=\"M{}Z\" fill=\"{paint}\"/>", corners.join("L"))
    };
    match index % 5 {
        0 => format!("<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{paint}\"/>", px(x), px(y), px(MARK)),
        1 => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        2 => polygon(&[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)]),
        3 => polygon(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]),
        _ => polygon(&[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)]),
    }
}

/// The names of the series, each behind its mark.
fn names(svg: &mut String, chart: &Chart, layout: &Layout) {
    let [_, top, ..] = layout.plot;
    text(svg, &label(layout.series, top + LABEL / 2.0, FAINT, "start"), &chart.series_title);
    let first = top + if chart.series_title.is_empty() { 0.0 } else { SERIES_STEP } + LABEL / 2.0;
    for (index, series) in chart.series.iter().enumerate() {
        let (y, paint) = (first + index as f64 * SERIES_STEP, paint(index));
        let x = layout.series;
        match chart.form {
            Form::Lines => {
                let (from, line, to) = (px(x), px(y), px(x + SAMPLE - 6.0));
                _ = writeln!(
                    svg,
                    "<path d=\"M{from} {line}H{to}\" stroke=\"{paint}\" stroke-width=\"1.5\"/>"
                );
                _ = writeln!(svg, "{}", mark(index, x + (SAMPLE - 6.0) / 2.0, y, &paint));
            }
            Form::Bars => {
                let (x, y) = (px(x), px(y - 5.0));
                _ = writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"16\" height=\"10\" fill=\"{paint}\"/>");
            }
        }
        text(svg, &label(x + SAMPLE, y, INK, "start"), &series.name);
    }
}
