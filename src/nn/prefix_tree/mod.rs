//! Many chains of layers that begin alike, and may end alike, evaluated together.
//!
//! The chains of a host and of its patched copies are the branches of a tree: what several have in common is computed once. The tree is
//! walked depth first, so that one batch per layer is held, however many branches there are.
//!
//! ```text
//! input ─ layer1 ─┬─ layer2 ─┬─ layer3
//!                 │          └─ layer3 of a draw
//!                 └─ layer2 of a draw ── layer3
//! ```
//!
//! Towards the end of a network maps are small and weights large: a pass over the weights pays only for many examples. So batches are
//! joined before such a layer: the next examples of a branch, and other branches of which the same follows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::nn::examples::CHUNK;
use crate::nn::kernels::Matrix;
use crate::nn::links::{Shape, Spare};
use crate::nn::network::{self, Network, Prepared};

/// Numbers in a batch: 2²⁰ are 4 MB, so that a layer finds in the cache what the one before it left.
const BATCH: usize = 1 << 20;
/// Numbers in all batches that wait before a layer: 2²⁵ are 128 MB.
const WAITING: usize = 1 << 25;

/// Chains, joined.
pub struct PrefixTree<'a> {
    /// What goes into each layer.
    inputs: Vec<Shape>,
    /// Parents before their children; the first one is the root.
    nodes: Vec<Node<'a>>,
    segments: Vec<Segment>,
}

/// A batch: the output of a layer, or the input of the network.
struct Node<'a> {
    /// What computes it of its parent; of the root, nothing.
    layer: Option<&'a Prepared>,
    /// How many layers lie before it.
    level: usize,
    /// In an order that is the same wherever the same layers follow.
    children: Vec<usize>,
    /// The chains that end here.
    chains: Vec<usize>,
    /// Nodes have the same class if the same follows.
    class: usize,
}

/// Layers that are given the same number of examples.
#[derive(PartialEq, Eq, Debug)]
struct Segment {
    /// The first layer.
    start: usize,
    /// How many examples at once, at most.
    examples: usize,
}

/// Some examples of a node.
#[derive(Clone)]
struct Piece {
    node: usize,
    range: Range<usize>,
}

/// Logits of some examples, for whoever asked.
pub struct Logits<'a> {
    /// Of which chains, in the order in which they were given.
    pub chains: &'a [usize],
    /// Of which examples.
    pub examples: Range<usize>,
    /// A row for each.
    batch: &'a Matrix,
    first: usize,
}

impl Logits<'_> {
    /// Copies those of each example to `row`, and shows them with its number.
    pub fn each(&self, row: &mut [f32], mut show: impl FnMut(usize, &[f32])) {
        for (place, example) in (self.first..).zip(self.examples.clone()) {
            self.batch.copy_row(place, row);
            show(example, row);
        }
    }
}

/// Memory of a thread, from call to call.
#[derive(Default)]
pub struct Buffers {
    rows: Vec<f32>,
    input: Matrix,
    /// Of each layer.
    outputs: Vec<Matrix>,
    /// Before each segment, by class.
    queues: Vec<BTreeMap<usize, Queue>>,
    spare: Spare,
}

/// Batches that wait to be joined.
#[derive(Default)]
struct Queue {
    waiting: Vec<(Vec<Piece>, Matrix)>,
    examples: usize,
    free: Vec<Matrix>,
    joined: Matrix,
}

impl<'a> PrefixTree<'a> {
    /// Joins chains, each with all layers of the network.
    pub fn new(network: &Network, chains: &[Vec<&'a Prepared>]) -> Self {
        Self::with_batches(network, chains, BATCH)
    }

    /// Likewise, to be evaluated in batches of so many numbers.
    fn with_batches(network: &Network, chains: &[Vec<&'a Prepared>], numbers: usize) -> Self {
        let inputs: Vec<_> = network.layers().iter().map(|layer| layer.link.input()).collect();
        let mut nodes = vec![Node::new(None, 0)];
        for (chain, layers) in chains.iter().enumerate() {
            assert_eq!(layers.len(), inputs.len(), "a chain has all layers");
            let end = layers.iter().fold(0, |parent, layer| child(&mut nodes, parent, layer));
            nodes[end].chains.push(chain);
        }
        classify(&mut nodes);
        let segments = segments(&inputs, &nodes, numbers);
        Self { inputs, nodes, segments }
    }

    /// Computes the logits of all chains for a range of examples, [`CHUNK`] at most; `rows` writes what goes into the network.
    ///
    /// Single-threaded. `show` sees the examples of a chain in their order; `None` ends it early.
    pub fn evaluate(
        &self,
        range: Range<usize>,
        rows: &dyn Fn(Range<usize>, &mut [f32]),
        buffers: &mut Buffers,
        show: &mut dyn FnMut(&Logits) -> Option<()>,
    ) -> Option<()> {
        buffers.outputs.resize_with(self.inputs.len(), Matrix::default);
        buffers.queues.resize_with(self.segments.len(), BTreeMap::new);
        let mut walk = Walk { tree: self, buffers, show };
        for range in evenly(range, self.segments[0].examples) {
            walk.load(&range, rows, self.inputs[0]);
            let input = std::mem::take(&mut walk.buffers.input);
            walk.follow(0, 0, &[Piece { node: 0, range }], &input)?;
            walk.buffers.input = input;
        }
        for segment in 1..self.segments.len() {
            for class in walk.buffers.queues[segment].keys().copied().collect::<Vec<_>>() {
                walk.flush(segment, class)?;
            }
        }
        Some(())
    }
}

impl<'a> Node<'a> {
    fn new(layer: Option<&'a Prepared>, level: usize) -> Self {
        Self { layer, level, children: Vec::new(), chains: Vec::new(), class: 0 }
    }
}

/// The child of a node that this layer computes, a new one if need be.
fn child<'a>(nodes: &mut Vec<Node<'a>>, parent: usize, layer: &'a Prepared) -> usize {
    let is_it = |child: &&usize| nodes[**child].layer.is_some_and(|there| std::ptr::eq(there, layer));
    if let Some(child) = nodes[parent].children.iter().find(is_it) {
        return *child;
    }
    let child = nodes.len();
    nodes.push(Node::new(Some(layer), nodes[parent].level + 1));
    nodes[parent].children.push(child);
    child
}

/// Gives each node its class, and its children their order.
fn classify(nodes: &mut [Node]) {
    let (mut layers, mut classes) = (BTreeMap::new(), BTreeMap::new());
    for node in nodes.iter().filter_map(|node| node.layer) {
        let next = layers.len();
        layers.entry(std::ptr::from_ref(node)).or_insert(next);
    }
    for index in (0..nodes.len()).rev() {
        let follows = |child: &usize| {
            let layer = nodes[*child].layer.map(std::ptr::from_ref).expect("a child has a layer");
            (layers[&layer], nodes[*child].class, *child)
        };
        let mut follows: Vec<_> = nodes[index].children.iter().map(follows).collect();
        follows.sort_unstable();
        nodes[index].children = follows.iter().map(|(.., child)| *child).collect();
        let follows: Vec<_> = follows.into_iter().map(|(layer, class, _)| (layer, class)).collect();
        let next = classes.len();
        nodes[index].class = *classes.entry(follows).or_insert(next);
    }
}

/// Begins a segment where many more examples than before make batches of so many numbers.
fn segments(inputs: &[Shape], nodes: &[Node], numbers: usize) -> Vec<Segment> {
    let first = Segment { start: 0, examples: network::fitting(inputs, numbers).min(CHUNK) };
    let mut segments = vec![first];
    for start in 1..inputs.len() {
        let before = segments[segments.len() - 1].examples;
        let at = nodes.iter().filter(|node| node.level == start);
        let queues = at.map(|node| node.class).collect::<BTreeSet<_>>().len();
        let held = WAITING / (queues.max(1) * inputs[start].count());
        let examples = network::fitting(&inputs[start..], numbers).min(held).min(CHUNK);
        if 2 * examples > 3 * before {
            segments.push(Segment { start, examples });
        }
    }
    segments
}

/// Cuts a range into pieces of nearly the same length, at most so long.
fn evenly(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let length = range.len();
    let step = length.div_ceil(length.div_ceil(most).max(1)).max(1);
    range.clone().step_by(step).map(move |start| start..range.end.min(start + step))
}

/// An evaluation on its way.
struct Walk<'w> {
    tree: &'w PrefixTree<'w>,
    buffers: &'w mut Buffers,
    show: &'w mut dyn FnMut(&Logits) -> Option<()>,
}

impl Walk<'_> {
    fn load(&mut self, range: &Range<usize>, rows: &dyn Fn(Range<usize>, &mut [f32]), input: Shape) {
        let Buffers { rows: values, input: batch, .. } = self.buffers;
        values.resize(range.len() * input.count(), 0.0);
        rows(range.clone(), values);
        input.load(values, batch);
    }

    /// Goes on from nodes of one class, whose batches lie side by side in `input`.
    fn follow(&mut self, segment: usize, layer: usize, pieces: &[Piece], input: &Matrix) -> Option<()> {
        let PrefixTree { nodes, segments, inputs } = self.tree;
        let examples = pieces.iter().map(|piece| piece.range.len()).sum();
        let next = segments.get(segment + 1).filter(|next| next.start == layer + 1);
        for place in 0..nodes[pieces[0].node].children.len() {
            let of_piece = |piece: &Piece| Piece { node: nodes[piece.node].children[place], ..piece.clone() };
            let pieces: Vec<_> = pieces.iter().map(of_piece).collect();
            let mut output = std::mem::take(&mut self.buffers.outputs[layer]);
            let computes = nodes[pieces[0].node].layer.expect("a child has a layer");
            computes.forward(input, examples, &mut output, &mut self.buffers.spare);
            if let Some(next) = next {
                output = self.wait(segment + 1, next.examples, pieces, output)?;
            } else if layer + 1 == inputs.len() {
                self.end(&pieces, &output)?;
            } else {
                self.follow(segment, layer + 1, &pieces, &output)?;
            }
            self.buffers.outputs[layer] = output;
        }
        Some(())
    }

    /// Lets a batch wait before a segment; gives another matrix for it.
    fn wait(&mut self, segment: usize, most: usize, pieces: Vec<Piece>, batch: Matrix) -> Option<Matrix> {
        let class = self.tree.nodes[pieces[0].node].class;
        let examples: usize = pieces.iter().map(|piece| piece.range.len()).sum();
        if self.buffers.queues[segment].entry(class).or_default().examples + examples > most {
            self.flush(segment, class)?;
        }
        let queue = self.buffers.queues[segment].entry(class).or_default();
        queue.waiting.push((pieces, batch));
        queue.examples += examples;
        Some(queue.free.pop().unwrap_or_default())
    }

    /// Joins what waits, and goes on with it.
    fn flush(&mut self, segment: usize, class: usize) -> Option<()> {
        let layer = self.tree.segments[segment].start;
        let mut queue = std::mem::take(self.buffers.queues[segment].entry(class).or_default());
        let waiting = std::mem::take(&mut queue.waiting);
        let pieces: Vec<_> = waiting.iter().flat_map(|(pieces, _)| pieces.iter().cloned()).collect();
        if !pieces.is_empty() {
            let batches: Vec<_> = waiting.iter().map(|(_, batch)| batch).collect();
            queue.joined.join_examples(&batches, self.tree.inputs[layer].positions());
            self.follow(segment, layer, &pieces, &queue.joined)?;
        }
        queue.free.extend(waiting.into_iter().map(|(_, batch)| batch));
        queue.examples = 0;
        self.buffers.queues[segment].insert(class, queue);
        Some(())
    }

    fn end(&mut self, pieces: &[Piece], batch: &Matrix) -> Option<()> {
        let mut first = 0;
        for Piece { node, range } in pieces {
            let chains = &self.tree.nodes[*node].chains;
            (self.show)(&Logits { chains, examples: range.clone(), batch, first })?;
            first += range.len();
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
