//! Programs as stages, through the real program. What a single command does is tested beside its kind.

use std::path::PathBuf;

use insta::assert_snapshot;

use crate::space::Space;

const PIPELINE: &str = "
pipeline: programs
matrix: { seed: [0, 1] }
stages:
  s0: { command: { run: 'cat src/0.txt > out.txt; echo $C >> out.txt', files: [src/0.txt], outputs: [out.txt], env: { C: $seed } } }
  s1: { needs: { x: s0 }, command: { run: [sh, -c, 'wc -l < $x/out.txt > n.txt'], outputs: [n.txt] } }
";

fn space() -> Space {
    Space::new().write("pipelines/programs.yaml", PIPELINE).write("src/0.txt", "zero\n")
}

/// What the objects of the store hold, sorted.
fn objects(space: &Space) -> Vec<String> {
    let below = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = below(space.path("results/store/v1/objects")).flat_map(below);
    let mut texts: Vec<_> = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    texts.sort();
    texts
}

#[test]
fn a_chain_runs_once_and_again_when_a_declared_file_is_edited() {
    let space = space();
    let run = ["run", "pipelines/programs.yaml", "--jobs", "1"];
    let first = space.run(&run);
    assert_eq!(first.code, 0, "{first:#?}");
    assert_eq!(objects(&space), ["2\n", "zero\n0\n", "zero\n1\n"]);
    let plan = |space: &Space| space.run(&["plan", "pipelines/programs.yaml"]).stdout;
    assert!(plan(&space).starts_with("0 of 4 stages to run"), "{}", plan(&space));

    let silent = space.run(&["log", "pipelines/programs.yaml", "s1[seed=0]"]);
    assert_eq!(
        (silent.code, silent.stdout.as_str(), silent.stderr.as_str()),
        (0, "", "s1[seed=0] printed nothing\n")
    );

    let space = space.write("src/0.txt", "zero\nand more\n");
    assert!(!plan(&space).starts_with("0 of 4"), "{}", plan(&space));
    let second = space.run(&run);
    assert_eq!(second.code, 0, "{second:#?}");
    assert!(objects(&space).contains(&"3\n".to_owned()));
}

#[test]
fn a_command_that_fails() {
    let text = PIPELINE.replace("wc -l < $x/out.txt > n.txt", "cd $x; echo reading; cat out.csv");
    let space = space().write("pipelines/programs.yaml", &text);
    let ran = space.run(&["run", "pipelines/programs.yaml", "--jobs", "1", "--set", "seed=0"]);
    assert_eq!(ran.code, 1, "{ran:#?}");
    let start = ran.stderr.find("  × ").unwrap();
    insta::with_settings!({ filters => [(r"[0-9a-f]{2}/[0-9a-f]{62}", "<key>")] }, {
        assert_snapshot!("a_command_that_fails", &ran.stderr[start..]);
    });
}

#[test]
fn mistakes_are_told_where_they_stand() {
    let text = PIPELINE
        .replace("outputs: [n.txt]", "outputs: [../n.txt]")
        .replace("files: [src/0.txt]", "files: [src/1.txt]");
    let mut all = String::new();
    for text in [text.clone(), text.replace("../n.txt", "n.txt")] {
        let space = space().write("pipelines/programs.yaml", &text);
        let ran = space.run(&["plan", "pipelines/programs.yaml"]);
        assert_eq!(ran.code, 2, "{ran:#?}");
        all += &ran.stderr;
    }
    let text = PIPELINE.replace("[sh, -c, 'wc -l < $x/out.txt > n.txt']", "true");
    let ran = space().write("pipelines/programs.yaml", &text).run(&["check", "pipelines/programs.yaml"]);
    assert_snapshot!("mistakes_in_commands", all + &ran.stderr);
}

#[test]
fn a_declared_file_that_another_took_the_place_of_is_read_all_the_same() {
    let space = space();
    // `a` and `c` declare the same; between them the file is replaced as editors do it, by one that looks the same.
    let replace = format!("cd '{}'; cp -p src/0.txt new; mv new src/0.txt", space.path("").display());
    let text = format!(
        "
pipeline: programs
stages:
  z: {{ command: {{ run: 'echo z > out.txt', outputs: [out.txt] }} }}
  a: {{ needs: {{ x: z }}, command: {{ run: 'cat src/0.txt > out.txt', files: [src/0.txt], outputs: [out.txt] }} }}
  b: {{ needs: {{ x: a }}, command: {{ run: \"{replace}; cd -; echo b > out.txt\", sandbox: off, outputs: [out.txt] }} }}
  c: {{ needs: {{ x: b }}, command: {{ run: 'cat src/0.txt > c.txt', files: [src/0.txt], outputs: [c.txt] }} }}
"
    );
    let space = space.write("pipelines/programs.yaml", &text);
    let ran = space.run(&["run", "pipelines/programs.yaml", "--jobs", "1"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
}
