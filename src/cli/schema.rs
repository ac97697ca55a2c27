//! `layerwise schema`: the pipeline language as JSON Schema, for editors.

use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::page::outln;
use crate::kinds;
use crate::pipeline::schema;
use crate::stage::Registry;

/// Arguments of `schema`.
#[derive(Args)]
pub(super) struct Schema;

impl Schema {
    #[expect(clippy::unused_self, reason = "the form of every command")]
    pub(super) fn execute(self) -> Result<(), Failure> {
        outln!("{:#}", schema::schema(Registry(kinds::KINDS)))
    }
}
