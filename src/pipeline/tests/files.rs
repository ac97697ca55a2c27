//! Pipelines in several files.

use super::*;

fn errors(text: &str, files: &[(&str, &str)]) -> Vec<(String, String)> {
    let errors = keyed_with(text, &[], files).err().unwrap();
    errors.errors.iter().map(|e| (errors.files[e.file].name.clone(), e.message.clone())).collect()
}

#[test]
fn keys_are_those_of_one_file() {
    let shared = "
params: { n: 7 }
matrix: { seed: [0, 1] }
stages:
  data: { make: { x: '${params.n}' } }
  fit:  { needs: { from: data }, pass: { x: $seed } }
";
    let own = "  sum: { needs: { from: fit }, join: { y: $seed } }\n";
    let in_two = keyed_with(
        &format!("pipeline: t\nuse: parts/shared.yaml\nstages:\n{own}"),
        &["seed=[0, 2]"],
        &[
            ("parts/shared.yaml", &format!("use: [deeper.yaml]{shared}")),
            ("parts/deeper.yaml", "about: nothing"),
        ],
    );
    let in_one = keyed_with(&format!("pipeline: t{shared}{own}"), &["seed=[0, 2]"], &[]);
    let keys = |keyed: Result<Keyed, SpecErrors>| {
        let mut keys: Vec<_> =
            keyed.unwrap().nodes.iter().map(|node| (node.node.to_string(), node.key.to_string())).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(in_two), keys(in_one));
}

#[test]
fn mistakes_stand_in_the_file_in_which_they_are() {
    let shared = "stages:\n  fit: { make: { z: 1 } }\n  sum: { needs: { from: fti }, join: {} }\n";
    let text = "{ pipeline: t, use: shared.yaml, stages: { top: { needs: { from: fit }, pas: {} } } }";
    let expected = [
        ("toy.yaml", "stage 'top': 'pas' is neither a kind nor a key of a stage"),
        ("shared.yaml", "unknown key 'z' in 'make'"),
        ("shared.yaml", "there is no stage 'fti'"),
    ];
    let expected = expected.map(|(file, message)| (file.to_owned(), message.to_owned()));
    assert_eq!(errors(text, &[("shared.yaml", shared)]), expected);
}

#[test]
fn what_cannot_be_used_is_told_and_makes_no_further_mistakes() {
    let text = "{ pipeline: t, use: [gone.yaml, torn.yaml, sub/../self.yaml], stages: { top: { needs: { from: fit }, pass: { x: $seed } } } }";
    let files = [("torn.yaml", "stages: { a: [1"), ("self.yaml", "use: toy.yaml")];
    let found = errors(text, &files);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].1.starts_with("cannot read 'gone.yaml'"), "{found:?}");
    assert_eq!(
        found[1],
        (
            "self.yaml".to_owned(),
            "files use each other in a circle: toy.yaml → self.yaml → toy.yaml".to_owned()
        )
    );
    assert_eq!(found[2].0, "torn.yaml");
}

#[test]
fn a_name_stands_once() {
    let text = "{ pipeline: t, use: b.yaml, params: { n: 1 }, matrix: { seed: [1] }, stages: { s: { make: { x: $seed } } } }";
    let other = "{ params: { n: 2 }, matrix: { seed: [1] }, stages: { s: { make: {} } } }";
    let messages: Vec<_> =
        errors(text, &[("b.yaml", other)]).into_iter().map(|(_, message)| message).collect();
    assert_eq!(
        messages,
        [
            "parameter 'n' stands in two files",
            "axis 'seed' is declared twice",
            "stage 's' stands in two files"
        ]
    );
    let labels = keyed_with(text, &[], &[("b.yaml", other)]).err().unwrap().errors;
    assert_eq!(labels[2].label, "already at toy.yaml:1:80");
}
