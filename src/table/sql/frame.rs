//! Tidy rows, which are text, with the types that a query wants.

use polars::prelude::*;

use crate::table::tidy::Tidy;

/// Whole numbers where all cells of a column are some, else numbers, else text. An empty cell is `NULL`.
pub(in crate::table) fn typed(table: &Tidy) -> PolarsResult<DataFrame> {
    let column = |(at, name): (usize, &String)| {
        let cells: Vec<Option<&str>> =
            table.rows.iter().map(|row| Some(row[at].as_str()).filter(|cell| !cell.is_empty())).collect();
        let name = PlSmallStr::from_str(name);
        if let Some(numbers) = all(&cells, |cell| cell.parse::<i64>().ok()) {
            Column::new(name, numbers)
        } else if let Some(numbers) = all(&cells, |cell| cell.parse::<f64>().ok()) {
            Column::new(name, numbers)
        } else {
            Column::new(name, cells)
        }
    };
    DataFrame::new(table.rows.len(), table.columns.iter().enumerate().map(column).collect())
}

/// What every cell is read as; `None` if one cannot be.
fn all<T>(cells: &[Option<&str>], read: impl Fn(&str) -> Option<T>) -> Option<Vec<Option<T>>> {
    cells.iter().map(|cell| cell.map_or(Some(None), |cell| read(cell).map(Some))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_the_narrowest_type() {
        let table = Tidy::parse(b"layer,epoch,draw,value\nlayer1,0,,0.5\nlayer2,,,1\n").unwrap();
        let frame = typed(&table).unwrap();
        let types = frame.dtypes();
        assert_eq!(types, [DataType::String, DataType::Int64, DataType::Int64, DataType::Float64]);
        assert_eq!(frame.column("epoch").unwrap().null_count(), 1);
    }
}
