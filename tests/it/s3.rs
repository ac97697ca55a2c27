//! Remotes on real S3 servers: `make test-s3` starts them, and says by variables where they are.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::remote::{output, place};
use crate::space::{Ran, Space};

const PIPELINE: &str = "\
pipeline: large
stages:
  big:   { command: { run: 'seq 1 9000000 > big.txt; echo 1 > small.txt', outputs: [big.txt, small.txt] } }
  lines: { needs: { x: big }, command: { run: 'wc -l < $x/big.txt > lines.txt', outputs: [lines.txt] } }
";

/// The bucket, and a folder in it that nobody has used; `None`, and a line that says so, without a server.
#[expect(clippy::print_stderr, reason = "a test that is not run should say so")]
fn remote(name: &str) -> Option<(String, String)> {
    let Ok(bucket) = std::env::var("LAYERWISE_TEST_S3") else {
        eprintln!("SKIPPED: no S3 server: run `make test-s3`");
        return None;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let folder = format!("test/{name}-{now}");
    Some((format!("{bucket}/{folder}"), folder))
}

fn client() -> Arc<dyn ObjectStore> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bucket = std::env::var("LAYERWISE_TEST_S3").unwrap().replace("s3://", "");
    let variable = |name: &str| std::env::var(name).unwrap();
    Arc::new(
        AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_endpoint(variable("AWS_ENDPOINT_URL"))
            .with_access_key_id(variable("AWS_ACCESS_KEY_ID"))
            .with_secret_access_key(variable("AWS_SECRET_ACCESS_KEY"))
            .with_region(variable("AWS_REGION"))
            .with_allow_http(true)
            .build()
            .unwrap(),
    )
}

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work)
}

/// Names below a folder, of parts like `objects`.
fn names(folder: &str, part: &str) -> Vec<Path> {
    let prefix = Path::from(format!("{folder}/v1/{part}"));
    block(client().list(Some(&prefix)).map_ok(|meta| meta.location).try_collect::<Vec<_>>()).unwrap()
}

fn get(path: &Path) -> Vec<u8> {
    block(async { client().get(path).await.unwrap().bytes().await.unwrap().to_vec() })
}

fn well(ran: &Ran) -> &Ran {
    assert_eq!(ran.code, 0, "{ran:#?}");
    ran
}

#[test]
#[ignore = "needs an S3 server: make test-s3"]
fn a_second_machine_places_what_the_first_pushed_and_notices_damage() {
    let Some((remote, folder)) = remote("second") else { return };
    let here = Space::quick();
    let run = ["run", "pipelines/quick.yaml", "--remote", &remote];
    well(&here.run(&[&run[..], &["--push"]].concat()));
    let there = Space::quick();
    let ran = there.run(&run);
    assert!(well(&ran).stderr.contains("\n0 of 11 stages to run\n"), "{}", ran.stderr);
    assert!(there.results("quick") == here.results("quick"));

    assert_eq!(names(&folder, "packs").len(), 1, "small objects travel together");
    let index = get(&names(&folder, "index")[0]);
    let (name, at) = place(&index, &output(&here, "table", "table.csv"));
    let path = Path::from(format!("{folder}/{name}"));
    let mut bytes = get(&path);
    bytes[at + 12] ^= 0x55;
    block(client().put(&path, bytes.into())).unwrap();
    let third = Space::quick();
    let ran = third.run(&run);
    assert!(well(&ran).stderr.contains("(table.csv) is damaged; it is done here\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("\n1 of 11 stages to run\n"), "{}", ran.stderr);
    assert!(third.results("quick") == here.results("quick"));
    assert_eq!(third.run(&["verify"]).code, 0);
}

#[test]
#[ignore = "needs an S3 server: make test-s3"]
fn a_large_object_travels_in_parts_and_many_may_push_at_once() {
    let Some((remote, folder)) = remote("large") else { return };
    let space = || Space::new().write("pipelines/large.yaml", PIPELINE);
    let (here, there) = (space(), space());
    for space in [&here, &there] {
        well(&space.run(&["run", "pipelines/large.yaml"]));
    }
    let push = ["push", "pipelines/large.yaml", "--remote", &remote];
    let pushes: Vec<_> = [&here, &there, &here, &there].map(|space| space.start(&push)).into();
    for push in pushes {
        well(&Ran::from(push.wait_with_output().unwrap()));
    }
    assert_eq!(names(&folder, "objects").len(), 1);
    let third = space();
    let pulled = third.run(&["pull", "pipelines/large.yaml", "--remote", &remote]);
    assert!(well(&pulled).stdout.starts_with("pulled 2 results: 3 objects, "), "{}", pulled.stdout);
    assert_eq!(third.run(&["verify"]).code, 0);
    let shown = third.run(&["show", "pipelines/large.yaml", "lines"]);
    assert!(shown.stdout.contains("9000000"), "{shown:?}");

    let wrong = here.run_with("AWS_SECRET_ACCESS_KEY", "not-the-secret", &push);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.stderr.contains("help: set the credentials") && !wrong.stderr.contains("not-the-secret"));
    let bucket = here.run(&["push", "pipelines/large.yaml", "--remote", "s3://nobody-has-this/x"]);
    assert!(bucket.stderr.contains("help: "), "{bucket:?}");
}
