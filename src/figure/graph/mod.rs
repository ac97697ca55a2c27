//! A graph of work, described; as Mermaid, as DOT, and drawn as SVG by a layout of its own.
//!
//! Same description, same bytes. A state is told by a word and by the line of its box as well as by its colour.

mod draw;
mod layers;

use std::fmt::Write;

pub use draw::svg;

/// Boxes and arrows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// What it is of.
    pub title: String,
    /// The boxes, each after those with arrows to it.
    pub boxes: Vec<Unit>,
    /// From a box to one that needs it, by their places.
    pub arrows: Vec<(usize, usize)>,
}

/// A unit of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// What else to say, in smaller letters.
    pub note: String,
    /// How far it is.
    pub state: State,
}

/// How far a unit of work is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// All of it is there.
    Hit,
    /// Some of it is there.
    Partly,
    /// Nothing of it is there.
    Miss,
}

impl State {
    const ALL: [Self; 3] = [Self::Hit, Self::Partly, Self::Miss];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Partly => "partly",
            Self::Miss => "miss",
        }
    }

    /// Colours of the inside and of the line.
    fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Hit => ("#ddf4ff", "#0969da"),
            Self::Partly => ("#fff8c5", "#9a6700"),
            Self::Miss => ("#ffffff", "#57606a"),
        }
    }

    /// Lengths of the dashes and gaps of the line; empty if it has none.
    fn dashes(self) -> &'static str {
        match self {
            Self::Hit => "",
            Self::Partly => "6 2",
            Self::Miss => "3 3",
        }
    }
}

impl Graph {
    /// The states that occur, with the number of boxes in each.
    fn legend(&self) -> Vec<(State, usize)> {
        let count = |state| self.boxes.iter().filter(|b| b.state == state).count();
        State::ALL.into_iter().map(|state| (state, count(state))).filter(|(_, count)| *count > 0).collect()
    }
}

/// The text of a Mermaid flowchart, with a legend.
pub fn mermaid(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    for (i, b) in graph.boxes.iter().enumerate() {
        let note = if b.note.is_empty() {
            String::new()
        } else {
            format!("<br/><small>{}</small>", mermaid_text(&b.note))
        };
        _ = writeln!(text, "  n{i}[\"{}{note}\"]:::{}", mermaid_text(&b.name), b.state.word());
    }
    for (from, to) in &graph.arrows {
        _ = writeln!(text, "  n{from} --> n{to}");
    }
    text += "  subgraph legend\n    direction LR\n";
    for (state, count) in graph.legend() {
        _ = writeln!(text, "    legend_{0}[\"{0}: {count}\"]:::{0}", state.word());
    }
    text += "  end\n";
    for (state, _) in graph.legend() {
        let (fill, line) = state.colours();
        let dashes = if state.dashes().is_empty() {
            String::new()
        } else {
            format!(",stroke-dasharray:{}", state.dashes())
        };
        _ = writeln!(text, "  classDef {} fill:{fill},stroke:{line},color:#1f2328{dashes}", state.word());
    }
    text
}

/// Mermaid's escapes: entities with `#` in the place of `&`.
fn mermaid_text(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '#' | '<' | '>' | '&' | '`' | '\\' => format!("#{};", c as u32),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// The text of a DOT digraph, with a legend.
pub fn dot(graph: &Graph) -> String {
    let mut text = format!("digraph \"{}\" {{\n  rankdir=LR\n", dot_text(&graph.title));
    text += "  node [shape=box, style=\"rounded,filled\", fontname=\"DejaVu Sans\", fontsize=11, fontcolor=\"#1f2328\"]\n";
    text += "  edge [color=\"#57606a\", arrowsize=0.7]\n";
    for (i, b) in graph.boxes.iter().enumerate() {
        let note = if b.note.is_empty() { String::new() } else { format!("\\n{}", dot_text(&b.note)) };
        _ = writeln!(text, "  n{i} [label=\"{}{note}\", {}]", dot_text(&b.name), dot_style(b.state));
    }
    for (from, to) in &graph.arrows {
        _ = writeln!(text, "  n{from} -> n{to}");
    }
    text += "  subgraph cluster_legend {\n    label=\"\"\n    color=\"#d0d7de\"\n";
    for (state, count) in graph.legend() {
        _ = writeln!(text, "    legend_{0} [label=\"{0}: {count}\", {1}]", state.word(), dot_style(state));
    }
    text + "  }\n}\n"
}

fn dot_style(state: State) -> String {
    let (fill, line) = state.colours();
    let dashed = if state.dashes().is_empty() { "" } else { ", style=\"rounded,filled,dashed\"" };
    format!("fillcolor=\"{fill}\", color=\"{line}\"{dashed}")
}

fn dot_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
pub(super) mod tests {
    use insta::assert_snapshot;

    use super::*;

    /// A box of each state, with names that would break out of any quotes.
    pub(in crate::figure) fn awkward() -> Graph {
        let b = |name: &str, note: &str, state| Unit { name: name.into(), note: note.into(), state };
        Graph {
            title: "a \"pipeline\"".into(),
            boxes: vec![
                b("data", "download", State::Hit),
                b("fit[x=\"]<b>&#\\`]", "train · 1 of 2", State::Partly),
                b("table", "", State::Miss),
            ],
            arrows: vec![(0, 1), (1, 2), (0, 2)],
        }
    }

    #[test]
    fn names_stay_within_their_quotes() {
        assert_snapshot!("mermaid", mermaid(&awkward()));
        assert_snapshot!("dot", dot(&awkward()));
    }
}
