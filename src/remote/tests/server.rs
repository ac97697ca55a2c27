//! A web server of a folder, which may lie.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::fsx;

/// What the server makes of an answer.
pub(super) type Lie<'a> = dyn Fn(&str, Answer) -> Answer + Sync + 'a;

/// An answer on its way.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// What the head says of the length.
    pub(super) length: usize,
    pub(super) range: Option<(Range<usize>, usize)>,
}

impl Answer {
    pub(super) fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, length: body.len(), body, range: None }
    }
}

/// Serves a folder while `work` is done with its address.
pub(super) fn serve<T>(folder: &Path, lie: &Lie<'_>, work: impl FnOnce(&str) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                scope.spawn(|| answer_all(stream.unwrap(), folder, lie));
            }
        });
        let _end = End { is_over: &is_over, address };
        work(&format!("http://{address}"))
    })
}

/// Ends the server, also when a test fails.
struct End<'a> {
    is_over: &'a AtomicBool,
    address: SocketAddr,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

/// One request each connection.
fn answer_all(mut stream: TcpStream, folder: &Path, lie: &Lie<'_>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let (mut path, mut range) = (first.split(' ').nth(1)?.to_owned(), None);
    while let Some(line) = lines.next()?.ok().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        if name.eq_ignore_ascii_case("range") {
            let (start, end) = value.strip_prefix("bytes=")?.split_once('-')?;
            range = Some(start.parse::<usize>().ok()?..end.parse::<usize>().ok()? + 1);
        }
    }
    path.remove(0);
    let answer = match fsx::read(&folder.join(PathBuf::from(&path))) {
        Err(_) => Answer::new(404, b"not here".to_vec()),
        Ok(bytes) => match range {
            None => Answer::new(200, bytes),
            Some(range) if range.start >= bytes.len() => Answer::new(416, Vec::new()),
            Some(range) => {
                let range = range.start..range.end.min(bytes.len());
                let mut answer = Answer::new(206, bytes[range.clone()].to_vec());
                answer.range = Some((range, bytes.len()));
                answer
            }
        },
    };
    let Answer { status, body, length, range } = lie(&path, answer);
    let mut head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n");
    head += "last-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\netag: \"x\"\r\n";
    if let Some((Range { start, end }, total)) = range {
        write!(head, "content-range: bytes {start}-{}/{total}\r\n", end - 1).ok()?;
    }
    stream.write_all((head + "\r\n").as_bytes()).ok()?;
    stream.write_all(&body).ok()
}
