//! Datasets that do not come with the project: from the user's folder, from a registry's client, or from nowhere.
//!
//! The network that these tests see is a proxy that allows nothing, and the clients are scripts; but for the last test, which wants the
//! real files.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::space::{Ran, Space, repository};

const RUN: [&str; 2] = ["run", "pipelines/data.yaml"];

/// A project that wants a dataset and has none, on a machine without clients.
fn bare(dataset: &str) -> Space {
    let text = format!("pipeline: data\nstages:\n  data: {{ download: {{ dataset: {dataset} }} }}\n");
    let space = Space::new().write("pipelines/data.yaml", &text);
    std::fs::remove_file(space.path("datasets")).unwrap();
    std::fs::create_dir(space.path("datasets")).unwrap();
    std::fs::create_dir(space.path("bin")).unwrap();
    space
}

/// Adds a client: a script.
fn with_client(space: Space, name: &str, script: &str) -> Space {
    let space = space.write(&format!("bin/{name}"), &format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n"));
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(space.path(&format!("bin/{name}")), executable).unwrap();
    space
}

/// The command in a network that allows nothing.
fn isolated(space: &Space, arguments: &[&str]) -> Command {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let _ =
                stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let mut command = space.command(arguments);
    command
        .env("PATH", space.path("bin"))
        .env_remove("LAYERWISE_DATA")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env(variable, &proxy);
    }
    command
}

/// What a failing run says, with the folder of the test by another name.
fn failure(space: &Space, command: &mut Command) -> String {
    let ran = Ran::from(command.output().unwrap());
    assert_ne!(ran.code, 0, "{ran:#?}");
    let folder = space.path("").display().to_string();
    format!("exit code {}\n{}", ran.code, ran.stderr.replace(folder.trim_end_matches('/'), "…"))
}

#[test]
fn when_no_source_is_reachable_each_says_why() {
    let mut all = String::new();
    for dataset in ["cifar10", "fashion-mnist"] {
        let space = bare(dataset);
        all += &failure(&space, &mut isolated(&space, &RUN));
    }
    let complaint = "echo 'npm error code E404' >&2; echo 'npm error 404 Not Found' >&2; exit 1";
    let space = with_client(bare("cifar10"), "npm", complaint);
    all += &failure(&space, &mut isolated(&space, &RUN));
    assert_snapshot!(all);
}

#[test]
fn files_of_the_user_that_are_not_the_published_ones_are_named() {
    let space = bare("cifar10");
    std::fs::create_dir_all(space.path("mine/cifar-10-batches-bin")).unwrap();
    std::fs::write(space.path("mine/cifar-10-batches-bin/data_batch_1.bin"), vec![7; 30_000]).unwrap();
    std::fs::write(space.path("mine/data_batch_2.bin"), vec![11; 30_730_000]).unwrap();
    let mut all = failure(&space, isolated(&space, &RUN).env("LAYERWISE_DATA", "mine"));
    all += &failure(&space, isolated(&space, &RUN).env("LAYERWISE_DATA", "yours"));
    assert_snapshot!(all);
    let staging = std::fs::read_dir(space.path("results/store/v1/staging")).unwrap();
    assert_eq!(staging.count(), 0, "what is wrong leaves nothing behind");
}

/// The tracked files of MNIST, which the project of this test does not have, in a folder of the user's.
#[test]
fn files_of_the_user_are_taken_without_asking_anybody() {
    let space = bare("mnist");
    let ran = isolated(&space, &RUN).env("LAYERWISE_DATA", repository().join("datasets")).output().unwrap();
    let ran = Ran::from(ran);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(!ran.stderr.contains("not the published file"), "{}", ran.stderr);
}

#[test]
fn a_client_ends_with_the_run_that_started_it() {
    let script =
        "sleep 600 & echo $! > \"$MARKS/child\"; echo $$ > \"$MARKS/client\"; echo half > x.tgz; wait";
    let space = with_client(bare("cifar10"), "npm", script);
    let mut command = isolated(&space, &RUN);
    let run = command.env("MARKS", space.path("")).stdout(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    let mark =
        |name: &str| std::fs::read_to_string(space.path(name)).ok().filter(|text| text.ends_with('\n'));
    while mark("client").is_none() {
        assert!(Instant::now() < deadline, "the client was not started");
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let ran = Ran::from(run.wait_with_output().unwrap());
    assert_eq!(ran.code, 130, "{ran:#?}");
    for name in ["client", "child"] {
        let is_there = || {
            Command::new("kill").args(["-0", mark(name).unwrap().trim()]).output().unwrap().status.success()
        };
        while is_there() {
            assert!(Instant::now() < deadline, "the {name} goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let left: Vec<_> = files_below(&space.path("results/store/v1/staging"));
    assert_eq!(left, [""; 0], "nothing is left of what the client did");
}

fn files_below(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: std::path::PathBuf| {
        if path.is_dir() { files_below(&path) } else { vec![path.display().to_string()] }
    };
    entries.flat_map(below).collect()
}

/// Mean and standard deviation of bytes / 255, from sums of integers.
fn statistics<'a>(bytes: impl Iterator<Item = &'a u8>) -> [f64; 2] {
    let mut counts = [0_u64; 256];
    bytes.for_each(|byte| counts[usize::from(*byte)] += 1);
    let sum = |power: u32| -> i128 {
        (0..).zip(counts).map(|(byte, count): (i128, u64)| byte.pow(power) * i128::from(count)).sum()
    };
    let (n, sum, squares) = (sum(0), sum(1), sum(2));
    let std = ((n * squares - sum * sum) as f64).sqrt() / (n * 255) as f64;
    [sum as f64 / (n * 255) as f64, std]
}

/// Gets a dataset, and compares its statistics with those of the manifest.
fn check(dataset: &str, header: usize, record: [usize; 3]) {
    let manifest = repository().join(format!("datasets/{dataset}.yaml"));
    let manifest: serde_yaml::Value =
        serde_yaml::from_str(&std::fs::read_to_string(manifest).unwrap()).unwrap();
    let space = bare(dataset);
    let ran = space.run(&RUN);
    assert_eq!(ran.code, 0, "{ran:#?}");
    let files = manifest["files"].as_sequence().unwrap().iter();
    let pixels = files.filter(|file| ["train", "train-images"].contains(&file["role"].as_str().unwrap()));
    let pixels: Vec<Vec<u8>> = pixels
        .map(|file| {
            let objects = files_below(&space.path("results/store/v1/objects"));
            let is_it = |path: &&String| match file["blake3"].as_str() {
                Some(digest) => path.replace('/', "").ends_with(digest),
                None => std::fs::metadata(path).unwrap().len() == file["size"].as_u64().unwrap(),
            };
            std::fs::read(objects.iter().find(is_it).unwrap()).unwrap()
        })
        .collect();
    let [label, channels, plane] = record;
    for channel in 0..channels {
        let of_channel =
            |record: &'_ [u8]| label + channel * plane..(label + (channel + 1) * plane).min(record.len());
        let records = pixels.iter().flat_map(|file| file[header..].chunks_exact(label + channels * plane));
        let [mean, std] = statistics(records.flat_map(|record| &record[of_channel(record)]));
        assert_eq!(manifest["mean"][channel].as_f64().unwrap(), mean);
        assert!((manifest["std"][channel].as_f64().unwrap() / std - 1.0).abs() < 4.0 * f64::EPSILON, "{std}");
    }
}

#[test]
#[ignore = "gets 240 MB from the first source that has them, or from LAYERWISE_DATA: make test-data"]
fn published_files_have_the_statistics_of_their_manifests() {
    check("fashion-mnist", 16, [0, 1, 784]);
    check("cifar10", 0, [1, 3, 1024]);
}

#[test]
#[ignore = "gets 169 MB from www.cs.toronto.edu, or from LAYERWISE_DATA: make test-data"]
fn published_files_of_cifar_100_have_the_statistics_of_its_manifest() {
    check("cifar100", 0, [2, 3, 1024]);
}
