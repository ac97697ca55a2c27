//! `claim`: a sentence of a study, tested on tables.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::kinds::{CLAIM, rows};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};
use crate::table::claim::{self, ClaimError, Judged};

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
    const OPEN: Option<Slot> = Some(rows::SLOT);
    const OUTPUT: ArtifactType = CLAIM;
    const LOCAL: bool = true;
    const PUBLISHED: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        rows::check(&self.sql)
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let judgement = claim::judge(&rows::tables(inputs)?, &self.sql, &self.over).map_err(failure)?;
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

fn failure(error: ClaimError) -> StageError {
    let path = match &error {
        ClaimError::Over { at, .. } => format!("over[{at}]"),
        _ => "sql".to_owned(),
    };
    let (hint, place) = (error.hint(), error.place());
    StageError::of_parameter(error, hint, path, place)
}

#[cfg(test)]
mod tests;
