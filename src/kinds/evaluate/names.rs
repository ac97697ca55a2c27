//! What the results of probes are called: by all that they depend on.

use crate::base::canonical;
use crate::base::digest::{Digest, Fields};
use crate::nn::kernels;
use crate::nn::reset::{Patch, Patches, Source};
use crate::nn::run::{self, Description, Run, RunError};
use crate::stage::Inputs;

/// Adds the host and the examples: network, final checkpoint, data, and the numerics.
pub(in crate::kinds) fn host(fields: &mut Fields, run: &Run, inputs: &Inputs) -> Result<(), RunError> {
    let Description { arch, shape, classes, epochs, .. } = &run.description;
    let network = serde_json::to_value((arch, shape, classes)).expect("a network is plain data");
    fields.add("numerics", kernels::numerics_class().as_bytes());
    fields.add("network", &canonical::bytes(&network));
    fields.add("host", checkpoint(*epochs, run, inputs)?.bytes());
    fields.add("data", inputs.one("data").digest().bytes());
    Ok(())
}

/// A patch: the layers, and what they are overwritten with. Not the row's label or the epoch's number: the values count.
pub(in crate::kinds) fn patch(
    patch: &Patch,
    patches: &Patches,
    run: &Run,
    inputs: &Inputs,
) -> Result<Digest, RunError> {
    let mut fields = Fields::new("layerwise patch v1");
    for layer in &patch.layers {
        fields.add("layer", layer.as_str().as_bytes());
    }
    for kept in &patch.keep {
        fields.add("keep", serde_json::to_string(kept).expect("a word").as_bytes());
    }
    let checkpoint = |epoch| checkpoint(epoch, run, inputs);
    let seeds = |fields: &mut Fields| {
        fields.add("seed", &run.description.seed.to_le_bytes());
        fields.add("rerand seed", &patches.rerand_seed.to_le_bytes());
    };
    match patch.source {
        Source::Reinit { epoch } => fields.add("checkpoint", checkpoint(epoch)?.bytes()),
        Source::Rerand { draw } => {
            seeds(&mut fields);
            fields.add("draw", &draw.to_le_bytes());
        }
        Source::Path { epoch, alpha } => {
            fields.add("path from", checkpoint(epoch)?.bytes());
            fields.add("alpha", &f64::from(alpha).to_le_bytes());
        }
        Source::Noisy { epoch, alpha, sigma, draw } => {
            seeds(&mut fields);
            fields.add("path from", checkpoint(epoch)?.bytes());
            fields.add("alpha", &f64::from(alpha).to_le_bytes());
            fields.add("sigma", &f64::from(sigma).to_le_bytes());
            fields.add("noise", &draw.to_le_bytes());
        }
        Source::Matched { draw } => {
            seeds(&mut fields);
            fields.add("matched from", checkpoint(0)?.bytes());
            fields.add("direction", &draw.to_le_bytes());
        }
    }
    if patches.recalibrate > 0 {
        fields.add("recalibrate", &patches.recalibrate.to_le_bytes());
    }
    Ok(fields.finish())
}

/// The digest of a checkpoint's file.
fn checkpoint(epoch: u32, run: &Run, inputs: &Inputs) -> Result<Digest, RunError> {
    let present = &run.description.checkpoints;
    let digests = &inputs.one("run").digests;
    let digest = digests.get(&run::checkpoint_name(epoch)).filter(|_| present.contains(&epoch));
    digest.copied().ok_or_else(|| RunError::NoCheckpoint { epoch, present: present.clone() })
}
