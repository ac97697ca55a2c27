//! One large object on its way: packed as it is read, in parts if it is very large.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream::FuturesUnordered};
use object_store::PutPayload;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::spawn_blocking;
use zstd::stream::write::Encoder;

use crate::base::digest::Digest;
use crate::base::fsx::{self, FileError};
use crate::remote::download::ended;
use crate::remote::wire::Wire;
use crate::remote::{RemoteError, piece};
use crate::store::Output;

/// A part: S3 wants at least 5 MiB, and at most 10,000 of them.
const PART: u64 = 8 << 20;
const MOST_PARTS: u64 = 9_000;
/// Up to this size an object goes as a whole.
const WHOLE: u64 = 16 << 20;
/// Parts of one object on their way at the same time.
const AT_ONCE: usize = 4;
/// What is read at a time.
const CHUNK: usize = 1 << 18;

/// Sends an object; returns how many bytes travelled.
pub(super) async fn object(
    wire: &Wire,
    name: &str,
    path: &Path,
    output: &Output,
    cancelled: &AtomicBool,
) -> Result<u64, RemoteError> {
    let part = PART.max(output.size / MOST_PARTS);
    let (sender, mut parts) = channel::<Vec<u8>>(2);
    let reader = {
        let (path, output) = (path.to_owned(), output.clone());
        let size = if output.size <= WHOLE { usize::MAX } else { part as usize };
        spawn_blocking(move || read(&path, &output, size, sender))
    };
    let first = parts.recv().await.unwrap_or_default();
    // Whether all was read, and is right, is known before a whole object is sent, and before one in parts is complete.
    let Some(second) = parts.recv().await else {
        ended(reader).await?;
        wire.put(name, &first).await?;
        return Ok(first.len() as u64);
    };
    let mut upload = wire.put_parts(name).await?;
    let mut sent = 0;
    let result = async {
        let mut going = FuturesUnordered::new();
        let mut next = Some(first);
        let mut waiting = Some(second);
        while let Some(bytes) = next {
            if cancelled.load(Ordering::Relaxed) {
                return Err(RemoteError::Cancelled);
            }
            if going.len() >= AT_ONCE {
                going.next().await.transpose().map_err(|error| wire.blame("take", name, &error))?;
            }
            sent += bytes.len() as u64;
            going.push(upload.put_part(PutPayload::from(bytes)));
            next = match waiting.take() {
                Some(bytes) => Some(bytes),
                None => parts.recv().await,
            };
        }
        going.try_collect::<Vec<()>>().await.map_err(|error| wire.blame("take", name, &error))?;
        ended(reader).await?;
        upload.complete().await.map_err(|error| wire.blame("take", name, &error)).map(drop)
    }
    .await;
    if result.is_err() {
        // What lies there costs its owner money; if this fails too, the rules of the bucket must remove it.
        let _ = upload.abort().await;
    }
    result.map(|()| sent)
}

/// Reads and packs an object, and checks that it is what its name says.
fn read(path: &Path, output: &Output, part: usize, sender: Sender<Vec<u8>>) -> Result<(), RemoteError> {
    let mut file = fsx::open(path)?;
    let blame = |error: io::Error| FileError::new("read", path, error);
    let mut encoder =
        Encoder::new(Parts { buffer: Vec::new(), part, sender }, piece::LEVEL).map_err(blame)?;
    let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; CHUNK]);
    loop {
        let count = file.read(&mut buffer).map_err(blame)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        encoder.write_all(&buffer[..count]).map_err(blame)?;
    }
    let parts = encoder.finish().map_err(blame)?;
    if Digest::from(*hasher.finalize().as_bytes()) != output.digest {
        return Err(RemoteError::Damaged { object: output.digest });
    }
    parts.send_rest().map_err(blame)?;
    Ok(())
}

/// Gathers what is written into parts.
struct Parts {
    buffer: Vec<u8>,
    part: usize,
    sender: Sender<Vec<u8>>,
}

impl Parts {
    fn send_rest(self) -> io::Result<()> {
        self.sender.blocking_send(self.buffer).map_err(|_| io::Error::other("nobody takes it any more"))
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend(bytes);
        if self.buffer.len() >= self.part {
            let part = std::mem::take(&mut self.buffer);
            let sent = self.sender.blocking_send(part);
            sent.map_err(|_| io::Error::other("nobody takes it any more"))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
