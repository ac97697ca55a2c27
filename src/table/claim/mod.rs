//! Claims: a sentence of a study as a query over tables, which says whether the sentence holds and by how much.
//!
//! A query yields one row. Its column `holds` is the verdict and `effect` the size of what the sentence speaks of; `tested`, if it
//! is there, says whether the data can decide at all (a network that has learned nothing tests no claim about what it learned). All
//! other columns are evidence, to be shown.

mod answer;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::table::order;
use crate::table::sql;
use crate::table::student;
use crate::table::tidy::Tidy;

pub use answer::ClaimError;

/// Whether a claim holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The data say so.
    Holds,
    /// The data say otherwise.
    Fails,
    /// The data cannot say.
    NotTested,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::NotTested => "not tested",
        })
    }
}

/// What a query says of tables.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Judgement {
    /// Whether the claim holds.
    pub verdict: Verdict,
    /// By how much; `None` where the query gives no number.
    pub effect: Option<f64>,
    /// How far the effect varies over repetitions, if there are two or more that test the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<Repeated>,
    /// The other columns of the query: numbers, words, or nothing.
    pub evidence: BTreeMap<String, Value>,
}

/// The same query, asked of each repetition alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Repeated {
    /// How many repetitions test the claim.
    pub tested: usize,
    /// In how many of them it holds.
    pub hold: usize,
    /// 95 % interval of the mean of their effects: mean ± t · s / √n.
    pub effect: (f64, f64),
}

/// What `claim.json` holds: the sentence and the verdict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Judged {
    /// The number of the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// The sentence.
    pub says: String,
    /// Where it is said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// What the effect is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub effect_is: String,
    /// What the data must be.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tested_if: String,
    /// The verdict.
    #[serde(flatten)]
    pub judgement: Judgement,
}

/// A piece of evidence, for people.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) => text.clone(),
        value => value.as_f64().map_or_else(|| value.to_string(), number),
    }
}

/// An effect, for people: three digits behind the point, or a whole number.
pub fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.3}") }.replace('-', "−")
}

/// Asks a query of tables, all together and for each repetition.
///
/// A repetition is a combination of the values of the columns `over`, as of `seed` and `draw`; a row that has no value there (a reset
/// to an epoch is not drawn) is in every repetition.
///
/// # Errors
/// The query is malformed, does not fit the tables, or yields something else than one row with `holds` and `effect`.
pub fn judge(tables: &[(String, Tidy)], sql: &str, over: &[String]) -> Result<Judgement, ClaimError> {
    for (at, column) in over.iter().enumerate() {
        if tables.iter().all(|(_, table)| table.column(column).is_none()) {
            let known = tables.iter().flat_map(|(_, table)| &table.columns).cloned().collect();
            return Err(ClaimError::Over { at, column: column.clone(), known });
        }
    }
    let mut judgement = answer::ask(tables, sql)?;
    let repetitions = repetitions(tables, over);
    if repetitions.len() > 1 {
        let parts = repetitions.iter().map(|repetition| answer::ask(&part(tables, repetition), sql));
        judgement.repeated = repeated(&parts.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(judgement)
}

/// Column → value.
type Repetition<'a> = Vec<(&'a str, &'a str)>;

fn repetitions<'a>(tables: &'a [(String, Tidy)], over: &'a [String]) -> Vec<Repetition<'a>> {
    let mut combinations = vec![Vec::new()];
    for column in over {
        let cells = tables.iter().flat_map(|(_, table)| {
            table.column(column).into_iter().flat_map(|at| table.rows.iter().map(move |row| row[at].as_str()))
        });
        let mut values: Vec<_> = cells.filter(|cell| !cell.is_empty()).collect();
        values.sort_by(|a, b| order::natural(a, b));
        values.dedup();
        let with = |before: &Repetition<'a>| -> Vec<_> {
            let step = |value| before.iter().copied().chain([(column.as_str(), value)]).collect();
            values.iter().copied().map(step).collect()
        };
        if !values.is_empty() {
            combinations = combinations.iter().flat_map(with).collect();
        }
    }
    combinations
}

/// The rows of one repetition.
fn part(tables: &[(String, Tidy)], repetition: &Repetition<'_>) -> Vec<(String, Tidy)> {
    let of_table = |(name, table): &(String, Tidy)| {
        let columns = repetition.iter().filter_map(|(column, value)| Some((table.column(column)?, *value)));
        let columns: Vec<_> = columns.collect();
        let is_in =
            |row: &&Vec<String>| columns.iter().all(|(at, value)| row[*at].is_empty() || row[*at] == *value);
        let rows = table.rows.iter().filter(is_in).cloned().collect();
        (name.clone(), Tidy { columns: table.columns.clone(), rows })
    };
    tables.iter().map(of_table).collect()
}

fn repeated(judgements: &[Judgement]) -> Option<Repeated> {
    let tested: Vec<_> = judgements.iter().filter(|each| each.verdict != Verdict::NotTested).collect();
    let effects: Vec<f64> = tested.iter().filter_map(|each| each.effect).collect();
    let n = effects.len();
    if n < 2 || n < tested.len() {
        return None;
    }
    let mean = effects.iter().sum::<f64>() / n as f64;
    let variance = effects.iter().map(|effect| (effect - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    let half = student::quantile_975(n - 1) * (variance / n as f64).sqrt();
    let hold = tested.iter().filter(|each| each.verdict == Verdict::Holds).count();
    Some(Repeated { tested: n, hold, effect: (sql::rounded(mean - half), sql::rounded(mean + half)) })
}
