//! SQL, as polars understands it, over tidy rows: what is asked, and where it is wrong.

pub(super) mod frame;

use polars::prelude::*;
use polars::sql::SQLContext;
use serde_json::Value;
use sqlparser::ast::{Query, Statement};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use crate::base::place::Place;
use crate::base::suggest;
use crate::table::order;
use crate::table::tidy::Tidy;

/// Why a query gives no answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// What is wrong.
    pub message: String,
    /// Where in the query, if that is known.
    pub place: Option<Place>,
    /// What to do: begins with a verb.
    pub hint: String,
}

impl SqlError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, hint: hint.into() }
    }
}

/// What a query yields.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows of numbers, words, truths and nulls, as the query orders them; without an order, by their cells.
    pub rows: Vec<Vec<Value>>,
}

/// Whether a text is one query, by grammar alone, whose rows do not depend on chance.
pub fn parse(sql: &str) -> Result<(), SqlError> {
    let query = query(sql)?;
    if query.limit_clause.is_some() && query.order_by.is_none() {
        let message = "which rows LIMIT leaves depends on chance, as they have no order";
        return Err(SqlError {
            place: Place::of_word(sql, "LIMIT"),
            ..SqlError::new(message, "add 'ORDER BY …'")
        });
    }
    Ok(())
}

fn query(sql: &str) -> Result<Query, SqlError> {
    let mut statements =
        Parser::parse_sql(&GenericDialect, sql).map_err(|error| syntax(&error.to_string()))?;
    let message = match statements.as_slice() {
        [Statement::Query(_)] => match statements.pop() {
            Some(Statement::Query(query)) => return Ok(*query),
            _ => unreachable!("it is one"),
        },
        [other] => format!("'{other}' asks nothing"),
        all => format!("there are {} statements, where there should be one", all.len()),
    };
    Err(SqlError::new(message, "write one 'SELECT …'"))
}

/// `sql parser error: Expected: …, found: … at Line: 1, Column: 8`.
fn syntax(message: &str) -> SqlError {
    let message = message.trim_start_matches("sql parser error: ");
    let (what, place) = message.split_once(" at Line: ").unwrap_or((message, ""));
    let place = place.split_once(", Column: ").and_then(|(line, column)| {
        Some(Place { line: line.parse().ok()?, column: column.parse().ok()?, length: 1 })
    });
    let message = format!("the query is not SQL: {}", lower(what));
    SqlError { place, ..SqlError::new(message, "write one 'SELECT …'") }
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Asks a query of tables by their names.
///
/// # Errors
/// The query is malformed, or does not fit the tables.
pub fn ask(tables: &[(String, Tidy)], sql: &str) -> Result<Answer, SqlError> {
    let has_order = query(sql)?.order_by.is_some();
    let mut context = SQLContext::new();
    let unsuited = |error: PolarsError| unsuited(&error, tables, sql);
    for (name, table) in tables {
        context.register(name, frame::typed(table).map_err(unsuited)?.lazy());
    }
    let answer = context.execute(sql).and_then(LazyFrame::collect).map_err(unsuited)?;
    let row =
        |at: usize| answer.columns().iter().map(|column| column.get(at).map(|cell| plain(&cell))).collect();
    let rows: PolarsResult<Vec<Vec<Value>>> = (0..answer.height()).map(row).collect();
    let mut rows = rows.map_err(unsuited)?;
    if !has_order {
        let cells = |row: &Vec<Value>| row.iter().map(text).collect::<Vec<_>>();
        rows.sort_by_cached_key(|row| Cells(cells(row)));
    }
    Ok(Answer { columns: answer.get_column_names().into_iter().map(ToString::to_string).collect(), rows })
}

/// Cells in the order that people expect.
#[derive(PartialEq, Eq)]
struct Cells(Vec<String>);

impl Ord for Cells {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let pairs = self.0.iter().zip(&other.0);
        pairs
            .map(|(a, b)| order::natural(a, b))
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    }
}

impl PartialOrd for Cells {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A value as a cell of a tidy table: nothing where it is NULL.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.as_f64().map_or_else(|| value.to_string(), |number| number.to_string()),
    }
}

impl Answer {
    /// The answer as tidy rows.
    pub fn to_tidy(&self) -> Tidy {
        let rows = self.rows.iter().map(|row| row.iter().map(text).collect());
        Tidy { columns: self.columns.clone(), rows: rows.collect() }
    }
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

/// What polars says of a query that does not fit the tables, with the place of the word that it is about.
fn unsuited(error: &PolarsError, tables: &[(String, Tidy)], sql: &str) -> SqlError {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or(&text);
    let names: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
    let columns = tables.iter().flat_map(|(_, table)| table.columns.iter().map(String::as_str));
    if let PolarsError::ColumnNotFound(_) = error {
        let word = quoted(message);
        let message = format!("no table has a column '{word}'");
        return SqlError { message, place: Place::of_word(sql, word), hint: suggest::hint(word, columns) };
    }
    if let Some(word) = message.contains("relation").then(|| quoted(message)) {
        let message = format!("the stage needs no table '{word}'");
        return SqlError { message, place: Place::of_word(sql, word), hint: suggest::hint(word, names) };
    }
    let hint = "correct the query; its tables are the names under 'needs'".into();
    let place = Place::of_word(&sql.to_lowercase(), quoted(message));
    SqlError { message: format!("the query does not work: {message}"), place, hint }
}

/// The first word in quotes; all of it if there is none.
fn quoted(message: &str) -> &str {
    let is_quote = |c: char| matches!(c, '\'' | '"' | '`');
    let parts: Vec<&str> = message.splitn(3, is_quote).collect();
    parts.get(1).copied().unwrap_or(message).trim()
}
