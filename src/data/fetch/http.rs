//! One download from one web server: time-outs, retries, and the continuation of a partial download.
//!
//! | what happens | what follows |
//! | --- | --- |
//! | no connection, silence, an early end, 408, 425, 429, 5xx | a pause, then another attempt that continues (`Range`) |
//! | 206 | the rest is appended |
//! | 200 although the rest was asked for | the download starts over |
//! | 416, another range, or a continued download with a wrong digest | the partial is dropped; another attempt |
//! | any other status, a certificate that is not trusted, wrong content | the next source |

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use ureq::http::{Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::{Expected, Fetch, FetchError, Meter, Refusal};
use crate::base::fsx::{self, FileError};
use crate::base::rng;

/// How soon a wish to stop is noticed.
const TICK: Duration = Duration::from_millis(50);

/// Why an attempt gave no file.
enum Failure {
    /// Another attempt may succeed.
    Transient(String),
    /// The source does not have it.
    Permanent(String),
    /// No source can help.
    Fatal(FetchError),
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::Fatal(error.into())
    }
}

/// Downloads something to `target`; says why not if this server cannot give it.
pub(super) fn download(fetch: &Fetch, url: &str, file: &Expected, target: &Path) -> Result<(), Refusal> {
    if fetch.is_there(target, file)? {
        return Ok(());
    }
    let agent = agent(fetch.patience.silence);
    watched(fetch, &agent, || {
        let mut last = String::new();
        for attempt in 0..fetch.patience.attempts {
            pause(fetch, url, attempt)?;
            match attempt_once(fetch, &agent, url, file) {
                Ok(()) => return Ok(()),
                Err(Failure::Transient(reason)) => {
                    fetch.check_cancelled()?;
                    last = reason;
                }
                Err(Failure::Permanent(reason)) => return Err(Refusal::Reason(reason)),
                Err(Failure::Fatal(error)) => return Err(error.into()),
            }
        }
        Err(Refusal::Reason(format!("{last} ({} attempts)", fetch.patience.attempts)))
    })?;
    Ok(fsx::rename(&fetch.partial(file), target)?)
}

/// Certificates are checked against the system's store: networks that inspect TLS put theirs there.
fn agent(silence: Duration) -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_resolve(Some(silence))
        .timeout_connect(Some(silence))
        .timeout_recv_response(Some(silence))
        .timeout_per_read(Some(silence)); // none for the whole body: a slow network is no failure
    #[cfg(test)]
    let config = config.proxy(None); // the servers of the tests are on this machine
    config.build().new_agent()
}

/// Does the work while another thread shuts the connection when the user wants to stop: a read that waits cannot ask.
fn watched<T>(fetch: &Fetch, agent: &Agent, work: impl FnOnce() -> T) -> T {
    let (done, is_done) = mpsc::channel::<()>();
    let cancel = fetch.cancel;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while is_done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if cancel.is_set() {
                    return agent.clone().shutdown();
                }
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// Waits before an attempt but the first: pause · 2ⁿ⁻¹, shortened by up to a half.
///
/// The jitter keeps many clients apart; it is a function of the URL and the attempt.
fn pause(fetch: &Fetch, url: &str, attempt: u32) -> Result<(), FetchError> {
    fetch.check_cancelled()?;
    let Some(doublings) = attempt.checked_sub(1) else { return Ok(()) };
    let jitter = rng::stream(0, &["pause", url, &attempt.to_string()]).uniform(0.5, 1.0);
    let end = Instant::now() + (fetch.patience.pause * 2_u32.saturating_pow(doublings)).mul_f64(jitter);
    loop {
        fetch.check_cancelled()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(TICK));
    }
}

/// Asks once, and continues what an earlier attempt, run or mirror left.
fn attempt_once(fetch: &Fetch, agent: &Agent, url: &str, file: &Expected) -> Result<(), Failure> {
    let mut partial = Partial::open(fetch, file)?;
    let continued = partial.meter.size > 0;
    if partial.meter.size != file.size {
        let response = request(agent, url, partial.meter.size)?;
        let status = response.status();
        match status {
            StatusCode::PARTIAL_CONTENT if starts_at(&response, partial.meter.size) => {}
            StatusCode::OK => partial.restart()?,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                partial.remove()?;
                return Err(Failure::Transient(format!("it does not continue ({status})")));
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                return Err(Failure::Transient(format!("it says {status}")));
            }
            _ if status.is_server_error() => return Err(Failure::Transient(format!("it says {status}"))),
            _ => return Err(Failure::Permanent(format!("it says {status}"))),
        }
        receive(fetch, response, &mut partial, file)?;
    }
    partial.meter.compare(file).or_else(|mismatch| {
        partial.remove()?;
        Err(if continued {
            Failure::Transient(format!("the continued download is not the published file: {mismatch}"))
        } else {
            Failure::Permanent(format!("it has another file: {mismatch}"))
        })
    })
}

fn request(agent: &Agent, url: &str, from: u64) -> Result<Response<Body>, Failure> {
    let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
    if from > 0 {
        request = request.header(header::RANGE, format!("bytes={from}-"));
    }
    request.call().map_err(|error| match error {
        // TLS: a certificate that is not trusted, or no TLS at all.
        ureq::Error::Io(ref cause) if cause.kind() == ErrorKind::InvalidData => {
            Failure::Permanent(error.to_string())
        }
        ureq::Error::Io(_)
        | ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_) => Failure::Transient(error.to_string()),
        _ => Failure::Permanent(error.to_string()),
    })
}

/// Whether `Content-Range: bytes 100-199/200` begins at this byte.
fn starts_at(response: &Response<Body>, from: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.and_then(|text| text.strip_prefix("bytes ")?.split('-').next()?.parse().ok()) == Some(from)
}

/// Appends the body. More bytes than declared end it at once.
fn receive(
    fetch: &Fetch,
    response: Response<Body>,
    partial: &mut Partial,
    file: &Expected,
) -> Result<(), Failure> {
    let mut body = response.into_body();
    let announced = body.content_length().map(|length| partial.meter.size + length);
    if let Some(size) = announced.filter(|size| *size != file.size) {
        partial.remove()?;
        return Err(Failure::Permanent(format!("it offers {size} bytes, not {}", file.size)));
    }
    let mut reader = body.as_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = reader.read(&mut buffer);
        fetch.check_cancelled().map_err(Failure::Fatal)?;
        let size = partial.meter.size;
        match count {
            Ok(0) if size < file.size => {
                return Err(Failure::Transient(format!("it ended after {size} of {} bytes", file.size)));
            }
            Ok(0) => return Ok(()),
            Ok(count) => partial.append(&buffer[..count])?,
            Err(error) => {
                return Err(Failure::Transient(format!("{error} after {size} of {} bytes", file.size)));
            }
        }
        fetch.tell(file, partial.meter.size);
        if partial.meter.size > file.size {
            partial.remove()?;
            return Err(Failure::Permanent(format!("it sends more than {} bytes", file.size)));
        }
    }
}

/// The bytes that have arrived, on the disk.
struct Partial {
    path: PathBuf,
    file: File,
    meter: Meter,
}

impl Partial {
    /// Opens what is there, if anything is.
    fn open(fetch: &Fetch, file: &Expected) -> Result<Self, Failure> {
        let path = fetch.partial(file);
        if fsx::size(&path).is_some_and(|size| size > file.size) {
            fsx::remove_file(&path)?;
        }
        let handle = fsx::append(&path)?;
        let meter = fetch.measure(&path).map_err(Failure::Fatal)?;
        Ok(Self { path, file: handle, meter })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all(bytes).map_err(|e| FileError::new("write", &self.path, e))?;
        self.meter.update(bytes);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), FileError> {
        self.file.set_len(0).map_err(|e| FileError::new("empty", &self.path, e))?;
        self.meter = Meter::default();
        Ok(())
    }

    fn remove(&self) -> Result<(), FileError> {
        fsx::remove_file(&self.path)
    }
}
