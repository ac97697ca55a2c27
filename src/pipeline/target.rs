//! Targets: which nodes a user means.
//!
//! A target is the name of a stage, in which `*` and `?` stand for any characters and any one, and then perhaps coordinates
//! in brackets: `fit`, `fig*`, `fit[seed=0]`, `fit[seed=0,*]`. It means every node whose coordinates agree with those that are
//! given; others are free, with or without a `*` for the rest.

use std::collections::BTreeSet;

use crate::base::suggest;
use crate::pipeline::key::Keyed;
use crate::pipeline::matrix::Node;
use crate::pipeline::scalar;

/// A target that means no node.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No stage has such a name.
    #[error("there is no stage '{target}' in pipeline '{pipeline}'")]
    NoSuchStage {
        /// The target.
        target: String,
        /// The pipeline.
        pipeline: String,
        /// What to do.
        hint: String,
    },
    /// The stage has no node with such coordinates.
    #[error("no node of stage '{stage}' is at '{at}'")]
    NoSuchNode {
        /// The stage, as written.
        stage: String,
        /// The coordinates, as written.
        at: String,
        /// What to do.
        hint: String,
    },
}

impl TargetError {
    /// What to do: begins with a verb.
    pub fn hint(&self) -> &str {
        match self {
            Self::NoSuchStage { hint, .. } | Self::NoSuchNode { hint, .. } => hint,
        }
    }
}

/// Marks the nodes that targets mean; all of them if there is no target.
pub fn select(keyed: &Keyed, targets: &[String]) -> Result<Vec<bool>, TargetError> {
    let mut selected = vec![targets.is_empty(); keyed.nodes.len()];
    for target in targets {
        let (stage, at) = match target.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
            Some((stage, at)) => (stage, Some(at)),
            None => (target.as_str(), None),
        };
        let (mut has_stage, mut has_node) = (false, false);
        for (node, selected) in keyed.nodes.iter().zip(&mut selected) {
            if matches(stage.as_bytes(), node.node.stage.as_str().as_bytes()) {
                has_stage = true;
                if at.is_none_or(|at| is_at(&node.node, at)) {
                    (*selected, has_node) = (true, true);
                }
            }
        }
        if !has_stage {
            let stages: BTreeSet<&str> = keyed.nodes.iter().map(|node| node.node.stage.as_str()).collect();
            let hint = suggest::hint(stage, stages);
            return Err(TargetError::NoSuchStage {
                target: target.clone(),
                pipeline: keyed.pipeline.clone(),
                hint,
            });
        }
        if !has_node {
            let of_stage = keyed
                .nodes
                .iter()
                .find(|node| matches(stage.as_bytes(), node.node.stage.as_str().as_bytes()));
            let hint =
                of_stage.map_or(String::new(), |node| format!("name coordinates as in '{}'", node.node));
            let at = at.unwrap_or_default().to_owned();
            return Err(TargetError::NoSuchNode { stage: stage.to_owned(), at, hint });
        }
    }
    Ok(selected)
}

/// Whether a node agrees with coordinates such as `seed=0,*`.
fn is_at(node: &Node, at: &str) -> bool {
    // A text may hold a comma: what is written exactly as the node is called means it.
    crate::pipeline::matrix::describe(&node.coordinates) == at
        || at.split(',').map(str::trim).all(|part| {
            part == "*"
                || part.split_once('=').is_some_and(|(axis, value)| {
                    node.coordinates.iter().any(|(name, known)| {
                        name.as_str() == axis && matches(value.as_bytes(), scalar::text(known).as_bytes())
                    })
                })
        })
}

/// Whether a text has the form of a pattern with `*` and `?`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and the first character that it does not yet stand for.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(c), _) if *c == b'?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            (_, Some((at, from))) => {
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let matches = |pattern: &str, text: &str| matches(pattern.as_bytes(), text.as_bytes());
        for (pattern, text) in
            [("fig*", "fig1a"), ("*", ""), ("*1*", "fig1a"), ("f?g", "fig"), ("a*b*c", "aXbXbc")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("fig", "fig1a"), ("f?g", "fg"), ("a*b", "abc"), ("", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
