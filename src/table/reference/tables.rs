//! The published tables, and Figure 2, whose values are given in the same way: a model has several settings.

use crate::table::reference::{FINAL, Line, Published, SOURCE, number, read};

static TABLES: &[u8] = include_bytes!("../../../datasets/paper/tables.csv");

/// Where a line of the file belongs, in our words.
struct Place {
    figure: &'static str,
    row_name: &'static str,
    row: String,
    column_name: &'static str,
    column: String,
}

pub(super) fn lines() -> Vec<Line> {
    read(TABLES, |get| {
        let (metric, value, spread) = error(&get("metric"), &get("value"), &get("spread"));
        let Place { figure, row_name, row, column_name, column } =
            place(&get("table"), &get("model"), &get("setting"), &get("metric"))?;
        Some(Line {
            figure: figure.to_owned(),
            dataset: get("dataset"),
            model: String::new(),
            metric,
            joint_set: String::new(),
            precision: String::new(),
            row_name,
            column_name,
            cell: Published { row, column, value, spread },
        })
    })
}

fn place(table: &str, model: &str, setting: &str, metric: &str) -> Option<Place> {
    let of_model = |figure, column_name, column: &str| {
        Some(Place {
            figure,
            row_name: "model",
            row: model.to_owned(),
            column_name,
            column: column.to_owned(),
        })
    };
    match (table, setting) {
        // Curves: per model, the full model and the mean over all layers but the first, reset to epoch 0.
        ("Fig2", "full") => of_model("Fig2", SOURCE, FINAL),
        ("Fig2", _) => of_model("Fig2", SOURCE, "0"),
        ("Table1", "full") => of_model("Table1", "setting", "full"),
        ("Table1", "those blocks frozen at init") => of_model("Table1", "setting", "frozen"),
        ("Table1", "those blocks removed") => of_model("Table1", "setting", "removed"),
        // The mean over the blocks of a network that was trained in full.
        ("Table1", _) => of_model("Table1-reset", "setting", "full"),
        ("Table2", _) => Some(Place {
            figure: "Table2",
            row_name: "network, setting",
            row: format!("{model}, {setting}"),
            column_name: "attack",
            column: metric.split('_').next().unwrap_or_default().to_owned(),
        }),
        ("Table3", _) if model.starts_with("vgg") => {
            of_model("Table3-vgg", "variant", &setting.replace('+', "-"))
        }
        ("Table3", _) => of_model("Table3-resnet", "variant", &setting.replace('+', "-")),
        _ => None,
    }
}

/// What is given in percent, or as an accuracy, as an error in [0, 1].
fn error(metric: &str, value: &str, spread: &str) -> (String, f64, Option<f64>) {
    let (value, spread) = (number(value), (!spread.is_empty()).then(|| number(spread)));
    // As many digits as were given, and two more: no rounding error shows.
    let of_percent = |percent: f64| (percent * 1e4).round() / 1e6;
    match metric {
        _ if metric.ends_with("accuracy_percent") => {
            ("error".to_owned(), of_percent(100.0 - value), spread.map(of_percent))
        }
        "error_percent" => ("error".to_owned(), of_percent(value), spread.map(of_percent)),
        _ => (metric.to_owned(), value, spread),
    }
}

#[cfg(test)]
mod tests {
    use crate::table::reference::{Choice, Panel, panel};

    fn cifar10(figure: &str) -> Panel {
        panel(&Choice { figure, dataset: Some("cifar10"), ..Choice::default() }).unwrap()
    }

    fn cell(panel: &Panel, row: &str, column: &str) -> (f64, Option<f64>) {
        let cell = panel.cells.iter().find(|cell| cell.row == row && cell.column == column).unwrap();
        (cell.value, cell.spread)
    }

    #[test]
    fn tables_are_errors_by_model_and_setting() {
        let table = cifar10("Table1");
        assert_eq!((table.row_name, table.column_name, table.cells.len()), ("model", "setting", 9));
        assert_eq!(cell(&table, "resnet50", "frozen"), (0.1174, None));
        assert_eq!(cell(&cifar10("Table1-reset"), "resnet50", "full"), (0.0977, Some(0.0138)));
        let table = cifar10("Table2");
        assert_eq!(
            (table.row_name, table.column_name, table.cells.len()),
            ("network, setting", "attack", 21)
        );
        assert_eq!(cell(&table, "resnet-42, r=4 s=1", "fgsm"), (0.3015, Some(0.016)));
        assert_eq!(cell(&table, "resnet-44, baseline", "pgd"), (1.0, Some(0.0)));
        assert_eq!(cell(&cifar10("Table3-vgg"), "vgg16", "wd-bn"), (0.067, None));
        assert_eq!(cell(&cifar10("Table3-resnet"), "resnet18", "plain"), (0.104, None));
    }

    #[test]
    fn every_line_has_a_place() {
        let lines = super::TABLES.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!(super::lines().len(), lines - 1);
    }
}
