//! One file at several scales.

use super::*;

const TEXT: &str = "
pipeline: t
params: { n: 7, size: 9 }
matrix: { seed: [0, 1] }
scales:
  small: { n: 1, seed: 3 }
  tiny:  { n: 2, size: 0, seed: [4, 5] }
stages:
  data: { make: { x: '${params.n}' } }
  fit:  { needs: { from: data }, pass: { x: $seed } }
  end:  { needs: { from: fit }, pass: { x: '${params.size}' } }
";

fn at(scale: Option<&str>, overrides: &[&str], text: &str) -> Result<Keyed, SpecErrors> {
    let overrides = overrides.iter().map(|text| text.parse().unwrap()).collect();
    keyed_at(text, &Variation { scale: scale.map(str::to_owned), overrides }, &[])
}

fn keys(keyed: Result<Keyed, SpecErrors>) -> Vec<(String, String)> {
    keyed.unwrap().nodes.iter().map(|node| (node.node.to_string(), node.key.to_string())).collect()
}

#[test]
fn a_scale_is_what_it_sets() {
    let small = keys(at(Some("small"), &[], TEXT));
    assert_eq!(small, keys(at(None, &["n=1", "seed=3"], TEXT)));
    assert_ne!(small, keys(at(None, &[], TEXT)));
    let more = keys(at(Some("tiny"), &["size=1", "seed=0"], TEXT));
    assert_eq!(more, keys(at(None, &["n=2", "size=1", "seed=0"], TEXT)));
}

#[test]
fn its_results_have_a_folder_of_their_own() {
    assert_eq!(at(None, &[], TEXT).unwrap().pipeline, "t");
    assert_eq!(at(Some("small"), &[], TEXT).unwrap().pipeline, "t-small");
}

#[test]
fn mistakes_are_told_whichever_scale_is_asked_for() {
    let errors = |scale, text: &str| {
        let errors = at(scale, &[], text).err().unwrap().errors;
        errors.into_iter().map(|error| (error.message, error.hint.unwrap_or_default())).collect::<Vec<_>>()
    };
    let told = |message: &str, hint: &str| vec![(message.to_owned(), hint.to_owned())];
    assert_eq!(
        errors(Some("smal"), TEXT),
        told("--scale smal: the pipeline has no such scale", "did you mean 'small'?")
    );
    let without: String = TEXT
        .lines()
        .filter(|line| !(line.starts_with("  small:") || line.starts_with("  tiny:")))
        .fold(String::new(), |a, b| a + b + "\n");
    assert_eq!(
        errors(Some("small"), &without.replace("scales:\n", "")),
        told(
            "--scale small: the pipeline has no such scale",
            "leave '--scale' out, or add 'scales:' to the file"
        )
    );
    assert_eq!(
        errors(None, &TEXT.replace("size: 0", "sise: 0")),
        told("the pipeline has no parameter or axis 'sise'", "did you mean 'size'?")
    );
    assert_eq!(
        errors(None, &TEXT.replace("seed: [4, 5]", "seed: { a: 1 }")),
        told("axis 'seed' takes a scalar, or a list of one or more", "write 'seed: [0, 1]'")
    );
    assert_eq!(errors(None, &TEXT.replace("scales:", "about: x\nscales: 3\n#")).len(), 1);
}
