//! A length of pixels, as people write it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// A number, or a fraction as in `8/255`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "FractionForm")]
pub(super) struct Fraction(pub(super) f64);

/// The form of a [`Fraction`].
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number, or a fraction as in '8/255'")]
pub(super) enum FractionForm {
    Number(f64),
    Text(String),
}

impl JsonSchema for Fraction {
    fn schema_name() -> Cow<'static, str> {
        "Fraction".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        FractionForm::json_schema(generator)
    }
}

impl TryFrom<FractionForm> for Fraction {
    type Error = String;

    fn try_from(form: FractionForm) -> Result<Self, String> {
        let value = match &form {
            FractionForm::Number(number) => Some(*number),
            FractionForm::Text(text) => {
                let (above, below) = text.split_once('/').unwrap_or((text, "1"));
                let number = |text: &str| text.trim().parse::<f64>().ok();
                number(above).zip(number(below)).map(|(above, below)| above / below)
            }
        };
        value.filter(|value| value.is_finite()).map(Self).ok_or_else(|| match form {
            FractionForm::Number(number) => format!("'{number}' is not a length"),
            FractionForm::Text(text) => format!("'{text}' is not a fraction as in '8/255'"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_number_or_a_fraction() {
        let read = |value: Value| serde_json::from_value::<Fraction>(value).map(|fraction| fraction.0);
        for value in [json!(0.25), json!("0.25"), json!("1/4"), json!(" 2 / 8 ")] {
            assert_eq!(read(value).unwrap(), 0.25);
        }
        assert_eq!((read(json!("8/255")).unwrap() * 255.0) as f32, 8.0);
        for text in ["eight", "1/0", "1/2/3", ""] {
            let message = read(json!(text)).unwrap_err().to_string();
            assert_eq!(message, format!("'{text}' is not a fraction as in '8/255'"));
        }
        assert!(
            read(json!([8, 255])).unwrap_err().to_string().starts_with("expected a number, or a fraction")
        );
        assert_eq!(serde_json::to_value(Fraction(0.5)).unwrap(), json!(0.5));
    }
}
