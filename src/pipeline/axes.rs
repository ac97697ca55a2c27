//! `matrix`: which values the axes take, and which of them together.
//!
//! A matrix stands at the top of a file or in a stage, and says which combinations of its axes are allowed:
//!
//! 1. the product of its plain axes (`seed: [0, 1]`) and of its `zip`: a list of mappings, whose axes vary together,
//! 2. without the combinations that agree with an entry of `exclude`: values for some of the axes,
//! 3. then those of `include`: a list of whole combinations, which may be all there is to the matrix.
//!
//! Different matrices are independent of each other. The axes of a stage's matrix may be mentioned in that stage and in those
//! that come after it. An axis is declared once in all files. `--set` gives a plain axis other values; of a zip and of
//! `include` it keeps the rows that have one of the values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::base::name::{self, AxisName, StageName};
use crate::base::suggest;
use crate::pipeline::document::join;
use crate::pipeline::scalar::{self, is_scalar};
use crate::pipeline::spec::Factor;
use crate::pipeline::validate::Checker;

/// Keys of a matrix that are no axes.
pub(super) const RESERVED: [&str; 3] = ["zip", "include", "exclude"];
/// Combinations and nodes beyond this are taken for a slip.
pub(super) const MOST: usize = 2_000_000;

/// Where an axis is declared.
pub(super) struct Declared {
    pub(super) file: usize,
    pub(super) path: String,
    /// The stage whose matrix it is; `None` for one that all stages may mention.
    pub(super) owner: Option<StageName>,
}

type Row = BTreeMap<AxisName, Value>;

impl<'a> Checker<'a> {
    /// Reads a matrix; what is wrong with it becomes errors, and its sound axes are declared all the same.
    pub(super) fn matrix(
        &mut self,
        matrix: &'a Map<String, Value>,
        path: &str,
        owner: Option<&StageName>,
    ) -> Vec<Factor> {
        let before = self.errors.len();
        let mut factors = Vec::new();
        for (axis, values) in matrix.iter().filter(|(axis, _)| !RESERVED.contains(&axis.as_str())) {
            factors.extend(self.plain(axis, values, &join(path, axis), owner));
        }
        if let Some(zip) = matrix.get("zip") {
            let rows = self.rows(zip, &join(path, "zip"), None);
            factors.extend(self.compound(rows, &join(path, "zip"), owner));
        }
        if !matrix.contains_key("include") && !matrix.contains_key("exclude") {
            return factors;
        }
        let mut axes: BTreeSet<AxisName> = factors.iter().flat_map(|factor| factor.axes.clone()).collect();
        let is_product = matrix.keys().any(|key| key != "include" && key != "exclude");
        if is_product && self.errors.len() > before {
            return factors;
        }
        let mut rows = if is_product { self.product(factors, path) } else { Vec::new() };
        // Nothing but exclusions: which axes were meant is not known.
        self.knows_axes &= is_product || matrix.contains_key("include");
        if let Some(exclude) = matrix.get("exclude") {
            self.exclude(exclude, &join(path, "exclude"), &axes, &mut rows);
        }
        if let Some(include) = matrix.get("include") {
            let expected = is_product.then_some(&axes);
            let more = self.rows(include, &join(path, "include"), expected);
            if !is_product {
                return self.compound(more, &join(path, "include"), owner).into_iter().collect();
            }
            rows.extend(more);
        }
        if rows.is_empty() && self.errors.len() == before {
            self.key_error(
                path,
                "the matrix has no combination left",
                "all excluded",
                "exclude fewer of them",
            );
        }
        Some(factor(std::mem::take(&mut axes), rows))
            .filter(|factor| !factor.rows.is_empty())
            .into_iter()
            .collect()
    }

    fn plain(&mut self, axis: &str, values: &Value, path: &str, owner: Option<&StageName>) -> Option<Factor> {
        let is_new = self.declare(axis, path, owner);
        let Some(written) =
            values.as_array().filter(|values| !values.is_empty() && values.iter().all(is_scalar))
        else {
            let message = format!("axis '{axis}' must be a list of one scalar or more");
            self.error(path, message, "not such a list", format!("write '{axis}: [0, 1]'"));
            return None;
        };
        let mut known = BTreeSet::new();
        if let Some(at) = written.iter().position(|value| !known.insert(scalar::text(value))) {
            let message = format!("axis '{axis}' has the value {} twice", written[at]);
            self.error(&format!("{path}[{at}]"), message, "again", "remove one of them");
            return None;
        }
        let values = self.set_values(axis).unwrap_or_else(|| written.clone());
        is_new.then(|| Factor {
            axes: vec![AxisName::new(axis)],
            rows: values.into_iter().map(|v| vec![v]).collect(),
        })
    }

    /// The values that `--set` gives an axis.
    fn set_values(&mut self, axis: &str) -> Option<Vec<Value>> {
        let value = self.overrides.iter().rev().find(|set| set.name == axis)?.value.clone();
        self.used_overrides.insert(axis.to_owned());
        match value {
            Value::Array(values) if !values.is_empty() && values.iter().all(is_scalar) => Some(values),
            value if is_scalar(&value) => Some(vec![value]),
            value => {
                let message =
                    format!("--set {axis}={value}: an axis takes a scalar, or a list of one or more");
                self.nowhere(message, format!("write --set {axis}=0 or --set '{axis}=[0, 1]'"));
                None
            }
        }
    }

    /// Makes the name of an axis known; `false` if it cannot be one.
    fn declare(&mut self, axis: &str, path: &str, owner: Option<&StageName>) -> bool {
        let name = AxisName::new(axis);
        if let Some(problem) = name::problem(axis) {
            let message = format!("'{axis}' is not a name: {problem}");
            self.key_error(path, message, "not a name", "use letters, digits, '-' and '_'");
            return false;
        }
        if RESERVED.contains(&axis) {
            let message = format!("'{axis}' cannot be the name of an axis");
            self.key_error(path, message, "a word of the language", "give the axis another name");
            return false;
        }
        if let Some(first) = self.declared.get(&name) {
            let label = format!("already at {}", self.files.place(first.file, &first.path));
            let message = format!("axis '{axis}' is declared twice");
            self.key_error(path, message, &label, "rename or remove one of them");
            return false;
        }
        let declared = Declared { file: self.file, path: path.to_owned(), owner: owner.cloned() };
        self.declared.insert(name, declared);
        true
    }

    /// A list of mappings that all have the same axes: those expected, or those of the first one.
    fn rows(&mut self, value: &Value, path: &str, expected: Option<&BTreeSet<AxisName>>) -> Vec<Row> {
        let what = path.rsplit('.').next().unwrap_or_default();
        let Some(entries) = value.as_array().filter(|entries| !entries.is_empty()) else {
            let hint = format!("write '{what}: [{{ axis: value, other: value }}]'");
            self.key_error(path, format!("'{what}' must be a list of mappings"), "not such a list", hint);
            return Vec::new();
        };
        let is_all = expected.is_none();
        let mut expected = expected.cloned();
        let mut rows = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            let here = format!("{path}[{i}]");
            let Some(row) = self.row(entry, &here, what) else { continue };
            let axes: BTreeSet<AxisName> = row.keys().cloned().collect();
            let expected = expected.get_or_insert_with(|| axes.clone());
            if let Some(odd) = axes.symmetric_difference(expected).next() {
                let hint = "give each entry a value for every axis of the matrix, and for no other";
                if axes.contains(odd) {
                    let message =
                        format!("this entry of '{what}' has the axis '{odd}', which the others lack");
                    self.key_error(&join(&here, odd.as_str()), message, "not the same axes", hint);
                } else {
                    let message = format!("this entry of '{what}' lacks the axis '{odd}'");
                    self.error(&here, message, "not the same axes", hint);
                }
                continue;
            }
            rows.push(row);
        }
        self.keep_set(rows, path, is_all)
    }

    /// One mapping of axes to scalars.
    fn row(&mut self, entry: &Value, path: &str, what: &str) -> Option<Row> {
        let members = entry.as_object().filter(|members| !members.is_empty());
        let Some(members) = members.filter(|members| members.values().all(is_scalar)) else {
            let hint = "write '{ axis: value }', with a scalar for each axis";
            self.error(
                path,
                format!("an entry of '{what}' must be a mapping of axes to scalars"),
                "not such a mapping",
                hint,
            );
            return None;
        };
        Some(members.iter().map(|(axis, value)| (AxisName::new(axis.as_str()), value.clone())).collect())
    }

    /// Keeps the rows that `--set` allows; if they are all there is, one at least must remain.
    fn keep_set(&mut self, mut rows: Vec<Row>, path: &str, is_all: bool) -> Vec<Row> {
        let axes: Vec<AxisName> = rows.first().into_iter().flat_map(|row| row.keys().cloned()).collect();
        for axis in axes {
            let Some(values) = self.set_values(axis.as_str()) else { continue };
            rows.retain(|row| values.contains(&row[&axis]));
            if rows.is_empty() && is_all {
                let message = format!("--set {axis}: no entry of '{path}' has such a value of '{axis}'");
                self.nowhere(message, "name a value that stands there");
            }
        }
        rows
    }

    /// A zip, or combinations that stand alone.
    fn compound(&mut self, rows: Vec<Row>, path: &str, owner: Option<&StageName>) -> Option<Factor> {
        let Some(first) = rows.first() else {
            self.knows_axes = false;
            return None;
        };
        let axes: BTreeSet<AxisName> = first.keys().cloned().collect();
        let declare = |axis: &AxisName| self.declare(axis.as_str(), &format!("{path}[0].{axis}"), owner);
        let is_new = axes.iter().map(declare).filter(|is_new| *is_new).count() == axes.len();
        is_new.then(|| factor(axes, rows))
    }

    fn product(&mut self, mut factors: Vec<Factor>, path: &str) -> Vec<Row> {
        factors.sort_by(|a, b| a.axes.cmp(&b.axes));
        let size = factors.iter().try_fold(1_usize, |size, factor| size.checked_mul(factor.rows.len()));
        if size.is_none_or(|size| size > MOST) {
            let message = format!("the matrix has more than {MOST} combinations");
            self.key_error(path, message, "too many", "shorten its axes");
            return Vec::new();
        }
        let mut rows = vec![Row::new()];
        for Factor { axes, rows: values } in &factors {
            let extend = |row: &Row, values: &Vec<Value>| {
                let mut row = row.clone();
                row.extend(axes.iter().cloned().zip(values.iter().cloned()));
                row
            };
            rows = rows.iter().flat_map(|row| values.iter().map(move |values| extend(row, values))).collect();
        }
        rows
    }

    fn exclude(&mut self, value: &Value, path: &str, axes: &BTreeSet<AxisName>, rows: &mut Vec<Row>) {
        let Some(entries) = value.as_array().filter(|entries| !entries.is_empty()) else {
            let hint = "write 'exclude: [{ axis: value }]'";
            self.key_error(path, "'exclude' must be a list of mappings", "not such a list", hint);
            return;
        };
        let is_excluded =
            |row: &Row, entry: &Row| entry.iter().all(|(axis, value)| row.get(axis) == Some(value));
        let mut sound = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            let here = format!("{path}[{i}]");
            let Some(entry) = self.row(entry, &here, "exclude") else { continue };
            if let Some(odd) = entry.keys().find(|axis| !axes.contains(*axis)) {
                let hint = suggest::hint(odd.as_str(), axes.iter().map(AxisName::as_str));
                let message = format!("this matrix has no axis '{odd}' to exclude from");
                self.key_error(&join(&here, odd.as_str()), message, "not an axis of it", hint);
            } else if !rows.iter().any(|row| is_excluded(row, &entry)) && !self.is_set(axes) {
                let message = "this entry of 'exclude' matches no combination";
                self.error(&here, message, "excludes nothing", "correct its values, or remove it");
            } else {
                sound.push(entry);
            }
        }
        rows.retain(|row| !sound.iter().any(|entry| is_excluded(row, entry)));
    }

    fn is_set(&self, axes: &BTreeSet<AxisName>) -> bool {
        axes.iter().any(|axis| self.used_overrides.contains(axis.as_str()))
    }
}

/// Rows that agree in the texts of all values are one, so that no two nodes have the same name.
fn factor(axes: BTreeSet<AxisName>, rows: Vec<Row>) -> Factor {
    let mut known = BTreeSet::new();
    let rows = rows.into_iter().map(|row| row.into_values().collect::<Vec<Value>>());
    let is_new = |row: &Vec<Value>| known.insert(row.iter().map(scalar::text).collect::<Vec<_>>());
    Factor { axes: axes.into_iter().collect(), rows: rows.filter(is_new).collect() }
}
