//! `layerwise du`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::base::digest::Digest;
use crate::cli::failure::Failure;
use crate::cli::page::{count, outln, size};
use crate::cli::{gc, project};
use crate::engine::Lock;
use crate::engine::audit::Absent;
use crate::stage::StageKey;
use crate::store::{Keep, Store};

/// Arguments of `du`.
#[derive(Args)]
pub(super) struct Du {
    /// Only the stages of this pipeline: its name, its file, or its folder of results
    pipeline: Option<PathBuf>,
    /// Where results and the store are [default: results/ of the project]
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Write JSON to stdout
    #[arg(long)]
    json: bool,
}

/// Objects with their sizes: what several share is counted once.
type Objects = BTreeMap<Digest, u64>;

impl Du {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let results = project::results(self.results.as_deref());
        let store = project::open_store(&results)?;
        let locks = project::locks(&results, self.pipeline.as_deref())?;
        let keys = store.summaries().iter().map(|summary| summary.key).collect();
        for (_, lock) in &locks {
            self.print_stages(lock, &store, &keys)?;
        }
        if self.pipeline.is_some() {
            return Ok(());
        }
        self.print_kinds(&store)?;
        let keep = Keep { unused_for: gc::days(gc::DAYS), ..Lock::keep(&locks, &store)? };
        let (usage, collectable) = (store.usage(), store.collectable(&keep)?);
        if self.json {
            return outln!("{}", json!({ "store": usage, "collectable": collectable }));
        }
        outln!("the store")?;
        let rows = [
            ("objects", usage.objects, "each once, however many stages share it"),
            ("records", usage.records, ""),
            ("parts", usage.parts, "training states and probes"),
            ("staging", usage.staging, "work in progress or interrupted"),
            ("quarantine", usage.quarantine, "damaged objects"),
            ("logs", usage.logs, ""),
            ("index", usage.index, ""),
            ("reclaimable", collectable.bytes, "by 'layerwise gc'"),
        ];
        for (word, bytes, note) in rows {
            outln!("{}", format!("  {word:<14} {:>10}  {note}", size(bytes)).trim_end())?;
        }
        Ok(())
    }

    /// A line for each stage of a lock, and one for all.
    fn print_stages(&self, lock: &Lock, store: &Store, keys: &BTreeSet<StageKey>) -> Result<(), Failure> {
        if let Some(absent) = Absent::of(lock, &|key| keys.contains(&key)) {
            return if self.json { outln!("{}", json!({ "absent": absent })) } else { outln!("{absent}\n") };
        }
        let width = lock.stages.keys().map(String::len).max().unwrap_or(0);
        let mut all = Objects::new();
        if !self.json {
            outln!("{}", lock.pipeline)?;
        }
        for (name, entry) in &lock.stages {
            let objects = objects(entry.outputs.values(), store);
            let bytes: u64 = objects.values().sum();
            if self.json {
                outln!(
                    "{}",
                    json!({ "pipeline": lock.pipeline, "stage": name, "kind": entry.kind, "bytes": bytes, "objects": objects.len() })
                )?;
            } else {
                outln!("  {name:<width$}  {:<10}  {:>10}", entry.kind, size(bytes))?;
            }
            all.extend(objects);
        }
        let bytes: u64 = all.values().sum();
        if self.json {
            outln!("{}", json!({ "pipeline": lock.pipeline, "bytes": bytes, "objects": all.len() }))
        } else {
            outln!("  {:<width$}  {:<10}  {:>10}  shared objects counted once\n", "all", "", size(bytes))
        }
    }

    /// A line for each kind, over all that is in the store.
    fn print_kinds(&self, store: &Store) -> Result<(), Failure> {
        let mut kinds: BTreeMap<String, (u64, Objects)> = BTreeMap::new();
        for summary in store.summaries() {
            let (results, all) = kinds.entry(summary.kind.clone()).or_default();
            *results += 1;
            all.extend(objects(summary.outputs.iter().map(|output| &output.digest), store));
        }
        if !self.json {
            outln!("by kind")?;
        }
        for (kind, (results, objects)) in kinds {
            let bytes: u64 = objects.values().sum();
            if self.json {
                outln!(
                    "{}",
                    json!({ "kind": kind, "results": results, "bytes": bytes, "objects": objects.len() })
                )?;
            } else {
                outln!("  {kind:<14} {:>10}  {}", size(bytes), count(results, "result"))?;
            }
        }
        if self.json { Ok(()) } else { outln!("") }
    }
}

/// Those that are there.
fn objects<'a>(digests: impl Iterator<Item = &'a Digest>, store: &Store) -> Objects {
    let digests: BTreeSet<_> = digests.copied().collect();
    let sized = |digest| Some((digest, crate::base::fsx::size(&store.object_path(digest))?));
    digests.into_iter().filter_map(sized).collect()
}
