//! The order that people expect of values: 16 before 128, `fcn3x64` before `fcn3x512`, `rerand` before every epoch.

use std::cmp::Ordering;

/// What heads the column of re-randomized layers.
pub const RERAND: &str = "rerand";
/// The row in which every layer comes from the same checkpoint.
pub const FULL_MODEL: &str = "fullmodel";

/// Compares two values: numbers by size and before words, words by their letters and the numbers within them.
///
/// A total order: values that differ as text are never equal.
pub fn natural(a: &str, b: &str) -> Ordering {
    let by_size = match (number(a), number(b)) {
        (Some(x), Some(y)) => x.total_cmp(&y),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => by_parts(a, b),
    };
    by_size.then_with(|| a.cmp(b))
}

/// Whether a column is an epoch that layers are reset to.
pub fn is_epoch(column: &str) -> bool {
    column.bytes().all(|byte| byte.is_ascii_digit())
}

/// What heads the column of a source, in words: `re-randomized`, `reset to 8`; another source is called as it is.
pub fn source(column: &str) -> String {
    match column {
        RERAND => "re-randomized".to_owned(),
        epoch if is_epoch(epoch) => format!("reset to {epoch}"),
        other => other.to_owned(),
    }
}

/// Compares two column headings: `rerand` first, then as [`natural`].
pub fn headings(a: &str, b: &str) -> Ordering {
    (a != RERAND).cmp(&(b != RERAND)).then_with(|| natural(a, b))
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

fn by_parts(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() && !b.is_empty() {
        let (part_a, part_b);
        (part_a, a) = split_part(a);
        (part_b, b) = split_part(b);
        let order = if is_digit(part_a) && is_digit(part_b) {
            let (x, y) = (part_a.trim_start_matches('0'), part_b.trim_start_matches('0'));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            part_a.cmp(part_b)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

fn is_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// The longest beginning of digits, or of anything else.
fn split_part(text: &str) -> (&str, &str) {
    let digits = is_digit(text);
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted(mut values: Vec<&str>, compare: fn(&str, &str) -> Ordering) -> Vec<&str> {
        values.sort_by(|a, b| compare(a, b));
        values
    }

    #[test]
    fn numbers_by_size() {
        assert_eq!(sorted(vec!["128", "16", "1e-3", "0.1", "x"], natural), ["1e-3", "0.1", "16", "128", "x"]);
        assert_eq!(sorted(vec!["fcn3x512", "fcn3x64", "fcn3"], natural), ["fcn3", "fcn3x64", "fcn3x512"]);
        assert_eq!(sorted(vec!["layer2+layer4", "layer10", "layer2"], natural)[2], "layer10");
    }

    #[test]
    fn rerand_before_epochs() {
        assert_eq!(sorted(vec!["100", "8", "rerand", "0"], headings), ["rerand", "0", "8", "100"]);
    }

    proptest! {
        #[test]
        fn total(a in "[a0-2.]{0,4}", b in "[a0-2.]{0,4}", c in "[a0-2.]{0,4}") {
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            prop_assert_eq!(natural(&a, &b) == Ordering::Equal, a == b);
            if natural(&a, &b).is_le() && natural(&b, &c).is_le() {
                prop_assert!(natural(&a, &c).is_le());
            }
        }
    }
}
