//! Any file as text: what form its bytes have, and how that form looks to a person.
//!
//! The form is told by the bytes, with the name as a hint where bytes do not say (CSV). Nothing here is an error: bytes
//! that are not what they seem are shown as bytes.

mod picture;
mod tensors;

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::base::fsx::{self, FileError};
use crate::cli::failure::Style;
use crate::cli::page;
use crate::table::tidy::Tidy;

/// Larger files are shown by their beginning.
const LARGEST: u64 = 1 << 30;
/// Rows of a table that are shown without `--all`.
const ROWS: usize = 20;
/// Bytes of unknown form that are shown.
const BYTES: usize = 128;

/// What a file holds.
pub(super) struct Content {
    /// The word for its form.
    pub(super) form: &'static str,
    /// What is to know, for programs.
    pub(super) facts: Value,
    /// Lines for people.
    pub(super) text: String,
}

/// How to show a file.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// Every row of a table.
    pub(super) all: bool,
    /// Colours.
    pub(super) style: Style,
}

/// Reads a file and says what is in it; an empty name stands for none.
pub(super) fn open(name: &str, path: &Path, manner: Manner) -> Result<Content, FileError> {
    let size = fsx::size(path).unwrap_or(0);
    let mut bytes = Vec::new();
    let read = fsx::open(path)?.take(LARGEST).read_to_end(&mut bytes);
    read.map_err(|error| FileError::new("read", path, error))?;
    Ok(read_bytes(name, &bytes, size, manner))
}

fn read_bytes(name: &str, bytes: &[u8], size: u64, manner: Manner) -> Content {
    let is_named = |extension: &str| name.rsplit('.').next() == Some(extension);
    let special = tensors::read(bytes, manner.style)
        .or_else(|| gzip(bytes, size))
        .or_else(|| idx(bytes))
        .or_else(|| picture::png(bytes, size));
    if let Some(content) = special {
        return content;
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return binary(bytes, size) };
    if text.bytes().any(|byte| byte < 0x20 && !b"\n\r\t\x1b".contains(&byte)) {
        return binary(bytes, size);
    }
    let structured = picture::svg(text, size)
        .or_else(|| json_text(text))
        .or_else(|| csv(bytes, manner).filter(|table| is_named("csv") || name.is_empty() && is_wide(table)));
    structured.unwrap_or_else(|| Content { form: "text", facts: json!({ "text": text }), text: ended(text) })
}

/// Whether bytes without a name that can be read as a table are likely to be one.
fn is_wide(table: &Content) -> bool {
    table.facts["columns"].as_array().is_some_and(|columns| columns.len() > 1)
}

/// With a newline at the end, unless there is nothing.
fn ended(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

fn csv(bytes: &[u8], manner: Manner) -> Option<Content> {
    let table = Tidy::parse(bytes).ok()?;
    let shown = if manner.all { table.rows.len() } else { table.rows.len().min(ROWS) };
    let rows: Vec<_> = std::iter::once(&table.columns).chain(&table.rows[..shown]).cloned().collect();
    let lines = page::columns(&rows, "");
    let (head, rest) = lines.split_once('\n').unwrap_or((&lines, ""));
    let mut text = format!("{}\n{rest}", manner.style.strong(head));
    if shown < table.rows.len() {
        let more = page::count(table.rows.len() - shown, "more row");
        let line = format!("… {more}; '--all' shows them");
        _ = writeln!(text, "{}", manner.style.faint(&line));
    }
    let facts = json!({ "columns": table.columns, "rows": table.rows });
    Some(Content { form: "CSV", facts, text })
}

fn json_text(text: &str) -> Option<Content> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    Some(Content { form: "JSON", text: format!("{value:#}\n"), facts: json!({ "value": value }) })
}

/// The header, and the header of what is inside.
fn gzip(bytes: &[u8], size: u64) -> Option<Content> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return None;
    }
    let mut decoder = GzDecoder::new(bytes);
    let mut inner = Vec::new();
    // What cannot be unpacked to its end is told by what came out of it.
    let is_whole = decoder.read_to_end(&mut inner).is_ok();
    let header = decoder.header()?;
    let original = header.filename().map(|name| String::from_utf8_lossy(name).into_owned());
    let mut text = String::from("gzip");
    if let Some(original) = &original {
        _ = write!(text, " of '{original}'");
    }
    _ = writeln!(text, ": {}, unpacked {}", page::size(size), page::size(inner.len() as u64));
    if !is_whole {
        text += "it is damaged: it cannot be unpacked to its end\n";
    }
    let inside = idx(&inner);
    if let Some(inside) = &inside {
        text += &inside.text;
    }
    let facts = json!({
        "name": original, "size": size, "unpacked": inner.len(), "whole": is_whole,
        "inside": inside.map(|inside| inside.facts),
    });
    Some(Content { form: "gzip", facts, text })
}

/// The header of an IDX file, whose length must be what it announces.
fn idx(bytes: &[u8]) -> Option<Content> {
    let [0, 0, code, dimensions, rest @ ..] = bytes else { return None };
    let (element, width) = match code {
        0x08 => ("unsigned bytes", 1),
        0x09 => ("signed bytes", 1),
        0x0b => ("16-bit integers", 2),
        0x0c => ("32-bit integers", 4),
        0x0d => ("32-bit floats", 4),
        0x0e => ("64-bit floats", 8),
        _ => return None,
    };
    let count = usize::from(*dimensions);
    let header = rest.get(..4 * count)?.chunks_exact(4);
    let sizes: Vec<u32> =
        header.map(|d| u32::from_be_bytes(d.try_into().expect("four bytes each"))).collect();
    let elements = sizes.iter().try_fold(1_u64, |product, size| product.checked_mul(u64::from(*size)))?;
    if elements.checked_mul(width) != Some((rest.len() - 4 * count) as u64) {
        return None;
    }
    let shape = shape(sizes.iter());
    let text = format!("IDX: {shape} {element}\n");
    Some(Content { form: "IDX", facts: json!({ "form": "IDX", "shape": sizes, "elements": element }), text })
}

/// `60000 × 28 × 28`.
fn shape<T: ToString>(sizes: impl Iterator<Item = T>) -> String {
    sizes.map(|size| size.to_string()).collect::<Vec<_>>().join(" × ")
}

/// The first bytes, sixteen a line.
fn binary(bytes: &[u8], size: u64) -> Content {
    let mut text = format!("binary, {}\n", page::size(size));
    let head = &bytes[..bytes.len().min(BYTES)];
    for (i, line) in head.chunks(16).enumerate() {
        let word = |pair: &[u8]| pair.iter().fold(String::new(), |word, byte| format!("{word}{byte:02x}"));
        let hex: Vec<String> = line.chunks(2).map(word).collect();
        let is_shown = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let letters: String =
            line.iter().map(|byte| if is_shown(*byte) { char::from(*byte) } else { '.' }).collect();
        _ = writeln!(text, "{:08x}  {:<39}  {letters}", i * 16, hex.join(" "));
    }
    if head.len() < bytes.len() {
        text += "…\n";
    }
    Content { form: "binary", facts: json!({ "size": size }), text }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use insta::assert_snapshot;

    use super::*;

    fn shown(name: &str, bytes: &[u8]) -> String {
        let manner = Manner { all: false, style: Style { colour: false } };
        let content = read_bytes(name, bytes, bytes.len() as u64, manner);
        format!("{}\n{}", content.form, content.text)
    }

    #[test]
    fn text_stays_as_it_is() {
        assert_eq!(shown("a.md", b"| a |\n"), "text\n| a |\n");
        assert_eq!(shown("a.csv", b"a,b\n1\n"), "text\na,b\n1\n"); // no table
        assert_eq!(shown("a.json", b"{ no"), "text\n{ no\n");
        assert_eq!(shown("empty", b""), "text\n");
    }

    #[test]
    fn tables_are_aligned_and_cut() {
        let rows: Vec<_> = (0..22).map(|i| format!("layer{i},0.{i}\n")).collect();
        let text = shown("a.csv", format!("layer,value\n{}", rows.concat()).as_bytes());
        assert!(text.starts_with("CSV\nlayer    value\nlayer0   0.0\n"), "{text}");
        assert!(text.ends_with("layer19  0.19\n… 2 more rows; '--all' shows them\n"), "{text}");
    }

    #[test]
    fn bytes_are_bytes() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_snapshot!(shown("x", &bytes[240..]), @r"
        binary
        binary, 16 B
        00000000  f0f1 f2f3 f4f5 f6f7 f8f9 fafb fcfd feff  ................
        ");
        assert!(shown("x", &bytes).ends_with("pqrstuvwxyz{|}~.\n…\n"));
        // Whatever the bytes, nothing panics.
        for head in [
            &b"\x89PNG\r\n\x1a\n"[..],
            &[0x1f, 0x8b],
            &[0x1f, 0x8b, 8, 0],
            &[0, 0, 8, 3],
            &[0, 0, 8, 255, 0],
            b"<svg",
        ] {
            shown("x", head);
            shown("x", &[head, &[0xff; 40]].concat());
        }
    }

    #[test]
    fn packed_images_tell_their_shape() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 9, 9, 9, 9]).unwrap();
        let packed = packed.finish().unwrap();
        let text = shown("images.gz", &packed);
        assert!(text.ends_with("unpacked 20 B\nIDX: 2 × 1 × 2 unsigned bytes\n"), "{text}");
        assert!(shown("images.gz", &packed[..packed.len() - 5]).contains("it is damaged"));
    }
}
