//! Downloads from a scripted server on this machine.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

mod bundles;

use super::*;
use crate::base::digest::Digest;
use crate::data::catalogue::Role;

/// What the server does with a request.
#[derive(Clone)]
enum Answer {
    /// Sends this, and closes.
    Send(Vec<u8>),
    /// Sends this, and then nothing: the connection stays open.
    Hang(Vec<u8>),
}

/// A server that gives the n-th answer to the n-th request, and the last one to all others.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "a server needs a thread; it ends with the test process")]
    fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mirror/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for (count, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                log.lock().unwrap().push(read_head(&stream));
                match &answers[count.min(answers.len() - 1)] {
                    Answer::Send(bytes) => drop(stream.write_all(bytes)),
                    Answer::Hang(bytes) => {
                        stream.write_all(bytes).unwrap();
                        open.push(stream);
                    }
                }
            }
        });
        Self { url, requests }
    }

    /// First line and `Range` header of each request so far.
    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_head(stream: &TcpStream) -> String {
    const TLS_HANDSHAKE: u8 = 22;
    let mut first = [0];
    if stream.peek(&mut first).is_err() || first == [TLS_HANDSHAKE] {
        return "TLS".to_owned();
    }
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let mut head = first.trim_end_matches(" HTTP/1.1").to_owned();
    for line in lines.take_while(|line| !line.is_empty()) {
        if line.to_ascii_lowercase().starts_with("range:") {
            head = format!("{head} {}", &line[7..]);
        }
    }
    head
}

/// 20 000 bytes without a short period.
fn content() -> Vec<u8> {
    (0..20_000_u32).map(|i| ((i * i) >> 5) as u8).collect()
}

fn described(content: &[u8]) -> DataFile {
    let sha256 = format!("{:x}", Sha256::digest(content));
    let (size, blake3) = (content.len() as u64, Some(Digest::of(content)));
    DataFile { role: Role::TrainImages, name: "images.gz".to_owned(), size, sha256, blake3, gzip: None }
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").as_bytes(), body].concat()
}

/// 200 with the first `sent` bytes of the content, all of them announced.
fn whole(sent: usize) -> Answer {
    let content = content();
    let length = format!("Content-Length: {}\r\n", content.len());
    Answer::Send(response("200 OK", &length, &content[..sent]))
}

/// 206 with the content from a byte on.
fn rest(from: usize) -> Answer {
    let content = content();
    let (end, size) = (content.len() - 1, content.len());
    let headers = format!("Content-Range: bytes {from}-{end}/{size}\r\nContent-Length: {}\r\n", size - from);
    Answer::Send(response("206 Partial Content", &headers, &content[from..]))
}

fn status(text: &str) -> Answer {
    Answer::Send(response(text, "Content-Length: 0\r\n", b""))
}

/// A project folder, and what a fetch needs.
struct Bench {
    folder: TempDir,
    cancelled: AtomicBool,
    silence: Duration,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["out", "scratch", "datasets"] {
            fsx::create_dir_all(&folder.path().join(name)).unwrap();
        }
        Self { folder, cancelled: AtomicBool::new(false), silence: Duration::from_secs(5) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fetch(&self, sources: &[&str], progress: &dyn Fn(u64)) -> Result<(), FetchError> {
        let sources: Vec<_> =
            sources.iter().map(|text| Source::Place(Place::from((*text).to_owned()))).collect();
        self.fetch_all(&[described(&content())], &sources, &|size, _| progress(size), &|_| ())
    }

    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method is of one lifetime only")]
    fn fetch_all(
        &self,
        files: &[DataFile],
        sources: &[Source],
        progress: &dyn Fn(u64, String),
        note: &dyn Fn(String),
    ) -> Result<(), FetchError> {
        self.with_fetch(files, sources, progress, note, |fetch| fetch.run())
    }

    fn with_fetch<T>(
        &self,
        files: &[DataFile],
        sources: &[Source],
        progress: &dyn Fn(u64, String),
        note: &dyn Fn(String),
        work: impl FnOnce(&Fetch) -> T,
    ) -> T {
        let local = &self.path("local");
        let fetch = Fetch {
            dataset: "toys",
            files,
            sources,
            root: self.folder.path(),
            local: fsx::is_dir(local).then_some(local),
            scratch: &self.path("scratch"),
            out: &self.path("out"),
            cancel: Cancel::new(&self.cancelled),
            progress,
            note,
            patience: Patience { attempts: 3, pause: Duration::from_millis(2), silence: self.silence },
        };
        work(&fetch)
    }

    /// Fetches, and expects the content and nothing else to be there.
    fn succeeds(&self, sources: &[&str]) {
        self.fetch(sources, &|_| ()).unwrap();
        assert_eq!(fsx::read(&self.path("out/images.gz")).unwrap(), content());
        self.is_clean();
    }

    /// Fetches, and expects a failure that leaves nothing in the output.
    fn fails(&self, sources: &[&str]) -> FetchError {
        let error = self.fetch(sources, &|_| ()).unwrap_err();
        assert_eq!(fsx::list(&self.path("out")).unwrap(), [""; 0]);
        error
    }

    fn is_clean(&self) {
        assert_eq!(fsx::list(&self.path("scratch")).unwrap(), [""; 0]);
    }
}

#[test]
fn a_folder_comes_first_and_is_verified() {
    let bench = Bench::new();
    let server = Server::start(vec![whole(20_000)]);
    fsx::write_atomic(&bench.path("datasets/images.gz"), &content()).unwrap();
    bench.succeeds(&["datasets/", &server.url]);
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn a_wrong_file_in_a_folder_is_an_error_and_no_reason_to_look_elsewhere() {
    let bench = Bench::new();
    let server = Server::start(vec![whole(20_000)]);
    let mut wrong = content();
    wrong[19_999] ^= 1;
    fsx::write_atomic(&bench.path("datasets/images.gz"), &wrong).unwrap();
    let error = bench.fails(&["datasets/", &server.url]);
    bench.is_clean();
    let (file, found) = (described(&content()), described(&wrong));
    let message = error.to_string();
    assert!(
        message.contains("datasets/images.gz' is not the published file\nfound\n  20000 bytes\n"),
        "{message}"
    );
    for fact in
        [file.sha256, file.blake3.unwrap().to_string(), found.sha256, found.blake3.unwrap().to_string()]
    {
        assert!(message.contains(&fact), "{message}");
    }
    assert!(error.hint().unwrap().starts_with("replace or remove '"));
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn an_absent_folder_gives_way_to_the_web() {
    let bench = Bench::new();
    let server = Server::start(vec![whole(20_000)]);
    let seen = Mutex::new(Vec::new());
    bench.fetch(&["nowhere/", &server.url], &|size| seen.lock().unwrap().push(size)).unwrap();
    bench.succeeds(&["nowhere/"]); // the file that is there is verified and taken
    assert_eq!(server.requests(), ["GET /mirror/images.gz"]);
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted() && seen.last() == Some(&20_000));
}

#[test]
fn a_broken_connection_is_continued() {
    let bench = Bench::new();
    let server = Server::start(vec![whole(7_000), rest(7_000)]);
    bench.succeeds(&[&server.url]);
    assert_eq!(server.requests(), ["GET /mirror/images.gz", "GET /mirror/images.gz bytes=7000-"]);
}

#[test]
fn a_partial_download_of_an_earlier_run_is_continued() {
    let bench = Bench::new();
    fsx::write_atomic(&bench.path("scratch/images.gz.part"), &content()[..5_000]).unwrap();
    let server = Server::start(vec![rest(5_000)]);
    bench.succeeds(&[&server.url]);
    assert_eq!(server.requests(), ["GET /mirror/images.gz bytes=5000-"]);
}

#[test]
fn a_server_that_ignores_ranges_starts_over() {
    let bench = Bench::new();
    let server = Server::start(vec![whole(7_000), whole(20_000)]);
    bench.succeeds(&[&server.url]);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_partial_that_cannot_be_continued_is_dropped() {
    for refusal in [status("416 Range Not Satisfiable"), rest(6_000)] {
        let bench = Bench::new();
        fsx::write_atomic(&bench.path("scratch/images.gz.part"), &content()[..5_000]).unwrap();
        let server = Server::start(vec![refusal, whole(20_000)]);
        bench.succeeds(&[&server.url]);
        assert_eq!(server.requests(), ["GET /mirror/images.gz bytes=5000-", "GET /mirror/images.gz"]);
    }
}

#[test]
fn a_continued_download_that_is_wrong_starts_over() {
    let bench = Bench::new();
    fsx::write_atomic(&bench.path("scratch/images.gz.part"), &[1; 5_000]).unwrap();
    let server = Server::start(vec![rest(5_000), whole(20_000)]);
    bench.succeeds(&[&server.url]);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_busy_server_is_asked_again() {
    let bench = Bench::new();
    let busy = status("503 Service Unavailable");
    let server = Server::start(vec![busy, status("429 Too Many Requests"), whole(20_000)]);
    bench.succeeds(&[&server.url]);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_damaged_output_is_not_taken() {
    let bench = Bench::new();
    fsx::write_atomic(&bench.path("out/images.gz"), &[0; 20]).unwrap();
    bench.fails(&["nowhere/"]);
}

#[test]
fn a_missing_file_is_not_asked_for_again() {
    let bench = Bench::new();
    let (missing, good) = (Server::start(vec![status("404 Not Found")]), Server::start(vec![whole(20_000)]));
    bench.succeeds(&[&missing.url, &good.url]);
    assert_eq!((missing.requests().len(), good.requests().len()), (1, 1));
}

#[test]
fn wrong_content_is_dropped_and_the_next_mirror_asked() {
    let wrong =
        |body: &[u8], length: &str| Server::start(vec![Answer::Send(response("200 OK", length, body))]);
    let bench = Bench::new();
    let other = wrong(&vec![7; 20_000], "Content-Length: 20000\r\n");
    let portal = wrong(b"<html>please log in</html>", "Content-Length: 26\r\n");
    let endless = wrong(&vec![7; 30_000], "");
    let good = Server::start(vec![whole(20_000)]);
    bench.succeeds(&[&other.url, &portal.url, &endless.url, &good.url]);
    for server in [&other, &portal, &endless, &good] {
        assert_eq!(server.requests(), ["GET /mirror/images.gz"]);
    }
}

#[test]
fn when_all_fail_each_source_says_why() {
    let bench = Bench::new();
    let missing = Server::start(vec![status("404 Not Found")]);
    let busy = Server::start(vec![status("503 Service Unavailable")]);
    let closed = format!("http://{}/", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let error = bench.fails(&["datasets/", &missing.url, &busy.url, &closed]);
    let message = error.to_string();
    assert!(message.starts_with("no source has 'images.gz'\ndatasets/: it is not there\n"), "{message}");
    assert!(message.contains(&format!("{}: it says 404 Not Found\n", missing.url)), "{message}");
    assert!(message.contains(&format!("{}: it says 503 Service Unavailable (3 attempts)\n", busy.url)));
    assert!(message.contains(&format!("{closed}: ")) && message.contains("refused"), "{message}");
    assert_eq!(
        error.hint().unwrap(),
        "place the file at 'datasets/images.gz' or in the folder that LAYERWISE_DATA names, or check the network"
    );
    assert_eq!(busy.requests().len(), 3);
}

#[test]
fn silence_is_a_failure_and_what_came_is_kept() {
    let Answer::Send(beginning) = whole(4_000) else { unreachable!() };
    let bench = Bench { silence: Duration::from_millis(60), ..Bench::new() };
    let server = Server::start(vec![Answer::Hang(beginning), rest(4_000)]);
    bench.succeeds(&[&server.url]);
    assert_eq!(server.requests()[1], "GET /mirror/images.gz bytes=4000-");
    let mute = Server::start(vec![Answer::Hang(Vec::new())]);
    let message = Bench { silence: bench.silence, ..Bench::new() }.fails(&[&mute.url]).to_string();
    assert!(message.contains("timeout") && message.contains("(3 attempts)"), "{message}");
}

#[test]
fn a_wish_to_stop_interrupts_a_waiting_read_and_keeps_what_came() {
    let Answer::Send(beginning) = whole(4_000) else { unreachable!() };
    let bench = Bench::new();
    let server = Server::start(vec![Answer::Hang(beginning)]);
    let start = Instant::now();
    let stop_at_4000 = |size| bench.cancelled.store(size == 4_000, Ordering::Relaxed);
    let error = bench.fetch(&[&server.url], &stop_at_4000).unwrap_err();
    assert!(matches!(error, FetchError::Cancelled), "{error}");
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(fsx::size(&bench.path("scratch/images.gz.part")), Some(4_000));
}

/// Also shows that a client with the system's certificates can be built.
#[test]
fn a_server_without_tls_is_refused() {
    let server = Server::start(vec![whole(20_000)]);
    let message = Bench::new().fails(&[&server.url.replace("http:", "https:")]).to_string();
    assert!(message.contains("https://127.0.0.1") && !message.contains("attempts"), "{message}");
}
