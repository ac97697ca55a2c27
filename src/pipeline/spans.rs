//! The values of a YAML text, and where each stands.
//!
//! `serde_yaml` keeps no places, silently lets the last of two equal keys win, and does not merge `<<`. This reader, over parser
//! events, gives the places and refuses what would be misread: duplicate keys, anchors, aliases, merge keys, tags, and what JSON
//! cannot say (keys that are no text, numbers that are not finite). What a scalar means is for `serde_yaml` to say; a test has it
//! read whole texts and finds the same values.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Value};

use crate::pipeline::error::SpecError;

const MAX_DEPTH: usize = 64;
/// Up to how many keys a mapping is short.
const SHORT: usize = 16;

/// A value of the text and its place in bytes.
#[derive(Debug, Clone)]
pub struct Spanned {
    /// First to last byte.
    pub span: Range<usize>,
    /// What is inside.
    pub shape: Shape,
}

/// What is inside a value.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A scalar.
    Scalar,
    /// Items of a sequence.
    Sequence(Vec<Spanned>),
    /// Entries of a mapping, in the order of the text.
    Mapping(Vec<Entry>),
}

/// A key, its place, and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// The key's place.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Spanned,
}

/// Reads a text: places and values.
pub fn read(text: &str) -> Result<(Spanned, Value), SpecError> {
    let bytes = if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(at, _)| at).collect() };
    let mut reader = Reader { events: Parser::new_from_str(text), bytes, text };
    reader.document()
}

impl Spanned {
    /// The place to point at for a path such as `stages.fit.train.at[1]`: the value if it is a scalar, else its key; for a
    /// path that leads nowhere, the last step that exists.
    pub fn locate(&self, path: &str) -> Range<usize> {
        let (mut here, mut key_span) = (self, None);
        for step in steps(path) {
            match here.child(step) {
                Some((child, span)) => (here, key_span) = (child, span),
                None => break,
            }
        }
        match (&here.shape, key_span) {
            (Shape::Scalar, _) | (Shape::Sequence(_), None) => here.span.clone(),
            (Shape::Mapping(entries), None) => {
                entries.first().map_or(here.span.clone(), |entry| entry.key_span.clone())
            }
            (_, Some(span)) => span,
        }
    }

    /// The place of the key that a path ends with.
    pub fn locate_key(&self, path: &str) -> Range<usize> {
        let (mut here, mut found) = (self, None);
        for step in steps(path) {
            match here.child(step) {
                Some((child, span)) => (here, found) = (child, span.or(found)),
                None => break,
            }
        }
        found.unwrap_or_else(|| self.locate(path))
    }

    fn child(&self, step: &str) -> Option<(&Self, Option<Range<usize>>)> {
        match &self.shape {
            Shape::Scalar => None,
            Shape::Sequence(items) => items.get(step.parse::<usize>().ok()?).map(|item| (item, None)),
            Shape::Mapping(entries) => entries
                .iter()
                .find(|entry| entry.key == step)
                .map(|entry| (&entry.value, Some(entry.key_span.clone()))),
        }
    }
}

fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty())
}

struct Reader<'a> {
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// Byte offset of each character, as the parser counts characters; empty where the two are the same.
    bytes: Vec<usize>,
    text: &'a str,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<(Spanned, Value), SpecError> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(SpecError::at(
                        span,
                        "the file holds more than one YAML document",
                        "a second one",
                    )
                    .hint("put each pipeline into a file of its own"));
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                other => root = Some(self.value(other, span, 0)?),
            }
        }
        root.ok_or_else(|| {
            SpecError::at(0..self.text.len().min(1), "the file is empty", "no YAML document here")
                .hint("start with 'pipeline: NAME' and 'stages:'")
        })
    }

    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), SpecError> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, self.range(span))),
            Some(Err(error)) => {
                let at = self.byte(error.marker().index());
                let end = self.text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
                Err(SpecError::at(at..end, format!("this is not YAML: {}", error.info()), "here")
                    .hint("check indentation, quotes and brackets before this place"))
            }
            None => Ok((Event::StreamEnd, self.text.len()..self.text.len())),
        }
    }

    fn byte(&self, character: usize) -> usize {
        let is_ascii = self.bytes.is_empty();
        let byte = if is_ascii { Some(character) } else { self.bytes.get(character).copied() };
        byte.map_or(self.text.len(), |byte| byte.min(self.text.len()))
    }

    fn range(&self, span: Span) -> Range<usize> {
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        start..start + self.text[start..end.max(start)].trim_end().len()
    }

    fn value(
        &mut self,
        event: Event<'a>,
        span: Range<usize>,
        depth: usize,
    ) -> Result<(Spanned, Value), SpecError> {
        if depth > MAX_DEPTH {
            return Err(SpecError::at(span, format!("values are nested more than {MAX_DEPTH} deep"), "here"));
        }
        refuse_misread(&event, &span)?;
        let (end, shape, value) = match event {
            Event::SequenceStart(..) => self.sequence(depth)?,
            Event::MappingStart(..) => self.mapping(depth)?,
            Event::Scalar(text, style, ..) => (span.end, Shape::Scalar, scalar(text, style, &span)?),
            _ => (span.end, Shape::Scalar, Value::Null),
        };
        let end = span.start + self.text[span.start..end.max(span.end)].trim_end().len();
        Ok((Spanned { span: span.start..end, shape }, value))
    }

    fn sequence(&mut self, depth: usize) -> Result<(usize, Shape, Value), SpecError> {
        let (mut items, mut values) = (Vec::new(), Vec::new());
        loop {
            match self.next()? {
                (Event::SequenceEnd | Event::StreamEnd, span) => {
                    return Ok((span.end, Shape::Sequence(items), values.into()));
                }
                (event, span) => {
                    let (item, value) = self.value(event, span, depth + 1)?;
                    items.push(item);
                    values.push(value);
                }
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<(usize, Shape, Value), SpecError> {
        let (mut entries, mut values) = (Vec::<Entry>::new(), Map::new());
        // Short mappings, which nearly all are, are searched faster than they are indexed.
        let mut index: BTreeMap<String, usize> = BTreeMap::new();
        loop {
            let (event, key_span) = self.next()?;
            refuse_misread(&event, &key_span)?;
            let key = match event {
                Event::MappingEnd | Event::StreamEnd => {
                    return Ok((key_span.end, Shape::Mapping(entries), values.into()));
                }
                Event::Scalar(text, ScalarStyle::Plain, ..) if !is_text(&text) => {
                    return Err(SpecError::at(key_span, format!("the key '{text}' is not text"), "here")
                        .hint("put it in quotes"));
                }
                Event::Scalar(text, ..) => text,
                _ => return Err(SpecError::at(key_span, "a key must be a plain word", "not a word")),
            };
            let first = if entries.len() < SHORT {
                entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_span.start)
            } else {
                let new = entries.iter().skip(index.len());
                index.extend(new.map(|entry| (entry.key.clone(), entry.key_span.start)));
                index.get(&*key).copied()
            };
            if let Some(at) = first {
                let line = self.text[..at].matches('\n').count() + 1;
                return Err(SpecError::at(
                    key_span,
                    format!("the key '{key}' stands twice in one mapping"),
                    format!("already on line {line}"),
                )
                .hint("rename or remove one of them"));
            }
            if key == "<<" {
                return Err(SpecError::at(key_span, "merge keys ('<<') are not supported", "here")
                    .hint("write the values out, or share them through 'params:'"));
            }
            let (event, span) = self.next()?;
            let (place, value) = self.value(event, span, depth + 1)?;
            values.insert(key.clone().into_owned(), value);
            entries.push(Entry { key: key.into_owned(), key_span, value: place });
        }
    }
}

/// What a scalar means: without quotes it may be a number, a truth value or nothing.
fn scalar(text: Cow<'_, str>, style: ScalarStyle, span: &Range<usize>) -> Result<Value, SpecError> {
    if style != ScalarStyle::Plain || is_surely_text(&text) {
        return Ok(text.into());
    }
    let is_plain_number = text.len() < 19 && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<i64>() {
        Ok(number) if is_plain_number && (text == "0" || !text.starts_with('0')) => Ok(number.into()),
        _ => serde_yaml::from_str(&text).map_err(|_| {
            SpecError::at(span.clone(), "the number has more than 64 bits", "here")
                .hint("put it in quotes if it is a text")
        }),
    }
}

/// Whether a plain scalar begins like no number, and is none of the words that mean something else.
fn is_surely_text(text: &str) -> bool {
    const WORDS: [&str; 4] = ["~", "null", "true", "false"];
    let may_be_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
        && !text.starts_with("--")
        && !text.starts_with("..");
    !may_be_number && !text.is_empty() && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

fn refuse_misread(event: &Event<'_>, span: &Range<usize>) -> Result<(), SpecError> {
    let (anchor, tagged) = match event {
        Event::Alias(_) => (1, false),
        Event::Scalar(_, _, anchor, tag)
        | Event::SequenceStart(anchor, tag)
        | Event::MappingStart(anchor, tag) => (*anchor, tag.is_some()),
        _ => (0, false),
    };
    if anchor != 0 {
        return Err(SpecError::at(span.clone(), "anchors and aliases are not supported", "here")
            .hint("share a value through 'params:' and '${params.NAME}'"));
    }
    if tagged {
        return Err(
            SpecError::at(span.clone(), "YAML tags are not supported", "here").hint("remove the '!tag'")
        );
    }
    if let Event::Scalar(text, ScalarStyle::Plain, ..) = event
        && is_not_finite(text)
    {
        return Err(SpecError::at(span.clone(), "a number must be finite", "not finite")
            .hint("put it in quotes if it is a text"));
    }
    Ok(())
}

fn is_not_finite(text: &str) -> bool {
    let word = text.trim_start_matches(['-', '+']);
    let is_number = word.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    is_number
        && (matches!(word, ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF")
            || text.parse().is_ok_and(|number: f64| !number.is_finite()))
}

/// Whether a plain scalar is a text to YAML: no number, no truth value, not nothing.
fn is_text(word: &str) -> bool {
    !matches!(
        word,
        "" | "~" | "null" | "Null" | "NULL" | "true" | "True" | "TRUE" | "false" | "False" | "FALSE"
    ) && (word.starts_with(|c: char| c.is_ascii_alphabetic()) || word.parse::<f64>().is_err())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::base::fsx;

    #[test]
    fn places_are_those_of_the_text_even_after_wide_characters() {
        let text = "τ: { a: [1, 22], b: x }\nstages:\n  fit:\n    lr: 0.1\n";
        let (spans, _) = read(text).unwrap();
        let at = |path: &str| &text[spans.locate(path)];
        assert_eq!(at("τ.a[1]"), "22");
        assert_eq!(at("τ.b"), "x");
        assert_eq!(at("stages.fit.lr"), "0.1");
        assert_eq!(at("stages.fit"), "fit");
        assert_eq!(at("stages.fit.nothing.here"), "fit");
        assert_eq!(&text[spans.locate_key("stages.fit.lr")], "lr");
    }

    #[test]
    fn what_would_be_misread_is_refused() {
        for (text, what) in [
            ("a: 1\nb: 2\na: 3", "stands twice"),
            ("a: &x 1\nb: *x", "anchors"),
            ("a: { <<: 1 }", "merge keys"),
            ("a: !seed 1", "tags"),
            ("a: 1\n---\nb: 2", "more than one"),
            ("a: [1, 2", "not YAML"),
            ("", "empty"),
            ("a: 18446744073709551616", "64 bits"),
            ("{ [1]: 2 }", "plain word"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.message.contains(what), "{text:?}: {}", error.message);
        }
        assert!(read(&"[".repeat(5000)).is_err());
    }

    #[test]
    fn values_are_those_that_serde_yaml_reads() {
        let scalars = "0 1 -1 +1 01 007 0x1F 0o17 0b11 1_000 9223372036854775807 9223372036854775808 18446744073709551615 \
                       -9223372036854775808 1. .5 1.5 1e3 1e-1 -1e+3 +.5 1E5 . ... --- + -- 1.2.3 1:30 2026-11-25 true \
                       True TRUE tRUE false no yes on y null Null NULL nUll ~ '' '1' \"x\" a-b /x/y 1a .a -a =1 3x3";
        let words: Vec<_> = scalars.split_whitespace().collect();
        let mut texts = vec![words.iter().map(|word| format!("- {word}")).collect::<Vec<_>>().join("\n")];
        texts.push(format!("a: [{}]\nb:\nc: {{}}\nd: []", words.join(", ")));
        texts.push("a: |\n  x\n   y\n\nb: >-\n  one\n  two\n\n  three\nc: \"\\u00e9\\n \\\n  z\"\nd: plain\n  goes on\n'e f': 'it''s'".into());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for folder in ["pipelines", "datasets"] {
            let names = fsx::files_below(&root.join(folder)).unwrap();
            let names = names
                .iter()
                .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "yaml"));
            texts.extend(names.map(|name| fsx::read_to_string(&root.join(folder).join(name)).unwrap()));
        }
        assert!(texts.len() > 5);
        for text in texts {
            assert_eq!(read(&text).unwrap().1, serde_yaml::from_str::<Value>(&text).unwrap(), "{text}");
        }
    }
}
