//! Recovery: how fast a network with a reset layer learns again what it lost.

use std::collections::BTreeSet;

use crate::base::name::LayerName;
use crate::base::rng;
use crate::nn::examples::Labelled;
use crate::nn::learner::Learner;
use crate::nn::network::Network;
use crate::nn::params::Params;
use crate::nn::train::{Batch, Settings, TrainError};
use crate::nn::unit::{self, Unit};

/// Trains from `start`, and shows the values after each of these steps; 0 is `start` itself. `show` says whether to go on.
///
/// Examples come in the order of a training with this seed, without variation: all layers recover from θ⁰ as they were trained. Works on
/// the threads of the current rayon pool; the bits do not depend on how many.
pub fn recover(
    network: &Network,
    start: &Params,
    settings: &Settings,
    train: &Labelled,
    steps: &BTreeSet<u32>,
    show: &mut dyn FnMut(u32, Option<&Params>) -> bool,
) -> Result<(), TrainError> {
    let mut learner = Learner::new(network, start);
    learner.freeze(&settings.frozen);
    let (mut batch, mut done, last) = (Batch::default(), 0, steps.last().copied().unwrap_or(0));
    if !show(0, steps.contains(&0).then_some(start)) {
        return Err(TrainError::Cancelled);
    }
    for epoch in 1.. {
        let acting = settings.acting(epoch);
        let update = acting.optimizer.update(acting.optimizer.lr());
        let order =
            rng::stream(settings.seed, &["shuffle", &epoch.to_string()]).permutation(train.labels.len());
        for (indices, number) in order.chunks(settings.batch).zip(1..) {
            if done == last {
                return Ok(());
            }
            batch.load(train, indices, network.features());
            let score = learner.step(&batch.input, &batch.labels, &update);
            if !score.loss.is_finite() {
                return Err(TrainError::Diverged { epoch, batch: number, loss: score.loss });
            }
            done += 1;
            let params = steps.contains(&done).then(|| learner.params());
            if !show(done, params.as_ref()) {
                return Err(TrainError::Cancelled);
            }
        }
    }
    Ok(())
}

/// All that is not in these layers, or units within layers.
pub fn others(network: &Network, layers: &[LayerName]) -> Vec<LayerName> {
    let is_in = |name: &LayerName| {
        let within = |layer: &LayerName| {
            name.as_str().strip_prefix(layer.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        layers.iter().any(|layer| name == layer || within(layer))
    };
    unit::names(network, Unit::Module).into_iter().filter(|name| !is_in(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::optimizer::{Optimizer, Sgd};
    use crate::nn::train::Trainer;
    use crate::nn::zoo::{Arch, Fcn};

    /// The whole network from its initialisation: an independent path through the code, to the bit.
    #[test]
    fn recovery_of_all_layers_is_training() {
        let network = Arch::Fcn(Fcn { depth: 2, width: 9 }).network([1, 2, 3], 4);
        let labels: Vec<u16> = (0..50).map(|index| index % 4).collect();
        let fill = |indices: &[u32], rows: &mut [f32]| {
            for (index, row) in indices.iter().zip(rows.chunks_exact_mut(6)) {
                let mut stream = rng::stream(u64::from(*index), &["example"]);
                row.fill_with(|| stream.normal() as f32);
            }
        };
        let train = Labelled { labels: &labels, fill: &fill };
        let optimizer = Optimizer::Sgd(Sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.01 });
        let settings = Settings { batch: 16, seed: 3, optimizer, schedule: None, frozen: Vec::new() };
        let mut trainer = Trainer::new(&network, &settings, &train, &train);
        let mut recovered = Vec::new();
        let mut show = |step: u32, params: Option<&Params>| {
            recovered.extend(params.map(|params| (step, params.clone())));
            true
        };
        recover(&network, &network.init(3), &settings, &train, &[0, 4, 8].into(), &mut show).unwrap();
        for (step, params) in recovered {
            assert_eq!(trainer.epoch() * 4, step);
            assert_eq!(trainer.params(), params, "four batches an epoch");
            trainer.train_epoch(&train, &train, &mut |_| true).unwrap();
        }
        assert_eq!(trainer.epoch(), 3);
    }

    #[test]
    fn what_is_not_reset_is_named_module_by_module() {
        let arch: Arch = serde_json::from_str(r#"{"resnet": {"depth": 18, "width": 4}}"#).unwrap();
        let network = arch.network([3, 8, 8], 3);
        let of = |layers: &[&str]| {
            others(&network, &layers.iter().map(|name| LayerName::new(*name)).collect::<Vec<_>>())
        };
        let all = of(&[]).len();
        assert_eq!(all - of(&["stage1.resblk1"]).len(), 2, "its two convolutions");
        assert_eq!(all - of(&["stage1.resblk1.conv1"]).len(), 1);
        assert_eq!(all - of(&["stage0", "final_linear"]).len(), 2);
    }
}
