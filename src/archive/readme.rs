//! The page for who opens an archive without knowing what it is.

use std::fmt::Write;

use crate::archive::Holds;
use crate::archive::contents::Contents;
use crate::archive::paths;

/// `README.md`.
pub(super) fn text(contents: &Contents) -> String {
    let description = &contents.description;
    let (pipeline, about) = (&description.pipeline, &description.about);
    let seconds: f64 = contents.made.iter().map(|made| made.record.provenance.seconds).sum();
    let mut text = format!("# {pipeline}\n\n");
    if !about.is_empty() {
        _ = writeln!(text, "{about}\n");
    }
    let held = match description.holds {
        Holds::Everything => "everything that they were made from, data included",
        Holds::WithoutData => "all intermediate results, but not the datasets: their digests are here",
        Holds::Tables => "only how they were made; the intermediate results are left out",
    };
    _ = write!(
        text,
        "The results of {} stages, and {held}. Made by layerwise {}, revision {}, on `{}`.\n\n\
         | what | where |\n| --- | --- |\n\
         | tables, figures, verdicts, and the lock that names every byte | `data/results/{pipeline}/` |\n\
         | the pipeline | `data/{}` |\n\
         | records (parameters, inputs, outputs, times) and objects, named by BLAKE3 | `data/results/store/v1/` |\n\
         | who made what from what, for programs | `ro-crate-metadata.json` |\n\
         | SHA-256 of every file | `manifest-sha256.txt`, `tagmanifest-sha256.txt` |\n\n",
        contents.made.len(),
        description.version,
        if description.revision.is_empty() { "unknown" } else { &description.revision },
        description.numerics,
        description.file,
    );
    _ = write!(
        text,
        "## Check\n\n\
         Of the packed file: `layerwise archive verify FILE`. Of this folder, with any BagIt tool: `bagit.py --validate .`\n\n\
         ## Look, go on, or do it again\n\n\
         - `layerwise archive import FILE`, then `layerwise run` of the pipeline: all is there, nothing runs.\n\
         - `layerwise reproduce FILE`: everything from nothing, compared stage by stage. It took {seconds:.0} s of work here. \
         On the numerics class named above every byte is the same; on another one the last digits of numbers differ, and tables are equal within a tolerance.\n"
    );
    if !contents.left_out.is_empty() {
        _ = write!(text, "\n## Left out\n\n| output | bytes | object |\n| --- | --- | --- |\n");
        for (digest, left_out) in &contents.left_out {
            let place = left_out.published.as_ref().map_or_else(|| paths::object(*digest), |p| p.url.clone());
            _ = writeln!(text, "| {} | {} | {place} |", left_out.output, left_out.size);
        }
    }
    text
}
