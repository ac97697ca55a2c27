//! Connections: every need names a stage of the right type, and the stages have an order in which each comes after what it needs.

use std::collections::BTreeMap;

use crate::base::suggest;
use crate::pipeline::document::Document;
use crate::pipeline::error::SpecError;
use crate::pipeline::spec::StageSpec;
use crate::stage::Slot;

/// Orders the stages; those that are free to come next keep the order of the file.
pub(super) fn order(document: &Document, specs: Vec<StageSpec>) -> Result<Vec<StageSpec>, Vec<SpecError>> {
    let places: BTreeMap<&str, usize> =
        specs.iter().enumerate().map(|(i, spec)| (spec.name.as_str(), i)).collect();
    let mut needed: Vec<Vec<usize>> = Vec::new();
    let mut errors = Vec::new();
    for spec in &specs {
        let mut targets = Vec::new();
        for need in &spec.needs {
            for target in &need.stages {
                let place = places.get(target.as_str()).copied();
                errors.extend(mismatch(document, &specs, spec, &need.slot, target.as_str(), place));
                targets.extend(place);
            }
        }
        needed.push(targets);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut marks = vec![Mark::New; specs.len()];
    let mut sorted = Vec::with_capacity(specs.len());
    for place in 0..specs.len() {
        visit(place, &needed, &mut marks, &mut sorted, &mut Vec::new()).map_err(|circle| {
            let names: Vec<&str> = circle.iter().map(|place| specs[*place].name.as_str()).collect();
            vec![circle_error(document, &names)]
        })?;
    }
    let mut specs: Vec<Option<StageSpec>> = specs.into_iter().map(Some).collect();
    Ok(sorted.into_iter().filter_map(|place| specs[place].take()).collect())
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

/// Depth-first: what a stage needs, then the stage. A stage met while it is open closes a circle, which is returned.
fn visit(
    place: usize,
    needed: &[Vec<usize>],
    marks: &mut [Mark],
    sorted: &mut Vec<usize>,
    trail: &mut Vec<usize>,
) -> Result<(), Vec<usize>> {
    match marks[place] {
        Mark::Done => return Ok(()),
        Mark::Open => {
            let start = trail.iter().position(|open| *open == place).unwrap_or(0);
            return Err([&trail[start..], &[place]].concat());
        }
        Mark::New => {}
    }
    marks[place] = Mark::Open;
    trail.push(place);
    for next in &needed[place] {
        visit(*next, needed, marks, sorted, trail)?;
    }
    trail.pop();
    marks[place] = Mark::Done;
    sorted.push(place);
    Ok(())
}

fn circle_error(document: &Document, names: &[&str]) -> SpecError {
    let span = document.spans.locate_key(&format!("stages.{}", names[0]));
    let message = format!("stages need each other in a circle: {}", names.join(" → "));
    SpecError::at(span, message, "the circle closes here").hint("remove one of these needs")
}

fn mismatch(
    document: &Document,
    specs: &[StageSpec],
    spec: &StageSpec,
    slot: &Slot,
    target: &str,
    place: Option<usize>,
) -> Option<SpecError> {
    let span = document.spans.locate(&format!("stages.{}.needs.{}", spec.name, slot.name));
    let Some(source) = place.map(|place| &specs[place]) else {
        let hint = suggest::hint(target, specs.iter().map(|s| s.name.as_str()));
        return Some(
            SpecError::at(span, format!("there is no stage '{target}'"), "unknown stage").hint(hint),
        );
    };
    let (gives, wants) = (source.kind.output, slot.ty);
    if wants.takes(gives) {
        return None;
    }
    let message =
        format!("slot '{}' of '{}' takes '{wants}', but '{target}' gives '{gives}'", slot.name, spec.name);
    let fitting =
        specs.iter().find(|candidate| candidate.kind.output == wants && candidate.name != spec.name);
    let hint = match fitting {
        Some(other) => format!("connect it to '{}', which gives '{wants}'", other.name),
        None => format!("add a stage that gives '{wants}'"),
    };
    Some(SpecError::at(span, message, "wrong type").hint(hint))
}
