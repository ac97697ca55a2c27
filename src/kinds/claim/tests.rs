use std::collections::BTreeMap;
use std::fmt::Write;

use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::FILE;
use crate::base::fsx;
use crate::kinds::testing::{of_files, published, read, run};
use crate::stage::Artifact;
use crate::table::claim::{Judged, Verdict};
use crate::table::reference::{self, Choice, FINAL};

/// A claim as it stands in a pipeline file, its references replaced.
fn written(file: &str, stage: &str, values: &[(&str, &str)]) -> Value {
    let path = format!("{}/pipelines/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
    let mut text = fsx::read_to_string(path.as_ref()).unwrap();
    for (name, value) in values {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    let pipeline: Value = serde_yaml::from_str(&text).unwrap();
    pipeline["stages"][stage]["claim"].clone()
}

/// Rows as they were made at a place of the matrix.
fn rows(folder: &TempDir, name: &str, at: &[(&str, &str)], text: &str) -> Artifact {
    let coordinates: BTreeMap<_, _> = at.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let path = folder.path().join(format!("{}-{name}", fsx::list(folder.path()).unwrap().len()));
    fsx::write_atomic(&path, text.as_bytes()).unwrap();
    of_files([(name.to_owned(), path)].into(), coordinates)
}

type Inputs = Vec<(&'static str, Artifact)>;
/// A pipeline file, a stage of it, values of its references, and published numbers.
type Case = (&'static str, &'static str, Vec<(&'static str, &'static str)>, Inputs);

fn judge(claim: &Value, inputs: &Inputs) -> Result<Judged, String> {
    let (_kept, output) = run("claim", claim, inputs)?;
    Ok(serde_json::from_str(&read(&output, FILE)).unwrap())
}

fn probes(folder: &TempDir, figure: &str) -> Artifact {
    rows(folder, "probes.csv", &[("seed", "0")], &published(figure, 0.0))
}

fn distances(folder: &TempDir, figure: &str) -> Artifact {
    rows(folder, "distances.csv", &[], &published(figure, 0.0))
}

/// Figure 2a as probes of one layer of each net.
fn figure_2(folder: &TempDir) -> Artifact {
    let choice = Choice { figure: "Fig2", dataset: Some("mnist"), ..Choice::default() };
    let mut text = "depth,width,seed,layer,source,epoch,draw,split,metric,value\n".to_owned();
    for cell in reference::panel(&choice).unwrap().cells {
        let (depth, width) = cell.row.trim_start_matches("fcn").split_once('x').unwrap();
        let epoch = if cell.column == FINAL { "100" } else { &cell.column };
        _ = writeln!(text, "{depth},{width},0,layer2,reinit,{epoch},,test,error,{}", cell.value);
    }
    rows(folder, "probes.csv", &[], &text)
}

/// The claims of the pipelines, asked of the published numbers themselves: all hold, but one. The published normalised l2 distances
/// of VGG-16 do go with criticality.
#[test]
fn the_publication_bears_its_claims_out() {
    let folder = tempfile::tempdir().unwrap();
    let depth = |depth: &'static str| vec![("matrix.depth", depth), ("params.epochs", "100")];
    let epochs = vec![("params.epochs", "100")];
    let one = |figure: &str| vec![("probes", probes(&folder, figure))];
    let two = |error: &str, moved: &str| {
        vec![("probes", probes(&folder, error)), ("distances", distances(&folder, moved))]
    };
    let joint = |parts: &[&str]| parts.iter().map(|figure| ("probes", probes(&folder, figure))).collect();
    let table_1 = "layer,source,epoch,draw,split,metric,value\nfullmodel,reinit,100,,test,error,";
    let setting = |name: &str, error: &str| {
        ("probes", rows(&folder, "probes.csv", &[("setting", name)], &format!("{table_1}{error}\n")))
    };
    let table_1 =
        vec![setting("full", "0.084"), setting("frozen", "0.1174"), ("joint", probes(&folder, "Fig9b"))];
    let variants = ["plain", "wd", "bn", "wd-bn"].into_iter().zip(["Fig12a", "Fig12b", "Fig12c", "Fig12d"]);
    let variants = variants.map(|(name, figure)| {
        ("probes", rows(&folder, "probes.csv", &[("variant", name)], &published(figure, 0.0)))
    });
    let cases: Vec<Case> = vec![
        ("fig1", "first-layer", vec![], one("Fig1a")),
        ("fig2-mnist", "wide-enough", epochs.clone(), vec![("probes", figure_2(&folder))]),
        ("fig2-mnist", "capacity", epochs.clone(), vec![("probes", figure_2(&folder))]),
        ("fig3", "bottom-and-top", depth("11"), one("Fig3a")),
        ("fig3", "bottom-and-top", depth("19"), one("Fig3b")),
        ("fig3", "bottom-and-top", depth("13"), one("Fig3c")),
        ("fig3", "bottom-and-top", depth("16"), one("Fig3d")),
        ("fig4", "first-blocks", depth("18"), one("Fig4a")),
        ("fig4", "first-blocks", depth("152"), one("Fig4d")),
        ("fig4", "identity-skips", depth("18"), one("Fig4a")),
        ("fig4", "identity-skips", depth("152"), one("Fig4d")),
        ("fig6-9-10", "not-jointly", depth("50"), joint(&["Fig9b", "Fig10b"])),
        ("fig6-9-10", "not-jointly", depth("18"), joint(&["Fig9a"])),
        ("table1", "freezing", epochs.clone(), table_1),
        ("fig1", "far-and-robust", vec![], two("Fig1a", "Fig1b")),
        ("fig14-17", "far-and-robust", epochs.clone(), two("Fig14a", "Fig14b")),
        ("fig12", "first-epoch", epochs, variants.collect()),
    ];
    let mut table = String::new();
    for (file, stage, values, inputs) in cases {
        let judged =
            judge(&written(file, stage, &values), &inputs).unwrap_or_else(|e| panic!("{stage}: {e}"));
        let Judged { number, judgement, .. } = judged;
        let of = values.first().map_or("", |(_, value)| *value);
        let effect = judgement.effect.unwrap_or(f64::NAN);
        let number = number.unwrap_or(0);
        _ = writeln!(table, "{number} {file} {stage} {of}: {} {effect:.4}", judgement.verdict);
    }
    assert_snapshot!(table);
}

fn first_layer() -> Value {
    written("fig1", "first-layer", &[])
}

#[test]
fn other_data_turn_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let with = |from: &str, to: &str| {
        let text = published("Fig1a", 0.0);
        assert!(text.contains(from), "{from}");
        let inputs = vec![("probes", rows(&folder, "probes.csv", &[("seed", "0")], &text.replace(from, to)))];
        judge(&first_layer(), &inputs).unwrap().judgement
    };
    let held = with("layer1", "layer1");
    assert_eq!((held.verdict, held.effect), (Verdict::Holds, Some(0.302)));
    assert_eq!(held.evidence["layer1"], json!(0.356));
    let robust = with("layer1,reinit,0,,test,error,0.377", "layer1,reinit,0,,test,error,0.077");
    assert_eq!((robust.verdict, robust.effect), (Verdict::Fails, Some(0.002)));
    let critical = with("layer3,reinit,0,,test,error,0.03", "layer3,reinit,0,,test,error,0.63");
    assert_eq!(critical.verdict, Verdict::Fails);
    let unlearned = with(",reinit,100,,test,error,0.021", ",reinit,100,,test,error,0.821");
    assert_eq!(unlearned.verdict, Verdict::NotTested);
}

#[test]
fn seeds_and_draws_give_an_interval() {
    let folder = tempfile::tempdir().unwrap();
    let seed = |seed, layer1| {
        let from = "layer1,reinit,0,,test,error,0.377";
        let text = published("Fig1a", 0.0).replace(from, &from.replace("0.377", layer1));
        ("probes", rows(&folder, "probes.csv", &[("seed", seed)], &text))
    };
    let inputs = vec![seed("0", "0.377"), seed("1", "0.477"), seed("2", "0.077")];
    let judgement = judge(&first_layer(), &inputs).unwrap().judgement;
    // Of .302, .402 and .002: mean ± 4.302653 · s / √3 (t by scipy.stats.t.ppf(.975, 2)).
    let repeated = judgement.repeated.unwrap();
    assert_eq!((repeated.tested, repeated.hold, judgement.verdict), (3, 2, Verdict::Holds));
    assert!((repeated.effect.0 - -0.281_781_2).abs() < 1e-6, "{:?}", repeated.effect);
    assert!((repeated.effect.1 - 0.752_447_8).abs() < 1e-6, "{:?}", repeated.effect);
    // A reset to an epoch is not drawn: it is in every draw.
    let sql = "SELECT AVG(CASE WHEN source = 'rerand' THEN value END) > AVG(CASE WHEN epoch = 0 THEN value END) AS holds, \
               AVG(value) AS effect FROM probes";
    let text = "source,epoch,draw,value\nreinit,0,,0.2\nrerand,,0,0.4\nrerand,,1,0.1\n";
    let claim = json!({ "says": "x", "sql": sql, "over": ["draw"] });
    let judged = judge(&claim, &vec![("probes", rows(&folder, "probes.csv", &[], text))]).unwrap();
    let repeated = judged.judgement.repeated.unwrap();
    assert_eq!((repeated.tested, repeated.hold), (2, 1));
    assert!((f64::midpoint(repeated.effect.0, repeated.effect.1) - 0.225).abs() < 1e-6);
}

#[test]
fn malformed_claims_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = vec![("probes", probes(&folder, "Fig1a"))];
    let mut told = String::new();
    for (what, sql) in [
        ("no SQL", "SELEKT 1"),
        ("a broken query", "SELECT (1 AS holds"),
        ("two statements", "SELECT 1; SELECT 2"),
        ("no query", "DROP TABLE probes"),
        ("an unknown column", "SELECT MAX(valu) > 1 AS holds, 1 AS effect FROM probes"),
        ("an unknown table", "SELECT MAX(value) > 1 AS holds, 1 AS effect FROM probs"),
        ("an unknown function", "SELECT MEEN(value) > 1 AS holds, 1 AS effect FROM probes"),
        ("many rows", "SELECT value > 1 AS holds, 1 AS effect FROM probes"),
        ("no row", "SELECT value > 1 AS holds, 1 AS effect FROM probes WHERE layer = 'x'"),
        ("no verdict", "SELECT MAX(value) AS effect FROM probes"),
        ("no effect", "SELECT MAX(value) > 1 AS holds FROM probes"),
        ("a verdict that is none", "SELECT MAX(value) AS holds, 1 AS effect FROM probes"),
        ("an effect that is none", "SELECT MAX(value) > 1 AS holds, 'much' AS effect FROM probes"),
    ] {
        let error = judge(&json!({ "says": "x", "sql": sql }), &inputs).unwrap_err();
        _ = writeln!(told, "# {what}\n{error}");
    }
    let sql = "SELECT 1 > 0 AS holds, 1 AS effect FROM probes";
    let over = judge(&json!({ "says": "x", "sql": sql, "over": ["draws"] }), &inputs).unwrap_err();
    _ = writeln!(told, "# an unknown repetition\n{over}");
    let file = vec![("probes", rows(&folder, "patches.json", &[], "{}"))];
    let no_rows = judge(&json!({ "says": "x", "sql": sql }), &file).unwrap_err();
    _ = writeln!(told, "# an input without rows\n{no_rows}");
    assert_snapshot!(told);
}
