//! The part of aggregation that polars does: filter, group, summarise.

use polars::prelude::*;

use crate::table::aggregate::{AggregateError, Condition, Query, SOURCE, distinct};
use crate::table::grid::{Statistic, Summary};
use crate::table::student;
use crate::table::tidy::Tidy;

/// Key of a row, key of a column, what is known of the group.
type Keyed = (Vec<String>, String, Summary);

/// Summarises each group of the rows that the query takes. Groups are in order of first appearance.
pub(super) fn summarise(tidy: &Tidy, query: &Query) -> Result<Vec<Keyed>, AggregateError> {
    let selected = collect(select(tidy, query)?)?;
    if selected.height() == 0 {
        return Err(AggregateError::NoRow);
    }
    refuse_contradictions(&selected)?;
    let keys = query.keys();
    let rest: Vec<_> = tidy.columns.iter().filter(|column| !query.accounts_for(column)).cloned().collect();
    let groups = collect(group(&selected, &keys, &rest))?;
    let names = cells(&groups, &keys)?;
    if let Some(at) = (0..keys.len()).find(|at| names.iter().any(|name| name[*at].is_empty())) {
        return Err(AggregateError::EmptyKey { column: keys[at].clone() });
    }
    for column in &rest {
        if let Some(group) = floats(&groups, column)?.iter().position(|count| *count > Some(1.0)) {
            return Err(variation(&selected, &keys, &names[group], column)?);
        }
    }
    let summaries = summaries(&groups, &query.statistics)?;
    let keyed = names.into_iter().zip(summaries).map(|(mut name, summary)| {
        let column = name.pop().unwrap_or_default();
        (name, column, summary)
    });
    Ok(keyed.collect())
}

/// The rows that the query takes, each once, with the heading in place of the source.
fn select(tidy: &Tidy, query: &Query) -> Result<LazyFrame, AggregateError> {
    let mut rows = frame(tidy)?.lazy().filter(col("metric").eq(lit(query.value.as_str())));
    for (column, condition) in &query.only {
        let any_of = |values: &[String]| {
            values.iter().fold(lit(false), |any, v| any.or(col(column.as_str()).eq(lit(v.as_str()))))
        };
        rows = rows.filter(match condition {
            Condition::In(values) => any_of(values),
            Condition::NotIn(values) => any_of(values).not(),
        });
    }
    if query.uses_source() {
        let heading = when(col(SOURCE).eq(lit("reinit"))).then(col("epoch")).otherwise(col(SOURCE));
        rows = rows.with_column(heading.alias(SOURCE));
    }
    Ok(rows.unique_stable(None, UniqueKeepStrategy::First))
}

/// Rows that agree in everything but the value are no two measurements.
fn refuse_contradictions(selected: &DataFrame) -> Result<(), AggregateError> {
    let names = selected.get_column_names().into_iter();
    let keys: Vec<_> = names.map(ToString::to_string).filter(|name| name != "value").collect();
    let by_key = selected.clone().lazy().group_by_stable(expressions(&keys));
    let values = [col("value").count().alias("n"), col("value").first(), col("value").last().alias("other")];
    let twice = collect(by_key.agg(values).filter(col("n").gt(lit(1))))?;
    let Some(key) = cells(&twice, &keys)?.into_iter().next() else { return Ok(()) };
    let value = |name| Ok::<_, AggregateError>(floats(&twice, name)?[0].unwrap_or(f64::NAN));
    Err(AggregateError::Contradiction {
        place: place(&keys, &key),
        values: (value("value")?, value("other")?),
    })
}

/// Per group: how many values, their mean and standard deviation, and of the other columns how many values each has.
fn group(selected: &DataFrame, keys: &[String], rest: &[String]) -> LazyFrame {
    let mut columns = vec![
        col("value").count().alias("value.n"),
        col("value").mean().alias("value.mean"),
        col("value").std(1).alias("value.std"),
    ];
    columns.extend(rest.iter().map(|name| col(name.as_str()).n_unique()));
    selected.clone().lazy().group_by_stable(expressions(keys)).agg(columns)
}

fn expressions(columns: &[String]) -> Vec<Expr> {
    columns.iter().map(|column| col(column.as_str())).collect()
}

/// The error that says how a column varies within a group.
fn variation(
    selected: &DataFrame,
    keys: &[String],
    group: &[String],
    column: &str,
) -> Result<AggregateError, AggregateError> {
    let (names, values) = (cells(selected, keys)?, texts(selected, column)?);
    let of_group = names.iter().zip(&values).filter(|(name, _)| *name == group);
    let values = distinct(of_group.map(|(_, value)| value.as_str()));
    Ok(AggregateError::Varies { column: column.to_owned(), group: place(keys, group), values })
}

fn place(names: &[String], values: &[String]) -> String {
    let spoken = names.iter().zip(values).filter(|(_, value)| !value.is_empty());
    spoken.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

fn summaries(groups: &DataFrame, statistics: &[Statistic]) -> Result<Vec<Summary>, AggregateError> {
    let (n, mean, std) =
        (floats(groups, "value.n")?, floats(groups, "value.mean")?, floats(groups, "value.std")?);
    let summary = |group: usize| {
        let (n, mean) = (n[group].unwrap_or(0.0), mean[group].unwrap_or(f64::NAN));
        let half_width = std[group].map(|std| student::quantile_975(n as usize - 1) * std / n.sqrt());
        Summary {
            n: n as usize,
            mean,
            std: std[group].filter(|_| statistics.contains(&Statistic::Std)),
            ci95: half_width
                .filter(|_| statistics.contains(&Statistic::Ci95))
                .map(|half_width| (mean - half_width, mean + half_width)),
        }
    };
    Ok((0..groups.height()).map(summary).collect())
}

/// The rows as a frame: `value` as numbers, everything else as text.
fn frame(tidy: &Tidy) -> Result<DataFrame, AggregateError> {
    let mut columns = Vec::new();
    for (at, name) in tidy.columns.iter().enumerate() {
        let cells = tidy.rows.iter().map(|row| row[at].as_str());
        columns.push(if name == "value" {
            let numbers = cells
                .map(|text| text.parse().map_err(|_| AggregateError::NotANumber { text: text.to_owned() }));
            Column::new(name.into(), numbers.collect::<Result<Vec<f64>, _>>()?)
        } else {
            Column::new(name.into(), cells.collect::<Vec<_>>())
        });
    }
    Ok(DataFrame::new(tidy.rows.len(), columns)?)
}

/// Runs a query. The engine is named, so that no environment variable chooses it: this one adds the values of a
/// group one after the other, whatever the number of threads.
fn collect(query: LazyFrame) -> Result<DataFrame, AggregateError> {
    Ok(query.collect_with_engine(Engine::InMemory)?.unwrap_single())
}

/// The cells of some columns, row by row.
fn cells(frame: &DataFrame, columns: &[String]) -> Result<Vec<Vec<String>>, AggregateError> {
    let by_column = columns.iter().map(|column| texts(frame, column)).collect::<Result<Vec<_>, _>>()?;
    Ok((0..frame.height()).map(|row| by_column.iter().map(|column| column[row].clone()).collect()).collect())
}

/// A column of text; nothing as an empty text.
fn texts(frame: &DataFrame, column: &str) -> Result<Vec<String>, AggregateError> {
    Ok(frame.column(column)?.str()?.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
}

/// A column of numbers, whatever their type.
fn floats(frame: &DataFrame, column: &str) -> Result<Vec<Option<f64>>, AggregateError> {
    Ok(frame.column(column)?.cast(&DataType::Float64)?.f64()?.iter().collect())
}
