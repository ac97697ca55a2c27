//! Pictures that the report draws itself: learning curves of every run, and what a reset costs against how far a layer moved.

use crate::cli::failure::Failure;
use crate::cli::report::Results;
use crate::figure::chart::{self, Chart, Form, Point, Series};
use crate::figure::scale::Scale;
use crate::figure::scatter::{self, Scatter};
use crate::kinds;
use crate::kinds::train::Train;
use crate::pipeline::matrix::describe;
use crate::report::Panel;
use crate::stage::Stage;
use crate::table::ranks;
use crate::table::tidy::Tidy;

/// Lines that one chart can bear.
const LINES: usize = 6;
/// Up to so many runs, each has a line for the training error as well.
const FEW: usize = 3;
/// Beyond so many lines, curves are left to whoever asks for a figure of them.
const MOST: usize = 60;

/// The error of every run, epoch by epoch, but of those of which the pipeline has a figure.
pub(super) fn learning(results: &Results<'_>) -> Result<Vec<(String, String)>, Failure> {
    let mut series: Vec<(String, Vec<(String, f64)>)> = Vec::new();
    let runs: Vec<_> = results
        .of_type(kinds::RUN)
        .filter(|(_, node, _)| node.node.work.kind().name == Train::KIND)
        .filter(|(place, ..)| !results.draws_training(*place))
        .collect();
    let splits = if runs.len() <= FEW { &["test", "train"][..] } else { &["test"] };
    for (_, node, record) in &runs {
        let bytes = results.output(record, "training.csv")?.unwrap_or_default();
        let Ok(rows) = Tidy::parse(&bytes) else { continue };
        for split in splits {
            let at = describe(&node.node.coordinates);
            let name = if at.is_empty() { (*split).to_owned() } else { format!("{at}, {split}") };
            series.push((name, errors(&rows, split)));
        }
    }
    series.retain(|(_, points)| points.len() > 1);
    if series.len() > MOST {
        return Ok(Vec::new());
    }
    let title = "Error while the networks learn";
    Ok(series.chunks(LINES).map(|part| (title.to_owned(), curves(title, part))).collect())
}

/// Epoch and error of one split.
fn errors(rows: &Tidy, split: &str) -> Vec<(String, f64)> {
    let columns = ["epoch", "split", "metric", "value"].map(|name| rows.column(name));
    let [Some(epoch), Some(of_split), Some(metric), Some(value)] = columns else { return Vec::new() };
    let wanted = rows.rows.iter().filter(|row| row[of_split] == split && row[metric] == "error");
    wanted.filter_map(|row| Some((row[epoch].clone(), row[value].parse().ok()?))).collect()
}

fn curves(title: &str, series: &[(String, Vec<(String, f64)>)]) -> String {
    let longest = series.iter().max_by_key(|(_, points)| points.len());
    let places: Vec<_> =
        longest.into_iter().flat_map(|(_, points)| points).map(|(epoch, _)| epoch.clone()).collect();
    let line = |(name, points): &(String, Vec<(String, f64)>)| {
        let at = |epoch: &String| points.iter().find(|(other, _)| other == epoch);
        let point = |epoch| at(epoch).map(|(_, value)| Point { value: *value, whisker: None });
        Series { name: name.clone(), points: places.iter().map(point).collect() }
    };
    chart::svg(&Chart {
        form: Form::Lines,
        title: title.to_owned(),
        place_title: "epoch".to_owned(),
        value_title: "error".to_owned(),
        series_title: String::new(),
        series: series.iter().map(line).collect(),
        scale: Scale { min: 0.0, max: 1.0 },
        places,
    })
}

/// Every table of errors against every table of distances with the same rows.
pub(super) fn scatters(panels: &[Panel]) -> Vec<(String, String)> {
    let (errors, others): (Vec<_>, Vec<_>) = panels.iter().partition(|panel| panel.grid.metric == "error");
    let mut pictures = Vec::new();
    for error in &errors {
        for moved in others.iter().filter(|moved| coordinates(&moved.name) == coordinates(&error.name)) {
            pictures.extend(scatter_of(error, moved));
        }
    }
    pictures
}

/// `variant=plain` of `table[variant=plain]`.
fn coordinates(name: &str) -> &str {
    name.split_once('[').map_or("", |(_, rest)| rest)
}

fn scatter_of(error: &Panel, moved: &Panel) -> Option<(String, String)> {
    let points = error.costs("0").into_iter().filter_map(|(name, cost)| {
        let distance = moved.last_of(&name)?;
        Some((name, distance, cost))
    });
    let points: Vec<_> = points.collect();
    if points.len() < 3 {
        return None;
    }
    let pairs: Vec<_> = points.iter().map(|(_, x, y)| (*x, *y)).collect();
    let correlation =
        ranks::spearman(&pairs).map_or("undefined".to_owned(), |r| format!("{r:.2}").replace('-', "−"));
    let metric = &moved.grid.metric;
    let title = format!("What a reset to 0 costs, by {metric}: rank correlation {correlation}");
    let x_title = format!("{metric} from initialization to the end of training");
    let y_title = "error with the reset − error of the full model".to_owned();
    let svg = scatter::svg(&Scatter { title: title.clone(), x_title, y_title, points });
    Some((title, svg))
}
