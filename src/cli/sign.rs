//! `layerwise sign`, and what the commands that ask for a signature share.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::base::fsx;
use crate::base::signature::{SignatureError, Signer, Trusted, new_key};
use crate::cli::failure::Failure;
use crate::cli::page::outln;
use crate::cli::project;
use crate::engine::lock;
use crate::engine::publish;

/// Arguments of `sign`.
#[derive(Args)]
#[command(after_help = "\
The password of a key is taken from the variable LAYERWISE_KEY_PASSWORD, or asked for on the terminal.

Examples:
  layerwise sign --new-key mine.key                  once; mine.key.pub is for the others
  layerwise sign fig1 --key mine.key
  layerwise verify fig1 --trusted mine.key.pub       or: minisign -Vm results/fig1/lock.json -p mine.key.pub")]
pub(super) struct Sign {
    /// Only the lock of this pipeline: its name, its file, or its folder of results [default: all locks]
    #[arg(conflicts_with = "new_key")]
    pipeline: Option<PathBuf>,
    /// The secret key, as this program or minisign wrote it
    #[arg(long, value_name = "FILE", required_unless_present = "new_key", conflicts_with = "new_key")]
    key: Option<PathBuf>,
    /// Make a key pair: FILE, to be kept secret, and FILE.pub
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
    /// Where results and the store are [default: results/ of the project]
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

/// Whose signatures are believed.
#[derive(Args)]
pub(super) struct Trust {
    /// Fail unless this key signed the lock; may be given several times, and one of them must have
    #[arg(long = "trusted", value_name = "FILE.pub")]
    keys: Vec<PathBuf>,
}

impl Trust {
    /// The keys, if any were named.
    pub(super) fn open(&self) -> Result<Option<Trusted>, Failure> {
        Ok(if self.keys.is_empty() { None } else { Some(Trusted::read(&self.keys)?) })
    }
}

impl Sign {
    pub(super) fn execute(self) -> Result<(), Failure> {
        if let Some(file) = &self.new_key {
            return make_key(file);
        }
        let results = project::results(self.results.as_deref());
        let locks = project::locks(&results, self.pipeline.as_deref())?;
        if locks.is_empty() {
            return Err(no_lock(&results));
        }
        for (folder, lock) in &locks {
            if let Some(path) = publish::first_other(folder, lock) {
                return Err(Failure::Wrong {
                    message: format!(
                        "'{}' is not what the lock says, and so nothing is signed",
                        path.display()
                    ),
                    hint: "run the pipeline again, and look at what it gives before you sign".to_owned(),
                });
            }
        }
        let signer = open(self.key.as_deref().unwrap_or(Path::new("")))?;
        for (folder, lock) in &locks {
            let text = fsx::read(&folder.join(lock::FILE))?;
            let signature = signer.sign(&text, &lock::comment(&lock.pipeline, &text));
            let path = folder.join(lock::SIGNATURE);
            fsx::write_atomic(&path, signature.as_bytes())?;
            outln!("{}", path.display())?;
        }
        eprintln!("signed by the key {}", signer.key_id());
        Ok(())
    }
}

/// There is nothing that could be signed.
pub(super) fn no_lock(results: &Path) -> Failure {
    Failure::Input {
        message: format!("there is no lock in '{}'", results.display()),
        hint: "run a pipeline first, or name the folder with '--results DIR'".to_owned(),
    }
}

/// Makes a key pair; nothing is written over.
fn make_key(file: &Path) -> Result<(), Failure> {
    let mut public = file.as_os_str().to_owned();
    public.push(".pub");
    let public = PathBuf::from(public);
    if let Some(there) = [file, &public].into_iter().find(|path| fsx::link_metadata(path).is_ok()) {
        return Err(Failure::Input {
            message: format!("'{}' is there already", there.display()),
            hint: "choose another name: a key that is lost cannot be made again".to_owned(),
        });
    }
    let password = match password_of_environment()? {
        Some(password) => password,
        None => ask_twice()?,
    };
    let key = new_key(Some(password.as_str()).filter(|password| !password.is_empty()))?;
    fsx::write_private(file, key.secret.as_bytes())?;
    fsx::write_new(&public, key.public.as_bytes()).inspect_err(|_| _ = fsx::remove_file(file))?;
    let protection =
        if password.is_empty() { "not protected by a password" } else { "protected by the password" };
    eprintln!("'{}' is secret, and {protection}; give '{}' to the others", file.display(), public.display());
    outln!("{}", key.id)
}

/// Opens a secret key, with its password if it has one.
pub(super) fn open(key: &Path) -> Result<Signer, Failure> {
    match Signer::open(key, None) {
        Err(SignatureError::Locked { .. }) => {
            let password = match password_of_environment()? {
                None if std::io::stdin().is_terminal() => {
                    Some(ask(&format!("Password of {}: ", key.display()))?)
                }
                password => password,
            };
            Ok(Signer::open(key, password.as_deref())?)
        }
        other => Ok(other?),
    }
}

/// Where a password may be, so that it is no argument: those are seen by all.
const PASSWORD: &str = "LAYERWISE_KEY_PASSWORD";

fn password_of_environment() -> Result<Option<String>, Failure> {
    let read = |password: std::ffi::OsString| {
        password.into_string().map_err(|_| Failure::Input {
            message: format!("the variable {PASSWORD} is not UTF-8"),
            hint: "set it to the password, or not at all to be asked for it".to_owned(),
        })
    };
    std::env::var_os(PASSWORD).map(read).transpose()
}

fn ask_twice() -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Input {
            message: "there is no terminal to ask for a password".to_owned(),
            hint: format!("set the variable {PASSWORD}; an empty one makes a key without protection"),
        });
    }
    let first = ask("Password for the new key (empty for none): ")?;
    if first == ask("The same again: ")? {
        return Ok(first);
    }
    Err(Failure::Input {
        message: "the two passwords differ".to_owned(),
        hint: "try again: no key was made".to_owned(),
    })
}

fn ask(question: &str) -> Result<String, Failure> {
    rpassword::prompt_password(question).map_err(|error| Failure::Input {
        message: format!("the terminal gives no password: {error}"),
        hint: format!("set the variable {PASSWORD} instead"),
    })
}

impl From<SignatureError> for Failure {
    fn from(error: SignatureError) -> Self {
        let message = error.to_string();
        let hint = match error {
            SignatureError::File(_) => "correct the path",
            SignatureError::NoKey { .. } => {
                "name a key that 'layerwise sign --new-key' or minisign wrote: the secret one signs, the public one is trusted"
            }
            SignatureError::Locked { .. } => "sign on a terminal, or set the variable LAYERWISE_KEY_PASSWORD",
            SignatureError::WrongPassword { .. } => {
                "try again, or correct the variable LAYERWISE_KEY_PASSWORD"
            }
            SignatureError::NoRandomness => "look for what is wrong with the system",
            SignatureError::NoSignature { .. }
            | SignatureError::NotTrusted { .. }
            | SignatureError::Changed { .. }
            | SignatureError::CommentChanged { .. } => {
                return Self::Wrong { message, hint: HINT.to_owned() };
            }
        };
        Self::Input { message, hint: hint.to_owned() }
    }
}

/// What to do about a signature that is not believed.
pub(super) const HINT: &str =
    "ask its author for the public key and for what it signed, or sign it yourself with 'layerwise sign'";
