//! How a command can end: well, badly, at a signal, because the user wants to stop, because the time is over.

use std::time::Duration;

use super::*;

#[test]
fn failures_are_told_in_words() {
    let bench = Bench::new();
    let command = |run: &str| json!({"run": run, "outputs": ["out"]});
    let failures = [
        command("exit 3"),
        command("for i in $(seq 30); do echo line $i; done; echo last >&2; exit 1"),
        command("kill -9 $$"),
        command("true"),
        command("mkdir -p a; touch a/x b; true"),
        command("ln -s /etc/hostname out"),
        command("mkfifo out"),
        command("mkdir out"),
        json!({"run": "mkdir out", "outputs": ["out/"]}),
        json!({"run": "touch out", "outputs": ["out/"]}),
        json!({"run": "mkdir out; ln -s /etc/hostname out/link", "outputs": ["out/"]}),
        json!({"run": "ln -s /etc a", "outputs": ["a/hostname"]}),
        json!({"run": ["no-such-program"], "outputs": ["out"]}),
        json!({"run": ["./no-such-program"], "outputs": ["out"]}),
        json!({"run": ["/etc/passwd"], "outputs": ["out"]}),
    ];
    let texts: Vec<_> = failures.iter().map(|failure| bench.complaint(failure)).collect();
    insta::assert_snapshot!(texts.join("\n\n"));
}

#[test]
fn a_slot_cannot_take_the_name_of_another_variable() {
    let bench = Bench::new();
    let input = bench.artifact(&[("a", "")]);
    let parameters = json!({"run": "true", "outputs": ["out"], "env": {"C": 1}});
    for slots in [&["HOME"][..], &["C"], &["a-b", "a_b"]] {
        let inputs: Vec<_> = slots.iter().map(|slot| (*slot, &input)).collect();
        let error = bench.run_with(&parameters, &inputs).unwrap_err().to_string();
        assert!(error.ends_with("has the name of another variable of the command"), "{error}");
    }
}

#[test]
fn much_output_holds_nothing_up() {
    let bench = Bench::new();
    bench.run(&json!({"run": "head -c 3000000 /dev/zero | tee /dev/stderr; touch out", "outputs": ["out"]}));
    assert!(fsx::size(&bench.log()).unwrap() > 6_000_000);
}

/// Whether a process is there and not merely waiting to be buried.
fn is_alive(pid: &str) -> bool {
    let stat = fsx::read_to_string(Path::new(&format!("/proc/{pid}/stat"))).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Waits for a file with a process's number.
fn pid(path: &Path) -> String {
    loop {
        match fsx::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[test]
fn stopping_ends_the_grandchildren_too() {
    for trap in ["", "trap '' TERM; "] {
        let bench = Bench::new();
        let run = format!("{trap}sleep 1000 & echo $! > pid; wait; wait; sleep 1000");
        let parameters = json!({"run": run, "outputs": ["out"]});
        std::thread::scope(|scope| {
            let running = scope.spawn(|| bench.run_with(&parameters, &[]));
            let pid = pid(&bench.scratch(0).join("pid"));
            assert!(is_alive(&pid));
            bench.stop.store(true, Ordering::Relaxed);
            assert!(matches!(running.join().unwrap(), Err(StageError::Cancelled)));
            // The kernel takes a moment to end what it was told to kill.
            for _ in 0..200 {
                if is_alive(&pid) {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            assert!(!is_alive(&pid));
        });
    }
}

#[test]
fn a_time_limit_ends_it() {
    let mut bench = Bench::new();
    bench.deadline = Some(Instant::now() + Duration::from_millis(200));
    let result = bench.run_with(&json!({"run": "sleep 1000", "outputs": ["out"]}), &[]);
    assert!(matches!(result, Err(StageError::Cancelled)));
}

#[test]
fn what_runs_on_in_the_background_ends_with_the_command() {
    let bench = Bench::new();
    let output = bench.run(&json!({"run": "sleep 1000 & echo $! > pid", "outputs": ["pid"]}));
    let pid = testing::read(&output, "pid").trim().to_owned();
    for _ in 0..200 {
        if is_alive(&pid) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    assert!(!is_alive(&pid));
}
