//! `layerwise reproduce`: an archive's pipeline from nothing, in a folder of its own, and what became of every stage.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::archive::{self, Holdings};
use crate::base::{fsx, name};
use crate::cli::failure::Failure;
use crate::cli::nearness::{Verdict, judge};
use crate::cli::page::{self, outln};
use crate::cli::progress::{self, Bar};
use crate::cli::project::{self, Project};
use crate::cli::sign::Trust;
use crate::cli::{machine, run, signals};
use crate::engine::{self, Outcome, Plan, Settings, Wish};
use crate::pipeline::{Keyed, Override, Variation, target};
use crate::store::{Digests, Store};

/// Arguments of `reproduce`.
#[derive(Args)]
pub(super) struct Reproduce {
    /// The archive
    file: PathBuf,
    /// Take the archive's results of what comes before these stages, as in probe or 'fit[seed=0]'
    #[arg(long, value_name = "STAGE")]
    from: Vec<String>,
    #[command(flatten)]
    trust: Trust,
    /// Where to do it: a folder that is not there yet [default: <pipeline>-reproduced]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// By how much a number in a table may be another
    #[arg(long, value_name = "SIZE", default_value_t = 0.01)]
    tolerance: f64,
    /// Write JSON to stdout
    #[arg(long)]
    json: bool,
}

impl Reproduce {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let (folder, holdings) = self.unpack()?;
        let place = |name: &str| folder.join("archived").join(name);
        let project = open(&folder, &holdings)?;
        let wish = self.wish(&project)?;
        let plan = Plan::new(&project.keyed, &project.store, &wish)?;
        let cancelled = signals::catch();
        let data = place("data");
        let settings = Settings {
            root: &project.root,
            local: fsx::is_dir(&data).then_some(data.as_path()),
            capacity: machine::capacity(),
            keep_going: false,
            cancelled: &cancelled,
            provenance: run::provenance(),
        };
        let mut observer = progress::observer(false);
        let outcomes = engine::run(&project.keyed, &plan, &project.store, &settings, &mut *observer)?;
        drop(observer);
        let outcomes = run::check(&project, outcomes, &folder.join(&holdings.description.file))?;
        self.report(&project, &outcomes, &holdings, &folder)
    }

    /// Lays the archive out in a new folder, which is removed again if the archive is not right.
    fn unpack(&self) -> Result<(PathBuf, Holdings), Failure> {
        let trusted = self.trust.open()?;
        // What it is called is known when all of it was read.
        let beside = self.into.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let folder = beside.join(format!(".reproduce.{}.tmp", std::process::id()));
        fsx::clear_dir(&folder)?;
        let bar = Bar::new("read");
        let place = |path: &str| match archive::project_file(path) {
            Some(name) => Some(folder.join(name)),
            None => archive::object_of(path).map(|object| archived(&folder, &object.to_string())),
        };
        let read = archive::read(&self.file, trusted.as_ref(), &place, &|done, total| bar.tell(done, total));
        let settled = read.map_err(Failure::from).and_then(|holdings| {
            let named = || PathBuf::from(format!("{}-reproduced", holdings.lock.pipeline));
            let target = self.into.clone().unwrap_or_else(named);
            link_data(&holdings, &folder)?;
            settle(&folder, &target, &holdings)?;
            Ok((target, holdings))
        });
        // Unless it has its name by now.
        if fsx::is_dir(&folder) {
            fsx::remove_dir_all(&folder)?;
        }
        settled
    }

    /// Everything, or what `--from` names and all that is made from it, on top of the archive's results.
    fn wish(&self, project: &Project) -> Result<Wish, Failure> {
        if self.from.is_empty() {
            return Ok(Wish { targets: Vec::new(), force: Vec::new() });
        }
        let again = with_users(&project.keyed, target::select(&project.keyed, &self.from)?);
        archive::import(&self.file, &project.store, self.trust.open()?.as_ref(), &|_, _| {})?;
        let nodes = project.keyed.nodes.iter().zip(again).filter(|(_, is_again)| *is_again);
        Ok(Wish { targets: Vec::new(), force: nodes.map(|(node, _)| node.node.to_string()).collect() })
    }

    fn report(
        &self,
        project: &Project,
        outcomes: &[Option<Outcome>],
        holdings: &Holdings,
        folder: &Path,
    ) -> Result<(), Failure> {
        let old = |object: &str| archived(folder, object);
        let verdicts = judge(project, outcomes, holdings, &old, self.tolerance);
        let mut rows = Vec::new();
        for (stage, verdict) in &verdicts {
            rows.push(page::row([stage, &verdict.to_string()]));
            if self.json {
                outln!(
                    "{}",
                    json!({ "stage": stage, "verdict": verdict.word(), "detail": verdict.to_string() })
                )?;
            }
        }
        if !self.json {
            page::print(page::columns(&rows, ""))?;
        }
        let is_different = |(_, verdict): &&(String, Verdict)| matches!(verdict, Verdict::Different { .. });
        fsx::remove_file(&folder.join(UNFINISHED))?;
        let different: Vec<_> =
            verdicts.iter().filter(is_different).map(|(stage, _)| stage.as_str()).collect();
        if different.is_empty() {
            eprintln!("reproduced in '{}'", folder.display());
            return Ok(());
        }
        let message = format!("not reproduced: {}", different.join(", "));
        let hint = format!("compare the files in '{}' with those below 'results' there", old("").display());
        Err(Failure::Wrong { message, hint })
    }
}

/// Gives the folder its name. One of that name that an interrupted attempt at the same archive left is gone on with.
fn settle(folder: &Path, target: &Path, holdings: &Holdings) -> Result<(), Failure> {
    let identity = holdings.identity.to_string();
    if fsx::read_to_string(&target.join(UNFINISHED)).is_ok_and(|begun| begun == identity) {
        return Ok(());
    }
    if fsx::link_metadata(target).is_ok() {
        return Err(Failure::Input {
            message: format!("'{}' is there already", target.display()),
            hint: "choose a folder that is not there yet, with '--into DIR'".to_owned(),
        });
    }
    fsx::write_atomic(&folder.join(UNFINISHED), identity.as_bytes())?;
    Ok(fsx::rename(folder, target)?)
}

/// In the folder until all stages are judged: the identity of the archive.
const UNFINISHED: &str = "archived/unfinished";

/// Where an object of the archive is laid.
fn archived(folder: &Path, object: &str) -> PathBuf {
    folder.join("archived").join("objects").join(object)
}

/// Datasets are not fetched again if the archive has them: they lie where published files of a user would.
fn link_data(holdings: &Holdings, folder: &Path) -> Result<(), Failure> {
    for (record, _) in holdings.records.values() {
        let Some(dataset) = record.fields.parameters["dataset"]["name"].as_str() else { continue };
        if name::problem(dataset).is_some() {
            continue;
        }
        for output in record.outputs.iter().filter(|output| holdings.object(output).is_some()) {
            let to = folder.join("archived/data").join(dataset).join(&output.name);
            fsx::create_dir_all(to.parent().unwrap_or(folder))?;
            fsx::link_or_copy(&archived(folder, &output.digest.to_string()), &to)?;
        }
    }
    Ok(())
}

/// Opens the pipeline as it was when it was archived, with an empty store.
fn open(folder: &Path, holdings: &Holdings) -> Result<Project, Failure> {
    let description = &holdings.description;
    let set =
        description.set.iter().map(|(name, value)| Override { name: name.clone(), value: value.clone() });
    let variation = Variation { scale: description.scale.clone(), overrides: set.collect() };
    let results = folder.join("results");
    let digests = Digests::new(&results.join("store"));
    let keyed =
        project::load(&folder.join(&description.file), &variation, &|path| digests.of(&folder.join(path)))?;
    let store = Store::open(&results.join("store"))?;
    Ok(Project { root: folder.to_owned(), results: results.join(&keyed.pipeline), store, keyed })
}

/// Marks the nodes that need marked ones too.
fn with_users(keyed: &Keyed, mut marked: Vec<bool>) -> Vec<bool> {
    for (place, node) in keyed.nodes.iter().enumerate() {
        let mut inputs = node.node.inputs.iter().flat_map(|(_, sources)| sources).chain(&node.inputs);
        marked[place] |= inputs.any(|source| marked[*source]);
    }
    marked
}
