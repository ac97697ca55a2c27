//! Connections: every need names a stage of the right type, and the stages have an order in which each comes after what it needs.

use std::collections::BTreeMap;

use crate::base::suggest;
use crate::pipeline::error::SpecError;
use crate::pipeline::files::Files;
use crate::pipeline::spec::{Need, StageSpec};

/// Orders the stages; those that are free to come next keep the order of the file. `declared` names broken stages too, at which
/// no need is a mistake.
pub(super) fn order(
    files: &Files,
    specs: Vec<StageSpec>,
    declared: &BTreeMap<&str, usize>,
) -> (Vec<StageSpec>, Vec<SpecError>) {
    let places: BTreeMap<&str, usize> =
        specs.iter().enumerate().map(|(i, spec)| (spec.name.as_str(), i)).collect();
    let mut needed: Vec<Vec<usize>> = Vec::new();
    let mut errors = Vec::new();
    for spec in &specs {
        let mut targets = Vec::new();
        for need in &spec.needs {
            for (i, target) in need.stages.iter().enumerate() {
                match places.get(target.as_str()) {
                    Some(place) => {
                        errors.extend(mismatch(files, &specs, spec, (need, i), &specs[*place]));
                        targets.push(*place);
                    }
                    None if declared.contains_key(target.as_str()) || !files.missing.is_empty() => {}
                    None => {
                        let hint = suggest::hint(target.as_str(), declared.keys().copied());
                        let message = format!("there is no stage '{target}'");
                        errors.push(error(files, spec, (need, i), message, "unknown stage").hint(hint));
                    }
                }
            }
        }
        needed.push(targets);
    }
    let (sorted, circles) = sort(&needed);
    errors.extend(circles.iter().map(|circle| circle_error(files, &specs, circle)));
    let mut specs: Vec<Option<StageSpec>> = specs.into_iter().map(Some).collect();
    (sorted.into_iter().filter_map(|place| specs[place].take()).collect(), errors)
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

/// Depth-first: what a stage needs, then the stage. A need that is open closes a circle, and is left out.
fn sort(needed: &[Vec<usize>]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut marks = vec![Mark::New; needed.len()];
    let (mut sorted, mut circles) = (Vec::with_capacity(needed.len()), Vec::new());
    for start in 0..needed.len() {
        // Places that are open, and how many of their needs have been looked at: no recursion, for chains may be long.
        let mut trail: Vec<(usize, usize)> = Vec::new();
        if marks[start] == Mark::New {
            marks[start] = Mark::Open;
            trail.push((start, 0));
        }
        while let Some((place, looked)) = trail.last_mut() {
            let place = *place;
            let Some(next) = needed[place].get(*looked).copied() else {
                marks[place] = Mark::Done;
                sorted.push(place);
                trail.pop();
                continue;
            };
            *looked += 1;
            match marks[next] {
                Mark::Done => {}
                Mark::New => {
                    marks[next] = Mark::Open;
                    trail.push((next, 0));
                }
                Mark::Open => {
                    let open = trail.iter().map(|(place, _)| *place).skip_while(|place| *place != next);
                    circles.push(open.chain([next]).collect());
                }
            }
        }
    }
    (sorted, circles)
}

fn circle_error(files: &Files, specs: &[StageSpec], circle: &[usize]) -> SpecError {
    let names: Vec<&str> = circle.iter().map(|place| specs[*place].name.as_str()).collect();
    let file = specs[circle[0]].file;
    let span = files.locate_key(file, &format!("stages.{}", names[0]));
    let message = format!("stages need each other in a circle: {}", names.join(" → "));
    SpecError::at(span, message, "the circle closes here").in_file(file).hint("remove one of these needs")
}

/// A mistake at the name of a needed stage.
fn error(
    files: &Files,
    spec: &StageSpec,
    (need, at): (&Need, usize),
    message: impl Into<String>,
    label: &str,
) -> SpecError {
    let slot = format!("stages.{}.needs.{}", spec.name, need.slot.name);
    let item = format!("{slot}[{at}]");
    let span = files.locate(spec.file, &slot);
    let inner = files.locate(spec.file, &item);
    let span = if files.documents[spec.file].text[inner.clone()] == *need.stages[at].as_str() {
        inner
    } else {
        span
    };
    SpecError::at(span, message, label).in_file(spec.file)
}

fn mismatch(
    files: &Files,
    specs: &[StageSpec],
    spec: &StageSpec,
    need: (&Need, usize),
    source: &StageSpec,
) -> Option<SpecError> {
    let slot = &need.0.slot;
    let (gives, wants) = (source.kind.output, slot.ty);
    if wants.takes(gives) {
        return None;
    }
    let message = format!(
        "slot '{}' of '{}' takes '{wants}', but '{}' gives '{gives}'",
        slot.name, spec.name, source.name
    );
    let fitting =
        specs.iter().find(|candidate| candidate.kind.output == wants && candidate.name != spec.name);
    let hint = match fitting {
        Some(other) => format!("connect it to '{}', which gives '{wants}'", other.name),
        None => format!("add a stage that gives '{wants}'"),
    };
    Some(error(files, spec, need, message, "wrong type").hint(hint))
}
