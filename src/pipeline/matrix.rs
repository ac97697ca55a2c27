//! A pipeline becomes a graph: every axis is unfolded.
//!
//! The join rule: a stage has the axes it mentions and those of its single-valued inputs, and exists once per distinct
//! combination that the matrix allows them. It is connected to those nodes of an input that it occurs together with in an
//! allowed combination of all axes: for independent axes, those that agree on every axis which both have. So a single-valued
//! slot gets one node, and a slot that takes many gathers every other axis of its input.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::base::name::{AxisName, StageName};
use crate::pipeline::axes::MOST;
use crate::pipeline::error::SpecError;
use crate::pipeline::files::Files;
use crate::pipeline::scalar;
pub use crate::pipeline::space::Coordinates;
use crate::pipeline::space::{Lists, Projection, Space};
use crate::pipeline::spec::{Factor, Handling, Pipeline, StageSpec};
use crate::pipeline::typing::Works;
use crate::stage::{AnyStage, Arity, Slot};

/// A concrete unit of work.
pub struct Node {
    /// The stage that it comes from.
    pub stage: StageName,
    /// Its place in the matrix.
    pub coordinates: Coordinates,
    /// What to do; nodes with equal parameters share it.
    pub work: Arc<dyn AnyStage>,
    /// Its inputs: the slot, and the nodes (places in the graph) that fill it.
    pub inputs: Vec<(Slot, Vec<usize>)>,
    /// How to run it.
    pub handling: Handling,
}

impl fmt::Display for Node {
    /// `fit[seed=0]`, or `table` where there is no axis.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = describe(&self.coordinates);
        if at.is_empty() { write!(f, "{}", self.stage) } else { write!(f, "{}[{at}]", self.stage) }
    }
}

/// `seed=0,width=16`.
pub fn describe(coordinates: &[(AxisName, serde_json::Value)]) -> String {
    let parts: Vec<_> =
        coordinates.iter().map(|(axis, value)| format!("{axis}={}", scalar::text(value))).collect();
    parts.join(",")
}

/// Nodes, each after those it needs.
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// A stage whose nodes are in the graph.
struct Unfolded<'a> {
    axes: BTreeSet<AxisName>,
    space: Space<'a>,
    /// The place of its first node.
    base: usize,
}

impl Graph {
    /// Unfolds a pipeline; `works` holds the typed work of each stage.
    pub(super) fn expand(
        files: &Files,
        pipeline: &Pipeline,
        works: &[Works],
    ) -> Result<Self, Vec<SpecError>> {
        let mut nodes: Vec<Node> = Vec::new();
        let mut unfolded: BTreeMap<&StageName, Unfolded<'_>> = BTreeMap::new();
        for (spec, works) in pipeline.stages.iter().zip(works) {
            let mut axes = works.mentions.clone();
            for need in spec.needs.iter().filter(|need| need.slot.arity == Arity::One) {
                axes.extend(unfolded[&need.stages[0]].axes.iter().cloned());
            }
            let space = Space::new(&pipeline.factors, &axes);
            let count = space.len().and_then(|count| count.checked_add(nodes.len()));
            if count.is_none_or(|count| count > MOST) {
                let message = format!("with stage '{}', the graph has more than {MOST} nodes", spec.name);
                let span = files.locate_key(spec.file, &format!("stages.{}", spec.name));
                let error = SpecError::at(span, message, "too many").in_file(spec.file);
                return Err(vec![error.hint("shorten the axes")]);
            }
            let base = nodes.len();
            unfold(spec, works, &space, &unfolded, &pipeline.factors, &mut nodes);
            unfolded.insert(&spec.name, Unfolded { axes, space, base });
        }
        Ok(Self { nodes })
    }
}

/// Adds the nodes of one stage.
fn unfold(
    spec: &StageSpec,
    works: &Works,
    space: &Space<'_>,
    unfolded: &BTreeMap<&StageName, Unfolded<'_>>,
    factors: &[Factor],
    nodes: &mut Vec<Node>,
) {
    let mentioned = Link::new(space, &Space::new(factors, &works.mentions), 0);
    let links: Vec<(&Slot, Vec<Link>)> = spec
        .needs
        .iter()
        .map(|need| {
            let sources = need.stages.iter().map(|stage| &unfolded[stage]);
            (&need.slot, sources.map(|source| Link::new(space, &source.space, source.base)).collect())
        })
        .collect();
    space.for_each(|digits| {
        let fill = |links: &Vec<Link>| match &links[..] {
            [link] => link.places(digits),
            links => links.iter().flat_map(|link| link.places(digits)).collect(),
        };
        nodes.push(Node {
            stage: spec.name.clone(),
            coordinates: space.coordinates(digits),
            work: Arc::clone(&works.works[mentioned.places(digits)[0]]),
            inputs: links.iter().map(|(slot, links)| ((*slot).clone(), fill(links))).collect(),
            handling: spec.handling.clone(),
        });
    });
}

/// How the places of one space lead to places of another.
struct Link {
    base: usize,
    digits: Vec<Digit>,
}

/// A digit of a place that is led to.
struct Digit {
    stride: usize,
    /// How many values it has.
    count: usize,
    /// The digit of ours that stands for the same factor, and which values go with each of its values.
    shared: Option<(usize, Lists)>,
}

impl Link {
    fn new(from: &Space<'_>, to: &Space<'_>, base: usize) -> Self {
        let digit = |(projection, stride): (&Projection, usize)| {
            let shared = from.digit_of(projection.factor);
            let shared = shared.map(|digit| (digit, from.projections[digit].together(projection)));
            Digit { stride, count: projection.rows.len(), shared }
        };
        Self { base, digits: to.projections.iter().zip(to.strides()).map(digit).collect() }
    }

    /// The places that go with one of ours, in order.
    fn places(&self, ours: &[usize]) -> Vec<usize> {
        let mut places = vec![self.base];
        for Digit { stride, count, shared } in &self.digits {
            let extended = |values: &mut dyn Iterator<Item = usize>| {
                let values: Vec<usize> = values.map(|value| value * stride).collect();
                places.iter().flat_map(|place| values.iter().map(move |value| place + value)).collect()
            };
            places = match shared.as_ref().map(|(digit, lists)| lists.get(ours[*digit])) {
                Some(some) => extended(&mut some.iter().copied()),
                None => extended(&mut (0..*count)),
            };
        }
        places
    }
}
