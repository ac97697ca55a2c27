//! The few things that are asked of an object store, and what its refusals mean. All else here is in terms of these.

use std::ops::Range;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::base::causes;
use crate::base::digest::Digest;
use crate::remote::address::Endpoint;
use crate::remote::secrets::Secrets;
use crate::remote::{RemoteError, Sort};

/// A client. Clones are the same one.
#[derive(Clone)]
pub(super) struct Wire {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
    shown: String,
    secrets: Secrets,
    pub(super) is_web: bool,
}

/// Bytes as they come.
pub(super) type Bytes = BoxStream<'static, Result<Vec<u8>, RemoteError>>;

/// Where an object has a name of its own.
pub(super) fn object(digest: Digest) -> String {
    fan_out("objects", digest)
}

/// Where a pack is.
pub(super) fn pack(digest: Digest) -> String {
    fan_out("packs", digest)
}

fn fan_out(part: &str, digest: Digest) -> String {
    let hex = digest.to_string();
    format!("v1/{part}/{}/{}", &hex[..2], &hex[2..])
}

impl Wire {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let Endpoint { store, prefix, shown, secrets, is_web } = endpoint;
        Self { store, prefix, shown, secrets, is_web }
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    fn at(&self, name: &str) -> ObjectPath {
        name.split('/').fold(self.prefix.clone(), ObjectPath::join)
    }

    /// All of a small thing; `None` if it is not there.
    pub(super) async fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, RemoteError> {
        let Some(mut stream) = self.stream(name).await? else { return Ok(None) };
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend(chunk);
            if bytes.len() as u64 > most {
                let said = format!("it is longer than {most} bytes");
                return Err(self.refusal("get", name, said, Sort::Other));
            }
        }
        Ok(Some(bytes))
    }

    /// A thing, piece by piece; `None` if it is not there.
    pub(super) async fn stream(&self, name: &str) -> Result<Option<Bytes>, RemoteError> {
        let answer = match self.store.get(&self.at(name)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            answer => answer.map_err(|error| self.blame("get", name, &error))?,
        };
        let (wire, name) = (self.clone(), name.to_owned());
        let chunks = answer.into_stream().map(move |chunk| match chunk {
            Ok(chunk) => Ok(chunk.to_vec()),
            Err(error) => Err(wire.blame("get", &name, &error)),
        });
        Ok(Some(chunks.boxed()))
    }

    /// A part of a thing; `None` if it is not there, or shorter.
    pub(super) async fn range(&self, name: &str, range: Range<u64>) -> Result<Option<Vec<u8>>, RemoteError> {
        let length = range.end - range.start;
        match self.store.get_range(&self.at(name), range).await {
            Ok(bytes) => Ok((bytes.len() as u64 == length).then(|| bytes.to_vec())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.blame("get", name, &error)),
        }
    }

    /// How long a thing is; `None` if it is not there.
    pub(super) async fn size(&self, name: &str) -> Result<Option<u64>, RemoteError> {
        match self.store.head(&self.at(name)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.blame("find", name, &error)),
        }
    }

    /// Puts a thing under a name that says what it is. If the name is taken, by another or by a try of ours whose answer was lost, the
    /// same bytes are there; if fewer are, what broke off is replaced.
    pub(super) async fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), RemoteError> {
        let payload = PutPayload::from(bytes.to_vec());
        let once = PutOptions::from(PutMode::Create);
        match self.store.put_opts(&self.at(name), payload, once).await {
            Ok(_) => Ok(()),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. })
                if self.size(name).await? == Some(bytes.len() as u64) =>
            {
                Ok(())
            }
            Err(
                Error::AlreadyExists { .. }
                | Error::Precondition { .. }
                | Error::NotImplemented { .. }
                | Error::NotSupported { .. },
            ) => self.put(name, bytes).await,
            Err(error) => Err(self.blame("take", name, &error)),
        }
    }

    /// Puts a thing, whatever is there.
    pub(super) async fn put(&self, name: &str, bytes: &[u8]) -> Result<(), RemoteError> {
        let answer = self.store.put(&self.at(name), PutPayload::from(bytes.to_vec())).await;
        answer.map(drop).map_err(|error| self.blame("take", name, &error))
    }

    /// Begins to put a thing in parts.
    pub(super) async fn put_parts(
        &self,
        name: &str,
    ) -> Result<Box<dyn object_store::MultipartUpload>, RemoteError> {
        self.store.put_multipart(&self.at(name)).await.map_err(|error| self.blame("take", name, &error))
    }

    /// The names in a folder, sorted.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<String>, RemoteError> {
        let found = self.store.list(Some(&self.at(folder)));
        let names = found.map_ok(|meta| meta.location.filename().unwrap_or_default().to_owned());
        let mut names: Vec<String> =
            names.try_collect().await.map_err(|error| self.blame("list", folder, &error))?;
        names.sort();
        Ok(names)
    }

    /// What a refusal means.
    pub(super) fn blame(&self, action: &'static str, what: &str, error: &Error) -> RemoteError {
        let text = causes::chain(error);
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let sort = match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Sort::Denied,
            _ if says(&["NoSuchBucket", "ContainerNotFound"]) => Sort::NotThere,
            _ if says(&[
                "AccessDenied",
                "InvalidAccessKeyId",
                "SignatureDoesNotMatch",
                "AuthenticationFailed",
                "AuthorizationFailure",
                "credential",
                "token",
            ]) =>
            {
                Sort::Denied
            }
            Error::NotFound { .. } => Sort::NotThere,
            _ if says(&["error sending request", "connect", "dns", "timed out"]) => Sort::Silence,
            _ => Sort::Other,
        };
        // Before the last dash stand the request and how often it was made.
        let said = code_and_message(&text)
            .unwrap_or_else(|| text.rsplit(" - ").next().unwrap_or_default().to_owned());
        self.refusal(action, what, self.secrets.hide(&said), sort)
    }

    /// Something that must be there is not.
    pub(super) fn lacks(&self, what: &str) -> RemoteError {
        self.refusal(
            "get",
            what,
            "there is no such file, so nothing was pushed there".to_owned(),
            Sort::NotThere,
        )
    }

    fn refusal(&self, action: &'static str, what: &str, said: String, sort: Sort) -> RemoteError {
        RemoteError::Answer { remote: self.shown.clone(), action, what: what.to_owned(), said, sort }
    }
}

/// What an XML answer of a storage says, in its own words.
fn code_and_message(text: &str) -> Option<String> {
    let inside = |tag: &str| {
        let rest = text.split_once(&format!("<{tag}>"))?.1;
        Some(rest.split_once('<')?.0.trim())
    };
    Some(format!("{}: {}", inside("Code")?, inside("Message").unwrap_or_default()))
}
