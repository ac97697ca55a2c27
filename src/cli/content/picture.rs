//! Pictures: how large they are.

use resvg::usvg;
use serde_json::json;

use crate::cli::content::Content;
use crate::cli::page;

/// A PNG file, by its header.
pub(super) fn png(bytes: &[u8], size: u64) -> Option<Content> {
    let header = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(4..16)?.strip_prefix(b"IHDR")?;
    let number = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes"));
    Some(picture("PNG", f64::from(number(0)), f64::from(number(4)), size))
}

/// An SVG document that can be drawn.
pub(super) fn svg(text: &str, size: u64) -> Option<Content> {
    if !text.trim_start().starts_with('<') {
        return None;
    }
    let extent = usvg::Tree::from_str(text, &usvg::Options::default()).ok()?.size();
    Some(picture("SVG", f64::from(extent.width()), f64::from(extent.height()), size))
}

fn picture(form: &'static str, width: f64, height: f64, size: u64) -> Content {
    let tenth = |length: f64| (length * 10.0).round() / 10.0;
    let (width, height) = (tenth(width), tenth(height));
    let text = format!("{form}, {width} × {height} pixels, {}\n", page::size(size));
    Content { form, facts: json!({ "width": width, "height": height, "size": size }), text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::png::draw;

    #[test]
    fn sizes_are_those_of_the_picture() {
        let text = r#"<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"/>"#;
        assert_eq!(svg(text, 63).unwrap().text, "SVG, 30 × 20 pixels, 63 B\n");
        let drawn = draw(text).unwrap();
        assert_eq!(png(&drawn, 1000).unwrap().text, "PNG, 60 × 40 pixels, 1.0 kB\n");
        assert!(svg("<html/>", 7).is_none() && png(&drawn[..20], 20).is_none());
    }
}
