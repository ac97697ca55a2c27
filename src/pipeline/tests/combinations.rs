//! What a matrix allows, by example and against a naive model.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Names of a stage's nodes.
fn nodes(keyed: &Keyed, stage: &str) -> Vec<String> {
    let of_stage = keyed.nodes.iter().filter(|node| node.node.stage.as_str() == stage);
    of_stage.map(|node| node.node.to_string()).collect()
}

#[test]
fn zipped_axes_vary_together_and_project() {
    let text = "
pipeline: toy
matrix:
  seed: [0, 1]
  zip: [{ lr: 0.1, batch: 64 }, { lr: 0.2, batch: 64 }, { lr: 0.2, batch: 128 }]
stages:
  fit:  { make: { x: $lr, y: [$batch, $seed] } }
  best: { needs: { from: fit }, join: { x: $batch } }
  rate: { make: { x: $lr } }
";
    let keyed = keyed(text).unwrap();
    assert_eq!(nodes(&keyed, "fit").len(), 6);
    assert_eq!(nodes(&keyed, "fit")[1], "fit[batch=64,lr=0.1,seed=1]");
    assert_eq!(nodes(&keyed, "best"), ["best[batch=64]", "best[batch=128]"]);
    assert_eq!(nodes(&keyed, "rate"), ["rate[lr=0.1]", "rate[lr=0.2]"]);
    let best = wiring(text).into_iter().find(|line| line.starts_with("best[batch=128]")).unwrap();
    assert_eq!(best, "best[batch=128] <- fit[batch=128,lr=0.2,seed=0] fit[batch=128,lr=0.2,seed=1]");
}

/// An axis that is mentioned in `about` alone names nodes, and is in no key: equal ones run once.
#[test]
fn an_axis_in_about_is_a_label() {
    let text = "
pipeline: toy
matrix: { zip: [{ lr: 1, label: plain }, { lr: 2, label: fast }, { lr: 2, label: hasty }] }
stages:
  fit: { make: { x: $lr }, about: 'the ${matrix.label} one' }
  sum: { needs: { from: fit }, join: {} }
";
    let labelled = keyed(text).unwrap();
    let names = ["fit[label=plain,lr=1]", "fit[label=fast,lr=2]", "fit[label=hasty,lr=2]"];
    assert_eq!(nodes(&labelled, "fit"), names);
    let keys: Vec<_> = labelled.nodes.iter().take(3).map(|node| node.key).collect();
    assert!(keys[0] != keys[1] && keys[1] == keys[2]);
    let error = keyed(&text.replace("matrix.label", "matrix.lable")).err().unwrap();
    assert_eq!(error.errors[0].message, "no axis 'lable' is declared under 'matrix'");
}

#[test]
fn excluded_combinations_go_and_included_ones_come() {
    let text = "
pipeline: toy
matrix:
  depth: [1, 2]
  width: [8, 16]
  exclude: [{ depth: 2, width: 16 }]
  include: [{ depth: 9, width: 8 }, { depth: 1, width: 8 }]
stages:
  fit: { make: { x: $depth, y: $width } }
  sum: { needs: { from: fit }, join: { x: $depth } }
";
    let keyed = keyed(text).unwrap();
    let expected = ["depth=1,width=8", "depth=1,width=16", "depth=2,width=8", "depth=9,width=8"]
        .map(|at| format!("fit[{at}]"));
    assert_eq!(nodes(&keyed, "fit"), expected);
    assert_eq!(wiring(text)[5], "sum[depth=2] <- fit[depth=2,width=8]");
    let set = |set: &str| nodes(&keyed_with(text, &[set], &[]).unwrap(), "fit");
    assert_eq!(set("width=8"), ["fit[depth=1,width=8]", "fit[depth=2,width=8]", "fit[depth=9,width=8]"]);
    assert_eq!(
        set("depth=[2, 5]"),
        ["depth=2,width=8", "depth=5,width=8", "depth=5,width=16"].map(|at| format!("fit[{at}]"))
    );
}

#[test]
fn a_matrix_may_be_a_list_of_combinations() {
    let text = "
pipeline: toy
matrix: { include: [{ a: 1, b: x }, { a: 2, b: y }] }
stages: { fit: { make: { x: $a, y: $b } }, sum: { needs: { from: fit }, pass: { x: $b } } }
";
    assert_eq!(
        wiring(text),
        [
            "fit[a=1,b=x] <- ",
            "fit[a=2,b=y] <- ",
            "sum[a=1,b=x] <- fit[a=1,b=x]",
            "sum[a=2,b=y] <- fit[a=2,b=y]"
        ]
    );
}

#[test]
fn a_stage_has_axes_of_its_own_and_hands_them_on() {
    let text = "
pipeline: toy
matrix: { seed: [0] }
stages:
  data: { make: { x: $seed } }
  fit:  { matrix: { lr: [1, 2] }, needs: { from: data }, pass: { x: $lr } }
  test: { needs: { from: fit }, pass: {} }
  mean: { needs: { from: test }, join: { x: $lr } }
";
    let keyed = keyed(text).unwrap();
    assert_eq!(nodes(&keyed, "data"), ["data[seed=0]"]);
    assert_eq!(nodes(&keyed, "test"), ["test[lr=1,seed=0]", "test[lr=2,seed=0]"]);
    assert_eq!(nodes(&keyed, "mean"), ["mean[lr=1]", "mean[lr=2]"]);
    let out_of_reach = text.replace("make: { x: $seed }", "make: { x: $seed, y: $lr }");
    let errors = super::keyed(&out_of_reach).err().unwrap().errors;
    assert_eq!(errors[0].message, "axis 'lr' belongs to stage 'fit', and 'data' does not come after it");
}

#[test]
fn too_many_combinations_are_refused() {
    let axis = |name: &str| format!("{name}: {:?}", (0..200).collect::<Vec<_>>());
    let axes = ["a", "b", "c"].map(axis).join(", ");
    for matrix in [axes.clone(), format!("{axes}, exclude: [{{ a: 1 }}]")] {
        let text = format!(
            "{{pipeline: t, matrix: {{ {matrix} }}, stages: {{ s: {{ make: {{ x: [$a, $b, $c] }} }} }} }}"
        );
        let errors = super::keyed(&text).err().unwrap().errors;
        assert!(errors[0].message.contains("more than 2000000"), "{}", errors[0].message);
    }
}

type Row = BTreeMap<String, u8>;

/// A matrix in plain data.
#[derive(Debug, Clone)]
struct Model {
    plain: BTreeMap<String, BTreeSet<u8>>,
    zip: BTreeSet<(u8, u8)>,
    exclude: Vec<Row>,
    include: Vec<[u8; 4]>,
}

const AXES: [&str; 4] = ["a", "b", "c", "d"];

impl Model {
    /// All allowed combinations, the slow way.
    fn combinations(&self) -> BTreeSet<Row> {
        let row = |values: [u8; 4]| AXES.map(str::to_owned).into_iter().zip(values).collect::<Row>();
        let mut all = BTreeSet::new();
        for a in &self.plain["a"] {
            for b in &self.plain["b"] {
                all.extend(self.zip.iter().map(|(c, d)| row([*a, *b, *c, *d])));
            }
        }
        all.retain(|row| {
            !self.exclude.iter().any(|entry| entry.iter().all(|(axis, value)| row[axis] == *value))
        });
        all.extend(self.include.iter().map(|values| row(*values)));
        all
    }

    fn yaml(&self) -> serde_json::Value {
        let rows = |rows: Vec<Row>| serde_json::json!(rows);
        let mut matrix = serde_json::json!(self.plain);
        matrix["zip"] = self.zip.iter().map(|(c, d)| serde_json::json!({ "c": c, "d": d })).collect();
        if !self.exclude.is_empty() {
            matrix["exclude"] = rows(self.exclude.clone());
        }
        if !self.include.is_empty() {
            let row = |values: &[u8; 4]| AXES.map(str::to_owned).into_iter().zip(*values).collect();
            matrix["include"] = rows(self.include.iter().map(row).collect());
        }
        matrix
    }
}

fn model() -> impl Strategy<Value = Model> {
    let values = || prop::collection::btree_set(0..3_u8, 1..3);
    let entry =
        prop::collection::btree_map(prop::sample::select(&AXES[..]).prop_map(str::to_owned), 0..3_u8, 1..3);
    let plain = (values(), values());
    let zip = prop::collection::btree_set((0..3_u8, 0..3_u8), 1..4);
    let include = prop::collection::vec(prop::array::uniform4(0..4_u8), 0..3);
    (plain, zip, prop::collection::vec(entry, 0..2), include).prop_map(|((a, b), zip, exclude, include)| {
        let plain = BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        Model { plain, zip, exclude, include }
    })
}

fn project(row: &Row, axes: &BTreeSet<&str>) -> Row {
    row.iter()
        .filter(|(axis, _)| axes.contains(axis.as_str()))
        .map(|(axis, value)| (axis.clone(), *value))
        .collect()
}

fn named(stage: &str, at: &Row) -> String {
    let at: Vec<String> = at.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    if at.is_empty() { stage.to_owned() } else { format!("{stage}[{}]", at.join(",")) }
}

proptest! {
    /// A stage exists once per projection of the allowed combinations, and is connected to what it occurs with in one.
    #[test]
    fn nodes_and_connections_are_those_of_the_model(
        model in model(),
        below in prop::collection::btree_set(prop::sample::select(&AXES[..]), 0..4),
        above in prop::collection::btree_set(prop::sample::select(&AXES[..]), 0..4),
    ) {
        let mention = |axes: &BTreeSet<&str>| axes.iter().map(|axis| format!("${axis}")).collect::<Vec<_>>();
        let file = serde_json::json!({ "pipeline": "t", "matrix": model.yaml(), "stages": {
            "all": { "make": { "x": mention(&AXES.into_iter().collect()) } },
            "low": { "make": { "x": mention(&below) } },
            "top": { "join": { "x": mention(&above) }, "needs": { "from": "low" } },
        } });
        let combinations = model.combinations();
        let keyed = match keyed(&file.to_string()) {
            Ok(keyed) => keyed,
            Err(errors) => {
                let is_expected = |error: &SpecError| {
                    error.message.contains("matches no combination") || error.message.contains("no combination left")
                };
                prop_assert!(errors.errors.iter().all(is_expected), "{:?}", errors.errors);
                return Ok(());
            }
        };
        let spaces = |axes| combinations.iter().map(|row| project(row, axes)).collect::<BTreeSet<Row>>();
        let expected: BTreeSet<String> = spaces(&below).iter().map(|at| named("low", at)).collect();
        prop_assert_eq!(nodes(&keyed, "low").into_iter().collect::<BTreeSet<_>>(), expected);
        prop_assert_eq!(nodes(&keyed, "all").len(), combinations.len());
        for at in spaces(&above) {
            let name = named("top", &at);
            let node = keyed.nodes.iter().find(|node| node.node.to_string() == name).unwrap();
            let together = combinations.iter().filter(|row| project(row, &above) == at);
            let expected: BTreeSet<String> = together.map(|row| named("low", &project(row, &below))).collect();
            let found: Vec<String> = node.node.inputs[0].1.iter().map(|at| keyed.nodes[*at].node.to_string()).collect();
            prop_assert_eq!(found.len(), expected.len());
            prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{}", name);
        }
    }
}
