//! What the queue says of the jobs of a pipeline: for `status`.

use std::collections::BTreeMap;

use crate::base::fsx;
use crate::cli::cluster::{folder, job_name};
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::slurm::client;
use crate::slurm::text::{Row, State};
use crate::slurm::{Attempt, Folder};
use crate::stage::StageKey;

/// The jobs under way of a pipeline.
pub(in crate::cli) struct Jobs {
    folder: Folder,
    /// What the queue shows, by array; `None` if it gave no answer.
    rows: Option<BTreeMap<u64, Vec<Row>>>,
}

impl Jobs {
    /// Asks the queue, if anything was submitted.
    pub(in crate::cli) fn ask(project: &Project) -> Result<Option<Self>, Failure> {
        let folder = folder(project)?;
        let is_any =
            folder.is_there() && project.keyed.nodes.iter().any(|node| folder.under_way(node.key).is_some());
        if !is_any {
            return Ok(None);
        }
        let name = job_name(&project.keyed.pipeline, &project.store_folder())?;
        let rows = client::queue(&name).ok().map(|rows| {
            let mut by_job: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
            for row in rows {
                by_job.entry(row.job).or_default().push(row);
            }
            by_job
        });
        Ok(Some(Self { folder, rows }))
    }

    /// What is to be said of a node that has a job: its name, and a few words.
    pub(in crate::cli) fn say(&self, key: StageKey) -> Option<(String, String)> {
        let attempt = self.folder.under_way(key)?;
        let Some(job) = self.folder.job(&attempt.batch) else {
            return Some((attempt.batch, "submitted, and not answered yet".to_owned()));
        };
        let index = self.folder.job_index(&attempt);
        let name = format!("{job}_{index}");
        let words = match &self.rows {
            None => "submitted; the cluster does not answer".to_owned(),
            Some(rows) => match row(rows, job, index) {
                Some(row) if row.state == State::Pending => format!("in the queue ({})", row.reason),
                Some(row) if row.state == State::Running && self.has_begun(&attempt) => {
                    format!("running on {}", row.nodes)
                }
                // Of many, its turn comes later.
                Some(row) if row.state == State::Running => format!("in a job that runs on {}", row.nodes),
                Some(_) | None => "ended; 'layerwise run' takes notice".to_owned(),
            },
        };
        Some((name, words))
    }

    fn has_begun(&self, attempt: &Attempt) -> bool {
        fsx::size(&self.folder.file(attempt, "started")).is_some()
    }
}

fn row(rows: &BTreeMap<u64, Vec<Row>>, job: u64, index: u32) -> Option<&Row> {
    let has = |row: &&Row| row.indices.iter().any(|range| range.contains(&index));
    rows.get(&job)?.iter().find(has)
}

/// How many jobs wait or run.
pub(super) fn alive(rows: &[Row]) -> u64 {
    let alive = rows.iter().filter(|row| row.state.is_alive());
    alive.flat_map(|row| &row.indices).map(|range| u64::from(range.end() - range.start()) + 1).sum()
}
