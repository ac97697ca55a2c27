//! A place in a text, as people count it.

use std::ops::Range;

/// Line and column, from 1; columns and lengths count characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
    /// How many characters are meant.
    pub length: usize,
}

impl Place {
    /// The place of a byte, and of as many characters from there.
    pub fn of(text: &str, at: usize, length: usize) -> Self {
        let before = &text[..at.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line, column, length }
    }

    /// The first place where a word stands as a whole.
    pub fn of_word(text: &str, word: &str) -> Option<Self> {
        let is_letter = |c: char| c.is_alphanumeric() || c == '_';
        let is_whole =
            |at: &usize| !text[..*at].ends_with(is_letter) && !text[at + word.len()..].starts_with(is_letter);
        let found = text.match_indices(word).map(|(at, _)| at).find(is_whole).filter(|_| !word.is_empty());
        found.map(|at| Self::of(text, at, word.chars().count()))
    }

    /// The bytes meant, of a text that stands as a scalar in these bytes of a YAML file: in a literal block (after `|`), or in one line.
    /// All of the scalar where its lines are not those of the text.
    pub fn in_scalar(self, file: &str, scalar: Range<usize>) -> Range<usize> {
        self.find(file, &scalar).unwrap_or(scalar)
    }

    fn find(self, file: &str, scalar: &Range<usize>) -> Option<Range<usize>> {
        let (before, written) = (file.get(..scalar.start)?, file.get(scalar.clone())?);
        let (start, line) = if before.trim_end().trim_end_matches(['-', '+']).ends_with('|') {
            let indent = before.len() - before.rfind('\n')? - 1;
            let above: usize = written.split_inclusive('\n').take(self.line - 1).map(str::len).sum();
            let skipped = if self.line == 1 { 0 } else { indent };
            (scalar.start + above + skipped, written.get(above + skipped..)?.lines().next()?)
        } else if self.line == 1 && !written.contains('\n') {
            let quote = usize::from(written.starts_with(['"', '\'']));
            (scalar.start + quote, &written[quote..])
        } else {
            return None;
        };
        let mut bytes = line.char_indices().map(|(at, _)| at).chain([line.len()]).skip(self.column - 1);
        let first = bytes.next()?;
        let last = bytes.take(self.length).last().unwrap_or(first);
        Some(start + first..start + last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(file: &str, scalar: &str, place: Place) -> String {
        let start = file.find(scalar).unwrap();
        file[place.in_scalar(file, start..start + scalar.len())].to_owned()
    }

    #[test]
    fn a_word_is_found_in_the_file() {
        let text = "SELECT a_b,\n  b FROM t";
        let b = Place::of_word(text, "b").unwrap();
        assert_eq!(b, Place { line: 2, column: 3, length: 1 });
        let block = "SELECT a_b,\n      b FROM t\n";
        let file = format!("x:\n  sql: |-\n    {block}  y: 1\n");
        assert_eq!(shown(&file, block, b), "b");
        assert_eq!(shown(&file, block, Place::of_word(text, "a_b").unwrap()), "a_b");
        let file = "sql: 'SELECT é, b'";
        assert_eq!(shown(file, "'SELECT é, b'", Place::of_word("SELECT é, b", "b").unwrap()), "b");
        let folded = "SELECT a_b,\n    b FROM t\n";
        assert_eq!(shown(&format!("sql: >\n  {folded}"), folded, b), folded);
        assert_eq!(shown("sql: x", "x", Place { line: 1, column: 9, length: 1 }), "x");
    }
}
