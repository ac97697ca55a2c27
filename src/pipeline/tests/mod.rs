//! The language on toy kinds: the join rule, and what moves a key and what does not.

mod combinations;
mod files;
mod scales;
mod targets;

use std::path::Path;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;
use crate::base::fsx::FileError;
use crate::stage::{ArtifactType, Context, Inputs, Kind, Slot, Stage, StageError};

const THING: ArtifactType = ArtifactType("thing");

macro_rules! toy {
    ($name:ident, $word:literal, $slots:expr) => {
        #[derive(Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $name {
            #[serde(default, skip_serializing_if = "Option::is_none")]
            x: Option<serde_json::Value>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            y: Option<serde_json::Value>,
        }

        impl Stage for $name {
            const KIND: &'static str = $word;
            const VERSION: u32 = 1;
            const ABOUT: &'static str = "a toy";
            const SLOTS: &'static [Slot] = $slots;
            const OUTPUT: ArtifactType = THING;

            fn run(&self, _: &Inputs, _: &Context) -> Result<(), StageError> {
                Ok(())
            }
        }
    };
}

toy!(Make, "make", &[]);
toy!(Pass, "pass", &[Slot::one("from", THING)]);
toy!(Join, "join", &[Slot::many("from", THING)]);

static TOYS: &[Kind] = &[Kind::of::<Make>(), Kind::of::<Pass>(), Kind::of::<Join>()];

fn keyed(text: &str) -> Result<Keyed, SpecErrors> {
    keyed_with(text, &[], &[])
}

/// With overrides, and with other files: name and text.
fn keyed_with(text: &str, overrides: &[&str], files: &[(&str, &str)]) -> Result<Keyed, SpecErrors> {
    let overrides = overrides.iter().map(|text| text.parse().unwrap()).collect();
    keyed_at(text, &Variation { scale: None, overrides }, files)
}

/// With a variation, and with other files.
fn keyed_at(text: &str, variation: &Variation, files: &[(&str, &str)]) -> Result<Keyed, SpecErrors> {
    let read = |path: &Path| {
        let file = files.iter().find(|(name, _)| Path::new(name) == path);
        let missing = || FileError::new("read", path, std::io::ErrorKind::NotFound.into());
        file.map(|(_, text)| (*text).to_owned()).ok_or_else(missing)
    };
    let surroundings = Surroundings {
        registry: Registry(TOYS),
        numerics: "toy",
        digest: &|_| unreachable!("no toy reads files"),
        read: &read,
    };
    load("toy.yaml", text, variation, &surroundings)
}

/// Each node with the nodes that it needs.
fn wiring(text: &str) -> Vec<String> {
    let keyed = keyed(text).unwrap();
    let name = |place: &usize| keyed.nodes[*place].node.to_string();
    let line = |node: &KeyedNode| {
        let needs: Vec<_> = node.node.inputs.iter().flat_map(|(_, places)| places).map(name).collect();
        format!("{} <- {}", node.node, needs.join(" "))
    };
    keyed.nodes.iter().map(line).collect()
}

#[test]
fn single_inputs_hand_on_their_axes_and_many_gather_them() {
    let text = "
pipeline: toy
matrix: { seed: [0, 1], width: [16, 128] }
stages:
  total: { needs: { from: sum }, join: {} }
  sum:   { needs: { from: copy }, join: { x: $width } }
  copy:  { needs: { from: net }, pass: {} }
  net:   { needs: { from: data }, pass: { x: $seed, y: [$width] } }
  data:  { make: {} }
";
    assert_eq!(
        wiring(text),
        [
            "data <- ",
            "net[seed=0,width=16] <- data",
            "net[seed=0,width=128] <- data",
            "net[seed=1,width=16] <- data",
            "net[seed=1,width=128] <- data",
            "copy[seed=0,width=16] <- net[seed=0,width=16]",
            "copy[seed=0,width=128] <- net[seed=0,width=128]",
            "copy[seed=1,width=16] <- net[seed=1,width=16]",
            "copy[seed=1,width=128] <- net[seed=1,width=128]",
            "sum[width=16] <- copy[seed=0,width=16] copy[seed=1,width=16]",
            "sum[width=128] <- copy[seed=0,width=128] copy[seed=1,width=128]",
            "total <- sum[width=16] sum[width=128]",
        ]
    );
}

#[test]
fn a_circle_is_named() {
    let text = "{pipeline: t, stages: {a: {make: {}}, b: {needs: {from: d}, pass: {}}, c: {needs: {from: b}, pass: {}}, d: {needs: {from: c}, pass: {}}}}";
    let errors = keyed(text).err().unwrap();
    assert_eq!(errors.errors[0].message, "stages need each other in a circle: b → d → c → b");
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = "
pipeline: 9
matrix: { seed: [], unused: [1] }
stages:
  a: { mak: {} }
  b: { needs: { form: a }, pass: { x: $sede } }
extra: 1
";
    let messages: Vec<_> = keyed(text).err().unwrap().errors.into_iter().map(|e| e.message).collect();
    let expected = [
        "a pipeline's name must be text",
        "axis 'seed' must be a list of one scalar or more",
        "stage 'a': 'mak' is neither a kind nor a key of a stage",
        "kind 'pass' has no slot 'form'",
        "no axis 'sede' is declared under 'matrix'",
        "unknown key 'extra'",
    ];
    assert_eq!(messages, expected);
}

/// One stage's key.
fn key(parameters: &str) -> String {
    keyed(&format!("{{pipeline: t, stages: {{a: {{make: {parameters}}}}}}}")).unwrap().nodes[0]
        .key
        .to_string()
}

#[test]
fn the_encoding_of_keys_is_pinned() {
    // Computed by a second implementation of the encoding, in Python with the `blake3` package. A key that moves makes every
    // stored result unreachable: say so in the changelog.
    assert_eq!(key("{}"), "77dcfdc1d20e9c22d9861c3c84e969346832252039279aee69d50ebc9af16750");
    assert_eq!(
        key("{x: 0.1, y: [a, {b: true}]}"),
        "f4672018b66cbeda27b172a161b20e1c51743615a70f97cee69b03721be42ddc"
    );
}

#[test]
fn notation_moves_no_key() {
    assert_eq!(key("{x: 0.1, y: 100}"), key("{y: 1e2, x: 1e-1}"));
    assert_ne!(key("{x: 0.1}"), key("{y: 0.1}"));
    assert_ne!(key("{x: '1'}"), key("{x: 1}"));
    assert_ne!(key("{x: []}"), key("{}"));
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "[a-z]{0,3}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|m| m.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    /// What is written as YAML is read as it was, with the same key.
    #[test]
    fn values_survive_print_and_parse(value in json()) {
        let file = serde_json::json!({ "pipeline": "t", "stages": { "a": { "make": { "x": value } } } });
        let printed = serde_yaml::to_string(&file).unwrap();
        prop_assert_eq!(&Document::parse("t", &printed).unwrap().value, &file, "{}", printed);
        let key = |text: &str| keyed(text).unwrap().nodes[0].key;
        prop_assert_eq!(key(&printed), key(&file.to_string()));
    }

    /// The order of stages, of keys and of an axis's values moves no key.
    #[test]
    fn order_moves_no_key(order in Just([0, 1, 2, 3]).prop_shuffle(), flip in any::<bool>()) {
        let stages = [
            "  a: { make: { x: $seed, y: 1 } }\n",
            "  b: { needs: { from: a }, pass: { y: $lr } }\n",
            "  c: { needs: { from: [a, b] }, join: {} }\n",
            "  d: { join: { x: $seed }, needs: { from: b } }\n",
        ];
        let matrix = if flip { "{ lr: [0.2, 0.1], seed: [1, 0] }" } else { "{ seed: [0, 1], lr: [0.1, 0.2] }" };
        let keys = |matrix: &str, order: [usize; 4]| {
            let text = order.map(|at| stages[at]).concat();
            let keyed = keyed(&format!("matrix: {matrix}\nstages:\n{text}pipeline: t\n")).unwrap();
            let mut keys: Vec<_> = keyed.nodes.iter().map(|n| (n.node.to_string(), n.key.to_string())).collect();
            keys.sort();
            keys
        };
        prop_assert_eq!(keys(matrix, order), keys("{ seed: [0, 1], lr: [0.1, 0.2] }", [0, 1, 2, 3]));
    }

    /// Keys agree exactly where parameters do.
    #[test]
    fn keys_are_injective(a in json(), b in json()) {
        let key = |value: &serde_json::Value| key(&serde_json::json!({ "x": value }).to_string());
        prop_assert_eq!(a == b, key(&a) == key(&b), "{} {}", a, b);
    }

    /// No text makes the front end panic.
    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\n\u{e9}]{0,200}") {
        let _ = keyed(&text);
    }

    /// Neither does a damaged pipeline.
    #[test]
    fn any_damage_is_read_or_refused(at in 0_usize..200, with in "[-:{}\\[\\],&*!$<>#a\n\t \u{3c4}]{0,3}") {
        let text = "pipeline: toy\nmatrix: { seed: [0, 1] }\nstages:\n  a: { make: { x: $seed } }\n  b: { needs: { from: a }, join: {} }\n";
        let at = at.min(text.len());
        let _ = keyed(&format!("{}{with}{}", &text[..at], &text[at..]));
        let _ = keyed(&format!("{}{with}{}", &text[..at], text.get(at + 1..).unwrap_or("")));
    }
}
