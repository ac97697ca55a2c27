//! `layerwise report`: reads what a run came to, and has it written as a page.

mod pictures;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::cli::failure::Failure;
use crate::cli::page::{self, outln};
use crate::cli::project::{self, Project};
use crate::cli::reading::Place;
use crate::cli::{graph, reading};
use crate::engine::{Plan, Wish, lock};
use crate::figure::graph as drawing;
use crate::kinds::figure::{self, HeatmapOptions};
use crate::kinds::query::Query;
use crate::kinds::{self, claim};
use crate::nn::kernels;
use crate::pipeline::KeyedNode;
use crate::report::{self, Claim, Made, Panel};
use crate::stage::{ArtifactType, Stage};
use crate::store::Record;
use crate::table::grid::Grid;
use crate::table::tidy::Tidy;

/// Arguments of `report`.
#[derive(Args)]
pub(super) struct Report {
    /// The pipeline file
    pipeline: PathBuf,
    /// Write to this file [default: report.html in the folder of the results]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// The threshold where no comparison says another.
const THRESHOLD: f64 = 0.1;

impl Report {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let project = self.place.project(&self.pipeline)?;
        let results = Results::read(&project)?;
        if results.records.iter().all(Option::is_none) {
            return Err(Failure::Input {
                message: format!("nothing of '{}' was run yet", self.pipeline.display()),
                hint: format!("run it first: {}", self.command("run")),
            });
        }
        let text = report::page(&self.describe(&project, &results)?);
        let path = self.output.clone().unwrap_or_else(|| project.results.join("report.html"));
        fsx::write_atomic(&path, text.as_bytes())?;
        if self.place.json {
            return page::print_json(&json!({ "report": path, "bytes": text.len() }));
        }
        outln!("{} ({})", path.display(), page::size(text.len() as u64))
    }

    fn describe(&self, project: &Project, results: &Results<'_>) -> Result<report::Report, Failure> {
        let plan = Plan::new(&project.keyed, &project.store, &Wish::default())?;
        let wanted = vec![true; project.keyed.nodes.len()];
        let panels = results.panels()?;
        let mut pictures = results.charts()?;
        pictures.extend(pictures::learning(results)?);
        pictures.extend(pictures::scatters(&panels));
        let lock = fsx::read(&project.results.join(lock::FILE)).map(|bytes| Digest::of(&bytes).to_string());
        Ok(report::Report {
            pipeline: project.keyed.pipeline.clone(),
            about: project::about(&self.pipeline),
            claims: results.claims()?,
            panels,
            tables: results.tables()?,
            pictures,
            graph: drawing::svg(&graph::describe(project, &plan, &wanted, false)),
            stages: results.stages(),
            missing: results.missing(),
            facts: vec![
                ("layerwise", env!("CARGO_PKG_VERSION").to_owned()),
                ("numerics class of this machine", kernels::numerics_class()),
                ("BLAKE3 of lock.json", lock.unwrap_or_else(|_| "there is none".to_owned())),
            ],
            commands: vec![self.command("run"), self.command("report")],
        })
    }

    /// `layerwise run pipelines/fig3.yaml --scale day`.
    fn command(&self, name: &str) -> String {
        format!("layerwise {name} {}{}", self.pipeline.display(), self.place.spelled())
    }
}

/// The pipeline, and of each node the record, if it has one.
struct Results<'a> {
    project: &'a Project,
    records: Vec<Option<Record>>,
}

impl<'a> Results<'a> {
    fn read(project: &'a Project) -> Result<Self, Failure> {
        let nodes = project.keyed.nodes.iter();
        let records = nodes.map(|node| reading::record(&project.store, node.key));
        Ok(Self { project, records: records.collect::<Result<_, _>>()? })
    }

    /// The nodes with a result of a type, their places, and their records.
    fn of_type(&self, ty: ArtifactType) -> impl Iterator<Item = (usize, &'a KeyedNode, &Record)> {
        let nodes = self.project.keyed.nodes.iter().zip(&self.records).enumerate();
        nodes.filter_map(move |(place, (node, record))| {
            (node.node.work.kind().output == ty).then_some((place, node, record.as_ref()?))
        })
    }

    /// The bytes of an output of a node.
    fn output(&self, record: &Record, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self.project.store.files(&record.outputs).path(name) {
            Ok(path) => Ok(Some(fsx::read(path)?)),
            Err(_) => Ok(None),
        }
    }

    /// The nodes of a type that read what a node made, and their places.
    fn users(&self, place: usize, ty: ArtifactType) -> impl Iterator<Item = (usize, &'a KeyedNode, &Record)> {
        let reads =
            move |node: &KeyedNode| node.node.inputs.iter().any(|(_, places)| places.contains(&place));
        self.of_type(ty).filter(move |(_, node, _)| reads(node))
    }

    /// Whether the pipeline itself draws what a run's training was like.
    fn draws_training(&self, run: usize) -> bool {
        self.users(run, kinds::TABLE).any(|(table, ..)| self.users(table, kinds::FIGURE).next().is_some())
    }

    fn claims(&self) -> Result<Vec<Claim>, Failure> {
        let mut claims = Vec::new();
        for (_, node, record) in self.of_type(kinds::CLAIM) {
            let judged =
                self.output(record, claim::FILE)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let sql = node.node.work.parameters()["sql"].as_str().unwrap_or_default().to_owned();
            claims.extend(judged.map(|judged| Claim { name: node.node.to_string(), judged, sql }));
        }
        claims.sort_by_key(|claim| claim.judged.number.unwrap_or(u32::MAX));
        Ok(claims)
    }

    fn panels(&self) -> Result<Vec<Panel>, Failure> {
        let mut panels = Vec::new();
        for (place, node, record) in self.of_type(kinds::TABLE) {
            let path = self.project.store.files(&record.outputs);
            let Some(grid) = path.path("table.csv").ok().and_then(|path| Grid::read(path).ok()) else {
                continue;
            };
            let name = node.node.to_string();
            let title = self.users(place, kinds::FIGURE).find_map(|(_, user, _)| title(user));
            let mut panel = Panel {
                map: figure::heatmap(
                    &grid,
                    &HeatmapOptions {
                        title: title.unwrap_or_else(|| format!("{name}: {}", grid.metric)),
                        ..HeatmapOptions::default()
                    },
                ),
                name,
                published: Vec::new(),
                figure: String::new(),
                threshold: THRESHOLD,
                grid,
            };
            for (_, _, record) in self.users(place, kinds::COMPARISON) {
                let bytes = self.output(record, "comparison.json")?.unwrap_or_default();
                compare(&mut panel, &serde_json::from_slice(&bytes).unwrap_or_default());
            }
            panels.push(panel);
        }
        Ok(panels)
    }

    /// What queries yield.
    fn tables(&self) -> Result<Vec<(String, Tidy)>, Failure> {
        let mut tables = Vec::new();
        for (_, node, record) in self.of_type(kinds::TABLE) {
            let is_query = node.node.work.kind().name == Query::KIND;
            if let (true, Some(bytes)) = (is_query, self.output(record, "table.csv")?) {
                tables.extend(Tidy::parse(&bytes).ok().map(|table| (node.node.to_string(), table)));
            }
        }
        Ok(tables)
    }

    /// Figures that no panel shows.
    fn charts(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut charts = Vec::new();
        for (_, node, record) in self.of_type(kinds::FIGURE) {
            let is_heatmap = node.node.work.parameters().get("heatmap").is_some();
            if let (false, Some(svg)) = (is_heatmap, self.output(record, "figure.svg")?) {
                let title = title(node).unwrap_or_else(|| node.node.to_string());
                charts.push((title, String::from_utf8_lossy(&svg).into_owned()));
            }
        }
        Ok(charts)
    }

    fn stages(&self) -> Vec<Made> {
        let nodes = self.project.keyed.nodes.iter().zip(&self.records);
        let made = nodes.filter_map(|(node, record)| {
            let record = record.as_ref()?;
            let provenance = &record.provenance;
            let outputs = record.outputs.iter().map(|o| (o.name.clone(), o.digest.to_string()));
            let started = provenance.same_as.is_none().then(|| page::time(provenance.started));
            let revision = provenance.revision.replace(char::is_whitespace, "");
            let (commit, dirty) = revision.split_once('-').unwrap_or((&revision, ""));
            let commit = commit.get(..12).unwrap_or(commit);
            let revision = if dirty.is_empty() { commit.to_owned() } else { format!("{commit}-{dirty}") };
            Some(Made {
                name: node.node.to_string(),
                kind: node.node.work.kind().name,
                key: node.key.to_string(),
                outputs: outputs.collect(),
                seconds: provenance.seconds,
                started: started.unwrap_or_default(),
                host: format!("{}, {}", provenance.host, page::count(provenance.threads, "thread")),
                version: format!("{} {revision}", provenance.version).trim_end().to_owned(),
            })
        });
        made.collect()
    }

    fn missing(&self) -> Vec<String> {
        let nodes = self.project.keyed.nodes.iter().zip(&self.records);
        nodes.filter(|(_, record)| record.is_none()).map(|(node, _)| node.node.to_string()).collect()
    }
}

/// The title that a figure has; of whatever form.
fn title(node: &KeyedNode) -> Option<String> {
    let parameters = node.node.work.parameters();
    let form = parameters.as_object()?.values().next()?;
    form["title"].as_str().filter(|title| !title.is_empty()).map(str::to_owned)
}

/// Puts the published cells of a comparison where the grid has the same row and column.
fn compare(panel: &mut Panel, comparison: &Value) {
    let cells = comparison["cells"].as_array().map(Vec::as_slice).unwrap_or_default();
    let find = |row: &[String], column: &String| {
        let is_here = |cell: &&Value| cell["row"] == row.join(", ") && cell["column"] == *column;
        cells.iter().find(is_here).and_then(|cell| cell["published"].as_f64())
    };
    let grid = &panel.grid;
    let published: Vec<_> =
        grid.rows.iter().flat_map(|row| grid.columns.iter().map(move |column| find(row, column))).collect();
    // A table may stand beside several figures, each with some of its rows.
    if panel.published.is_empty() {
        panel.published = published;
        comparison["figure"].as_str().unwrap_or_default().clone_into(&mut panel.figure);
    } else {
        panel.published.iter_mut().zip(published).for_each(|(known, new)| *known = known.or(new));
        "published".clone_into(&mut panel.figure);
    }
    panel.threshold = comparison["classes"]["threshold"].as_f64().unwrap_or(panel.threshold);
    if panel.published.iter().all(Option::is_none) {
        panel.published.clear();
    }
}
