//! Probes: what a reset does to the network's predictions.
//!
//! All patches of one host are evaluated together, a chunk of examples at a time. The host's activations are computed
//! once per chunk, each patch starts at the input of its lowest changed layer, and patches of one source that begin alike
//! (a layer alone, a joint set with it, the full model) share that beginning. The host is never written to: a patch is a
//! choice of packed layers, so there is nothing to undo.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::base::cancel::Cancel;
use crate::nn::examples::CHUNK;
use crate::nn::kernels::Matrix;
use crate::nn::links::Spare;
use crate::nn::metric::Metric;
use crate::nn::network::{Layer, Network, Prepared};
use crate::nn::params::Params;
use crate::nn::reset::{self, Patch, Source};
use crate::nn::run::RunError;

/// Packed numbers that are held at once, beside the host's: 2²⁷ are 512 MB.
const HELD: usize = 1 << 27;

/// What the probes of one host have in common.
pub struct Probes<'a> {
    /// The chain.
    pub network: &'a Network,
    /// The final model.
    pub host: &'a Params,
    /// Class of each example.
    pub labels: &'a [u16],
    /// Writes the standardised rows of these examples.
    pub rows: &'a (dyn Fn(Range<usize>, &mut [f32]) + Sync),
    /// What to measure.
    pub metrics: &'a [Metric],
    /// Where chunks are evaluated side by side; the result does not depend on it.
    pub pool: &'a rayon::ThreadPool,
    /// Says when to end early.
    pub cancel: Cancel<'a>,
    /// Is told how many probes are done.
    pub progress: &'a (dyn Fn(usize) + Sync),
}

/// Why there are no results.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The user wanted to stop.
    #[error("interrupted")]
    Cancelled,
    /// A checkpoint could not be read.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What of a layer a patch overwrites: the layer, and the places of the tensors, among all of the network.
type Cut = (usize, Vec<usize>);

/// Packed layers that replace the host's.
type Packed = BTreeMap<(Cut, Source), Prepared>;

/// A patched chain from its lowest changed layer on.
struct Plan<'a> {
    start: usize,
    chain: Vec<&'a Prepared>,
}

impl Plan<'_> {
    /// How many layers, from the start on, are those of another plan and so give the same. A packed layer has one place in
    /// the chain, so plans that start elsewhere share none.
    fn shared(&self, other: &Self) -> usize {
        self.chain.iter().zip(&other.chain).take_while(|(a, b)| std::ptr::eq(**a, **b)).count()
    }
}

/// Memory that a thread works in, from chunk to chunk.
#[derive(Default)]
struct Scratch {
    rows: Vec<f32>,
    /// The host's input of each layer.
    inputs: Vec<Matrix>,
    /// The latest patch's output of each layer from its start on.
    outputs: Vec<Matrix>,
    logits: Vec<f32>,
    spare: Spare,
}

impl Probes<'_> {
    /// Evaluates all patches: for each, the metrics in the order in which they were asked for.
    ///
    /// `values` gives the parameters of a source; it is asked once for each.
    pub fn evaluate(
        &self,
        patches: &[Patch],
        values: impl Fn(Source) -> Result<Params, RunError>,
    ) -> Result<Vec<Vec<f64>>, ProbeError> {
        let spans = self.spans();
        let whole: Vec<Cut> =
            (0..self.depth()).map(|layer| (layer, spans[layer].clone().collect())).collect();
        let host = self.prepare(&whole, &spans, self.host);
        let cuts: Vec<Vec<Cut>> =
            patches.iter().map(|patch| cuts(&patch.places(self.host), &spans)).collect();
        let mut results = vec![Vec::new(); patches.len()];
        let mut done = 0;
        for group in self.groups(patches, &cuts) {
            let packed = self.pack(&group, &cuts, &spans, &values)?;
            let indices: Vec<_> = group.into_iter().flat_map(|(_, indices)| indices).collect();
            let plan = |index: &usize| self.plan(&cuts[*index], patches[*index].source, &host, &packed);
            let means = self.means(&host, &indices.iter().map(plan).collect::<Vec<_>>(), done)?;
            done += indices.len();
            for (index, means) in indices.into_iter().zip(means) {
                results[index] = means;
            }
        }
        Ok(results)
    }

    fn depth(&self) -> usize {
        self.network.layers().len()
    }

    /// Of each layer, the places of its tensors among all.
    fn spans(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let span = |layer: &Layer| {
            let start = end;
            end += layer.link.tensors().len();
            start..end
        };
        self.network.layers().iter().map(span).collect()
    }

    /// Sources and their patches, in groups that need little more than [`HELD`] packed numbers.
    fn groups(&self, patches: &[Patch], cuts: &[Vec<Cut>]) -> Vec<Vec<(Source, Vec<usize>)>> {
        let size = |(layer, _): Cut| {
            let tensors = self.host.of_layer(&self.network.layers()[layer].name);
            tensors.map(|tensor| tensor.values.len()).sum::<usize>()
        };
        let (mut groups, mut held) = (Vec::new(), HELD);
        for (source, mut indices) in reset::by_source(patches) {
            indices.sort_by_cached_key(|index| (self.unchanged(&cuts[*index]), &cuts[*index]));
            if held >= HELD {
                groups.push(Vec::new());
                held = 0;
            }
            held += changed(&indices, cuts).into_iter().map(size).sum::<usize>();
            groups.last_mut().expect("one was pushed").push((source, indices));
        }
        groups
    }

    /// For each layer, whether a patch leaves it alone: in the order of these, patches that begin alike are neighbours.
    fn unchanged(&self, cuts: &[Cut]) -> Vec<bool> {
        (0..self.depth()).map(|layer| cuts.iter().all(|(cut, _)| *cut != layer)).collect()
    }

    /// Packs each changed layer once per source.
    fn pack(
        &self,
        group: &[(Source, Vec<usize>)],
        cuts: &[Vec<Cut>],
        spans: &[Range<usize>],
        values: impl Fn(Source) -> Result<Params, RunError>,
    ) -> Result<Packed, ProbeError> {
        let mut packed = Packed::new();
        for (source, indices) in group {
            self.check_cancelled()?;
            let params = values(*source)?;
            let changed: Vec<Cut> = changed(indices, cuts).into_iter().collect();
            let prepared = self.prepare(&changed, spans, &params);
            packed.extend(changed.into_iter().map(|cut| (cut, *source)).zip(prepared));
        }
        Ok(packed)
    }

    /// Packs layers side by side: the host's, with these tensors of others.
    fn prepare(&self, cuts: &[Cut], spans: &[Range<usize>], values: &Params) -> Vec<Prepared> {
        let prepare = |(layer, places): &Cut| {
            if places.len() == spans[*layer].len() {
                return self.network.prepare(*layer, values);
            }
            let from = |place: usize| if places.contains(&place) { values } else { self.host };
            let tensors = spans[*layer].clone().map(|place| from(place).0[place].clone());
            self.network.prepare(*layer, &Params(tensors.collect()))
        };
        self.pool.install(|| cuts.par_iter().map(prepare).collect())
    }

    fn plan<'p>(&self, cuts: &[Cut], source: Source, host: &'p [Prepared], packed: &'p Packed) -> Plan<'p> {
        let start = cuts.first().map_or(0, |(layer, _)| *layer);
        let layer = |layer| {
            let cut = cuts.iter().find(|(cut, _)| *cut == layer);
            cut.map_or(&host[layer], |cut| &packed[&(cut.clone(), source)])
        };
        Plan { start, chain: (start..self.depth()).map(layer).collect() }
    }

    /// Runs the plans over all examples; sums chunks in their order, whichever thread had them.
    fn means(&self, host: &[Prepared], plans: &[Plan], before: usize) -> Result<Vec<Vec<f64>>, ProbeError> {
        let chunks: Vec<_> = (0..self.labels.len()).step_by(CHUNK).collect();
        let finished = AtomicUsize::new(0);
        let sums: Option<Vec<_>> = self.pool.install(|| {
            let chunk = |scratch: &mut Scratch, start: &usize| {
                let sums = self.chunk(*start, host, plans, scratch)?;
                let finished = finished.fetch_add(1, Ordering::Relaxed) + 1;
                (self.progress)(before + plans.len() * finished / chunks.len());
                Some(sums)
            };
            chunks.par_iter().map_init(Scratch::default, chunk).collect()
        });
        let mut totals = vec![0.0; plans.len() * self.metrics.len()];
        for sums in sums.ok_or(ProbeError::Cancelled)? {
            totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
        let means = totals.iter().map(|total| total / self.labels.len() as f64).collect::<Vec<_>>();
        Ok(means.chunks_exact(self.metrics.len()).map(<[f64]>::to_vec).collect())
    }

    /// Sums of the metrics over one chunk, plan by plan; `None` if the user wants to stop.
    fn chunk(
        &self,
        start: usize,
        host: &[Prepared],
        plans: &[Plan],
        scratch: &mut Scratch,
    ) -> Option<Vec<f64>> {
        let end = self.labels.len().min(start + CHUNK);
        let mut sums = vec![0.0; plans.len() * self.metrics.len()];
        let at_once = self.network.at_once(CHUNK);
        for start in (start..end).step_by(at_once) {
            self.add(start..end.min(start + at_once), host, plans, scratch, &mut sums)?;
        }
        Some(sums)
    }

    /// Adds the metrics of these examples, plan by plan.
    fn add(
        &self,
        range: Range<usize>,
        host: &[Prepared],
        plans: &[Plan],
        scratch: &mut Scratch,
        sums: &mut [f64],
    ) -> Option<()> {
        let labels = &self.labels[range.clone()];
        let examples = labels.len();
        let Scratch { rows, inputs, outputs, logits, spare } = scratch;
        inputs.resize_with(self.depth(), Matrix::default);
        outputs.resize_with(self.depth(), Matrix::default);
        rows.resize(examples * self.network.features(), 0.0);
        (self.rows)(range, rows);
        self.network.input().load(rows, &mut inputs[0]);
        for layer in 0..plans.iter().map(|plan| plan.start).max().unwrap_or(0) {
            let [input, output] = &mut inputs[layer..layer + 2] else { unreachable!("two layers") };
            host[layer].forward(input, examples, output, spare);
        }
        logits.resize(self.network.classes(), 0.0);
        let mut previous = None;
        for (plan, sums) in plans.iter().zip(sums.chunks_exact_mut(self.metrics.len())) {
            self.check_cancelled().ok()?;
            let shared = previous.map_or(0, |previous| plan.shared(previous));
            for (offset, prepared) in plan.chain.iter().enumerate().skip(shared) {
                let layer = plan.start + offset;
                let (below, output) = outputs.split_at_mut(layer);
                let input = if offset == 0 { &inputs[layer] } else { &below[layer - 1] };
                prepared.forward(input, examples, &mut output[0], spare);
            }
            previous = Some(plan);
            for (row, label) in labels.iter().enumerate() {
                outputs[self.depth() - 1].copy_row(row, logits);
                for (sum, metric) in sums.iter_mut().zip(self.metrics) {
                    *sum += metric.of(logits, usize::from(*label));
                }
            }
        }
        Some(())
    }

    fn check_cancelled(&self) -> Result<(), ProbeError> {
        if self.cancel.is_set() { Err(ProbeError::Cancelled) } else { Ok(()) }
    }
}

/// What is overwritten with these tensors, in chain order.
fn cuts(places: &[usize], spans: &[Range<usize>]) -> Vec<Cut> {
    let cut = |span: &Range<usize>| places.iter().copied().filter(|place| span.contains(place)).collect();
    let cuts = spans.iter().map(cut).enumerate();
    cuts.filter(|(_, places): &Cut| !places.is_empty()).collect()
}

/// What any of these patches overwrites.
fn changed(indices: &[usize], cuts: &[Vec<Cut>]) -> BTreeSet<Cut> {
    indices.iter().flat_map(|index| cuts[*index].iter().cloned()).collect()
}

#[cfg(test)]
mod tests;
