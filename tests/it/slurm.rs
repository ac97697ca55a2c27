//! The real program on a real Slurm cluster: `make test-slurm` brings one up. Whatever happens to the jobs, the end is the lock of a local run.
#![expect(clippy::print_stderr, reason = "a test that is not run should say so")]

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::space::{Ran, Space, repository};

const QUICK: &str = "pipelines/quick.yaml";

/// Programs that take their time, each of which writes its number.
const SLEEPERS: &str = "\
pipeline: sleepers
matrix: { i: [0, 1, 2, 3, 4, 5] }
stages:
  sleep: { command: { run: 'sleep 4; echo $i > i.txt', outputs: [i.txt], env: { i: $i } } }
";

/// A project on the cluster.
struct Site {
    space: Space,
}

impl Site {
    /// With a profile; `None`, and a line that says so, where there is no cluster.
    fn with(space: Space, profile: &str) -> Option<Self> {
        let answers = Command::new("squeue").arg("-h").output().is_ok_and(|output| output.status.success());
        if !answers || std::env::var_os("SLURM_CONF").is_none() {
            eprintln!("SKIPPED: no Slurm cluster here; 'make test-slurm' brings one up");
            return None;
        }
        let profile = format!("memory: 600 MiB\nlocal_below: 0\n{profile}");
        Some(Self { space: space.write("config/layerwise/slurm.yaml", &profile) })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.space.command(arguments);
        command.env("XDG_CONFIG_HOME", self.space.path("config"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    fn end(child: Child) -> Ran {
        Ran::from(child.wait_with_output().unwrap())
    }

    fn batches(&self) -> usize {
        std::fs::read_dir(self.space.path("results/store/v1/slurm/batches")).map_or(0, Iterator::count)
    }
}

/// What a script of the cluster's does.
fn service(arguments: &[&str]) {
    let script = repository().join("tests/services/slurm-up.sh");
    let ended = Command::new("bash").arg(script).args(arguments).status().unwrap();
    assert!(ended.success(), "{arguments:?}");
}

/// What one of Slurm's programs prints.
fn slurm(program: &str, arguments: &[&str]) -> String {
    String::from_utf8(Command::new(program).args(arguments).output().unwrap().stdout).unwrap()
}

/// Waits until something is so.
fn until<T>(what: &str, find: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(90) {
        if let Some(found) = find() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("waited in vain until {what}; the queue:\n{}", slurm("squeue", &["-t", "all"]));
}

/// The first running job: its name, and its node.
fn running() -> Option<(String, String)> {
    let queue = slurm("squeue", &["-h", "-t", "running", "-o", "%F_%K %N"]);
    let (job, node) = queue.lines().next()?.split_once(' ')?;
    Some((job.to_owned(), node.to_owned()))
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// The lock of the same pipeline run here.
fn local_lock(pipeline: &str, text: &str) -> String {
    let file = format!("pipelines/{pipeline}.yaml");
    let space = Space::new().write(&file, text);
    let ran = space.run(&["run", &file]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    space.read(&format!("results/{pipeline}/lock.json"))
}

fn quick(epochs: u32) -> String {
    let text = std::fs::read_to_string(repository().join(QUICK)).unwrap();
    text.replace("epochs: 3,", &format!("epochs: {epochs},"))
}

fn all_nodes_are_up() {
    until("all nodes are up", || {
        let states = slurm("sinfo", &["-h", "-N", "-o", "%T"]);
        states.lines().all(|state| ["idle", "mixed", "allocated"].contains(&state)).then_some(())
    });
}

#[test]
#[ignore = "needs a Slurm cluster: make test-slurm"]
fn a_run_on_the_cluster_gives_the_files_of_a_local_one() {
    let Some(site) = Site::with(Space::quick(), "") else { return };
    let planned = site.run(&["plan", QUICK, "--executor", "slurm"]);
    assert!(planned.stdout.contains("on the cluster: 3 jobs, and 8 stages here"), "{planned:#?}");
    let ran = site.run(&["run", QUICK, "--executor", "slurm"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stderr.contains("fit[seed=0]: in the queue as job "), "{}", ran.stderr);
    let here = Space::quick();
    here.run_quick(&[]);
    assert_eq!(site.space.results("quick"), here.results("quick"));
    let again = site.run(&["run", QUICK, "--executor", "slurm", "--locked"]);
    assert_eq!((again.code, site.batches()), (0, 2), "{again:#?}");
    let planned = site.run(&["plan", QUICK, "--executor", "slurm", "--force", "fit"]);
    assert!(planned.stdout.contains("core-hours"), "{}", planned.stdout);
    assert_eq!(site.run(&["verify"]).code, 0);
}

/// `kill-node` also kills what ran there; after `kill-slurmd` that goes on, and two may do the same work at once.
fn lose_a_node(how: &str) {
    let text = quick(20);
    let Some(site) = Site::with(Space::new().write(QUICK, &text), "") else { return };
    let child = site.start(&["run", QUICK, "--executor", "slurm"]);
    let (_, node) = until("the training runs", running);
    // In the midst of it: some states are kept.
    until("a state is kept", || {
        std::fs::read_dir(site.space.path("results/store/v1/parts")).ok()?.nth(1).map(drop)
    });
    service(&[how, &node]);
    let ran = Site::end(child);
    service(&["start-node", &node]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    if how == "kill-node" {
        assert!(ran.stderr.contains("is lost"), "{}", ran.stderr);
    }
    assert_eq!(site.space.read("results/quick/lock.json"), local_lock("quick", &text));
    assert_eq!(site.run(&["verify"]).code, 0);
    all_nodes_are_up();
}

#[test]
#[ignore = "needs a Slurm cluster: make test-slurm"]
fn a_training_goes_on_when_its_node_dies() {
    lose_a_node("kill-node");
}

#[test]
#[ignore = "needs a Slurm cluster: make test-slurm"]
fn a_node_that_only_seems_dead_does_no_harm() {
    lose_a_node("kill-slurmd");
}

#[test]
#[ignore = "needs a Slurm cluster: make test-slurm"]
fn jobs_that_are_cancelled_from_outside_are_told_and_made_up_for() {
    let file = "pipelines/sleepers.yaml";
    let Some(site) = Site::with(Space::new().write(file, SLEEPERS), "jobs: 2\n") else { return };
    let child = site.start(&["run", file, "--executor", "slurm", "--keep-going"]);
    let (job, _) = until("a job runs", running);
    // One that runs, and the last of those that wait, of which Slurm will know nothing.
    let array = job.split('_').next().unwrap().to_owned();
    until("the run knows of the queue", || {
        let status = site.run(&["status", file]).stdout;
        status.contains("in the queue (").then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
    slurm("scancel", &[&job, &format!("{array}_5")]);
    let ran = Site::end(child);
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.stderr.contains("was cancelled while it ran"), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("job {array}_5 was cancelled while it waited")), "{}", ran.stderr);
    let again = site.run(&["run", file, "--executor", "slurm"]);
    assert_eq!(again.code, 0, "{again:#?}");
    assert_eq!(site.space.read("results/sleepers/lock.json"), local_lock("sleepers", SLEEPERS));
}

#[test]
#[ignore = "needs a Slurm cluster: make test-slurm"]
fn a_job_that_runs_out_of_memory_gets_more() {
    let text = "\
pipeline: hungry
stages:
  eat: { resources: { memory: 64 MiB }, retries: { memory: x4 }, command: { run: 'head -c 120000000 /dev/zero | tail -n 1 | wc -c > n.txt', outputs: [n.txt] } }
";
    let file = "pipelines/hungry.yaml";
    let Some(site) = Site::with(Space::new().write(file, text), "") else { return };
    let ran = site.run(&["run", file, "--executor", "slurm"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stderr.contains("ran out of memory on n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("it had 64 MiB, the next attempt has 256 MiB"), "{}", ran.stderr);
    assert_eq!(site.space.read("results/hungry/lock.json"), local_lock("hungry", text));
    let space = Space::new().write(file, &text.replace("retries: { memory: x4 }, ", ""));
    let site = Site::with(space, "").unwrap();
    let ran = site.run(&["run", file, "--executor", "slurm"]);
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.stderr.contains("ran out of memory") && ran.stderr.contains("memory: x2"), "{}", ran.stderr);
}

#[test]
#[ignore = "needs a Slurm cluster: make test-slurm"]
fn a_job_that_runs_out_of_time_gets_more() {
    let text = "\
pipeline: slow
stages:
  wait: { resources: { time: 4 s }, retries: { time: x3 }, command: { run: 'sleep 6; echo slow > slow.txt', outputs: [slow.txt] } }
";
    let file = "pipelines/slow.yaml";
    let Some(site) = Site::with(Space::new().write(file, text), "") else { return };
    let ran = site.run(&["run", file, "--executor", "slurm"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stderr.contains("ran out of time"), "{}", ran.stderr);
    assert_eq!(site.space.read("results/slow/lock.json"), local_lock("slow", text));
}

#[test]
#[ignore = "needs a Slurm cluster: make test-slurm"]
fn a_program_that_fails_is_not_tried_again_and_has_its_own_words() {
    let text = "\
pipeline: wrong
stages:
  fail: { command: { run: 'echo there is no such thing >&2; exit 7', outputs: [x.txt] } }
";
    let file = "pipelines/wrong.yaml";
    let Some(site) = Site::with(Space::new().write(file, text), "") else { return };
    let ran = site.run(&["run", file, "--executor", "slurm"]);
    assert_eq!((ran.code, site.batches()), (1, 1), "{ran:#?}");
    assert!(ran.stderr.contains("there is no such thing") && ran.stderr.contains('7'), "{}", ran.stderr);
    let Some(site) = Site::with(Space::new().write(file, text), "partition: nope\n") else { return };
    let ran = site.run(&["run", file, "--executor", "slurm"]);
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.stderr.contains("invalid partition specified: nope"), "{}", ran.stderr);
    assert!(ran.stderr.contains("sinfo"), "{}", ran.stderr);
}

/// `make test-slurm` has a second cluster for this one, which soon forgets what has ended.
#[test]
#[ignore = "needs a Slurm cluster with accounting: make test-slurm"]
fn what_the_queue_has_forgotten_the_accounting_knows() {
    let file = "pipelines/sleepers.yaml";
    let setup = "setup: ['if test \"$SLURM_ARRAY_TASK_ID\" = 1; then exit 9; fi']\n";
    let Some(site) = Site::with(Space::new().write(file, SLEEPERS), setup) else { return };
    if !slurm("scontrol", &["show", "config"]).contains("accounting_storage/slurmdbd") {
        eprintln!("SKIPPED: this cluster keeps no accounts");
        return;
    }
    let run = ["run", file, "--executor", "slurm", "--keep-going"];
    let first = site.start(&run);
    until("its jobs are in the queue", running);
    signal(&first, "-INT");
    assert_eq!(Site::end(first).code, 130);
    until("the queue has forgotten them", || slurm("squeue", &["-h", "-t", "all"]).is_empty().then_some(()));
    let ran = site.run(&run);
    assert_eq!((ran.code, site.batches()), (1, 1), "nothing was submitted again: {ran:#?}");
    assert!(ran.stderr.contains("its job ended with code 9"), "{}", ran.stderr);
    let status = site.run(&["status", file]).stdout;
    assert_eq!(status.lines().filter(|line| line.starts_with("hit")).count(), 5, "{status}");
}

#[test]
#[ignore = "needs a Slurm cluster: make test-slurm"]
fn stages_that_take_little_time_share_a_job() {
    let file = "pipelines/small.yaml";
    let text = |values: &str, wrong: &str| {
        format!(
            "pipeline: small\nmatrix: {{ i: [{values}] }}\nstages:\n  \
             one: {{ command: {{ run: 'sleep .3; test $i != {wrong} && echo $i > i.txt', outputs: [i.txt], env: {{ i: $i }} }} }}\n"
        )
    };
    let all = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11";
    let Some(mut site) = Site::with(Space::new().write(file, &text("0", "none")), "together: 2 s\n") else {
        return;
    };
    let run = ["run", file, "--executor", "slurm", "--keep-going"];
    assert_eq!(site.run(&run).code, 0);
    let jobs = |site: &Site| {
        let folder = site.space.path("results/store/v1/slurm/batches");
        let files = std::fs::read_dir(folder)
            .unwrap()
            .flat_map(|batch| std::fs::read_dir(batch.unwrap().path()).unwrap());
        files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "log")).count()
    };
    assert_eq!(jobs(&site), 1, "of the first nothing was known");
    site.space = site.space.write(file, &text(all, "none"));
    let ran = site.run(&run);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!((3..=6).contains(&jobs(&site)), "{} jobs", jobs(&site));
    assert_eq!(site.space.read("results/small/lock.json"), local_lock("small", &text(all, "none")));
    // One of a job fails; those before and behind it do not.
    site.space = site.space.write(file, &text(all, "4"));
    let ran = site.run(&run);
    assert!(ran.code == 1 && ran.stderr.contains("one[i=4]"), "{ran:#?}");
    let status = site.run(&["status", file]).stdout;
    assert_eq!(status.lines().filter(|line| line.starts_with("hit")).count(), 11, "{status}");
}

#[test]
#[ignore = "needs a Slurm cluster: make test-slurm"]
fn who_comes_later_follows_the_same_jobs() {
    let file = "pipelines/sleepers.yaml";
    let Some(site) = Site::with(Space::new().write(file, SLEEPERS), "jobs: 3\n") else { return };
    for how in ["-INT", "-KILL"] {
        let _ = std::fs::remove_dir_all(site.space.path("results"));
        let child = site.start(&["run", file, "--executor", "slurm"]);
        until("a job runs", running);
        signal(&child, how);
        let ran = Site::end(child);
        if how == "-INT" {
            assert_eq!(ran.code, 130, "{ran:#?}");
            assert!(ran.stderr.contains("jobs that were submitted go on"), "{}", ran.stderr);
        }
        assert!(running().is_some(), "nobody cancelled them");
        until("it is said which job runs, and which waits", || {
            let status = site.run(&["status", file]).stdout;
            (status.contains("running on n") && status.contains("in the queue (")).then_some(())
        });
        let again = site.run(&["run", file, "--executor", "slurm"]);
        assert_eq!(again.code, 0, "{again:#?}");
        assert_eq!(site.batches(), 1, "nothing was submitted twice: {}", again.stderr);
        assert_eq!(site.space.read("results/sleepers/lock.json"), local_lock("sleepers", SLEEPERS));
    }
}

#[test]
#[ignore = "needs a Slurm cluster: make test-slurm"]
fn a_detached_run_is_a_job_and_can_be_cancelled() {
    let file = "pipelines/sleepers.yaml";
    let Some(site) = Site::with(Space::new().write(file, SLEEPERS), "coordinator: { memory: 200 MiB }\n")
    else {
        return;
    };
    let ran = site.run(&["run", file, "--executor", "slurm", "--detach"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stdout.contains("layerwise watch"), "{}", ran.stdout);
    let lock: &Path = &site.space.path("results/sleepers/lock.json");
    until("it ends", || lock.exists().then_some(()));
    assert_eq!(site.space.read("results/sleepers/lock.json"), local_lock("sleepers", SLEEPERS));
    let page = site.run(&["watch", "sleepers", "--once"]).stdout;
    assert!(page.contains("6 of 6 stages done"), "{page}");

    let _ = std::fs::remove_dir_all(site.space.path("results"));
    site.run(&["run", file, "--executor", "slurm", "--detach"]);
    until("its jobs run", || slurm("squeue", &["-h", "-r"]).lines().nth(5).map(drop));
    let cancelled = site.run(&["cancel", file]);
    assert!(cancelled.stdout.contains("cancelled"), "{cancelled:#?}");
    until("the queue is empty", || slurm("squeue", &["-h"]).is_empty().then_some(()));
    let ran = site.run(&["run", file, "--executor", "slurm"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
}

#[test]
#[ignore = "needs a Slurm cluster: make test-slurm"]
fn a_controller_that_goes_away_is_waited_for() {
    let file = "pipelines/sleepers.yaml";
    let Some(site) = Site::with(Space::new().write(file, SLEEPERS), "jobs: 2\n") else { return };
    let child = site.start(&["run", file, "--executor", "slurm"]);
    until("a job has run for a moment", || {
        let queue = slurm("squeue", &["-h", "-t", "running", "-o", "%M"]);
        queue.lines().any(|time| time == "0:03").then_some(())
    });
    service(&["stop-controller"]);
    std::thread::sleep(Duration::from_secs(15));
    service(&["start-controller"]);
    let ran = Site::end(child);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stderr.contains("the cluster does not answer"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the cluster answers again"), "{}", ran.stderr);
    assert_eq!(site.space.read("results/sleepers/lock.json"), local_lock("sleepers", SLEEPERS));
}
