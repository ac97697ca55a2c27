//! What a node reads, as files of the store.

use std::collections::BTreeMap;

use crate::pipeline::{Keyed, scalar};
use crate::stage::{Artifact, Inputs, Slot};
use crate::store::{Store, Summary};

/// The inputs of a node; `summary` knows what each of its sources came to.
pub(super) fn gather<'s>(
    keyed: &Keyed,
    place: usize,
    store: &Store,
    summary: impl Fn(usize) -> &'s Summary,
) -> Inputs {
    let artifact = |source: &usize| {
        let outputs = &summary(*source).outputs;
        let coordinates = keyed.nodes[*source].node.coordinates.iter();
        Artifact {
            files: store.files(outputs),
            digests: outputs.iter().map(|output| (output.name.clone(), output.digest)).collect(),
            coordinates: coordinates.map(|(axis, value)| (axis.to_string(), scalar::text(value))).collect(),
        }
    };
    let slots = keyed.nodes[place].node.inputs.iter();
    let slot = |(slot, sources): &(Slot, Vec<usize>)| {
        (slot.name.clone().into_owned(), sources.iter().map(artifact).collect())
    };
    Inputs(slots.map(slot).collect::<BTreeMap<_, _>>())
}
