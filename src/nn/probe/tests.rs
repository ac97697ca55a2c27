use std::sync::atomic::AtomicBool;

use super::*;
use crate::base::name::LayerName;
use crate::base::rng;
use crate::nn::kernels::Matrix;
use crate::nn::layer_set::{self, Group, Selection};
use crate::nn::links::Spare;
use crate::nn::reset::{Kept, Row};
use crate::nn::zoo::{Arch, Fcn, Vit};

const ALL: [Metric; 4] = [Metric::Error, Metric::Loss, Metric::Disagreement, Metric::PredictionDistance];
const FEATURES: usize = 12;

/// A network for examples of [`FEATURES`] numbers in three classes, and how many of them are evaluated.
struct Case {
    network: Network,
    examples: usize,
}

fn patch(layers: Vec<LayerName>, source: Source) -> Patch {
    Patch { layer: String::new(), layers, source, keep: BTreeSet::new() }
}

impl Case {
    /// Two chunks and a bit.
    fn dense() -> Self {
        Self { network: Arch::Fcn(Fcn { depth: 4, width: 9 }).network([1, 3, 4], 3), examples: 1_037 }
    }

    /// Convolutions, norms, blocks with and without a skip.
    fn residual() -> Self {
        let network = serde_json::from_str::<Arch>(r#"{"resnet": {"depth": 18, "bn": true}}"#)
            .unwrap()
            .network([3, 2, 2], 3);
        Self { network, examples: 40 }
    }

    /// Tokens and attention.
    fn attentive() -> Self {
        let vit = Vit { depth: 3, width: 6, heads: 2, patch: 1, mlp: 2 };
        Self { network: Arch::Vit(vit).network([3, 2, 2], 3), examples: 530 }
    }

    fn data(&self) -> (Vec<f32>, Vec<u16>) {
        let mut numbers = rng::stream(0, &["data"]);
        let pixels = (0..self.examples * FEATURES).map(|_| numbers.normal() as f32).collect();
        (pixels, (0..self.examples).map(|_| numbers.below(3) as u16).collect())
    }

    /// Stands for the run: a draw is a draw, and so is each checkpoint.
    fn values(&self, source: Source) -> Params {
        match source {
            Source::Reinit { epoch } => self.network.draw(1, epoch),
            Source::Rerand { draw } => self.network.draw(2, draw),
            _ => unreachable!("no patch here has such a source"),
        }
    }

    /// Every layer, joint sets with complements, the full model; draws and checkpoints.
    fn patches(&self) -> Vec<Patch> {
        let chain: Vec<_> = self.network.layers().iter().map(|layer| layer.name.clone()).collect();
        let mut groups: Vec<_> = vec![Group::Each("*".to_owned())];
        for places in [&[1_usize, 3][..], &[2, 3, 4], &[0, 4]] {
            groups.push(Group::Joint(Selection(places.iter().map(|i| chain[*i].to_string()).collect())));
        }
        let mut rows = layer_set::rows(&chain, &groups, true).unwrap();
        rows.push(Row::full_model(&chain));
        let sources = [
            Source::Rerand { draw: 0 },
            Source::Rerand { draw: 1 },
            Source::Reinit { epoch: 0 },
            Source::Reinit { epoch: 9 },
        ];
        let patch = |row: &Row, source| patch(row.layers.clone(), source);
        rows.iter().flat_map(|row| sources.map(|source| patch(row, source))).collect()
    }

    fn evaluate(&self, host: &Params, patches: &[Patch], threads: usize) -> Vec<Vec<f64>> {
        let (pixels, labels) = self.data();
        let (most, cancelled) = (AtomicUsize::new(0), AtomicBool::new(false));
        let probes = Probes {
            network: &self.network,
            host,
            labels: &labels,
            rows: &|range, out| out.copy_from_slice(&pixels[range.start * FEATURES..range.end * FEATURES]),
            metrics: &ALL,
            pool: &rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap(),
            cancel: Cancel::new(&cancelled),
            progress: &|done| {
                most.fetch_max(done, Ordering::Relaxed);
            },
        };
        let results = probes.evaluate(patches, |source| Ok(self.values(source))).unwrap();
        assert_eq!(most.into_inner(), patches.len());
        results
    }

    /// The definition: copies the model, overwrites, and runs all of it.
    fn naive(&self, host: &Params, patch: &Patch) -> Vec<f64> {
        let labels = self.data().1;
        let mut model = host.clone();
        patch.apply(&mut model, &self.values(patch.source));
        let (logits, full) = (self.logits(&model), self.logits(host));
        let rows: Vec<_> = logits.chunks_exact(3).zip(full.chunks_exact(3)).zip(&labels).collect();
        let mean = |metric: Metric| {
            let of = |((logits, full), label): &((&[f32], &[f32]), &u16)| {
                metric.beside(logits, usize::from(**label), full)
            };
            let chunks = rows.chunks(CHUNK).map(|chunk| chunk.iter().map(of).sum::<f64>());
            chunks.fold(0.0, |a, b| a + b) / labels.len() as f64
        };
        ALL.map(mean).to_vec()
    }

    fn logits(&self, model: &Params) -> Vec<f32> {
        let (network, (pixels, labels)) = (&self.network, self.data());
        let mut batch = Matrix::default();
        network.input().load(&pixels, &mut batch);
        for layer in 0..network.layers().len() {
            let mut output = Matrix::default();
            network.prepare(layer, model).forward(&batch, labels.len(), &mut output, &mut Spare::default());
            batch = output;
        }
        batch.to_rows()
    }
}

#[test]
fn a_patched_chain_gives_the_bits_of_a_patched_copy() {
    for (case, layers, step) in [(Case::dense(), 5, 1), (Case::residual(), 10, 3), (Case::attentive(), 5, 1)]
    {
        let host = case.network.init(0);
        let before = host.clone();
        let patches = case.patches();
        assert_eq!(patches.len(), (layers + 6 + 1) * 4);
        let patches: Vec<_> = patches.into_iter().step_by(step).collect();
        let results = case.evaluate(&host, &patches, 1);
        assert_eq!(host, before);
        for (patch, result) in patches.iter().zip(&results) {
            assert_eq!(*result, case.naive(&host, patch), "{patch:?}");
        }
        let different: BTreeSet<_> = results.iter().map(|result| result[1].to_bits()).collect();
        assert_eq!(different.len(), results.len(), "each patch has a loss of its own");
        assert_eq!(results, case.evaluate(&host, &patches, 4));
    }
}

/// Convolutions and norms of blocks, alone and with others, and norms of which something is kept.
#[test]
fn a_patch_of_parts_gives_the_bits_of_a_patched_copy() {
    let case = Case::residual();
    let (mut host, source) = (case.network.init(0), Source::Rerand { draw: 1 });
    // Norms are all initialised alike: those of the host have seen something.
    for norm in host.0.iter_mut().filter(|tensor| tensor.name.contains("norm")) {
        norm.values.iter_mut().for_each(|value| *value += 0.25);
    }
    let named = |names: &[&str]| names.iter().map(|name| LayerName::new(*name)).collect::<Vec<_>>();
    let block = named(&["stage2.resblk1"]);
    let mut patches: Vec<_> = [
        &["stage2.resblk1.conv1"][..],
        &["stage2.resblk1.norm1"],
        &["stage2.resblk1.skip", "stage2.resblk1.conv2", "stage3.resblk2.conv1"],
        &["stage2.resblk1.conv1", "final_linear"],
        &["stage2.resblk1"],
    ]
    .map(|names| patch(named(names), source))
    .into();
    for keep in [&[Kept::Running][..], &[Kept::Affine], &[Kept::Running, Kept::Affine]] {
        patches.push(Patch { keep: keep.iter().copied().collect(), ..patch(block.clone(), source) });
    }
    let results = case.evaluate(&host, &patches, 2);
    for (patch, result) in patches.iter().zip(&results) {
        assert_eq!(*result, case.naive(&host, patch), "{patch:?}");
    }
    let different: BTreeSet<_> = results.iter().map(|result| result[1].to_bits()).collect();
    assert_eq!(different.len(), results.len(), "each patch has a loss of its own");
}

#[test]
fn a_patch_with_the_hosts_own_values_changes_nothing() {
    let case = Case::dense();
    let full_model = case.patches().into_iter().find(|patch| patch.layers.len() == 5).unwrap();
    let host = case.values(full_model.source);
    let own = |layer: &str| Patch { layers: vec![LayerName::new(layer)], ..full_model.clone() };
    let results = case.evaluate(&host, &[full_model.clone(), own("layer1"), own("layer4")], 2);
    assert_eq!((&results[0], &results[0]), (&results[1], &results[2]));
}

#[test]
fn a_wish_to_stop_is_heard() {
    let case = Case::dense();
    let (pixels, labels) = case.data();
    let cancelled = AtomicBool::new(false);
    let probes = Probes {
        network: &case.network,
        host: &case.network.init(0),
        labels: &labels,
        rows: &|range, out| {
            out.copy_from_slice(&pixels[range.start * FEATURES..range.end * FEATURES]);
            cancelled.store(true, Ordering::Relaxed);
        },
        metrics: &ALL,
        pool: &rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap(),
        cancel: Cancel::new(&cancelled),
        progress: &|_| panic!("no chunk is finished"),
    };
    let result = probes.evaluate(&case.patches(), |source| Ok(case.values(source)));
    assert!(matches!(result, Err(ProbeError::Cancelled)));
}
