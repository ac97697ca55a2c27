//! Tidy rows as Parquet, for who reads them with pandas or polars: typed columns, in a build that has the feature `parquet`.
//!
//! No stage writes it: the writer's version is in the file, so its bytes would change with polars.

use crate::table::tidy::Tidy;

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum ParquetError {
    /// This build cannot.
    #[error("this build of layerwise writes no Parquet")]
    NotBuilt,
    /// What polars said.
    #[error("polars: {0}")]
    Polars(#[from] polars::prelude::PolarsError),
}

impl ParquetError {
    /// What to do: begins with a verb.
    pub fn hint(&self) -> Option<String> {
        let build = "build it with 'cargo build --features parquet', or read the CSV: polars.read_csv, pandas.read_csv";
        matches!(self, Self::NotBuilt).then(|| build.to_owned())
    }
}

/// The bytes of a file with these rows: whole numbers, numbers and text as SQL queries see them, an empty cell as null.
#[cfg(feature = "parquet")]
pub fn bytes(table: &Tidy) -> Result<Vec<u8>, ParquetError> {
    let mut bytes = Vec::new();
    polars::prelude::ParquetWriter::new(&mut bytes).finish(&mut super::sql::frame::typed(table)?)?;
    Ok(bytes)
}

/// The bytes of a file with these rows, in another build.
#[cfg(not(feature = "parquet"))]
pub fn bytes(_: &Tidy) -> Result<Vec<u8>, ParquetError> {
    Err(ParquetError::NotBuilt)
}

#[cfg(all(test, feature = "parquet"))]
mod tests {
    use polars::prelude::*;

    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let table = Tidy::parse(b"layer,epoch,value\nlayer1,0,0.5\nlayer2,,1\n").unwrap();
        let read = ParquetReader::new(std::io::Cursor::new(bytes(&table).unwrap())).finish().unwrap();
        assert_eq!(read.dtypes(), [DataType::String, DataType::Int64, DataType::Float64]);
        assert_eq!(read.column("epoch").unwrap().null_count(), 1);
        assert_eq!(read.column("value").unwrap().f64().unwrap().sum(), Some(1.5));
    }
}
