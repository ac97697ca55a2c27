//! What every page of text is made of: aligned columns, sizes, times, and a stdout that may be closed.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use crate::base::fsx::FileError;
use crate::cli::failure::{Failure, Style};

/// Between columns.
const GAP: &str = "  ";

/// Writes to stdout. A reader that has seen enough (`| head`) is no failure.
pub(super) fn print(bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    print_to_reader(bytes).map(drop)
}

/// Writes to stdout; returns whether somebody still reads it.
pub(super) fn print_to_reader(bytes: impl AsRef<[u8]>) -> Result<bool, Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes.as_ref()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let error = FileError::new("write", "stdout".as_ref(), error);
            let hint = "free some space, or send the output elsewhere".to_owned();
            Err(Failure::Input { message: error.to_string(), hint })
        }
        written => Ok(written.is_ok()),
    }
}

/// Writes a line to stdout, as `println!` does, but by way of [`print`].
macro_rules! outln {
    ($($text:tt)*) => { $crate::cli::page::print(format!("{}\n", format_args!($($text)*))) };
}
pub(super) use outln;

/// Writes a JSON value to stdout, for people and programs.
pub(super) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(format!("{value:#}\n"))
}

/// How the cells of a column are aligned.
#[derive(Clone, Copy)]
enum Alignment {
    Left,
    Right,
    /// At the point, before which there are so many characters.
    Point(usize),
}

/// Lines of aligned cells, indented; numbers are aligned at the point, sizes at the right. Nothing trails.
pub(super) fn columns(rows: &[Vec<String>], indent: &str) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    // The first row may be a heading.
    let alignments: Vec<_> =
        (0..count).map(|column| alignment(&cells(column).skip(1).collect::<Vec<_>>())).collect();
    let shifted = |row: &Vec<String>| {
        let cells = row.iter().zip(&alignments).map(|(cell, alignment)| match alignment {
            Alignment::Point(before) if cell.parse::<f64>().is_ok() => {
                format!("{}{cell}", " ".repeat(before.saturating_sub(before_point(cell))))
            }
            _ => cell.clone(),
        });
        cells.collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(shifted).collect();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells =
            row.iter().zip(&widths).zip(&alignments).map(|((cell, width), alignment)| match alignment {
                Alignment::Right => format!("{cell:>width$}"),
                Alignment::Left | Alignment::Point(_) => format!("{cell:<width$}"),
            });
        let line = cells.collect::<Vec<_>>().join(GAP);
        format!("{}\n", format!("{indent}{line}").trim_end())
    };
    rows.iter().map(line).collect()
}

fn alignment(cells: &[&String]) -> Alignment {
    let is_integer = |cell: &str| cell.parse::<i64>().is_ok();
    let is_number = |cell: &str| cell.parse::<f64>().is_ok();
    let is_size =
        |cell: &str| cell.split_once(' ').is_some_and(|(n, unit)| is_number(n) && unit.ends_with('B'));
    let all = |test: &dyn Fn(&str) -> bool| {
        let mut told = cells.iter().filter(|cell| !cell.is_empty()).peekable();
        told.peek().is_some() && told.all(|cell| test(cell))
    };
    if all(&is_integer) || all(&is_size) {
        Alignment::Right
    } else if all(&is_number) {
        Alignment::Point(cells.iter().map(|cell| before_point(cell)).max().unwrap_or(0))
    } else {
        Alignment::Left
    }
}

fn before_point(cell: &str) -> usize {
    cell.find(['.', 'e']).unwrap_or(cell.len())
}

/// A row of texts.
pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// `52.5 kB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `2026-11-25 13:50:31 UTC`, from seconds since 1970.
pub(super) fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    time.map_or_else(|| "at an unknown time".to_owned(), |time| format!("{} UTC", time.naive_utc()))
}

/// `7.2 s`, `3 min 5 s`, `2 h 10 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `1 row`, `2 rows`.
pub(super) fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, what: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {what}{plural}")
}

impl Style {
    /// A heading.
    pub(super) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What may be overlooked.
    pub(super) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// A text in an ANSI style, or as it is.
    pub(super) fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_at_the_right() {
        let rows = [
            row(["layer", "value", "size", "n"]),
            row(["τ", "0.5", "1 B", "1"]),
            row(["layer10", "-12.25", "", "10"]),
            row(["", "3e-7", "1.5 kB", ""]),
        ];
        let expected = [
            " layer    value     size   n",
            " τ          0.5      1 B   1",
            " layer10  -12.25          10",
            "            3e-7  1.5 kB",
        ];
        assert_eq!(columns(&rows, " ").lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn sizes_and_times_are_for_people() {
        assert_eq!(
            [0, 999, 1000, 52_488, 999_999, 9_912_422, 2 << 30].map(size),
            ["0 B", "999 B", "1.0 kB", "52.5 kB", "1.0 MB", "9.9 MB", "2.1 GB"]
        );
        let told = [0.04, 7.25, 59.9, 185.0, 7_800.0].map(duration);
        assert_eq!(told, ["0.0 s", "7.2 s", "59.9 s", "3 min 5 s", "2 h 10 min"]);
        assert_eq!([count(1, "row"), count(2_u64, "row")], ["1 row", "2 rows"]);
        assert_eq!(time(1_000_000_000), "2001-09-09 01:46:40 UTC");
        assert_eq!(time(u64::MAX), "at an unknown time");
    }
}
