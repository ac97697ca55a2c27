//! Two columns of a table, one against the other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::suggest;
use crate::figure::scatter::Scatter;
use crate::stage::StageError;
use crate::table::tidy::Tidy;

/// Which columns, and what they are called.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScatterOptions {
    /// Above everything.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    title: String,
    /// The column that lies to the right.
    x: String,
    /// The column that rises.
    y: String,
    /// The column that names the points.
    #[serde(default = "layer", skip_serializing_if = "is_layer")]
    name: String,
    /// Words in place of the columns' names.
    #[serde(default, skip_serializing_if = "AxisLabels::is_empty")]
    labels: AxisLabels,
}

/// What the axes are called.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AxisLabels {
    /// Below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    /// Above the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

impl AxisLabels {
    fn is_empty(&self) -> bool {
        self.x.is_none() && self.y.is_none()
    }
}

fn layer() -> String {
    "layer".to_owned()
}

fn is_layer(name: &str) -> bool {
    name == layer()
}

/// Describes the plot of a table; a row without one of the numbers has no point.
pub(super) fn scatter(table: &Tidy, options: &ScatterOptions) -> Result<Scatter, StageError> {
    let ScatterOptions { title, x, y, name, labels } = options;
    let column = |parameter: &str, name: &str| {
        table.column(name).ok_or_else(|| {
            let hint = suggest::hint(name, table.columns.iter().map(String::as_str));
            let message = format!("the table has no column '{name}'");
            StageError::of_parameter(message, hint, format!("scatter.{parameter}"), None)
        })
    };
    let [at_x, at_y, at_name] = [column("x", x)?, column("y", y)?, column("name", name)?];
    let number = |parameter: &str, text: &str| {
        text.parse::<f64>().map_err(|_| {
            let message = format!("'{text}' is no number");
            let hint = "name a column of numbers".to_owned();
            StageError::of_parameter(message, hint, format!("scatter.{parameter}"), None)
        })
    };
    let mut points = Vec::new();
    for row in table.rows.iter().filter(|row| !row[at_x].is_empty() && !row[at_y].is_empty()) {
        points.push((row[at_name].clone(), number("x", &row[at_x])?, number("y", &row[at_y])?));
    }
    let words = |label: &Option<String>, column: &String| label.as_ref().unwrap_or(column).clone();
    Ok(Scatter { title: title.clone(), x_title: words(&labels.x, x), y_title: words(&labels.y, y), points })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(options: serde_json::Value) -> Result<Scatter, (String, String)> {
        let table = Tidy::parse(b"layer,cost,rms\nlayer1,0.5,1\nlayer2,,2\nlayer3,0.1,3\n").unwrap();
        let failed = |error| match error {
            StageError::Failed { cause, parameter: Some(parameter), .. } => {
                (cause.to_string(), parameter.path)
            }
            other => panic!("{other:?}"),
        };
        scatter(&table, &serde_json::from_value(options).unwrap()).map_err(failed)
    }

    #[test]
    fn a_point_for_each_row_with_both_numbers() {
        let plot = of(json!({"x": "rms", "y": "cost", "labels": {"x": "distance"}})).unwrap();
        assert_eq!((plot.x_title.as_str(), plot.y_title.as_str()), ("distance", "cost"));
        assert_eq!(plot.points, [("layer1".to_owned(), 1.0, 0.5), ("layer3".to_owned(), 3.0, 0.1)]);
    }

    #[test]
    fn what_is_no_column_or_no_number_is_told() {
        let told = |options| of(options).unwrap_err();
        let (message, path) = told(json!({"x": "rsm", "y": "cost"}));
        assert_eq!((message.as_str(), path.as_str()), ("the table has no column 'rsm'", "scatter.x"));
        let (message, path) = told(json!({"x": "rms", "y": "layer"}));
        assert_eq!((message.as_str(), path.as_str()), ("'layer1' is no number", "scatter.y"));
    }
}
