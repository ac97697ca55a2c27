//! SQL, as polars understands it: what is asked, and where it is wrong.

use std::collections::BTreeMap;

use polars::prelude::*;
use polars::sql::SQLContext;
use serde_json::Value;
use sqlparser::ast::Statement;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use crate::base::place::Place;
use crate::base::suggest;
use crate::table::claim::{Judgement, Verdict, frame};
use crate::table::tidy::Tidy;

/// Why a query gives no verdict.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ClaimError {
    #[error("{message}")]
    Sql { message: String, place: Option<Place>, hint: String },
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
            Self::Sql { hint, .. } => hint.clone(),
            Self::Rows { rows: 0 } => "aggregate, as in 'SELECT MAX(value) > 0.1 AS holds, …'".into(),
            Self::Rows { .. } => "aggregate, or end the query with 'LIMIT 1'".into(),
            Self::Lacks { column, .. } => format!("name one, as in 'SELECT … AS {column}'"),
            Self::Type { column: "effect", .. } => "give a number that grows with what is claimed".into(),
            Self::Type { .. } => "compare something, as in 'value > 0.1'".into(),
            Self::Over { column, known, .. } => suggest::hint(column, known.iter().map(String::as_str)),
        }
    }

    /// Where in the query, if that is known.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Sql { place, .. } | Self::Type { place, .. } => *place,
            Self::Rows { .. } | Self::Lacks { .. } | Self::Over { .. } => None,
        }
    }
}

/// Whether a text is one query, by grammar alone.
pub fn parse(sql: &str) -> Result<(), ClaimError> {
    let statements = Parser::parse_sql(&GenericDialect, sql).map_err(|error| syntax(&error.to_string()))?;
    let message = match statements.as_slice() {
        [Statement::Query(_)] => return Ok(()),
        [other] => format!("'{other}' asks nothing"),
        all => format!("there are {} statements, where a claim is one", all.len()),
    };
    Err(ClaimError::Sql { message, place: None, hint: EXAMPLE.into() })
}

const EXAMPLE: &str = "write one 'SELECT … AS holds, … AS effect'";

/// `sql parser error: Expected: …, found: … at Line: 1, Column: 8`.
fn syntax(message: &str) -> ClaimError {
    let message = message.trim_start_matches("sql parser error: ");
    let (what, place) = message.split_once(" at Line: ").unwrap_or((message, ""));
    let place = place.split_once(", Column: ").and_then(|(line, column)| {
        Some(Place { line: line.parse().ok()?, column: column.parse().ok()?, length: 1 })
    });
    let message = format!("the query is not SQL: {}", lower(what));
    ClaimError::Sql { message, place, hint: EXAMPLE.into() }
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Asks the query once.
pub(super) fn ask(tables: &[(String, Tidy)], sql: &str) -> Result<Judgement, ClaimError> {
    parse(sql)?;
    let mut context = SQLContext::new();
    for (name, table) in tables {
        let frame = frame::typed(table).map_err(|error| unsuited(&error, tables, sql))?;
        context.register(name, frame.lazy());
    }
    let answer = context.execute(sql).and_then(LazyFrame::collect);
    let answer = answer.map_err(|error| unsuited(&error, tables, sql))?;
    if answer.height() != 1 {
        return Err(ClaimError::Rows { rows: answer.height() });
    }
    let names = answer.get_column_names().into_iter().map(ToString::to_string);
    let cells = answer.columns().iter().map(|column| column.get(0).map(|cell| plain(&cell)));
    let cells = cells.collect::<PolarsResult<Vec<_>>>().map_err(|error| unsuited(&error, tables, sql))?;
    judgement(names.zip(cells).collect(), sql)
}

/// A cell of an answer. Numbers lose what the order of a sum may change.
fn plain(cell: &AnyValue<'_>) -> Value {
    match cell {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(flag) => Value::from(*flag),
        AnyValue::String(text) => Value::from(*text),
        AnyValue::StringOwned(text) => Value::from(text.as_str()),
        AnyValue::Float64(_) | AnyValue::Float32(_) => {
            cell.try_extract::<f64>().map_or(Value::Null, |number| Value::from(rounded(number)))
        }
        _ => cell.try_extract::<i64>().map_or_else(|_| Value::from(cell.to_string()), Value::from),
    }
}

/// To nine significant digits: a sum in another order is the same number.
pub(super) fn rounded(number: f64) -> f64 {
    format!("{number:.8e}").parse().unwrap_or(number)
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

/// What polars says of a query that does not fit the tables, with the place of the word that it is about.
fn unsuited(error: &PolarsError, tables: &[(String, Tidy)], sql: &str) -> ClaimError {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or(&text);
    let names: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
    let columns = tables.iter().flat_map(|(_, table)| table.columns.iter().map(String::as_str));
    if let PolarsError::ColumnNotFound(_) = error {
        let word = quoted(message);
        let message = format!("no table has a column '{word}'");
        return ClaimError::Sql {
            message,
            place: Place::of_word(sql, word),
            hint: suggest::hint(word, columns),
        };
    }
    if let Some(word) = message.contains("relation").then(|| quoted(message)) {
        let message = format!("the stage needs no table '{word}'");
        return ClaimError::Sql {
            message,
            place: Place::of_word(sql, word),
            hint: suggest::hint(word, names),
        };
    }
    let hint = "correct the query; its tables are the names under 'needs'".into();
    let place = Place::of_word(&sql.to_lowercase(), quoted(message));
    ClaimError::Sql { message: format!("the query does not work: {message}"), place, hint }
}

/// The first word in quotes; all of it if there is none.
fn quoted(message: &str) -> &str {
    let is_quote = |c: char| matches!(c, '\'' | '"' | '`');
    let parts: Vec<&str> = message.splitn(3, is_quote).collect();
    parts.get(1).copied().unwrap_or(message).trim()
}
