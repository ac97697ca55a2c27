//! The flags of `run`, and what a stage may say of how it is run: on programs that take a moment.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::space::{Ran, Space};

const FILE: &str = "pipelines/flags.yaml";
const RUN: [&str; 4] = ["run", FILE, "--jobs", "1"];

/// A pipeline of commands; `@` stands for the folder of the project, for programs that leave traces outside of their results.
fn pipeline(stages: &str) -> Space {
    let space = Space::new();
    let folder = space.path("").display().to_string();
    let text = format!("pipeline: flags\nstages:\n{}", stages.replace("@/", &folder));
    space.write(FILE, &text).write("log", "")
}

/// stderr, without the names of keys.
fn told(ran: &Ran) -> String {
    let words = ran.stderr.lines().filter(|line| !line.ends_with(" started on 1 thread"));
    words.map(|line| line.to_owned() + "\n").collect()
}

macro_rules! assert_told {
    ($name:expr, $space:expr, $text:expr) => {
        let text = $text.replace($space.path("").to_str().unwrap(), "[SPACE]/");
        insta::with_settings!({ filters => [(r"[0-9a-f]{2}/[0-9a-f]{62}", "[KEY]")] }, {
            assert_snapshot!($name, text);
        });
    };
}

#[test]
fn locked_is_equal_or_fails() {
    let space =
        pipeline("  a: { command: { run: 'cat src.txt > a.txt', files: [src.txt], outputs: [a.txt] } }\n")
            .write("src.txt", "one\n");
    let locked = [&RUN[..], &["--locked"]].concat();
    let without = space.run(&locked);
    assert_eq!(without.code, 2, "{without:?}");
    assert!(!space.path("results/flags").exists());
    assert_eq!(space.run(&RUN).code, 0);
    let lock = space.read("results/flags/lock.json");
    let equal = space.run(&locked);
    assert_eq!(equal.code, 0, "{equal:?}");
    let space = space.write("src.txt", "two\n");
    let different = space.run(&locked);
    assert_eq!(different.code, 1, "{different:?}");
    assert_eq!(space.read("results/flags/lock.json"), lock, "nothing is published");
    let all = format!("{}---\n{}---\n{}", told(&without), told(&equal), told(&different));
    assert_told!("locked", space, all);
}

/// Three stages that fail or need one that fails, and two that are well.
const FAILING: &str = "  bad:  { command: { run: 'echo no luck; exit 3', outputs: [x.txt] } }
  user: { needs: { bad: bad }, command: { run: 'cp $bad/x.txt x.txt', outputs: [x.txt] } }
  well: { command: { run: 'echo well > x.txt', outputs: [x.txt] } }
  more: { needs: { well: well }, command: { run: 'cp $well/x.txt x.txt', outputs: [x.txt] } }
";

#[test]
fn a_failure_stops_the_run_or_only_what_needs_it() {
    let space = pipeline(FAILING);
    let stopped = space.run(&RUN);
    let going = space.run(&[&RUN[..], &["--keep-going"]].concat());
    assert_eq!((stopped.code, going.code), (1, 1));
    assert!(!space.path("results/flags").exists(), "nothing is published");
    assert_told!("keep_going", space, format!("{}---\n{}", told(&stopped), told(&going)));
    let status = space.run(&["status", FILE]).stdout;
    assert!(status.contains("hit   well") && status.contains("hit   more"), "{status}");
}

#[test]
fn what_fails_is_tried_again_as_often_as_it_says() {
    let attempts = "echo >> @/log; test $(wc -l < @/log) -ge 3 && echo done > x.txt";
    let stage = |retries| {
        format!(
            "  a: {{ retries: {retries}, command: {{ run: '{attempts}', outputs: [x.txt], sandbox: off }} }}\n"
        )
    };
    let once = pipeline(&stage(1));
    let failed = once.run(&RUN);
    assert_eq!((failed.code, once.read("log").len()), (1, 2), "{failed:?}");
    let space = pipeline(&stage(5));
    let ran = space.run(&RUN);
    assert_eq!((ran.code, space.read("log").len()), (0, 3), "{ran:?}");
    assert_told!("retries", space, told(&ran));
}

/// Whether a process is there; one that has ended and waits for its parent to notice is not.
fn is_there(pid: &str) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    status.is_ok_and(|text| !text.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

/// Waits for what a process writes.
fn wait_for(space: &Space, name: &str, is_enough: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = std::fs::read_to_string(space.path(name)).unwrap_or_default();
        if is_enough(&text) {
            return text;
        }
        assert!(Instant::now() < deadline, "'{name}' holds only '{text}' after half a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A stage that sleeps for a minute, with a child that does; both write down who they are.
const SLEEPY: &str =
    "run: 'sleep 60 & echo $! >> @/log; echo $$ >> @/log; wait', outputs: [x.txt], sandbox: off";

fn none_is_left(space: &Space) {
    let text = space.read("log");
    assert!(text.lines().count() >= 2, "{text}");
    for pid in text.lines() {
        let deadline = Instant::now() + Duration::from_secs(5);
        while is_there(pid) {
            assert!(Instant::now() < deadline, "process {pid} is left");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn what_takes_too_long_is_ended() {
    let space = pipeline(&format!("  a: {{ timeout: 2 s, command: {{ {SLEEPY} }} }}\n"));
    let ran = space.run(&RUN);
    assert_eq!(ran.code, 1, "{ran:?}");
    none_is_left(&space);
    assert_told!("timeout", space, told(&ran));
}

fn interrupt(child: &Child) {
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn an_interruption_ends_programs_and_starts_nothing() {
    let space = pipeline(&format!(
        "  a: {{ command: {{ {SLEEPY} }} }}\n  b: {{ command: {{ run: 'echo b > b.txt', outputs: [b.txt] }} }}\n"
    ));
    let child = space.start(&RUN);
    wait_for(&space, "log", |text| text.lines().count() == 2);
    interrupt(&child);
    let asked = Instant::now();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert!(asked.elapsed() < Duration::from_secs(20), "it waited for the program");
    assert_eq!(ran.code, 130, "{ran:?}");
    none_is_left(&space);
    assert_told!("interrupted_program", space, told(&ran));
    let status = space.run(&["status", FILE]).stdout;
    assert!(status.lines().all(|line| line.starts_with("miss")), "{status}");
}

/// The most that ran at once, judging by the stamps that programs leave at their start and end.
fn most_at_once(stamps: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for line in stamps.lines() {
        now = if line == "start" { now + 1 } else { now - 1 };
        most = most.max(now);
    }
    most
}

#[test]
fn what_does_not_fit_side_by_side_runs_in_turn() {
    let stage = |name: &str, resources: &str| {
        let run = "echo start >> @/log; sleep 0.1; echo end >> @/log; echo $n > x.txt";
        format!(
            "  {name}: {{ resources: {{ {resources} }}, command: {{ run: '{run}', outputs: [x.txt], env: {{ n: {name} }}, sandbox: off }} }}\n"
        )
    };
    let with = |resources: &str, flags: &[&str]| {
        let space = pipeline(&["a", "b", "c"].map(|name| stage(name, resources)).concat());
        let ran = space.run(&[&["run", FILE, "--jobs", "3", "--threads", "2"], flags].concat());
        (space, ran)
    };
    for (resources, flags, most) in [
        ("memory: 600 MB", ["--memory", "1 GB"], 1),
        ("memory: 400 MB", ["--memory", "1 GB"], 2),
        ("cores: 2", ["--gpus", "0"], 1),
        ("gpu: 1", ["--gpus", "1"], 1),
    ] {
        let (space, ran) = with(resources, &flags);
        assert_eq!(ran.code, 0, "{ran:?}");
        let stamps = space.read("log");
        assert_eq!(stamps.lines().count(), 6);
        assert!(most_at_once(&stamps) <= most, "{resources}: {stamps}");
    }
    let mut all = String::new();
    for (resources, flags) in
        [("cores: 3", ["--gpus", "0"]), ("memory: 2 GB", ["--memory", "1 GB"]), ("gpu: 2", ["--gpus", "1"])]
    {
        let (space, ran) = with(resources, &flags);
        assert_eq!((ran.code, space.read("log").as_str()), (2, ""), "{ran:?}");
        writeln!(all, "# {resources}\n{}", ran.stderr).unwrap();
    }
    assert_snapshot!("more_than_there_is", all);
}

#[test]
fn targets_are_names_nodes_and_patterns() {
    let stages = "  first:  { matrix: { n: [1, 2] }, command: { run: 'echo $n > x.txt', outputs: [x.txt], env: { n: $n } } }
  fifth:  { command: { run: 'echo 5 > x.txt', outputs: [x.txt] } }
  second: { needs: { x: first }, command: { run: 'cat $x/x.txt > y.txt', outputs: [y.txt] } }
";
    let mut all = String::new();
    for targets in [&["f*"][..], &["f?rst[n=2]"], &["second[n=2,*]"], &["second", "fifth"], &["*[n=1]"]] {
        let space = pipeline(stages);
        let ran = space.run(&[&RUN[..], targets].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        writeln!(all, "# {}\n{}", targets.join(" "), told(&ran)).unwrap();
    }
    assert_snapshot!("targets", all);
}

#[test]
fn a_dry_run_touches_nothing() {
    let space = pipeline("  a: { command: { run: 'echo ran > @/log', outputs: [x.txt], sandbox: off } }\n");
    let dry = space.run(&[&RUN[..], &["--dry-run"]].concat());
    assert_eq!((dry.code, dry.stdout), (0, space.run(&["plan", FILE]).stdout));
    assert_eq!(space.read("log"), "");
    assert!(!space.path("results/flags").exists());
}

#[test]
fn of_two_runs_at_once_each_program_runs_once() {
    let stage = |n: u32| {
        format!(
            "  s{n}: {{ command: {{ run: 'echo {n} >> @/log; sleep 0.1; echo {n} > x.txt', outputs: [x.txt], sandbox: off }} }}\n"
        )
    };
    let space = pipeline(&(0..6).map(stage).collect::<String>());
    let runs = [space.start(&["run", FILE, "--jobs", "2"]), space.start(&["run", FILE, "--jobs", "2"])];
    for run in runs {
        let ran = Ran::from(run.wait_with_output().unwrap());
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let text = space.read("log");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(space.run(&["verify"]).code, 0);
}
