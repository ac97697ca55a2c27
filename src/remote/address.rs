//! From an address as people write it to a client of what answers there.
//!
//! Credentials come from the environment or from the files of the aws program, and go nowhere else: no error, log or record has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use crate::base::fsx;
use crate::remote::RemoteError;
use crate::remote::secrets::Secrets;

/// What the surroundings say of how to get in: variables of the environment, and the home folder.
#[derive(Debug, Default, Clone)]
pub struct Access {
    /// Variables, as in `AWS_ACCESS_KEY_ID`.
    pub variables: BTreeMap<String, String>,
    /// Where `.aws` is.
    pub home: Option<PathBuf>,
}

/// A client, and where in its bucket, container or folder we are.
pub(super) struct Endpoint {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: ObjectPath,
    /// The address without what is nobody's business.
    pub(super) shown: String,
    /// What must not be told.
    pub(super) secrets: Secrets,
    /// A web server: nothing can be listed or written.
    pub(super) is_web: bool,
}

/// How often and how long a request is tried again: after a pause that grows, and is never the same.
pub(super) fn retries(most: usize) -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(10),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: most, retry_timeout: Duration::from_mins(2) }
}

/// A slow network is no error, a silent one is.
fn client() -> ClientOptions {
    ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(Duration::from_secs(10))
        .with_read_timeout(Duration::from_mins(1))
}

/// Makes a client. A folder that is not there is made only if it `is_made`.
pub(super) fn open(
    address: &str,
    access: &Access,
    is_made: bool,
    retry: RetryConfig,
) -> Result<Endpoint, RemoteError> {
    if !address.contains("://") {
        return folder(Path::new(address), is_made);
    }
    let wrong = |why: &str| RemoteError::Address { address: shown(address), why: why.to_owned() };
    let url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
    let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|_| {
        wrong("known are s3://bucket/…, gs://bucket/…, az://container/…, https://host/… and folders")
    })?;
    if matches!(scheme, ObjectStoreScheme::Local) {
        let path = url.to_file_path().map_err(|()| wrong("it names no folder of this machine"))?;
        return folder(&path, is_made);
    }
    let mut options =
        if matches!(scheme, ObjectStoreScheme::AmazonS3) { profile(access)? } else { Vec::new() };
    options.extend(access.variables.iter().map(|(name, value)| (name.to_lowercase(), value.clone())));
    if matches!(scheme, ObjectStoreScheme::AmazonS3) && !has_key(&options) {
        return Err(RemoteError::NoCredentials { of: "S3" });
    }
    let mut secrets = Secrets::of_url(&url);
    let is_given = |(name, _): &&(String, String)| {
        ["aws_", "google_", "azure_"].iter().any(|prefix| name.starts_with(prefix))
    };
    secrets.add(options.iter().filter(is_given));
    let is_web = matches!(scheme, ObjectStoreScheme::Http);
    let built = build(&scheme, &url, &options, retry);
    let store = built.map_err(|error| match error.to_string() {
        words if words.contains("Account must be specified") => RemoteError::NoCredentials { of: "Azure" },
        words => wrong(&secrets.hide(&words)),
    })?;
    // An HTTP client has the whole address as its root already.
    let prefix = if is_web { ObjectPath::default() } else { prefix };
    Ok(Endpoint { store, prefix, shown: shown(address), secrets, is_web })
}

/// Whether there is any way to get in; if not, the machine itself may know one, unless it must not be asked.
fn has_key(options: &[(String, String)]) -> bool {
    const WAYS: [&str; 5] = [
        "aws_access_key_id",
        "aws_web_identity_token_file",
        "aws_container_credentials_relative_uri",
        "aws_container_credentials_full_uri",
        "aws_skip_signature",
    ];
    let is_way = |(name, value): &(String, String)| WAYS.contains(&name.as_str()) && !value.is_empty();
    let may_not_ask = |(name, value): &(String, String)| {
        name == "aws_ec2_metadata_disabled" && value.eq_ignore_ascii_case("true")
    };
    options.iter().any(is_way) || !options.iter().any(may_not_ask)
}

fn build(
    scheme: &ObjectStoreScheme,
    url: &Url,
    options: &[(String, String)],
    retry: RetryConfig,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    // Who names a server without TLS wants it: there are such in laboratories.
    let is_plain = |(name, value): &(String, String)| {
        name.contains("endpoint") && value.trim_start().starts_with("http://")
    };
    let client = client().with_allow_http(url.scheme() == "http" || options.iter().any(is_plain));
    let url = url.to_string();
    Ok(match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let builder = AmazonS3Builder::new().with_url(url).with_retry(retry).with_client_options(client);
            let known = known::<AmazonS3ConfigKey>(options);
            Arc::new(known.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = GoogleCloudStorageBuilder::new().with_url(url).with_retry(retry);
            let builder = builder.with_client_options(client);
            let known = known::<GoogleConfigKey>(options);
            Arc::new(known.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = MicrosoftAzureBuilder::new().with_url(url).with_retry(retry);
            let builder = builder.with_client_options(client);
            let known = known::<AzureConfigKey>(options);
            Arc::new(known.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
        }
        _ => {
            Arc::new(HttpBuilder::new().with_url(url).with_retry(retry).with_client_options(client).build()?)
        }
    })
}

/// The options that a client understands; of one that is given twice the last counts.
fn known<K: std::str::FromStr>(options: &[(String, String)]) -> impl Iterator<Item = (K, &str)> {
    options.iter().filter_map(|(name, value)| Some((name.parse().ok()?, value.as_str())))
}

fn folder(path: &Path, is_made: bool) -> Result<Endpoint, RemoteError> {
    if is_made {
        fsx::create_dir_all(path)?;
    } else if !fsx::is_dir(path) {
        return Err(RemoteError::NoFolder { path: path.to_owned() });
    }
    let address = path.display().to_string();
    let store = LocalFileSystem::new_with_prefix(path).map(|store| store.with_fsync(true));
    let store =
        store.map_err(|error| RemoteError::Address { address: address.clone(), why: error.to_string() })?;
    Ok(Endpoint {
        store: Arc::new(store),
        prefix: ObjectPath::default(),
        shown: address,
        secrets: Secrets::default(),
        is_web: false,
    })
}

/// Keys and region of the chosen profile in the files of the aws program; nothing if there are none.
fn profile(access: &Access) -> Result<Vec<(String, String)>, RemoteError> {
    let variable = |name: &str| access.variables.get(name).filter(|value| !value.is_empty());
    let file = |name: &str, usual: &str| {
        let chosen = variable(name).map(PathBuf::from);
        chosen.or_else(|| access.home.as_ref().map(|home| home.join(".aws").join(usual)))
    };
    let chosen = variable("AWS_PROFILE").or_else(|| variable("AWS_DEFAULT_PROFILE"));
    let name = chosen.map_or("default", String::as_str);
    let mut options = Vec::new();
    let mut is_found = false;
    for (path, section) in [
        (
            file("AWS_CONFIG_FILE", "config"),
            if name == "default" { name.to_owned() } else { format!("profile {name}") },
        ),
        (file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), name.to_owned()),
    ] {
        let Some(path) = path.filter(|path| fsx::size(path).is_some()) else { continue };
        let text = fsx::read_to_string(&path)?;
        let file = ini::Ini::load_from_str(&text).map_err(|error| RemoteError::Profile {
            path: path.clone(),
            why: format!("line {}: {}", error.line + 1, error.msg),
        })?;
        let Some(section) = file.section(Some(section.as_str())) else { continue };
        is_found = true;
        options.extend(section.iter().map(|(key, value)| {
            let key = key.to_lowercase();
            let key = if key.starts_with("aws_") { key } else { format!("aws_{key}") };
            (key, value.to_owned())
        }));
    }
    match chosen {
        Some(name) if !is_found => Err(RemoteError::NoProfile { name: name.clone() }),
        _ => Ok(options),
    }
}

/// An address without user, password and query.
pub(super) fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_what_is_secret() {
        for (address, told) in [
            ("s3://bucket/a/b", "s3://bucket/a/b"),
            ("https://me:hunter2@host/a?sig=x#y", "https://host/a"),
            ("https://me:p@ss@host", "https://host"),
            ("../cache", "../cache"),
        ] {
            assert_eq!(shown(address), told);
        }
    }

    #[test]
    fn who_we_are_is_asked_for_first() {
        let may_not_ask = ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
        let access = Access { variables: [may_not_ask].into(), home: None };
        for (address, storage) in [("s3://bucket/a", "S3"), ("az://container/a", "Azure")] {
            let error = open(address, &access, false, retries(0)).err();
            assert!(matches!(error, Some(RemoteError::NoCredentials { of }) if of == storage), "{error:?}");
        }
    }

    #[test]
    fn profiles_are_those_of_the_aws_program() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".aws");
        fsx::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| fsx::write_new(&folder.join(name), text.as_bytes()).unwrap();
        write(
            "config",
            "[default]\nregion = eu-1\n[profile lab]\nregion=eu-2\nendpoint_url = http://127.0.0.1:1\n",
        );
        write(
            "credentials",
            "[default]\naws_access_key_id = A\n[lab]\naws_access_key_id=B\naws_secret_access_key=C=\n",
        );
        let access = |name: Option<&str>| Access {
            variables: name.map(|name| ("AWS_PROFILE".to_owned(), name.to_owned())).into_iter().collect(),
            home: Some(home.path().to_owned()),
        };
        let pairs = |name| {
            profile(&access(name)).unwrap().into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>()
        };
        assert_eq!(pairs(None), ["aws_region=eu-1", "aws_access_key_id=A"]);
        let lab = [
            "aws_region=eu-2",
            "aws_endpoint_url=http://127.0.0.1:1",
            "aws_access_key_id=B",
            "aws_secret_access_key=C=",
        ];
        assert_eq!(pairs(Some("lab")), lab);
        assert!(matches!(profile(&access(Some("nobody"))), Err(RemoteError::NoProfile { .. })));
        let known = lab.iter().filter_map(|pair| pair.split_once('=')?.0.parse::<AmazonS3ConfigKey>().ok());
        assert_eq!(known.count(), 4, "the client knows them all");
    }
}
