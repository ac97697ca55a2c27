//! From what a query yields to a verdict.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::base::place::Place;
use crate::base::suggest;
use crate::table::claim::{Judgement, Verdict};
use crate::table::sql::{self, SqlError};
use crate::table::tidy::Tidy;

/// Why a query gives no verdict.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ClaimError {
    #[error(transparent)]
    Sql(#[from] SqlError),
    #[error("the query yields {rows} rows, where a verdict is one")]
    Rows { rows: usize },
    #[error("the query yields no column '{column}': it has {}", found.join(", "))]
    Lacks { column: &'static str, found: Vec<String> },
    #[error("'{column}' is {found}, where it should be {expected}")]
    Type { column: &'static str, found: String, expected: &'static str, place: Option<Place> },
    #[error("no table has a column '{column}'")]
    Over { at: usize, column: String, known: Vec<String> },
}

impl ClaimError {
    /// What to do: begins with a verb.
    pub fn hint(&self) -> String {
        match self {
            Self::Sql(error) => error.hint.clone(),
            Self::Rows { rows: 0 } => "aggregate, as in 'SELECT MAX(value) > 0.1 AS holds, …'".into(),
            Self::Rows { .. } => "aggregate, or end the query with 'ORDER BY … LIMIT 1'".into(),
            Self::Lacks { column, .. } => format!("name one, as in 'SELECT … AS {column}'"),
            Self::Type { column: "effect", .. } => "give a number that grows with what is claimed".into(),
            Self::Type { .. } => "compare something, as in 'value > 0.1'".into(),
            Self::Over { column, known, .. } => suggest::hint(column, known.iter().map(String::as_str)),
        }
    }

    /// Where in the query, if that is known.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Sql(error) => error.place,
            Self::Type { place, .. } => *place,
            Self::Rows { .. } | Self::Lacks { .. } | Self::Over { .. } => None,
        }
    }
}

/// Asks the query once.
pub(super) fn ask(tables: &[(String, Tidy)], query: &str) -> Result<Judgement, ClaimError> {
    let mut answer = sql::ask(tables, query)?;
    match answer.rows.pop() {
        Some(row) if answer.rows.is_empty() => {
            judgement(answer.columns.into_iter().zip(row).collect(), query)
        }
        row => Err(ClaimError::Rows { rows: answer.rows.len() + usize::from(row.is_some()) }),
    }
}

fn judgement(mut answer: BTreeMap<String, Value>, sql: &str) -> Result<Judgement, ClaimError> {
    let found: Vec<_> = answer.keys().cloned().collect();
    let mut take = |column: &'static str| {
        answer.remove(column).ok_or_else(|| ClaimError::Lacks { column, found: found.clone() })
    };
    let (holds, effect) = (take("holds")?, take("effect")?);
    let holds = flag("holds", &holds, sql)?;
    let is_tested = match take("tested") {
        Ok(tested) => flag("tested", &tested, sql)?.unwrap_or(false),
        Err(_) => true,
    };
    if !(effect.is_number() || effect.is_null()) {
        return Err(other("effect", &effect, "a number", sql));
    }
    let verdict = match holds {
        Some(true) if is_tested => Verdict::Holds,
        Some(false) if is_tested => Verdict::Fails,
        _ => Verdict::NotTested,
    };
    Ok(Judgement { verdict, effect: effect.as_f64(), repeated: None, evidence: answer })
}

fn flag(column: &'static str, value: &Value, sql: &str) -> Result<Option<bool>, ClaimError> {
    match value {
        Value::Bool(flag) => Ok(Some(*flag)),
        Value::Null => Ok(None),
        value => Err(other(column, value, "true or false", sql)),
    }
}

fn other(column: &'static str, value: &Value, expected: &'static str, sql: &str) -> ClaimError {
    ClaimError::Type { column, found: value.to_string(), expected, place: Place::of_word(sql, column) }
}
