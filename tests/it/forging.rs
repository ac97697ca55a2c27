//! Archives whose manifests all agree and whose content lies: refused, each with its reason, and nothing of them is kept.

use serde_json::{Value, json};

use crate::bag::{Bag, tar_of};
use crate::space::Space;

const LOCK: &str = "data/results/tiny/lock.json";
const PIPELINE: &str = "\
pipeline: tiny
stages:
  one: { command: { run: echo 1 > one.txt, outputs: [one.txt] } }
  two: { needs: { a: one }, command: { run: cat $a/one.txt $a/one.txt > two.txt, outputs: [two.txt] } }
";

/// A space with the archive of a small pipeline, and the archive taken apart.
fn archived(text: &str) -> (Space, Bag) {
    let space = Space::new().write("pipelines/tiny.yaml", text);
    for command in
        [&["run", "pipelines/tiny.yaml"][..], &["archive", "create", "pipelines/tiny.yaml", "-o", "a"]]
    {
        let ran = space.run(command);
        assert_eq!(ran.code, 0, "{ran:#?}");
    }
    let bag = Bag::open(&std::fs::read(space.path("a")).unwrap());
    (space, bag)
}

impl Bag {
    fn edit(&mut self, path: &str, edit: impl FnOnce(&mut Value)) {
        let bytes = self.files.get_mut(path).unwrap();
        let mut value = serde_json::from_slice(bytes).unwrap();
        edit(&mut value);
        *bytes = serde_json::to_vec_pretty(&value).unwrap();
    }

    /// Where the record of a stage is.
    fn record(&self, stage: &str) -> String {
        let lock: Value = serde_json::from_slice(&self.files[LOCK]).unwrap();
        let key = lock["stages"][stage]["key"].as_str().unwrap().to_owned();
        format!("data/results/store/v1/records/{}/{}.json", &key[..2], &key[2..])
    }

    /// Where the object of the only output of a stage is.
    fn object(&self, stage: &str) -> String {
        let record: Value = serde_json::from_slice(&self.files[&self.record(stage)]).unwrap();
        let digest = record["outputs"][0]["digest"].as_str().unwrap().to_owned();
        format!("data/results/store/v1/objects/{}/{}", &digest[..2], &digest[2..])
    }

    /// Calls the only output of a stage otherwise, in its record and in the lock.
    fn rename(&mut self, stage: &str, name: &str) {
        self.edit(&self.record(stage), |record| record["outputs"][0]["name"] = json!(name));
        self.edit(LOCK, |lock| {
            let outputs = &mut lock["stages"][stage]["outputs"];
            let digest = outputs.as_object().unwrap().values().next().unwrap().clone();
            *outputs = json!({ name: digest });
        });
    }
}

/// What is forged, how, and what the error says of it.
type Case = (&'static str, fn(&mut Bag), &'static str);

const CASES: &[Case] = &[
    (
        "parameters",
        |bag| bag.edit(&bag.record("one"), |r| r["fields"]["parameters"]["run"] = json!("rm")),
        "its stage 'one' has a record with another key",
    ),
    (
        "key of another record",
        |bag| {
            let other = bag.files[&bag.record("two")].clone();
            bag.files.insert(bag.record("one"), other);
        },
        "its stage 'one' has a record with another key",
    ),
    (
        "object",
        |bag| *bag.files.get_mut(&bag.object("two")).unwrap() = b"1\n2\n".to_vec(),
        "its stage 'two' has an object with other bytes than its name says",
    ),
    (
        "size of an object",
        |bag| bag.edit(&bag.record("two"), |r| r["outputs"][0]["size"] = json!(5)),
        "its stage 'two' has an object with other bytes than its name says",
    ),
    (
        "object of an input",
        |bag| {
            let digest = blake3::hash(b"2\n").to_string();
            bag.edit(&bag.record("one"), |r| r["outputs"][0]["digest"] = json!(digest));
            bag.edit(LOCK, |lock| lock["stages"]["one"]["outputs"]["one.txt"] = json!(digest));
            bag.files.insert(
                format!("data/results/store/v1/objects/{}/{}", &digest[..2], &digest[2..]),
                b"2\n".to_vec(),
            );
        },
        "its stage 'two' read other bytes than its inputs have",
    ),
    (
        "name that leads out",
        |bag| bag.rename("two", "../../x"),
        "its stage 'two' has a record with names that no output has",
    ),
    (
        "name from the root",
        |bag| bag.rename("two", "/etc/x"),
        "its stage 'two' has a record with names that no output has",
    ),
    (
        "name with an empty part",
        |bag| bag.rename("two", "a//b"),
        "its stage 'two' has a record with names that no output has",
    ),
    (
        "name with a zero",
        |bag| bag.rename("two", "a\0b"),
        "its stage 'two' has a record with names that no output has",
    ),
    (
        "name with a backslash",
        |bag| bag.rename("two", "..\\x"),
        "its stage 'two' has a record with names that no output has",
    ),
    (
        "outputs that are one folder and a file",
        |bag| {
            bag.edit(&bag.record("two"), |r| {
                let mut other = r["outputs"][0].clone();
                other["name"] = json!("two.txt/x");
                r["outputs"].as_array_mut().unwrap().push(other);
            });
        },
        "its stage 'two' has a record with names that no output has",
    ),
    (
        "the same output twice",
        |bag| {
            bag.edit(&bag.record("two"), |r| {
                let other = r["outputs"][0].clone();
                r["outputs"].as_array_mut().unwrap().push(other);
            });
        },
        "its stage 'two' has a record with names that no output has",
    ),
    (
        "digest in the lock",
        |bag| bag.edit(LOCK, |lock| lock["stages"]["one"]["outputs"]["one.txt"] = json!("00".repeat(32))),
        "its stage 'one' has a record with other outputs than the lock",
    ),
    (
        "kind in the lock",
        |bag| bag.edit(LOCK, |lock| lock["stages"]["one"]["kind"] = json!("train")),
        "its stage 'one' has a record of another kind than the lock",
    ),
    (
        "record of another pipeline",
        |bag| {
            let (_, other) = archived(&PIPELINE.replace("echo 1", "echo 3"));
            bag.files.insert(other.record("one"), other.files[&other.record("one")].clone());
        },
        "is no result of this pipeline",
    ),
    (
        "stage of another pipeline",
        |bag| bag.edit(LOCK, |lock| lock["stages"]["three"] = lock["stages"]["one"].clone()),
        "its stage 'three' is not one of the pipeline file",
    ),
    (
        "name of a stage",
        |bag| bag.edit(LOCK, |lock| lock["stages"]["\u{1b}[2Jone"] = lock["stages"]["one"].clone()),
        "has a stage with a name that none has",
    ),
    (
        "lock of another pipeline",
        |bag| bag.edit(LOCK, |lock| lock["pipeline"] = json!("quick")),
        "is of another pipeline than the lock or the folder",
    ),
    (
        "pipeline of another name",
        |bag| "quick".clone_into(&mut bag.name),
        "is no lock of this version, or missing",
    ),
    ("folder that leads out", |bag| "..".clone_into(&mut bag.name), "has a name that no archive has"),
    (
        "published file that leads out",
        |bag| bag.edit(LOCK, |lock| lock["published"]["../../x.csv"] = json!("00".repeat(32))),
        "has a published file with a name that none has",
    ),
    (
        "published file that is not there",
        |bag| bag.edit(LOCK, |lock| lock["published"]["x.csv"] = json!("00".repeat(32))),
        "was published, and is missing",
    ),
    (
        "published file in the place of the lock",
        |bag| bag.edit(LOCK, |lock| lock["published"]["lock.json"] = json!("00".repeat(32))),
        "has a published file with a name that none has",
    ),
    (
        "pipeline file elsewhere",
        |bag| bag.edit("data/archive.json", |a| a["file"] = json!("../../../etc/passwd")),
        "is the pipeline file, and missing",
    ),
    (
        "a file of the project that leads out",
        |bag| _ = bag.files.insert("data/../../x".to_owned(), b"x".to_vec()),
        "has a name that no archive has",
    ),
    (
        "a file of the project with a zero",
        |bag| _ = bag.files.insert("data/a\0b".to_owned(), b"x".to_vec()),
        "has a name that no archive has",
    ),
    (
        "a file of the project with a backslash",
        |bag| _ = bag.files.insert("data/a\\b".to_owned(), b"x".to_vec()),
        "has a name that no archive has",
    ),
    (
        "a file in a file",
        |bag| _ = bag.files.insert("data/pipelines/tiny.yaml/x".to_owned(), b"x".to_vec()),
        "is a file and a folder",
    ),
    (
        "an index",
        |bag| _ = bag.files.insert("data/results/store/v1/index".to_owned(), b"x".to_vec()),
        "is no result of this pipeline",
    ),
    (
        "a lock of another pipeline beside",
        |bag| _ = bag.files.insert("data/results/other/lock.json".to_owned(), bag.files[LOCK].clone()),
        "is no result of this pipeline",
    ),
    ("no record", |bag| _ = bag.files.remove(&bag.record("two")), "its stage 'two' has no record"),
    ("no object", |bag| _ = bag.files.remove(&bag.object("two")), "its stage 'two' lacks an object"),
    (
        "a stage without its input",
        |bag| bag.edit(LOCK, |lock| _ = lock["stages"].as_object_mut().unwrap().remove("one")),
        "its stage 'two' needs a stage that is not there",
    ),
];

/// Whatever stands below a folder, with the sizes of files.
fn tree(space: &Space) -> String {
    let script =
        "find . -path ./datasets -prune -o -type f ! -name b -printf '%p %s\\n' -o -printf '%p\\n' | sort";
    let output = std::process::Command::new("sh").args(["-c", script]).current_dir(space.path("")).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// Neither a space with a store nor one without takes it, and nothing remains.
fn refused(spaces: &[&Space], case: &str, packed: &[u8], reason: &str) {
    for space in spaces {
        std::fs::write(space.path("b"), packed).unwrap();
        let before = tree(space);
        for command in [
            &["archive", "verify", "b"][..],
            &["archive", "import", "b"],
            &["reproduce", "b", "--into", "new"],
        ] {
            let ran = space.run(command);
            let text = ran.stderr.replace("\n  │ ", " ");
            assert!(ran.code == 1 && text.contains(reason), "{case}: {reason}: {ran:#?}");
            assert_eq!(tree(space), before, "{case}: {command:?}");
        }
    }
}

#[test]
fn a_forged_archive_is_refused_with_the_reason() {
    let (_, bag) = archived(PIPELINE);
    let (with_a_store, _) = archived(&PIPELINE.replace("echo 1", "echo 0"));
    let empty = Space::new();
    let spaces = [&with_a_store, &empty];
    std::fs::write(empty.path("b"), bag.pack()).unwrap();
    assert_eq!(empty.run(&["archive", "verify", "b"]).code, 0, "what is sealed as it was is right");
    for (case, forge, reason) in CASES {
        let mut forged = bag.clone();
        forge(&mut forged);
        refused(&spaces, case, &forged.pack(), reason);
    }
    // What the forger's own manifests cannot say.
    let mut files = bag.sealed();
    files.push(files[7].clone());
    let pack = |files: &[(String, Vec<u8>)]| zstd::encode_all(&tar_of("tiny", files)[..], 1).unwrap();
    refused(&spaces, "a file twice", &pack(&files), "stands there twice");
    let mut twice = bag.sealed();
    let line = String::from_utf8(twice[3].1.clone()).unwrap().lines().next().unwrap().to_owned();
    twice[3].1.extend(format!("{line}\n").bytes());
    refused(&spaces, "a manifest with a line twice", &pack(&twice), "'manifest-sha256.txt' was changed");
}
