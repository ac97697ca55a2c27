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
use crate::nn::network::{Network, Prepared};
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
    pub labels: &'a [u8],
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

/// Packed layers that replace the host's.
type Packed = BTreeMap<(usize, Source), Prepared>;

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
        let host = self.prepare(&(0..self.depth()).collect::<Vec<_>>(), self.host);
        let mut results = vec![Vec::new(); patches.len()];
        let mut done = 0;
        for group in self.groups(patches) {
            let packed = self.pack(&group, patches, &values)?;
            let indices: Vec<_> = group.into_iter().flat_map(|(_, indices)| indices).collect();
            let plans = indices.iter().map(|index| self.plan(&patches[*index], &host, &packed));
            let means = self.means(&host, &plans.collect::<Vec<_>>(), done)?;
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

    /// Indices of a patch's layers, ascending.
    fn places(&self, patch: &Patch) -> Vec<usize> {
        let layers = self.network.layers().iter().enumerate();
        layers.filter(|(_, layer)| patch.layers.contains(&layer.name)).map(|(index, _)| index).collect()
    }

    /// Sources and their patches, in groups that need little more than [`HELD`] packed numbers.
    fn groups(&self, patches: &[Patch]) -> Vec<Vec<(Source, Vec<usize>)>> {
        let size = |layer: usize| {
            let tensors = self.host.of_layer(&self.network.layers()[layer].name);
            tensors.map(|tensor| tensor.values.len()).sum::<usize>()
        };
        let (mut groups, mut held) = (Vec::new(), HELD);
        for (source, mut indices) in reset::by_source(patches) {
            indices.sort_by_cached_key(|index| self.unchanged(&patches[*index]));
            if held >= HELD {
                groups.push(Vec::new());
                held = 0;
            }
            held += self.changed(&indices, patches).into_iter().map(size).sum::<usize>();
            groups.last_mut().expect("one was pushed").push((source, indices));
        }
        groups
    }

    /// For each layer, whether a patch leaves it alone: in the order of these, patches that begin alike are neighbours.
    fn unchanged(&self, patch: &Patch) -> Vec<bool> {
        let places = self.places(patch);
        (0..self.depth()).map(|layer| !places.contains(&layer)).collect()
    }

    /// Layers that any of these patches changes.
    fn changed(&self, indices: &[usize], patches: &[Patch]) -> BTreeSet<usize> {
        indices.iter().flat_map(|index| self.places(&patches[*index])).collect()
    }

    /// Packs each changed layer once per source.
    fn pack(
        &self,
        group: &[(Source, Vec<usize>)],
        patches: &[Patch],
        values: impl Fn(Source) -> Result<Params, RunError>,
    ) -> Result<Packed, ProbeError> {
        let mut packed = Packed::new();
        for (source, indices) in group {
            self.check_cancelled()?;
            let params = values(*source)?;
            let changed: Vec<_> = self.changed(indices, patches).into_iter().collect();
            let prepared = self.prepare(&changed, &params);
            packed.extend(changed.into_iter().map(|layer| (layer, *source)).zip(prepared));
        }
        Ok(packed)
    }

    /// Packs layers side by side.
    fn prepare(&self, layers: &[usize], params: &Params) -> Vec<Prepared> {
        let prepare = |layer: &usize| self.network.prepare(*layer, params);
        self.pool.install(|| layers.par_iter().map(prepare).collect())
    }

    fn plan<'p>(&self, patch: &Patch, host: &'p [Prepared], packed: &'p Packed) -> Plan<'p> {
        let changed = self.places(patch);
        let start = changed.first().copied().unwrap_or(0);
        let layer = |layer| {
            let is_changed = changed.contains(&layer);
            if is_changed { &packed[&(layer, patch.source)] } else { &host[layer] }
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

#[cfg(test)]
mod tests;
