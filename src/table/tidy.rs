//! Tidy rows: text under named columns, one row per measurement; and gathering many such files into one.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use crate::base::fsx::{self, FileError};
use crate::table::order;

/// Rows of text under named columns. Every row has one cell per column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tidy {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// A file of tidy rows, and where in the matrix it was made.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The file's name, for errors.
    pub name: &'a str,
    /// Axis → value.
    pub coordinates: &'a BTreeMap<String, String>,
    /// Where its bytes are.
    pub path: &'a Path,
}

/// Why rows could not be read or gathered.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum TidyError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("'{name}'{} is not a table: {cause}", of(coordinates))]
    Csv { name: String, coordinates: String, cause: csv::Error },
    #[error("'{name}'{} has the axes or columns '{}', where another one has '{}'", of(coordinates), found.join(","), expected.join(","))]
    Differs { name: String, coordinates: String, found: Vec<String>, expected: Vec<String> },
    #[error(
        "the axis '{axis}' is also a column of '{name}', which has '{found}' where the axis is '{value}'"
    )]
    AxisIsColumn { name: String, axis: String, value: String, found: String },
}

impl TidyError {
    /// What to do: begins with a verb.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(_) | Self::Csv { .. } => None,
            Self::Differs { .. } => {
                Some("gather only files of one form from stages with the same axes".into())
            }
            Self::AxisIsColumn { axis, .. } => Some(format!("rename the axis '{axis}'")),
        }
    }
}

fn of(coordinates: &str) -> String {
    if coordinates.is_empty() { String::new() } else { format!(" of {coordinates}") }
}

/// Reads tidy files into one table: a column per axis in front, then the columns that all files share.
///
/// Files are in order of their coordinates (16 before 128), those with equal coordinates in order of their content, so
/// the order of `parts` does not matter; within a file, rows keep their order. A column named like an axis is fine if
/// it says the same.
pub fn gather(parts: &[Part]) -> Result<Tidy, TidyError> {
    let mut tables = parts.iter().map(read_part).collect::<Result<Vec<_>, _>>()?;
    if let Some(first) = tables.first()
        && let Some(other) = tables.iter().position(|table| table.columns != first.columns)
    {
        return Err(TidyError::Differs {
            name: parts[other].name.to_owned(),
            coordinates: spell(parts[other].coordinates),
            found: tables[other].columns.clone(),
            expected: first.columns.clone(),
        });
    }
    tables.sort_by(|a, b| compare_tables(&a.rows, &b.rows)); // rows begin with their coordinates
    let columns = tables.first().map(|table| table.columns.clone()).unwrap_or_default();
    Ok(Tidy { columns, rows: tables.into_iter().flat_map(|table| table.rows).collect() })
}

fn read_part(part: &Part) -> Result<Tidy, TidyError> {
    let mut table = Tidy::read(part.path).map_err(|error| match error {
        TidyError::Csv { cause, .. } => {
            TidyError::Csv { name: part.name.to_owned(), coordinates: spell(part.coordinates), cause }
        }
        other => other,
    })?;
    for (axis, value) in part.coordinates.iter().rev() {
        table.prefix(axis, value).map_err(|found| TidyError::AxisIsColumn {
            name: part.name.to_owned(),
            axis: axis.clone(),
            value: value.clone(),
            found,
        })?;
    }
    Ok(table)
}

fn spell(coordinates: &BTreeMap<String, String>) -> String {
    coordinates.iter().map(|(axis, value)| format!("{axis}={value}")).collect::<Vec<_>>().join(", ")
}

fn compare_tables(a: &[Vec<String>], b: &[Vec<String>]) -> Ordering {
    let cells = |rows: &[Vec<String>]| rows.concat();
    let (a, b) = (cells(a), cells(b));
    let differing = a.iter().zip(&b).map(|(x, y)| order::natural(x, y)).find(|order| order.is_ne());
    differing.unwrap_or_else(|| a.len().cmp(&b.len()))
}

impl Tidy {
    /// Reads a CSV file with a header.
    pub fn read(path: &Path) -> Result<Self, TidyError> {
        Self::parse(&fsx::read(path)?).map_err(|cause| TidyError::Csv {
            name: path.display().to_string(),
            coordinates: String::new(),
            cause,
        })
    }

    /// Reads CSV with a header.
    pub fn parse(bytes: &[u8]) -> Result<Self, csv::Error> {
        let mut reader = csv::Reader::from_reader(bytes);
        let columns = reader.headers()?.iter().map(str::to_owned).collect();
        let rows = reader.into_records().map(|record| Ok(record?.iter().map(str::to_owned).collect()));
        Ok(Self { columns, rows: rows.collect::<Result<_, csv::Error>>()? })
    }

    /// Writes CSV: the same bytes for the same rows.
    pub fn to_csv(&self) -> Vec<u8> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            writer.write_record(row).expect("rows have one cell per column, and memory takes them");
        }
        writer.into_inner().expect("memory takes what is left")
    }

    /// Where a column is.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// Puts a column with one value in front; one of that name that says the same is moved there. Otherwise returns
    /// what it says.
    fn prefix(&mut self, name: &str, value: &str) -> Result<(), String> {
        if let Some(column) = self.column(name) {
            if let Some(row) = self.rows.iter().find(|row| row[column] != value) {
                return Err(row[column].clone());
            }
            self.columns.remove(column);
            self.rows.iter_mut().for_each(|row| drop(row.remove(column)));
        }
        self.columns.insert(0, name.to_owned());
        self.rows.iter_mut().for_each(|row| row.insert(0, value.to_owned()));
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use insta::assert_snapshot;

    use super::*;

    type Coordinates = BTreeMap<String, String>;

    fn at(coordinates: &[(&str, &str)]) -> Coordinates {
        coordinates.iter().map(|(axis, value)| ((*axis).to_owned(), (*value).to_owned())).collect()
    }

    /// Gathers files of these contents.
    pub(in crate::table) fn gathered<T: AsRef<str>>(files: &[(Coordinates, T)]) -> Result<Tidy, TidyError> {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..files.len()).map(|i| folder.path().join(i.to_string())).collect();
        for (path, (_, text)) in paths.iter().zip(files) {
            fsx::write_atomic(path, text.as_ref().as_bytes()).unwrap();
        }
        let parts = files.iter().zip(&paths);
        let parts = parts.map(|((coordinates, _), path)| Part { name: "probes.csv", coordinates, path });
        gather(&parts.collect::<Vec<_>>())
    }

    fn csv(tidy: &Tidy) -> String {
        String::from_utf8(tidy.to_csv()).unwrap()
    }

    #[test]
    fn axes_in_front_and_coordinates_by_size() {
        let files = [
            (at(&[("width", "128"), ("seed", "0")]), "layer,value\nlayer1,0.1\n"),
            (at(&[("width", "16"), ("seed", "0")]), "layer,value\nlayer9,0.3\nlayer1,0.2\n"),
        ];
        assert_snapshot!(csv(&gathered(&files).unwrap()), @r"
        seed,width,layer,value
        0,16,layer9,0.3
        0,16,layer1,0.2
        0,128,layer1,0.1
        ");
    }

    #[test]
    fn equal_coordinates_in_order_of_content() {
        let single = (at(&[]), "layer,value\nlayer1,0.1\n");
        let joint = (at(&[]), "layer,value\nlayer1+layer2,0.1\n");
        let forward = gathered(&[single.clone(), joint.clone()]).unwrap();
        assert_eq!(forward, gathered(&[joint, single]).unwrap());
        assert_eq!(forward.rows[0][0], "layer1");
    }

    #[test]
    fn an_axis_may_repeat_a_column() {
        let file = |value| (at(&[("split", value)]), "layer,split,value\nlayer1,test,0.1\n");
        assert_snapshot!(csv(&gathered(&[file("test")]).unwrap()), @r"
        split,layer,value
        test,layer1,0.1
        ");
        assert_snapshot!(gathered(&[file("train")]).unwrap_err(), @"the axis 'split' is also a column of 'probes.csv', which has 'test' where the axis is 'train'");
    }

    #[test]
    fn refuses_files_of_another_form() {
        let files = [(at(&[("seed", "0")]), "layer,value\n"), (at(&[]), "layer,value\n")];
        assert_snapshot!(gathered(&files).unwrap_err(), @"'probes.csv' has the axes or columns 'layer,value', where another one has 'seed,layer,value'");
        let ragged = (at(&[("seed", "3")]), "layer,value\nlayer1\n");
        assert_snapshot!(gathered(&[ragged]).unwrap_err(), @"'probes.csv' of seed=3 is not a table: CSV error: record 1 (line: 2, byte: 12): found record with 1 fields, but the previous record has 2 fields");
    }

    #[test]
    fn quotes_survive() {
        let tidy = Tidy { columns: vec!["a,b".into()], rows: vec![vec!["say \"x\"\n".into()]] };
        assert_eq!(Tidy::parse(&tidy.to_csv()).unwrap(), tidy);
    }
}
