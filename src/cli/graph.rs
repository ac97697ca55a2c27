//! `layerwise graph`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::base::fsx;
use crate::cli::failure::Failure;
use crate::cli::page;
use crate::cli::project::Project;
use crate::cli::reading::Place;
use crate::engine::{Plan, Wish};
use crate::figure::graph::{self, State, Unit};
use crate::pipeline::target;

/// Arguments of `graph`.
#[derive(Args)]
pub(super) struct Graph {
    /// The pipeline file
    pipeline: PathBuf,
    /// Only these stages and what they need, as in fit, 'fit[seed=0]' or 'fig*'
    stages: Vec<String>,
    /// How to write it [default: as the name of the file ends; mermaid on stdout]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// A box per stage, which is the default
    #[arg(long = "stages", conflicts_with = "nodes")]
    _by_stages: bool,
    /// A box per node: a stage at each place of its matrix
    #[arg(long)]
    nodes: bool,
    /// Write to this file, not to stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// A language for graphs.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For Markdown
    Mermaid,
    /// For Graphviz
    Dot,
    /// A picture
    Svg,
}

impl Graph {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let project = self.place.project(&self.pipeline)?;
        // Planned as a whole: a plan for some stages says nothing of the others.
        let plan = Plan::new(&project.keyed, &project.store, &Wish::default())?;
        let graph = describe(&project, &plan, &wanted(&project, &self.stages)?, self.nodes);
        let text = if self.place.json {
            format!("{:#}\n", to_json(&graph))
        } else {
            match self.format() {
                Format::Mermaid => graph::mermaid(&graph),
                Format::Dot => graph::dot(&graph),
                Format::Svg => graph::svg(&graph),
            }
        };
        match &self.output {
            Some(path) => Ok(fsx::write_atomic(path, text.as_bytes())?),
            None => page::print(text),
        }
    }

    /// What is asked for, or what the name of the file says.
    fn format(&self) -> Format {
        let ending = self.output.as_deref().and_then(Path::extension).and_then(OsStr::to_str);
        self.format.unwrap_or(match ending {
            Some("svg") => Format::Svg,
            Some("dot" | "gv") => Format::Dot,
            _ => Format::Mermaid,
        })
    }
}

/// The nodes that some names mean, and what they need; all if there is no name.
fn wanted(project: &Project, names: &[String]) -> Result<Vec<bool>, Failure> {
    let mut wanted = target::select(&project.keyed, names)?;
    for place in (0..wanted.len()).rev() {
        if wanted[place] {
            needs(project, place).for_each(|needed| wanted[needed] = true);
        }
    }
    Ok(wanted)
}

/// The places of the nodes that a node needs.
fn needs(project: &Project, place: usize) -> impl Iterator<Item = usize> {
    project.keyed.nodes[place].node.inputs.iter().flat_map(|(_, places)| places).copied()
}

pub(super) fn describe(project: &Project, plan: &Plan, wanted: &[bool], by_node: bool) -> graph::Graph {
    let nodes = &project.keyed.nodes;
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut group_of: BTreeMap<String, usize> = BTreeMap::new();
    let name = |place: usize| {
        let node = &nodes[place].node;
        if by_node { node.to_string() } else { node.stage.to_string() }
    };
    for place in (0..nodes.len()).filter(|place| wanted[*place]) {
        let group = *group_of.entry(name(place)).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(place);
    }
    let mut arrows = BTreeSet::new();
    for place in groups.iter().flatten() {
        for needed in needs(project, *place) {
            arrows.insert((group_of[&name(needed)], group_of[&name(*place)]));
        }
    }
    let unit = |group: &Vec<usize>| {
        let hits = group.iter().filter(|place| plan.statuses[**place].summary().is_some()).count();
        let kind = nodes[group[0]].node.work.kind().name;
        let (state, note) = match (hits, group.len()) {
            (hits, 1) => (if hits == 1 { State::Hit } else { State::Miss }, kind.to_owned()),
            (0, all) => (State::Miss, format!("{kind} · {all} nodes")),
            (hits, all) if hits == all => (State::Hit, format!("{kind} · {all} nodes")),
            (hits, all) => (State::Partly, format!("{kind} · {hits} of {all} nodes")),
        };
        Unit { name: name(group[0]), note, state }
    };
    graph::Graph {
        title: project.keyed.pipeline.clone(),
        boxes: groups.iter().map(unit).collect(),
        arrows: arrows.into_iter().collect(),
    }
}

fn to_json(graph: &graph::Graph) -> serde_json::Value {
    let unit = |(place, unit): (usize, &Unit)| {
        let needs =
            graph.arrows.iter().filter(|(_, to)| *to == place).map(|(from, _)| &graph.boxes[*from].name);
        json!({ "name": unit.name, "note": unit.note, "status": unit.state.word(), "needs": needs.collect::<Vec<_>>() })
    };
    json!({ "pipeline": graph.title, "boxes": graph.boxes.iter().enumerate().map(unit).collect::<Vec<_>>() })
}
