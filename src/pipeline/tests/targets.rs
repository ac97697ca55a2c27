//! What targets mean.

use super::*;
use crate::pipeline::target::{TargetError, select};

fn chosen(targets: &[&str]) -> Result<Vec<String>, TargetError> {
    let text = "
pipeline: toy
matrix: { seed: [0, 1], lr: [0.1, 0.2] }
stages:
  fit:  { make: { x: $seed, y: $lr } }
  fig1: { needs: { from: fit }, join: { x: $seed } }
  fig2: { needs: { from: fit }, join: {} }
";
    let keyed = keyed(text).unwrap();
    let targets: Vec<String> = targets.iter().map(|target| (*target).to_owned()).collect();
    let selected = select(&keyed, &targets)?;
    let names = keyed.nodes.iter().zip(selected).filter(|(_, chosen)| *chosen);
    Ok(names.map(|(node, _)| node.node.to_string()).collect())
}

#[test]
fn names_globs_and_coordinates() {
    assert_eq!(chosen(&[]).unwrap().len(), 7);
    assert_eq!(chosen(&["fit"]).unwrap().len(), 4);
    assert_eq!(chosen(&["fig*"]).unwrap(), ["fig1[seed=0]", "fig1[seed=1]", "fig2"]);
    assert_eq!(chosen(&["fig?[seed=1]"]).unwrap(), ["fig1[seed=1]"]);
    assert_eq!(chosen(&["fit[lr=0.1,seed=1]"]).unwrap(), ["fit[lr=0.1,seed=1]"]);
    for partial in ["fit[seed=1]", "fit[seed=1,*]", "fit[*,seed=1]", "fit[lr=*,seed=1]"] {
        assert_eq!(chosen(&[partial]).unwrap(), ["fit[lr=0.1,seed=1]", "fit[lr=0.2,seed=1]"], "{partial}");
    }
    assert_eq!(chosen(&["fig2", "fit[lr=0.1,seed=0]"]).unwrap(), ["fit[lr=0.1,seed=0]", "fig2"]);
}

#[test]
fn what_means_nothing_is_told() {
    let error = chosen(&["fitt"]).unwrap_err();
    assert_eq!(error.to_string(), "there is no stage 'fitt' in pipeline 'toy'");
    assert_eq!(error.hint(), "did you mean 'fit'?");
    for wrong in ["fit[seed=7]", "fit[sede=0]", "fit[seed]", "fig2[seed=0]"] {
        let error = chosen(&[wrong]).unwrap_err();
        assert!(matches!(error, TargetError::NoSuchNode { .. }), "{wrong}");
    }
    let hint = chosen(&["fit[seed=7]"]).unwrap_err();
    assert_eq!(hint.hint(), "name coordinates as in 'fit[lr=0.1,seed=0]'");
}
