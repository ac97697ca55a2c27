//! `layerwise verify`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::base::digest::Digest;
use crate::cli::failure::Failure;
use crate::cli::page::{count, outln, size};
use crate::cli::progress::Bar;
use crate::cli::project::{self, Project};
use crate::cli::sign::{self, Trust};
use crate::cli::{Target, Vary, machine, progress, signals};
use crate::engine::audit::{self, Finding, Report, Signer};
use crate::engine::{self, Capacity, Differing, Settings};
use crate::pipeline::target;
use crate::store::{Provenance, Store, Trouble};

/// Arguments of `verify`.
#[derive(Args)]
pub(super) struct Verify {
    /// Only the lock of this pipeline: its name, its file, or its folder of results; with '--rerun', its file
    pipeline: Option<PathBuf>,
    /// With '--rerun': the stages to do again, as in fit, 'fit[seed=0]' or 'fig*'
    #[arg(requires = "rerun")]
    stages: Vec<String>,
    /// Do stages again, beside the store, and compare the bytes
    #[arg(long, requires_all = ["pipeline", "stages"], conflicts_with_all = ["repair", "keys"])]
    rerun: bool,
    /// Move damaged objects aside and remove unreadable records, so that the next run makes them anew
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    vary: Vary,
    /// Where results and the store are [default: results/ of the project]
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Write JSON to stdout
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn execute(self) -> Result<(), Failure> {
        if self.rerun { self.rerun() } else { self.audit() }
    }

    fn audit(self) -> Result<(), Failure> {
        let trusted = self.trust.open()?;
        let results = project::results(self.results.as_deref());
        let locks = project::locks(&results, self.pipeline.as_deref())?;
        // A lock without a store still says what the published files are.
        let has_nothing = locks.is_empty();
        if has_nothing && trusted.is_some() {
            return Err(sign::no_lock(&results));
        }
        let store =
            if has_nothing { project::open_store(&results)? } else { Store::open(&results.join("store"))? };
        let bar = Bar::new("hashed");
        let mut report = audit::audit(&store, &locks, &|done, total| bar.tell(done, total))?;
        drop(bar);
        let mut signed = Vec::new();
        for (folder, lock) in &locks {
            match audit::signer(folder, lock, trusted.as_ref())? {
                Signer::Trusted(key) => signed.push((lock.pipeline.clone(), key)),
                Signer::Wrong(finding) => report.findings.push(finding),
                Signer::Unknown => {}
            }
        }
        for finding in &report.findings {
            if self.json {
                outln!("{}", json(finding))?;
            } else {
                outln!("{finding}")?;
            }
        }
        if self.repair {
            store.repair(&report.store)?;
        }
        self.sum_up(&report, locks.len(), &signed)?;
        self.verdict(&report.findings)
    }

    fn sum_up(&self, report: &Report, locks: usize, signed: &[(String, String)]) -> Result<(), Failure> {
        let (objects, bytes, records) =
            (report.store.objects, report.store.bytes, report.store.records.len());
        if self.json {
            let (wrong, signed) = (report.findings.len(), signed.iter().cloned().collect::<BTreeMap<_, _>>());
            return outln!(
                "{}",
                json!({ "objects": objects, "bytes": bytes, "records": records, "locks": locks, "signed": signed, "absent": report.absent, "wrong": wrong })
            );
        }
        outln!(
            "{} ({}), {}, {}",
            count(objects, "object"),
            size(bytes),
            count(records as u64, "record"),
            count(locks as u64, "lock")
        )?;
        for (pipeline, key) in signed {
            outln!("{pipeline} is signed by the trusted key {key}")?;
        }
        for absent in &report.absent {
            outln!("{absent}")?;
        }
        Ok(())
    }

    fn verdict(&self, findings: &[Finding]) -> Result<(), Failure> {
        if findings.is_empty() {
            return Ok(());
        }
        let is_repairable = |finding: &Finding| {
            let trouble =
                matches!(finding, Finding::Store { trouble, .. } if !matches!(trouble, Trouble::Missing(_)));
            trouble && !self.repair
        };
        let is_of_signature =
            |finding: &Finding| matches!(finding, Finding::NotSigned { .. } | Finding::Signature { .. });
        let hint = if findings.iter().all(is_of_signature) {
            sign::HINT
        } else if findings.iter().any(is_repairable) {
            "repair the store with '--repair', then run the pipeline again"
        } else {
            "run the pipeline again: it makes what is not right"
        };
        let message = format!("found {}", count(findings.len() as u64, "fault"));
        Err(Failure::Wrong { message, hint: hint.to_owned() })
    }

    fn rerun(self) -> Result<(), Failure> {
        let wish = Target {
            pipeline: self.pipeline.unwrap_or_default(),
            stages: self.stages,
            vary: self.vary,
            results: self.results,
            json: self.json,
        };
        let project = Project::open(&wish)?;
        let selected = target::select(&project.keyed, &wish.stages)?;
        let (local, cancelled) = (machine::local_data()?, signals::catch());
        let capacity = Capacity { jobs: 1, ..machine::capacity() };
        let settings = Settings {
            root: &project.root,
            local: local.as_deref(),
            capacity,
            keep_going: false,
            cancelled: &cancelled,
            provenance: Provenance::default(),
        };
        let mut different = Vec::new();
        for (place, node) in project.keyed.nodes.iter().enumerate().filter(|(place, _)| selected[*place]) {
            let name = node.node.to_string();
            let mut observer = progress::observer(false);
            let files = engine::rerun(&project.keyed, place, &project.store, &settings, &mut *observer)?;
            drop(observer);
            tell(&name, &files, wish.json)?;
            if !files.is_empty() {
                different.push(name);
            }
        }
        if different.is_empty() {
            return Ok(());
        }
        let message = format!("made again with other bytes: {}", different.join(", "));
        let hint = "look for a clock, a random number, or a file that the stage reads and does not declare";
        Err(Failure::Wrong { message, hint: hint.to_owned() })
    }
}

/// What became of a stage that was done again.
fn tell(stage: &str, files: &[Differing], json: bool) -> Result<(), Failure> {
    if json {
        let files: Vec<_> = files
            .iter()
            .map(|file| json!({ "name": file.name, "kept": file.kept, "again": file.again }))
            .collect();
        outln!("{}", json!({ "stage": stage, "identical": files.is_empty(), "differing": files }))?;
    } else if files.is_empty() {
        outln!("{stage}: identical")?;
    } else {
        let word = |digest: Option<Digest>| digest.map_or("nothing".to_owned(), |digest| digest.short());
        for file in files {
            outln!("{stage}: {} was {}, is now {}", file.name, word(file.kept), word(file.again))?;
        }
    }
    Ok(())
}

fn json(finding: &Finding) -> serde_json::Value {
    let text = finding.to_string();
    match finding {
        Finding::Store { trouble, stages } => {
            let (what, of) = match trouble {
                Trouble::Damaged(digest) => ("damaged", digest.to_string()),
                Trouble::Missing(digest) => ("missing", digest.to_string()),
                Trouble::Unreadable(path) => ("unreadable", path.display().to_string()),
            };
            json!({ "finding": what, "of": of, "stages": stages, "text": text })
        }
        Finding::NoRecord { stage } => json!({ "finding": "no record", "stages": [stage], "text": text }),
        Finding::OtherOutputs { stage } => {
            json!({ "finding": "other outputs", "stages": [stage], "text": text })
        }
        Finding::Edited { path } => json!({ "finding": "edited", "of": path, "text": text }),
        Finding::Gone { path } => json!({ "finding": "gone", "of": path, "text": text }),
        Finding::NotSigned { path } => json!({ "finding": "not signed", "of": path, "text": text }),
        Finding::Signature { path, .. } => json!({ "finding": "signature", "of": path, "text": text }),
    }
}
