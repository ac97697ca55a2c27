//! Two states of one table, row by row: how many values changed, by how much, and which the most.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::table::tidy::Tidy;

/// How two states of a table differ.
#[derive(Debug, PartialEq, Serialize)]
pub struct TableDifference {
    /// Names of the columns that make up a row's key, without the metric.
    pub keys: Vec<String>,
    /// Per metric.
    pub metrics: Vec<MetricDifference>,
}

/// How the values of one metric differ.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct MetricDifference {
    /// The metric.
    pub metric: String,
    /// Rows that both states have.
    pub rows: usize,
    /// Those of them whose values differ.
    pub changed: usize,
    /// Rows that only the second has.
    pub added: usize,
    /// Rows that only the first has.
    pub removed: usize,
    /// Mean absolute difference over the rows that both have, those with values that are no numbers left out.
    pub mean: f64,
    /// Largest absolute difference.
    pub largest: f64,
    /// The changed rows, the largest difference first.
    pub changes: Vec<Change>,
}

/// A row whose value changed.
#[derive(Debug, PartialEq, Serialize)]
pub struct Change {
    /// The row's key.
    pub key: Vec<String>,
    /// The value before.
    pub before: f64,
    /// The value after.
    pub after: f64,
}

impl Change {
    fn size(&self) -> f64 {
        (self.after - self.before).abs()
    }
}

/// Metric, key, turn (of rows with equal keys) → value.
type Values = BTreeMap<(String, Vec<String>, usize), f64>;

/// Compares two tables; `None` unless both are tidy (`…, metric, value`) or aggregated (`…, metric, n, mean, …`) with the same
/// keys.
pub fn difference(before: &Tidy, after: &Tidy) -> Option<TableDifference> {
    let (keys, before) = values(before)?;
    let (other_keys, after) = values(after)?;
    if keys != other_keys {
        return None;
    }
    let mut metrics: BTreeMap<&str, MetricDifference> = BTreeMap::new();
    for (name, a) in &before {
        let metric = metrics.entry(&name.0).or_default();
        let Some(b) = after.get(name) else {
            metric.removed += 1;
            continue;
        };
        metric.rows += 1;
        let is_same = a == b || (a.is_nan() && b.is_nan());
        if !is_same {
            metric.changed += 1;
            metric.changes.push(Change { key: name.1.clone(), before: *a, after: *b });
        }
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        metrics.entry(&name.0).or_default().added += 1;
    }
    let metrics = metrics.into_iter().map(|(name, metric)| summed(name, metric)).collect();
    Some(TableDifference { keys, metrics })
}

fn summed(name: &str, mut metric: MetricDifference) -> MetricDifference {
    name.clone_into(&mut metric.metric);
    // A value that became no number is the largest change of all.
    let rank = |change: &Change| if change.size().is_nan() { f64::INFINITY } else { change.size() };
    metric.changes.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    let sizes = || metric.changes.iter().map(Change::size).filter(|size| size.is_finite());
    let undefined = metric.changes.iter().filter(|change| !change.size().is_finite()).count();
    metric.largest = sizes().fold(0.0, f64::max);
    metric.mean = sizes().fold(0.0, |sum, size| sum + size) / (metric.rows - undefined).max(1) as f64;
    metric
}

/// The key columns of a table, and its values.
fn values(table: &Tidy) -> Option<(Vec<String>, Values)> {
    let metric = table.column("metric")?;
    let (value, last_key) = match table.column("value") {
        Some(value) => (value, table.columns.len()),
        None => (table.column("mean")?, metric),
    };
    let is_key = |column: &usize| ![metric, value].contains(column) && *column < last_key;
    let keys: Vec<usize> = (0..table.columns.len()).filter(is_key).collect();
    let mut values = Values::new();
    let mut turns: BTreeMap<(String, Vec<String>), usize> = BTreeMap::new();
    for row in &table.rows {
        let key: Vec<String> = keys.iter().map(|column| row[*column].clone()).collect();
        let turn = turns.entry((row[metric].clone(), key.clone())).or_default();
        values.insert((row[metric].clone(), key, *turn), row[value].parse().unwrap_or(f64::NAN));
        *turn += 1;
    }
    Some((keys.into_iter().map(|column| table.columns[column].clone()).collect(), values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(before: &str, after: &str) -> Option<TableDifference> {
        difference(&Tidy::parse(before.as_bytes()).unwrap(), &Tidy::parse(after.as_bytes()).unwrap())
    }

    #[test]
    fn rows_are_matched_by_their_keys() {
        let before = "layer,metric,value\na,error,0.5\nb,error,0.25\nc,error,1\nb,loss,2\ngone,loss,1\n";
        let after =
            "layer,metric,value\nb,loss,2\nc,error,NaN\nb,error,0.5\na,error,0.5\nnew,loss,1\nnewer,loss,1\n";
        let TableDifference { keys, metrics } = compared(before, after).unwrap();
        assert_eq!(keys, ["layer"]);
        let [error, loss] = &metrics[..] else { panic!("{metrics:?}") };
        assert_eq!((error.rows, error.changed, error.mean, error.largest), (3, 2, 0.125, 0.25));
        assert_eq!(error.changes.iter().map(|c| c.key[0].as_str()).collect::<Vec<_>>(), ["c", "b"]);
        assert_eq!((loss.rows, loss.changed, loss.added, loss.removed), (1, 0, 2, 1));
    }

    #[test]
    fn aggregated_tables_are_compared_by_their_means() {
        let before = "layer,source,metric,n,mean,std\na,0,error,2,0.5,0.1\n";
        let after = "layer,source,metric,n,mean,std\na,0,error,3,0.75,0.2\n";
        let found = compared(before, after).unwrap();
        assert_eq!(
            (&found.keys[..], found.metrics[0].largest),
            (&["layer".to_owned(), "source".to_owned()][..], 0.25)
        );
    }

    #[test]
    fn equal_keys_are_matched_in_turn_and_other_forms_not_at_all() {
        let found = compared("metric,value\nx,1\nx,2\n", "metric,value\nx,1\nx,4\n").unwrap();
        assert_eq!((found.metrics[0].changed, found.metrics[0].largest), (1, 2.0));
        assert_eq!(compared("layer,metric,value\n", "metric,value\n"), None);
        assert_eq!(compared("a,b\n", "a,b\n"), None);
    }
}
