//! What the kinds share that write tidy rows, and those that ask SQL of them, whichever kind made these.

use std::borrow::Cow;

use crate::nn::reset::Patches;
use crate::stage::{Arity, Artifact, ArtifactType, Inputs, ParameterError, Slot, StageError};
use crate::table::sql;
use crate::table::tidy::{self, Part, Tidy, TidyError};

/// Under any name, any artifacts with rows; the name is that of the table.
pub(super) const SLOT: Slot = Slot { name: Cow::Borrowed("*"), ty: ArtifactType::ANY, arity: Arity::Many };

/// A table of what was measured of each reset: which it is, then the cells of these further columns, a row for each measurement.
pub(super) fn of_patches(
    patches: &Patches,
    columns: &[&str],
    measurements: impl Fn(usize) -> Vec<Vec<String>>,
) -> Result<Vec<u8>, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(patches.columns().iter().chain(columns))?;
    for (index, patch) in patches.patches.iter().enumerate() {
        let head = patches.cells(patch);
        for cells in measurements(index) {
            table.write_record(head.iter().chain(&cells))?;
        }
    }
    table.into_inner().map_err(|e| e.into_error().into())
}

/// Refuses what is no query.
pub(super) fn check(query: &str) -> Result<(), ParameterError> {
    sql::parse(query).map_err(|error| {
        let place = error.place;
        ParameterError { place, ..ParameterError::new("sql", error.message, error.hint) }
    })
}

/// The rows of every slot.
pub(super) fn tables(inputs: &Inputs) -> Result<Vec<(String, Tidy)>, StageError> {
    inputs.0.iter().map(|(slot, artifacts)| Ok((slot.clone(), gather(slot, artifacts)?))).collect()
}

/// Files with tidy rows, of whatever kind made them.
const TIDY: [&str; 4] = ["table.csv", "probes.csv", "distances.csv", "training.csv"];

/// The rows of a slot: those of each artifact, its axes in front.
fn gather(slot: &str, artifacts: &[Artifact]) -> Result<Tidy, StageError> {
    let mut parts = Vec::new();
    for artifact in artifacts {
        let Some(name) = TIDY.into_iter().find(|name| artifact.files.0.contains_key(*name)) else {
            let files: Vec<_> = artifact.files.0.keys().map(String::as_str).collect();
            let message = format!("the input '{slot}' has no rows, but {}", files.join(", "));
            return Err(StageError::with_hint(
                message,
                format!("connect one that has {}", TIDY.join(" or ")),
            ));
        };
        parts.push(Part { name, coordinates: &artifact.coordinates, path: artifact.path(name)? });
    }
    tidy::gather(&parts).map_err(|error: TidyError| {
        let hint = error.hint();
        StageError::Failed { cause: Box::new(error), hint, parameter: None }
    })
}
