//! `claim`: a sentence of a study, tested on tables.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::kinds::CLAIM;
use crate::stage::{
    Arity, Artifact, ArtifactType, Context, Inputs, Parameter, ParameterError, Slot, Stage, StageError,
};
use crate::table::claim::{self, ClaimError, Judged};
use crate::table::tidy::{self, Part, Tidy, TidyError};

/// Parameters of `claim`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The number of the claim, where a study counts them: verdicts on equal numbers stand together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    /// The sentence.
    says: String,
    /// Where it is said, as in `section 3.1, Figure 1a`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    place: String,
    /// What the column `effect` is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    effect: String,
    /// What the data must be to test it, where the query has a column `tested`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    tested: String,
    /// Columns whose values are repetitions, as in `[seed, draw]`: the effect gets an interval over them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    over: Vec<String>,
    /// A query over the tables under `needs`. It yields one row with the columns `holds` (true, false, or NULL: not tested) and `effect`
    /// (a number), perhaps `tested`, and any others as evidence.
    sql: String,
}

/// The output file.
pub const FILE: &str = "claim.json";

impl Stage for Claim {
    const KIND: &'static str = "claim";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "test a sentence of a study on tables";
    const SLOTS: &'static [Slot] = &[];
    const OPEN: Option<Slot> =
        Some(Slot { name: Cow::Borrowed("*"), ty: ArtifactType::ANY, arity: Arity::Many });
    const OUTPUT: ArtifactType = CLAIM;
    const PUBLISHED: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        claim::parse(&self.sql).map_err(|error| {
            let place = error.place();
            ParameterError { place, ..ParameterError::new("sql", error.to_string(), error.hint()) }
        })
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let tables = inputs.0.iter().map(|(slot, artifacts)| Ok((slot.clone(), gather(slot, artifacts)?)));
        let tables = tables.collect::<Result<Vec<_>, StageError>>()?;
        let judgement = claim::judge(&tables, &self.sql, &self.over).map_err(failure)?;
        let judged = Judged {
            number: self.number,
            says: self.says.clone(),
            place: self.place.clone(),
            effect_is: self.effect.clone(),
            tested_if: self.tested.clone(),
            judgement,
        };
        let json = serde_json::to_string_pretty(&judged)? + "\n";
        Ok(fsx::write_atomic(&context.out.join(FILE), json.as_bytes())?)
    }
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

fn failure(error: ClaimError) -> StageError {
    let path = match &error {
        ClaimError::Over { at, .. } => format!("over[{at}]"),
        _ => "sql".to_owned(),
    };
    let (hint, parameter) = (Some(error.hint()), Some(Parameter { path, place: error.place() }));
    StageError::Failed { cause: Box::new(error), hint, parameter }
}

#[cfg(test)]
mod tests;
