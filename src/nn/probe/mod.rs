//! Probes: what a reset does to the network's predictions.
//!
//! All patches of one host are evaluated together, a chunk of examples at a time, as the branches of a [`PrefixTree`]: what they have
//! in common with the host, or with each other, is computed once. The host is never written to: a patch is a choice of packed layers, so
//! there is nothing to undo.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::base::cancel::Cancel;
use crate::nn::examples::CHUNK;
use crate::nn::metric::Metric;
use crate::nn::network::{Layer, Network, Prepared};
use crate::nn::params::Params;
use crate::nn::prefix_tree::{Buffers, PrefixTree};
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
            let chain = |index: &usize| self.chain(&cuts[*index], patches[*index].source, &host, &packed);
            let chains = indices.iter().map(chain).collect::<Vec<_>>();
            let means = self.means(&chains, &host.iter().collect::<Vec<_>>(), done)?;
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
        for (source, indices) in reset::by_source(patches) {
            if held >= HELD {
                groups.push(Vec::new());
                held = 0;
            }
            held += changed(&indices, cuts).into_iter().map(size).sum::<usize>();
            groups.last_mut().expect("one was pushed").push((source, indices));
        }
        groups
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

    /// The layers of a patched network.
    fn chain<'p>(
        &self,
        cuts: &[Cut],
        source: Source,
        host: &'p [Prepared],
        packed: &'p Packed,
    ) -> Vec<&'p Prepared> {
        let layer = |layer| {
            let cut = cuts.iter().find(|(cut, _)| *cut == layer);
            cut.map_or(&host[layer], |cut| &packed[&(cut.clone(), source)])
        };
        (0..self.depth()).map(layer).collect()
    }

    /// Runs the chains over all examples; sums chunks in their order, whichever thread had them.
    fn means(
        &self,
        chains: &[Vec<&Prepared>],
        host: &[&Prepared],
        before: usize,
    ) -> Result<Vec<Vec<f64>>, ProbeError> {
        let chunks: Vec<_> = (0..self.labels.len()).step_by(CHUNK).collect();
        let (tree, finished) = (PrefixTree::new(self.network, chains), AtomicUsize::new(0));
        let host = PrefixTree::new(self.network, &[host.to_vec()]);
        let sums: Option<Vec<_>> = self.pool.install(|| {
            let chunk = |buffers: &mut Buffers, start: &usize| {
                let range = *start..self.labels.len().min(start + CHUNK);
                let full = self.full(range.clone(), &host, buffers)?;
                let sums = self.chunk(range, &tree, chains.len(), &full, buffers)?;
                let finished = finished.fetch_add(1, Ordering::Relaxed) + 1;
                (self.progress)(before + chains.len() * finished / chunks.len());
                Some(sums)
            };
            chunks.par_iter().map_init(Buffers::default, chunk).collect()
        });
        let mut totals = vec![0.0; chains.len() * self.metrics.len()];
        for sums in sums.ok_or(ProbeError::Cancelled)? {
            totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
        let means = totals.iter().map(|total| total / self.labels.len() as f64).collect::<Vec<_>>();
        Ok(means.chunks_exact(self.metrics.len()).map(<[f64]>::to_vec).collect())
    }

    /// What the full model says of each example of a chunk, if a metric asks; `None` if the user wants to stop.
    fn full(&self, range: Range<usize>, host: &PrefixTree, buffers: &mut Buffers) -> Option<Vec<f32>> {
        if !self.metrics.iter().any(|metric| metric.is_relative()) {
            return Some(Vec::new());
        }
        let (start, classes) = (range.start, self.network.classes());
        let (mut full, mut row) = (vec![0.0; range.len() * classes], vec![0.0; classes]);
        host.evaluate(range, self.rows, buffers, &mut |logits| {
            logits.each(&mut row, |example, row| {
                full[(example - start) * classes..][..classes].copy_from_slice(row);
            });
            self.check_cancelled().ok()
        })?;
        Some(full)
    }

    /// Sums of the metrics over one chunk, chain by chain; `None` if the user wants to stop.
    fn chunk(
        &self,
        range: Range<usize>,
        tree: &PrefixTree,
        chains: usize,
        full: &[f32],
        buffers: &mut Buffers,
    ) -> Option<Vec<f64>> {
        let (start, classes) = (range.start, self.network.classes());
        let mut sums = vec![0.0; chains * self.metrics.len()];
        let mut row = vec![0.0; classes];
        tree.evaluate(range, self.rows, buffers, &mut |logits| {
            logits.each(&mut row, |example, row| {
                let label = usize::from(self.labels[example]);
                let place = (example - start) * classes;
                let full = full.get(place..place + classes).unwrap_or(row);
                for chain in logits.chains {
                    let sums = &mut sums[chain * self.metrics.len()..][..self.metrics.len()];
                    sums.iter_mut()
                        .zip(self.metrics)
                        .for_each(|(sum, metric)| *sum += metric.beside(row, label, full));
                }
            });
            self.check_cancelled().ok()
        })?;
        Some(sums)
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
