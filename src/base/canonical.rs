//! Canonical bytes of a JSON value: what parameters look like to the hasher.
//!
//! One byte of type, then the content. Object members are sorted by name, whatever map type `serde_json` was
//! built with. A number is its `f64` bits if it has a fraction and an integer otherwise, so `1e-1` and `0.1`
//! agree, and `100` and `100.0` agree too; `-0.0` is `0`.

use serde_json::Value;

/// Returns the canonical bytes of a value.
pub fn bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(flag) => out.extend([b'b', u8::from(*flag)]),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_text(b's', text, out),
        Value::Array(items) => {
            out.push(b'a');
            out.extend((items.len() as u64).to_le_bytes());
            for item in items {
                write(item, out);
            }
        }
        Value::Object(members) => {
            out.push(b'o');
            out.extend((members.len() as u64).to_le_bytes());
            let mut write_member = |(name, member): (&String, &Value)| {
                write_text(b's', name, out);
                write(member, out);
            };
            if members.keys().is_sorted() {
                members.iter().for_each(write_member);
            } else {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(name, _)| *name);
                members.into_iter().for_each(&mut write_member);
            }
        }
    }
}

fn write_text(kind: u8, text: &str, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn write_number(number: &serde_json::Number, out: &mut Vec<u8>) {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: integers below it are exact in f64
    let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (integer, number.as_f64()) {
        (Some(integer), _) => write_integer(integer, out),
        (None, Some(float)) if float.fract() == 0.0 && float.abs() < EXACT => {
            write_integer(float as i128, out);
        }
        (None, float) => {
            out.push(b'f');
            out.extend(float.unwrap_or(f64::NAN).to_bits().to_le_bytes());
        }
    }
}

fn write_integer(integer: i128, out: &mut Vec<u8>) {
    out.push(b'i');
    out.extend(integer.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn spelling_and_order_do_not_matter() {
        let parse = |text| bytes(&serde_json::from_str(text).unwrap());
        assert_eq!(parse(r#"{"a": 0.1, "b": 100}"#), parse(r#"{"b": 100.0, "a": 1e-1}"#));
        assert_eq!(parse("-0.0"), parse("0"));
    }

    #[test]
    fn different_values_differ() {
        let values = [
            json!(null),
            json!(false),
            json!(0),
            json!(""),
            json!([]),
            json!({}),
            json!([[]]),
            json!("0"),
            json!(0.5),
            json!(["a", "b"]),
            json!(["ab"]),
            json!({"a": "b"}),
            json!(u64::MAX),
            json!(-1),
        ];
        for (i, a) in values.iter().enumerate() {
            for b in &values[i + 1..] {
                assert_ne!(bytes(a), bytes(b), "{a} and {b}");
            }
        }
    }

    proptest! {
        #[test]
        fn injective_on_floats(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            prop_assert_eq!(a == b, bytes(&json!(a)) == bytes(&json!(b)));
        }
    }
}
