//! `aggregate`: gathers tidy rows, and summarises them.
//!
//! Without `rows`, `columns` and `value` it only gathers: one tidy table, the axes in front. With them it makes the table
//! that `figure` and `compare` take.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::base::fsx;
use crate::kinds::parameters::OneOrMore;
use crate::kinds::{DISTANCES, PROBES, RUN, TABLE};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};
use crate::table::aggregate::{self, Condition, DEFAULT_OVER, Query};
use crate::table::grid::Statistic;
use crate::table::render;
use crate::table::tidy::{self, Part, Tidy, TidyError};

/// Parameters of `aggregate`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// Columns whose values make a row; one name or a list.
    #[serde(default, deserialize_with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMore<Scalar>")]
    rows: Vec<String>,
    /// Column whose values head the columns. `source` is `rerand`, or the epoch that a layer is reset to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<String>,
    /// The metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// What to say of each group of values.
    #[serde(default = "all_statistics", deserialize_with = "set", skip_serializing_if = "is_all_statistics")]
    statistics: Vec<Statistic>,
    /// Columns over whose values that is said.
    #[serde(default = "default_over", deserialize_with = "set", skip_serializing_if = "is_default_over")]
    over: Vec<String>,
    /// Which rows to take.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, FilterForm>")]
    only: BTreeMap<String, Filter>,
}

/// A value, a list of values, or `not: …`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
struct Filter(Condition);

/// The form of a [`Filter`].
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum FilterForm {
    /// Rows with this value, or one of these.
    Is(OneOrMore<Scalar>),
    /// Rows with another value.
    IsNot(Not),
}

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Not {
    not: OneOrMore<Scalar>,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Scalar {
    Text(String),
    Number(f64),
    Flag(bool),
}

impl Stage for Aggregate {
    const KIND: &'static str = "aggregate";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "gather tidy rows, and summarise them as a table";
    const SLOTS: &'static [Slot] =
        &[Slot::any("probes", PROBES), Slot::any("distances", DISTANCES), Slot::any("training", RUN)];
    const OUTPUT: ArtifactType = TABLE;
    const LOCAL: bool = true;
    const PUBLISHED: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        let missing = |name: &str, given: bool| (!given).then(|| name.to_owned());
        let missing = [
            missing("rows", !self.rows.is_empty()),
            missing("columns", self.columns.is_some()),
            missing("value", self.value.is_some()),
        ];
        match missing.iter().flatten().count() {
            0 => self.check_names(),
            3 => self.check_unused(),
            _ => {
                let first = missing.into_iter().flatten().next().unwrap_or_default();
                let message = "'rows', 'columns' and 'value' make a table together".to_owned();
                Err(ParameterError::new(
                    "",
                    message,
                    format!("add '{first}', or leave out all three to gather only"),
                ))
            }
        }
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let tidy = gather(inputs)?;
        let write = |name: &str, bytes: &[u8]| fsx::write_atomic(&context.out.join(name), bytes);
        let Some(query) = self.query() else {
            return Ok(write("table.csv", &tidy.to_csv())?);
        };
        let grid = aggregate::aggregate(&tidy, &query).map_err(|error| {
            let hint = error.hint();
            StageError::Failed { cause: Box::new(error), hint, parameter: None }
        })?;
        write("table.csv", &grid.to_tidy().to_csv())?;
        write("table.md", render::markdown(&grid).as_bytes())?;
        write("table.tex", render::latex(&grid).as_bytes())?;
        Ok(())
    }
}

/// Slot → the file that its artifacts have.
const FILES: [(&str, &str); 3] =
    [("probes", "probes.csv"), ("distances", "distances.csv"), ("training", "training.csv")];

/// The rows of all artifacts of the one slot that is used.
fn gather(inputs: &Inputs) -> Result<Tidy, StageError> {
    let used: Vec<_> = FILES.into_iter().filter(|(slot, _)| !inputs.many(slot).is_empty()).collect();
    let [(slot, file)] = used[..] else {
        let found: Vec<_> = used.iter().map(|(slot, _)| *slot).collect();
        let found = if found.is_empty() { "none".to_owned() } else { found.join(" and ") };
        return Err(StageError::with_hint(
            format!(
                "exactly one of 'probes', 'distances' and 'training' can be aggregated, and this stage has {found}"
            ),
            "connect one of them under 'needs', and aggregate the others in stages of their own",
        ));
    };
    let mut parts = Vec::new();
    for artifact in inputs.many(slot) {
        parts.push(Part { name: file, coordinates: &artifact.coordinates, path: artifact.path(file)? });
    }
    tidy::gather(&parts).map_err(|error: TidyError| {
        let hint = error.hint();
        StageError::Failed { cause: Box::new(error), hint, parameter: None }
    })
}

impl Aggregate {
    /// What to make of the rows; `None` if they are only gathered.
    fn query(&self) -> Option<Query> {
        Some(Query {
            rows: self.rows.clone(),
            columns: self.columns.clone()?,
            value: self.value.clone()?,
            statistics: self.statistics.clone(),
            over: self.over.clone(),
            only: self.only.iter().map(|(column, filter)| (column.clone(), filter.0.clone())).collect(),
        })
    }

    fn check_names(&self) -> Result<(), ParameterError> {
        if !self.statistics.contains(&Statistic::Mean) {
            let message = "a table without means cannot be shown";
            return Err(ParameterError::new("statistics", message, "add 'mean'"));
        }
        let mut names: Vec<_> = self.rows.iter().map(|name| ("rows", name)).collect();
        names.extend(self.columns.iter().map(|name| ("columns", name)));
        names.extend(self.over.iter().map(|name| ("over", name)));
        for (at, (path, name)) in names.iter().enumerate() {
            if let Some((other, _)) = names[..at].iter().find(|(_, earlier)| earlier == name) {
                let message = format!("'{name}' is named in '{other}' already");
                return Err(ParameterError::new(
                    *path,
                    message,
                    format!("remove it from '{path}' or '{other}'"),
                ));
            }
        }
        Ok(())
    }

    fn check_unused(&self) -> Result<(), ParameterError> {
        let unused = [
            ("statistics", !is_all_statistics(&self.statistics)),
            ("over", !is_default_over(&self.over)),
            ("where", !self.only.is_empty()),
        ];
        match unused.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("'{name}' has no use where rows are only gathered");
                Err(ParameterError::new(name, message, "add 'rows', 'columns' and 'value', or remove it"))
            }
        }
    }
}

fn all_statistics() -> Vec<Statistic> {
    Statistic::ALL.to_vec()
}

fn is_all_statistics(statistics: &[Statistic]) -> bool {
    statistics == Statistic::ALL
}

fn default_over() -> Vec<String> {
    DEFAULT_OVER.map(str::to_owned).to_vec()
}

fn is_default_over(over: &[String]) -> bool {
    over == DEFAULT_OVER
}

/// Reads a set: its order does not matter, so it must not reach the key.
fn set<'de, D: Deserializer<'de>, T: Deserialize<'de> + Ord>(deserializer: D) -> Result<Vec<T>, D::Error> {
    BTreeSet::deserialize(deserializer).map(|set| set.into_iter().collect())
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    texts(Value::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// A scalar or a list of scalars, as text; numbers as in the tables.
fn texts(value: Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(values) => values.into_iter().map(|value| texts(value).map(|t| t.concat())).collect(),
        Value::String(text) => Ok(vec![text]),
        Value::Bool(flag) => Ok(vec![flag.to_string()]),
        Value::Number(number) => {
            Ok(vec![number.as_f64().map_or(number.to_string(), |float| float.to_string())])
        }
        other => Err(format!("expected a value or a list of values, found {other}")),
    }
}

impl TryFrom<Value> for Filter {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let sorted = |value| {
            let mut values = texts(value)?;
            values.sort();
            values.dedup();
            Ok::<_, String>(values)
        };
        match value {
            Value::Object(mut members) if members.len() == 1 && members.contains_key("not") => {
                let values = members.remove("not").unwrap_or_default();
                Ok(Self(Condition::NotIn(sorted(values)?)))
            }
            Value::Object(_) => Err("expected a value, a list of values, or 'not: [...]'".to_owned()),
            values => Ok(Self(Condition::In(sorted(values)?))),
        }
    }
}

impl From<Filter> for Value {
    fn from(filter: Filter) -> Self {
        match filter.0 {
            Condition::In(values) => values.into(),
            Condition::NotIn(values) => serde_json::json!({ "not": values }),
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;
    use crate::kinds::KINDS;
    use crate::kinds::testing::{artifact, published, read, run};
    use crate::stage::Registry;

    fn layer_by_source() -> Value {
        json!({ "rows": "layer", "columns": "source", "value": "error" })
    }

    #[test]
    fn gathers() {
        let folder = tempfile::tempdir().unwrap();
        let curve = |seed| {
            artifact(folder.path(), "training.csv", seed, "epoch,split,metric,value\n1,train,loss,0.5\n")
        };
        let inputs = [("training", curve("10")), ("training", curve("2"))];
        let (_kept, output) = run("aggregate", &json!({}), &inputs).unwrap();
        assert_eq!(output.files.0.keys().collect::<Vec<_>>(), ["table.csv"]);
        assert_snapshot!(read(&output, "table.csv"), @r"
        seed,epoch,split,metric,value
        2,1,train,loss,0.5
        10,1,train,loss,0.5
        ");
    }

    #[test]
    fn summarises_two_seeds_of_figure_1() {
        let folder = tempfile::tempdir().unwrap();
        let probes = |seed, add| artifact(folder.path(), "probes.csv", seed, &published("Fig1a", add));
        let inputs = [("probes", probes("0", 0.0)), ("probes", probes("1", 0.01))];
        let (_kept, output) = run("aggregate", &layer_by_source(), &inputs).unwrap();
        assert_eq!(output.files.0.keys().collect::<Vec<_>>(), ["table.csv", "table.md", "table.tex"]);
        assert_eq!(read(&output, "table.csv").lines().count(), 46);
        assert_snapshot!(read(&output, "table.md"), @r"
        | layer | rerand | 0 | 1 | 2 | 3 | 8 | 40 | 90 | 100 |
        | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
        | layer1 | 0.889 ± 0.064 | 0.382 ± 0.064 | 0.066 ± 0.064 | 0.038 ± 0.064 | 0.035 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 |
        | layer2 | 0.910 ± 0.064 | 0.080 ± 0.064 | 0.038 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 |
        | layer3 | 0.919 ± 0.064 | 0.035 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 |
        | layer4 | 0.827 ± 0.064 | 0.066 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 |
        | fullmodel | 0.918 ± 0.064 | 0.918 ± 0.064 | 0.057 ± 0.064 | 0.043 ± 0.064 | 0.035 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 | 0.026 ± 0.064 |

        error: mean and half-width of its 95 % interval (Student's t), n = 2
        ");
        assert_snapshot!(read(&output, "table.tex"), @r"
        % error: mean and half-width of its 95 % interval (Student's t), n = 2
        \begin{tabular}{lrrrrrrrrr}
        \toprule
        layer & rerand & 0 & 1 & 2 & 3 & 8 & 40 & 90 & 100 \\
        \midrule
        layer1 & $0.889 \pm 0.064$ & $0.382 \pm 0.064$ & $0.066 \pm 0.064$ & $0.038 \pm 0.064$ & $0.035 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ \\
        layer2 & $0.910 \pm 0.064$ & $0.080 \pm 0.064$ & $0.038 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ \\
        layer3 & $0.919 \pm 0.064$ & $0.035 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ \\
        layer4 & $0.827 \pm 0.064$ & $0.066 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ \\
        fullmodel & $0.918 \pm 0.064$ & $0.918 \pm 0.064$ & $0.057 \pm 0.064$ & $0.043 \pm 0.064$ & $0.035 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ & $0.026 \pm 0.064$ \\
        \bottomrule
        \end{tabular}
        ");
    }

    #[test]
    fn takes_exactly_one_slot() {
        let folder = tempfile::tempdir().unwrap();
        let probes = artifact(folder.path(), "probes.csv", "0", &published("Fig1a", 0.0));
        assert_snapshot!(run("aggregate", &layer_by_source(), &[]).unwrap_err(), @r"
        exactly one of 'probes', 'distances' and 'training' can be aggregated, and this stage has none
        connect one of them under 'needs', and aggregate the others in stages of their own
        ");
        let both = [("probes", probes.clone()), ("distances", probes)];
        assert_snapshot!(run("aggregate", &layer_by_source(), &both).unwrap_err(), @r"
        exactly one of 'probes', 'distances' and 'training' can be aggregated, and this stage has probes and distances
        connect one of them under 'needs', and aggregate the others in stages of their own
        ");
    }

    #[test]
    fn parameters_are_checked() {
        let error = |parameters: Value| run("aggregate", &parameters, &[]).unwrap_err();
        assert_snapshot!(error(json!({ "rows": "layer", "value": "error" })), @r"
        : 'rows', 'columns' and 'value' make a table together
        add 'columns', or leave out all three to gather only
        ");
        assert_snapshot!(error(json!({ "where": { "epoch": 0 } })), @r"
        where: 'where' has no use where rows are only gathered
        add 'rows', 'columns' and 'value', or remove it
        ");
        let with = |name: &str, value: Value| {
            let mut parameters = layer_by_source();
            parameters[name] = value;
            parameters
        };
        assert_snapshot!(error(with("over", json!(["seed", "layer"]))), @r"
        over: 'layer' is named in 'rows' already
        remove it from 'over' or 'rows'
        ");
        assert_snapshot!(error(with("statistics", json!(["std"]))), @r"
        statistics: a table without means cannot be shown
        add 'mean'
        ");
        assert_snapshot!(error(with("where", json!({ "layer": { "nt": "layer1" } }))), @"where.layer: expected a value, a list of values, or 'not: [...]'");
        assert_snapshot!(error(with("rows", json!({}))), @"rows: expected a value or a list of values, found {}");
    }

    #[test]
    fn spelling_does_not_reach_the_key() {
        let stored = |parameters: Value| {
            Registry(KINDS).find("aggregate").unwrap().parse(&parameters).unwrap().parameters()
        };
        let long = json!({
            "rows": ["layer"], "columns": "source", "value": "error", "statistics": ["ci95", "mean", "std"],
            "over": ["seed", "draw"], "where": {},
        });
        assert_eq!(stored(long), stored(layer_by_source()));
        let filter = |filter: Value| {
            let mut parameters = layer_by_source();
            parameters["where"] = json!({ "epoch": filter });
            stored(parameters)
        };
        assert_eq!(filter(json!([1, 0])), filter(json!(["0", 1.0])));
        assert_eq!(filter(json!({ "not": 1 })), filter(json!({ "not": ["1"] })));
        assert_ne!(filter(json!({ "not": 1 })), filter(json!(1)));
    }
}
