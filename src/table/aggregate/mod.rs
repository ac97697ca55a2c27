//! From tidy rows to a grid: select one metric, group, summarise.
//!
//! No silent average: everything that varies within a group must be named in `over`, or it is an error that says what
//! varies and what to do.

mod groups;

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::PolarsError;

use crate::base::suggest;
use crate::table::grid::{Grid, Statistic, Summary};
use crate::table::order::{self, FULL_MODEL};
use crate::table::tidy::Tidy;

/// What statistics are taken over unless something else is asked for. A table need not have these columns.
pub const DEFAULT_OVER: [&str; 2] = ["draw", "seed"];
/// As a row or a column of the grid: `rerand`, or the epoch τ that a layer is reset to.
const SOURCE: &str = "source";

/// What to make of the rows.
#[derive(Clone, Debug)]
pub struct Query {
    /// Columns whose values make a row of the grid.
    pub rows: Vec<String>,
    /// Column whose values head the grid's columns.
    pub columns: String,
    /// The metric to summarise.
    pub value: String,
    /// Which statistics to give.
    pub statistics: Vec<Statistic>,
    /// Columns over whose values they are taken.
    pub over: Vec<String>,
    /// Which rows to take: column → condition.
    pub only: BTreeMap<String, Condition>,
}

impl Query {
    /// The columns that name a group: those of the row, then the one that heads the columns.
    fn keys(&self) -> Vec<String> {
        self.rows.iter().chain([&self.columns]).cloned().collect()
    }

    fn uses_source(&self) -> bool {
        self.keys().iter().any(|name| name == SOURCE)
    }

    /// Whether a column may vary within a group.
    fn accounts_for(&self, column: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == column);
        let heading = column == "epoch" && self.uses_source();
        heading || column == "value" || named(&self.keys()) || named(&self.over)
    }
}

/// Which values of a column to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// These.
    In(Vec<String>),
    /// All but these.
    NotIn(Vec<String>),
}

/// Why rows could not be aggregated.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum AggregateError {
    #[error("there is no column '{name}'")]
    NoColumn { name: String, present: Vec<String> },
    #[error("no row has the {column} '{value}'")]
    NoValue { column: String, value: String, present: Vec<String> },
    #[error("no row is left after selection")]
    NoRow,
    #[error("the column '{column}' is empty in some of the rows, so it cannot name a row or a column")]
    EmptyKey { column: String },
    #[error("the column '{column}' varies within {group}: {}", some(values))]
    Varies { column: String, group: String, values: Vec<String> },
    #[error("two values for one measurement: {} and {} at {place}", values.0, values.1)]
    Contradiction { place: String, values: (f64, f64) },
    #[error("'{text}' in the column 'value' is no number")]
    NotANumber { text: String },
    #[error("polars: {0}")]
    Polars(#[from] PolarsError),
}

impl AggregateError {
    /// What to do: begins with a verb.
    pub fn hint(&self) -> Option<String> {
        let from = |word: &str, all: &[String]| Some(suggest::hint(word, all.iter().map(String::as_str)));
        match self {
            Self::NoColumn { name, present } => from(name, present),
            Self::NoValue { value, present, .. } => from(value, present),
            Self::NoRow => Some("loosen 'where'".into()),
            Self::EmptyKey { column } if column == "epoch" => Some(
                "use 'source', which is the epoch or 'rerand', or leave such rows out with 'where'".into(),
            ),
            Self::EmptyKey { .. } => Some("leave such rows out with 'where'".into()),
            Self::Varies { column, values, .. } => Some(format!(
                "add '{column}' to 'rows' or 'over', make it the 'columns', or choose with 'where: {{ {column}: {} }}'",
                values[0]
            )),
            Self::Contradiction { .. } => Some("gather each measurement from one stage only".into()),
            Self::NotANumber { .. } | Self::Polars(_) => None,
        }
    }
}

fn some(values: &[String]) -> String {
    let quoted: Vec<_> = values.iter().take(6).map(|value| format!("'{value}'")).collect();
    let more = if values.len() > 6 { ", …" } else { "" };
    quoted.join(", ") + more
}

/// Summarises the rows as the query says.
///
/// Rows of the grid are in order of first appearance, `fullmodel` last; columns have `rerand` first, then rise.
/// Rows that say the same twice count once.
pub fn aggregate(tidy: &Tidy, query: &Query) -> Result<Grid, AggregateError> {
    check(tidy, query)?;
    let mut summaries = groups::summarise(tidy, query)?;
    sort_rows(&mut summaries, query.rows.len());
    let (rows, columns, metric) = (query.rows.clone(), query.columns.clone(), query.value.clone());
    Ok(Grid::new(rows, columns, metric, query.statistics.clone(), summaries))
}

/// Every name must be a column, every value that is asked for must occur.
fn check(tidy: &Tidy, query: &Query) -> Result<(), AggregateError> {
    let optional = |name: &&String| !DEFAULT_OVER.contains(&name.as_str());
    let keys = query.keys();
    let mut names: Vec<&str> = vec!["metric", "value"];
    names.extend(keys.iter().map(String::as_str));
    names.extend(query.over.iter().filter(optional).chain(query.only.keys()).map(String::as_str));
    if names.contains(&SOURCE) {
        names.push("epoch");
    }
    if let Some(name) = names.into_iter().find(|name| tidy.column(name).is_none()) {
        return Err(AggregateError::NoColumn { name: name.to_owned(), present: tidy.columns.clone() });
    }
    check_value(tidy, "metric", &query.value)?;
    for (column, Condition::In(values) | Condition::NotIn(values)) in &query.only {
        values.iter().try_for_each(|value| check_value(tidy, column, value))?;
    }
    Ok(())
}

fn check_value(tidy: &Tidy, column: &str, value: &str) -> Result<(), AggregateError> {
    let at = tidy.column(column).unwrap_or_default();
    if tidy.rows.iter().any(|row| row[at] == value) {
        return Ok(());
    }
    let present = distinct(tidy.rows.iter().map(|row| row[at].as_str()));
    Err(AggregateError::NoValue { column: column.to_owned(), value: value.to_owned(), present })
}

fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut distinct: Vec<String> = values.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect();
    distinct.sort_by(|a, b| order::natural(a, b));
    distinct
}

/// Sorts by the place at which each beginning of the key first appears; `fullmodel` comes last among its like.
fn sort_rows(summaries: &mut [(Vec<String>, String, Summary)], length: usize) {
    let mut first = BTreeMap::new();
    for (place, (row, ..)) in summaries.iter().enumerate() {
        for end in 1..=length {
            let place = if row[end - 1] == FULL_MODEL { usize::MAX } else { place };
            first.entry(row[..end].to_vec()).or_insert(place);
        }
    }
    let rank = |row: &[String]| (1..=length).map(|end| first[&row[..end]]).collect::<Vec<_>>();
    summaries.sort_by_cached_key(|(row, ..)| rank(row));
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;
    use crate::table::tidy;

    const HEADER: &str = "seed,model,layer,source,epoch,draw,split,metric,value\n";

    fn parse(rows: &str) -> Tidy {
        Tidy::parse(format!("{HEADER}{rows}").as_bytes()).unwrap()
    }

    fn layer_by_source() -> Query {
        Query {
            rows: vec!["layer".into()],
            columns: SOURCE.into(),
            value: "error".into(),
            statistics: Statistic::ALL.to_vec(),
            over: DEFAULT_OVER.map(str::to_owned).to_vec(),
            only: BTreeMap::new(),
        }
    }

    fn only(column: &str, condition: Condition) -> Query {
        Query { only: [(column.to_owned(), condition)].into(), ..layer_by_source() }
    }

    fn words(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn csv(tidy: &Tidy, query: &Query) -> String {
        String::from_utf8(aggregate(tidy, query).unwrap().to_tidy().to_csv()).unwrap()
    }

    /// The error and its hint.
    fn complaint(rows: &str, query: &Query) -> String {
        let error = aggregate(&parse(rows), query).unwrap_err();
        format!("{error}\n{}", error.hint().unwrap_or_default())
    }

    const TWO_SEEDS: &str = "\
0,fcn,fullmodel,reinit,100,,test,error,0.02
0,fcn,layer1,rerand,,0,test,error,0.91
0,fcn,layer1,rerand,,1,test,error,0.87
0,fcn,layer1,rerand,,2,test,error,0.88
0,fcn,layer1,reinit,100,,test,error,0.02
0,fcn,layer1,reinit,0,,test,error,0.377
0,fcn,layer1,reinit,0,,test,loss,1.5
1,fcn,layer1,rerand,,0,test,error,0.93
1,fcn,layer1,rerand,,1,test,error,0.85
1,fcn,layer1,rerand,,2,test,error,0.89
1,fcn,layer1,reinit,0,,test,error,0.4
";

    /// `v = np.array([.91, .87, .88, .93, .85, .89]); v.mean(); s = v.std(ddof=1);`
    /// `h = scipy.stats.t.ppf(.975, 5) * s / np.sqrt(6); v.mean() - h, v.mean() + h` (numpy 2.4.6, scipy 1.17.1);
    /// likewise `[.377, .4]`.
    #[test]
    fn statistics_are_those_of_numpy_and_scipy() {
        let grid = aggregate(&parse(TWO_SEEDS), &layer_by_source()).unwrap();
        let layer1 = words(&["layer1"]);
        let expected = [
            ("rerand", 6, 0.888_333_333_333_333_3, 0.028_577_380_332_470_436, 0.858_343_211_917_576_2),
            ("0", 2, 0.388_5, 0.016_263_455_967_290_61, 0.242_378_645_533_990_9),
        ];
        for (column, n, mean, std, low) in expected {
            let ours = grid.get(&layer1, column).unwrap();
            let ci95 = ours.ci95.unwrap();
            assert_eq!(ours.n, n);
            assert!((ours.mean - mean).abs() < 1e-15 && (ours.std.unwrap() - std).abs() < 1e-15);
            assert!((ci95.0 - low).abs() < 1e-9 && (ci95.0.midpoint(ci95.1) - mean).abs() < 1e-15);
        }
    }

    #[test]
    fn rows_as_they_appear_and_columns_as_they_rise() {
        assert_snapshot!(csv(&parse(TWO_SEEDS), &layer_by_source()), @r"
        layer,source,metric,n,mean,std,ci95_low,ci95_high
        layer1,rerand,error,6,0.8883333333333333,0.028577380332470436,0.8583432119133333,0.9183234547533333
        layer1,0,error,2,0.3885,0.01626345596729061,0.2423786455359999,0.5346213544640002
        layer1,100,error,1,0.02,,,
        fullmodel,100,error,1,0.02,,,
        ");
    }

    #[test]
    fn the_long_form_can_be_read_back() {
        let grid = aggregate(&parse(TWO_SEEDS), &layer_by_source()).unwrap();
        assert_eq!(Grid::from_tidy(&grid.to_tidy()).unwrap(), grid);
        let means = Query { statistics: vec![Statistic::Mean], ..layer_by_source() };
        let grid = aggregate(&parse(TWO_SEEDS), &means).unwrap();
        assert_eq!(Grid::from_tidy(&grid.to_tidy()).unwrap(), grid);
        let gathered = Grid::from_tidy(&parse(TWO_SEEDS)).unwrap_err();
        assert_snapshot!(format!("{gathered}\n{}", gathered.hint().unwrap()), @r"
        the table has gathered rows, not aggregated ones: its columns are seed, model, layer, source, epoch, draw, split, metric, value
        give the aggregate stage 'rows: layer', 'columns' and 'value'
        ");
    }

    #[test]
    fn rows_of_several_columns_stay_together() {
        let rows = "\
0,a,fullmodel,reinit,0,,test,error,0.1
0,a,stem,reinit,0,,test,error,0.2
1,b,stem,reinit,0,,test,error,0.3
1,b,block,reinit,0,,test,error,0.3
1,b,fullmodel,reinit,0,,test,error,0.3
";
        let query = Query { rows: words(&["model", "layer"]), ..layer_by_source() };
        let grid = aggregate(&parse(rows), &query).unwrap();
        let rows: Vec<_> = grid.rows.iter().map(|row| row.join(" ")).collect();
        assert_eq!(rows, ["a stem", "a fullmodel", "b stem", "b block", "b fullmodel"]);
    }

    #[test]
    fn conditions_select() {
        let take = |condition| aggregate(&parse(TWO_SEEDS), &only("epoch", condition)).unwrap();
        assert_eq!(take(Condition::In(words(&["0", "100"]))).columns, ["0", "100"]);
        assert_eq!(take(Condition::NotIn(words(&["0", "100"]))).columns, ["rerand"]);
    }

    #[test]
    fn equal_rows_count_once_and_unequal_ones_contradict() {
        let row = "0,fcn,layer1,reinit,0,,test,error,0.377\n";
        let twice = csv(&parse(&format!("{row}{row}")), &layer_by_source());
        assert_eq!(twice, csv(&parse(row), &layer_by_source()));
        let other = "0,fcn,layer1,reinit,0,,test,error,0.5\n";
        assert_snapshot!(complaint(&format!("{row}{other}"), &layer_by_source()), @r"
        two values for one measurement: 0.377 and 0.5 at seed=0, model=fcn, layer=layer1, source=0, epoch=0, split=test, metric=error
        gather each measurement from one stage only
        ");
    }

    #[test]
    fn no_silent_average() {
        let splits = TWO_SEEDS.to_owned() + "0,fcn,layer1,reinit,0,,train,error,0.1\n";
        assert_snapshot!(complaint(&splits, &layer_by_source()), @r"
        the column 'split' varies within layer=layer1, source=0: 'test', 'train'
        add 'split' to 'rows' or 'over', make it the 'columns', or choose with 'where: { split: test }'
        ");
        let over_draws = Query { over: words(&["draw"]), ..layer_by_source() };
        assert_snapshot!(complaint(TWO_SEEDS, &over_draws), @r"
        the column 'seed' varies within layer=layer1, source=rerand: '0', '1'
        add 'seed' to 'rows' or 'over', make it the 'columns', or choose with 'where: { seed: 0 }'
        ");
    }

    #[test]
    fn names_and_values_must_exist() {
        let rows = Query { rows: words(&["layers"]), ..layer_by_source() };
        assert_snapshot!(complaint(TWO_SEEDS, &rows), @r"
        there is no column 'layers'
        did you mean 'layer'?
        ");
        let metric = Query { value: "acuracy".into(), ..layer_by_source() };
        assert_snapshot!(complaint(TWO_SEEDS, &metric), @r"
        no row has the metric 'acuracy'
        use one of 'error', 'loss'
        ");
        assert_snapshot!(complaint(TWO_SEEDS, &only("layer", Condition::NotIn(words(&["layr1"])))), @r"
        no row has the layer 'layr1'
        did you mean 'layer1'?
        ");
        assert_snapshot!(complaint(TWO_SEEDS, &only("metric", Condition::In(words(&["loss"])))), @r"
        no row is left after selection
        loosen 'where'
        ");
        let epochs = Query { columns: "epoch".into(), ..layer_by_source() };
        assert_snapshot!(complaint(TWO_SEEDS, &epochs), @r"
        the column 'epoch' is empty in some of the rows, so it cannot name a row or a column
        use 'source', which is the epoch or 'rerand', or leave such rows out with 'where'
        ");
        assert_snapshot!(complaint("0,fcn,layer1,reinit,0,,test,error,x\n", &layer_by_source()), @"'x' in the column 'value' is no number");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn order_of_files_does_not_matter(values in prop::collection::vec(0.0..1.0_f64, 8), turn in 0..4_usize) {
            let file = |seed: usize| {
                let row = |layer| format!("layer{layer},reinit,0,error,{}\n", values[2 * seed + layer]);
                let text = format!("layer,source,epoch,metric,value\n{}{}", row(0), row(1));
                (BTreeMap::from([("seed".to_owned(), seed.to_string())]), text)
            };
            let files: Vec<_> = (0..4).map(file).collect();
            let mut turned = files.clone();
            turned.rotate_left(turn);
            let result = |files| csv(&tidy::tests::gathered(files).unwrap(), &layer_by_source());
            prop_assert_eq!(result(&files), result(&turned));
        }
    }
}
