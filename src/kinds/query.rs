//! `query`: a table from rows, by SQL.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::fsx;
use crate::kinds::{TABLE, rows};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};
use crate::table::sql;

/// Parameters of `query`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// A query over the tables under `needs`. What it yields is the table; its rows are sorted by their cells where the query gives no order.
    sql: String,
}

impl Stage for Query {
    const KIND: &'static str = "query";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "make a table of rows, by SQL";
    const SLOTS: &'static [Slot] = &[];
    const OPEN: Option<Slot> = Some(rows::SLOT);
    const OUTPUT: ArtifactType = TABLE;
    const LOCAL: bool = true;
    const PUBLISHED: bool = true;

    fn check(&self) -> Result<(), ParameterError> {
        rows::check(&self.sql)
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        let answer = sql::ask(&rows::tables(inputs)?, &self.sql).map_err(|error| {
            let (hint, place) = (error.hint.clone(), error.place);
            StageError::of_parameter(error, hint, "sql", place)
        })?;
        Ok(fsx::write_atomic(&context.out.join("table.csv"), &answer.to_tidy().to_csv())?)
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use crate::kinds::testing::{artifact, read, run};

    const ROWS: &str = "layer,epoch,value\nlayer10,0,0.5\nlayer2,0,0.25\nlayer2,1,\nlayer10,1,0.1\n";

    fn asked(sql: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let inputs = ["0", "1"].map(|seed| ("probes", artifact(folder.path(), "probes.csv", seed, ROWS)));
        run("query", &json!({ "sql": sql }), &inputs).map(|(_kept, output)| read(&output, "table.csv"))
    }

    #[test]
    fn rows_are_sorted_unless_the_query_orders_them() {
        let sql = "SELECT layer, SUM(value) / 3 AS third, COUNT(DISTINCT seed) > 1 AS twice, MAX(CASE WHEN epoch = 1 THEN value END) AS later \
                   FROM probes GROUP BY layer";
        assert_snapshot!(asked(sql).unwrap(), @r"
        layer,third,twice,later
        layer2,0.166666667,true,
        layer10,0.4,true,0.1
        ");
        let ordered = asked(&format!("{sql} ORDER BY layer")).unwrap();
        assert!(ordered.lines().nth(1).unwrap().starts_with("layer10"), "{ordered}");
    }

    #[test]
    fn what_depends_on_chance_is_refused() {
        assert_snapshot!(asked("SELECT layer FROM probes LIMIT 1").unwrap_err(), @r"
        sql: which rows LIMIT leaves depends on chance, as they have no order
        add 'ORDER BY …'
        ");
        assert_snapshot!(asked("SELECT layr FROM probes").unwrap_err(), @r"
        no table has a column 'layr'
        did you mean 'layer'?
        ");
    }
}
