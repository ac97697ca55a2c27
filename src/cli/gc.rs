//! `layerwise gc`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::page::{count, outln, size};
use crate::cli::project;
use crate::engine::Lock;
use crate::store::Keep;

/// Arguments of `gc`.
#[derive(Args)]
pub(super) struct Gc {
    /// Keep training states, probes, interrupted work and quarantined objects that were used within so many days
    #[arg(long, value_name = "N", default_value_t = DAYS, value_parser = parse_days)]
    keep_days: u32,
    /// Only say what would be removed
    #[arg(long = "dry-run")]
    is_dry: bool,
    /// Where results and the store are [default: results/ of the project]
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Write JSON to stdout
    #[arg(long)]
    json: bool,
}

/// How long what nobody uses is kept, where the user does not say.
pub(super) const DAYS: u32 = 30;

impl Gc {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let results = project::results(self.results.as_deref());
        let store = project::open_store(&results)?;
        let keep = Keep { unused_for: days(self.keep_days), ..Lock::keep(&Lock::all(&results)?, &store)? };
        let freed = if self.is_dry { store.collectable(&keep)? } else { store.collect(&keep)? };
        if self.json {
            outln!("{}", json!({ "dry_run": self.is_dry, "freed": freed }))?;
            return Ok(());
        }
        outln!(
            "{} {}: {}, {}, {} of parts, {} of other sorts",
            if self.is_dry { "would free" } else { "freed" },
            size(freed.bytes),
            count(freed.objects, "object"),
            count(freed.records, "record"),
            count(freed.parts, "key"),
            count(freed.others, "file"),
        )?;
        Ok(())
    }
}

fn parse_days(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "write a number of days, as in 30")
}

/// As a duration.
pub(super) fn days(number: u32) -> Duration {
    Duration::from_hours(24 * u64::from(number))
}
