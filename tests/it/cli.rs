//! The program as its user meets it, on the quick pipeline.

use insta::assert_snapshot;

use crate::space::Space;

#[test]
fn the_first_run_says_what_it_does_and_the_second_does_nothing() {
    let space = Space::quick();
    assert_snapshot!("plan_of_the_first_run", space.run(&["plan", "pipelines/quick.yaml"]).stdout);
    let first = space.run_quick(&["--jobs", "1", "--threads", "1"]);
    // Losses and errors depend on the instruction set in their last digits.
    insta::with_settings!({ filters => [(r"\d*\.\d+", "#")] }, {
        assert_snapshot!("first_run", format!("{}---\n{}", first.stderr, first.stdout));
    });
    let before = space.results("quick");
    let second = space.run_quick(&["--jobs", "1"]);
    assert_snapshot!("second_run_stderr", second.stderr);
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(space.results("quick"), before);
    let status = space.run(&["status", "pipelines/quick.yaml"]);
    assert!(status.stdout.lines().all(|line| line.starts_with("hit ")), "{}", status.stdout);
}

#[test]
fn results_hold_every_form_of_the_answer() {
    let space = Space::quick();
    space.run_quick(&[]);
    let names: Vec<_> = space.results("quick").into_iter().map(|(name, _)| name).collect();
    assert_snapshot!("results", names.join("\n"));
    let header = |name: &str| space.read(name).lines().next().unwrap().to_owned();
    assert_eq!(header("results/quick/probes.csv"), "seed,model,layer,source,epoch,draw,split,metric,value");
    assert_eq!(header("results/quick/distances.csv"), "seed,model,layer,source,epoch,draw,metric,value");
    assert_eq!(header("results/quick/training.csv"), "seed,epoch,split,metric,value");
}

/// Two ways to the same number: the curve that training draws, and the probe that takes every layer from a checkpoint.
#[test]
fn the_full_model_at_an_epoch_is_the_learning_curve_there() {
    let space = Space::quick();
    space.run_quick(&[]);
    let rows = |name: &str| -> Vec<Vec<String>> {
        let text = space.read(name);
        text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
    };
    let curve = rows("results/quick/training.csv");
    let mut compared = 0;
    for probe in rows("results/quick/probes.csv") {
        let [_, _, layer, source, epoch, _, split, metric, value] = &probe[..] else { panic!("{probe:?}") };
        if (layer.as_str(), source.as_str(), split.as_str()) == ("fullmodel", "reinit", "test") {
            let same = |row: &&Vec<String>| (&row[1], &row[2], &row[3]) == (epoch, split, metric);
            assert_eq!(&curve.iter().find(same).unwrap()[4], value, "{metric} at epoch {epoch}");
            compared += 1;
        }
    }
    assert_eq!(compared, 6, "error and loss at three epochs");
}

#[test]
fn another_seed_trains_anew_and_the_first_stays() {
    let space = Space::quick();
    space.run_quick(&[]);
    let first = space.results("quick");
    let plan = space.run(&["plan", "pipelines/quick.yaml", "--set", "seed=1"]).stdout;
    assert!(!plan.contains("mnist"), "the data does not depend on the seed:\n{plan}");
    space.run_quick(&["--set", "seed=1"]);
    assert_ne!(space.results("quick"), first);
    let back = space.run_quick(&[]);
    assert!(back.stderr.starts_with("0 of "), "{}", back.stderr);
    assert_eq!(space.results("quick"), first);
}

#[test]
fn an_edit_reruns_only_what_it_touches() {
    let space = Space::quick();
    space.run_quick(&[]);
    let text = space.read("pipelines/quick.yaml");
    let edited = space.write("pipelines/quick.yaml", &text.replace("draws: 2", "draws: 1"));
    let plan = edited.run(&["plan", "pipelines/quick.yaml"]).stdout;
    insta::with_settings!({ filters => [(r"\d+\.\d s of work", "[TIME] of work")] }, {
        assert_snapshot!("plan_after_an_edit", plan);
    });
    let renamed = text.replace("resets", "patches-of-it").replace("# The whole", "# The entire");
    let renamed = edited.write("pipelines/quick.yaml", &renamed);
    assert_eq!(renamed.run(&["plan", "pipelines/quick.yaml"]).stdout, "0 of 11 stages to run\n");
}

#[test]
fn json_is_a_line_per_event_and_holds_the_end() {
    let space = Space::quick();
    let ran = space.run_quick(&["--json"]);
    let events: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |word: &str| events.iter().filter(|event| event["event"] == word).count();
    assert_eq!((of("planned"), of("finished")), (1, 1));
    assert_eq!(of("started"), of("ended"));
    assert!(of("progress") > 3);
    let curves: Vec<_> = events.iter().filter(|event| event["event"] == "scalars").collect();
    let training = space.read("results/quick/training.csv");
    for (epoch, point) in curves.iter().enumerate() {
        assert_eq!((&point["stage"], point["step"].as_u64()), (&"fit[seed=0]".into(), Some(epoch as u64)));
        for (curve, value) in point["values"].as_object().unwrap() {
            let begin = format!("0,{epoch},{},", curve.replace('/', ","));
            let row = training.lines().find_map(|row| row.strip_prefix(&begin)).unwrap();
            // A JSON reader may differ in the last bit.
            assert!((row.parse::<f64>().unwrap() - value.as_f64().unwrap()).abs() < 1e-12, "{begin}{row}");
        }
    }
    assert_eq!(curves.len(), 4, "before the first epoch, and after each");
    let published = events.last().unwrap()["published"].as_array().unwrap();
    assert!(published.iter().any(|file| file.as_str().unwrap().ends_with("table.csv")), "{published:?}");
    let status = space.run(&["status", "pipelines/quick.yaml", "--json"]).stdout;
    let first: serde_json::Value = serde_json::from_str(status.lines().next().unwrap()).unwrap();
    assert_eq!((&first["stage"], &first["status"]), (&"mnist".into(), &"hit".into()));
}
