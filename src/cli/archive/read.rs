//! `layerwise archive verify`, `list`, `diff`, `import`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::archive::{self, Holdings, Holds, Imported};
use crate::base::fsx;
use crate::base::signature::Trusted;
use crate::cli::archive::{Bar, badge, open};
use crate::cli::diff;
use crate::cli::failure::Failure;
use crate::cli::page::{self, outln};
use crate::cli::project;
use crate::cli::sides::Side;
use crate::cli::sign::Trust;
use crate::store::Store;

/// Arguments of `archive verify`.
#[derive(Args)]
pub(super) struct Verify {
    /// The archive
    file: PathBuf,
    /// Fail unless this is its identity, as its author says
    #[arg(long, value_name = "HEX")]
    identity: Option<String>,
    #[command(flatten)]
    trust: Trust,
    /// Print the identity as a line of Markdown, for a README
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Write JSON to stdout
    #[arg(long)]
    json: bool,
}

/// Arguments of `archive list`.
#[derive(Args)]
pub(super) struct List {
    /// The archive
    file: PathBuf,
    /// Write JSON to stdout
    #[arg(long)]
    json: bool,
}

/// Arguments of `archive diff`.
#[derive(Args)]
pub(super) struct Diff {
    /// The first archive
    before: PathBuf,
    /// The second one
    after: PathBuf,
    /// End with code 1 if there is a difference
    #[arg(long)]
    exit_code: bool,
    /// Write JSON to stdout
    #[arg(long)]
    json: bool,
}

/// Arguments of `archive import`.
#[derive(Args)]
pub(super) struct Import {
    /// The archive
    file: PathBuf,
    #[command(flatten)]
    trust: Trust,
    /// Where results and the store are [default: results/ of the project]
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Write JSON to stdout
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let trusted = self.trust.open()?;
        let holdings = open(&self.file, trusted.as_ref())?;
        let identity = holdings.identity.to_string();
        if let Some(expected) = self.identity.filter(|expected| *expected != identity) {
            return Err(Failure::Wrong {
                message: format!("the identity of '{}' is {identity}, not {expected}", self.file.display()),
                hint: "ask its author which of the two it is".to_owned(),
            });
        }
        if self.json {
            return page::print_json(&summary(&holdings, trusted.as_ref()));
        }
        eprintln!("{}", sentence(&holdings, trusted.as_ref()));
        if self.markdown {
            outln!("{}", badge(&self.file, &holdings.lock.pipeline, &identity))
        } else {
            outln!("{identity}")
        }
    }
}

impl List {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let holdings = open(&self.file, None)?;
        if self.json {
            let mut value = summary(&holdings, None);
            let files = holdings.files.iter().map(|(path, sums)| {
                json!({ "path": path, "bytes": sums.size, "sha256": sums.sha256.to_string(), "blake3": sums.blake3 })
            });
            value["files"] = files.collect();
            return page::print_json(&value);
        }
        let mut rows = vec![page::row(["stage", "kind", "files", "size", "here"])];
        for (stage, entry) in &holdings.lock.stages {
            let (record, _) = &holdings.records[&entry.key];
            let size = record.outputs.iter().map(|output| output.size).sum();
            let here = if holdings.whole.contains(&entry.key) { "yes" } else { "no" };
            let count = record.outputs.len().to_string();
            rows.push(page::row([stage, &entry.kind, &count, &page::size(size), here]));
        }
        page::print(format!("{}\n{}", sentence(&holdings, None), page::columns(&rows, "  ")))?;
        let is_other = |path: &&String| archive::project_file(path).is_some() || !path.starts_with("data/");
        let published = holdings.lock.published.keys().cloned();
        let others = holdings.files.keys().filter(is_other).cloned();
        outln!("published  {}", published.collect::<Vec<_>>().join(" "))?;
        outln!("beside     {}", others.collect::<Vec<_>>().join(" "))
    }
}

impl Diff {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let pair = [side(&self.before)?, side(&self.after)?];
        diff::tell_apart(&pair, &[], self.json, self.exit_code)
    }
}

impl Import {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let (results, trusted) = (project::results(self.results.as_deref()), self.trust.open()?);
        let trusted = trusted.as_ref();
        let store = results.join("store");
        let imported = if fsx::is_dir(&store) {
            self.import(&store, trusted)?
        } else {
            self.import_new(&results, &store, trusted)?
        };
        let (new, known) = (imported.new, imported.known);
        if self.json {
            let mut value = summary(&imported.holdings, trusted);
            value["new"] = json!(new);
            value["known"] = json!(known);
            return page::print_json(&value);
        }
        eprintln!("{}", sentence(&imported.holdings, trusted));
        outln!("{} imported, {known} known already", page::count(new, "result"))
    }
}

impl Import {
    fn import(&self, store: &Path, trusted: Option<&Trusted>) -> Result<Imported, Failure> {
        let (store, bar) = (Store::open(store)?, Bar::new("read"));
        Ok(archive::import(&self.file, &store, trusted, &|done, total| bar.tell(done, total))?)
    }

    /// Makes a store under another name, which is there under its own when all is in it: what is no archive makes no store.
    fn import_new(
        &self,
        results: &Path,
        store: &Path,
        trusted: Option<&Trusted>,
    ) -> Result<Imported, Failure> {
        let has_results = fsx::is_dir(results);
        let temporary = results.join(format!(".store.{}.tmp", std::process::id()));
        fsx::clear_dir(&temporary)?;
        let imported = self.import(&temporary, trusted).and_then(|imported| {
            // Somebody else may have made one meanwhile.
            if fsx::rename_new(&temporary, store) { Ok(imported) } else { self.import(store, trusted) }
        });
        if fsx::is_dir(&temporary) {
            fsx::remove_dir_all(&temporary)?;
        }
        if imported.is_ok() {
            fsx::sync_dir(results)?;
        } else if !has_results {
            fsx::remove_empty_dir(results)?;
        }
        imported
    }
}

fn sentence(holdings: &Holdings, trusted: Option<&Trusted>) -> String {
    let (bytes, files) = holdings.size();
    let holds = match holdings.description.holds {
        Holds::Everything => "everything",
        Holds::WithoutData => "without data",
        Holds::Tables => "tables only",
    };
    let stages = page::count(holdings.lock.stages.len(), "stage");
    let (pipeline, files) = (&holdings.lock.pipeline, page::count(files, "file"));
    let signer = trusted.and_then(|trusted| holdings.signer(trusted).ok());
    let signed = signer.map_or_else(String::new, |key| format!(", and signed by the trusted key {key}"));
    format!("{pipeline}: {stages}, {files}, {}, {holds}; all bytes are right{signed}", page::size(bytes))
}

fn summary(holdings: &Holdings, trusted: Option<&Trusted>) -> serde_json::Value {
    let (bytes, files) = holdings.size();
    json!({
        "identity": holdings.identity.to_string(), "description": holdings.description,
        "stages": holdings.lock.stages.len(), "whole": holdings.whole.len(), "count": files, "bytes": bytes,
        "signed": trusted.and_then(|trusted| holdings.signer(trusted).ok()),
    })
}

fn side(file: &Path) -> Result<Side, Failure> {
    let holdings = open(file, None)?;
    let fields: BTreeMap<_, _> =
        holdings.records.into_iter().map(|(key, (record, _))| (key, record.fields)).collect();
    let title = format!("{} ({})", file.display(), &holdings.identity.to_string()[..12]);
    Ok(Side { title, lock: holdings.lock, folder: PathBuf::new(), store: None, fields })
}
