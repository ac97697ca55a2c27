//! How the results came about: every stage, its key, when and where it was done.

use maud::{Markup, html};

/// A stage with a result.
pub struct Made {
    /// The node.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its key.
    pub key: String,
    /// Files and their digests.
    pub outputs: Vec<(String, String)>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// When it was begun; empty if it was not run, because another execution had read the same.
    pub started: String,
    /// On which machine, with how many threads.
    pub host: String,
    /// By which version, of which revision.
    pub version: String,
}

pub(super) fn section(stages: &[Made]) -> Markup {
    let total: f64 = stages.iter().map(|stage| stage.seconds).sum();
    html! {
        section id="stages" {
            h2 { "Stages" }
            p { (stages.len()) " stages, " (duration(total)) " of work in all. A key names all that goes into a stage; a digest is the BLAKE3 of a file, as " code { "b3sum" } " prints it." }
            div class="scroll tall" tabindex="0" role="group" aria-label="Stages" {
                table {
                    caption class="hidden" { "Stages, with keys and digests" }
                    thead { tr { @for name in ["stage", "kind", "took", "begun", "on", "by", "key", "outputs"] { th scope="col" { (name) } } } }
                    tbody {
                        @for stage in stages {
                            tr {
                                th scope="row" { (stage.name) }
                                td { (stage.kind) }
                                @if stage.started.is_empty() {
                                    td colspan="3" { "not run: another execution had read the same" }
                                } @else {
                                    td { (duration(stage.seconds)) }
                                    td { (stage.started) }
                                    td { (stage.host) }
                                }
                                td { (stage.version) }
                                td class="digest" { (stage.key) }
                                td {
                                    @if stage.outputs.len() > SHOWN { (stage.outputs.len()) " files" }
                                    @else { @for (name, digest) in &stage.outputs { div { (name) " " span class="digest" { (digest) } } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Files of a stage that are named one by one.
const SHOWN: usize = 4;

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.0995 => format!("{:.0} ms", s * 1000.0),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min {:.0} s", (s / 60.0).floor(), s % 60.0),
        s => format!("{:.0} h {:.0} min", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}
