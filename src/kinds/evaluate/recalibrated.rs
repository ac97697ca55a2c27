//! Probes whose running means and variances are counted anew behind each reset.
//!
//! The statistics of every norm change then, and with them all that the networks had in common: each is evaluated whole.

use crate::data::Examples;
use crate::nn::learner::Learner;
use crate::nn::params::Params;
use crate::nn::probe::{ProbeError, Probes};
use crate::nn::reset::{Patch, Source};
use crate::nn::run::RunError;

/// Examples of a batch: as many as in the study's trainings.
const BATCH: usize = 128;

/// Evaluates patches as [`Probes::evaluate`] does, each after so many batches of training examples: the first ones.
pub(super) fn evaluate(
    probes: &Probes,
    patches: &[Patch],
    values: impl Fn(Source) -> Result<Params, RunError>,
    train: &Examples,
    batches: u32,
) -> Result<Vec<Vec<f64>>, ProbeError> {
    let mut rows = vec![0.0; train.len().min(batches as usize * BATCH) * train.features()];
    train.rows(0..rows.len() / train.features(), &mut rows);
    let mut results = Vec::new();
    for patch in patches {
        let mut host = probes.host.clone();
        patch.apply(&mut host, &values(patch.source)?);
        let host = probes.pool.install(|| {
            let mut learner = Learner::new(probes.network, &host);
            learner.recalibrate(rows.chunks(BATCH * train.features()));
            learner.params()
        });
        let whole = Patch { layers: Vec::new(), ..patch.clone() };
        let progress = |_: usize| (probes.progress)(results.len());
        let probes = Probes { host: &host, progress: &progress, ..*probes };
        results.extend(probes.evaluate(&[whole], |_| Ok(Params::default()))?);
    }
    Ok(results)
}
