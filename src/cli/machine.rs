//! What there is to know of the machine and of the place where the program runs.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::fsx;
use crate::cli::failure::Failure;
use crate::engine::Capacity;
use crate::nn::kernels;
use crate::pipeline::handling;

/// The cores that this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// All of the machine. While some stages wait for the disk, others keep the cores busy: so there are more jobs than cores.
pub(super) fn capacity() -> Capacity {
    let threads = cores();
    Capacity { jobs: threads + 2, threads, memory: memory(), gpus: gpus() }
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "for people who watch; it reaches no result")]
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Bytes of memory; no limit where the system does not tell.
fn memory() -> u64 {
    let kilobytes = |text: String| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?.to_owned();
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    fsx::read_to_string(Path::new("/proc/meminfo")).ok().and_then(kilobytes).map_or(u64::MAX, |n| n * 1024)
}

/// NVIDIA devices.
fn gpus() -> u32 {
    let is_gpu = |name: &String| {
        name.strip_prefix("nvidia")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    fsx::list(Path::new("/dev")).map_or(0, |names| names.iter().filter(|name| is_gpu(name)).count() as u32)
}

/// The revision of the repository that the user is in, with `-dirty` if files were changed, if git is there to tell.
pub(super) fn revision() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let is_clean = git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(git(&["rev-parse", "HEAD"])? + if is_clean { "" } else { "-dirty" })
}

/// Reads `512 MiB`, `4GB` or a number of bytes.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    // As Slurm has it, too: 16G.
    let unit = if text.ends_with(['M', 'G', 'T']) { "B" } else { "" };
    let size = text.parse().ok().or_else(|| handling::amount(&format!("{text}{unit}")));
    size.ok_or_else(|| format!("'{text}' is not a size: write it as in '16 GiB'"))
}

/// Uses the kernels that the environment names, if it names some: `portable` ones give the same results on every machine.
pub(super) fn choose_kernels() -> Result<(), Failure> {
    const VARIABLE: &str = "LAYERWISE_KERNELS";
    let Some(name) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) else { return Ok(()) };
    kernels::Path::choose(&name.to_string_lossy()).map_err(|error| Failure::Input {
        message: format!("the variable {VARIABLE}: {error}"),
        hint: format!("set it to one of {}, or not at all", error.available.join(", ")),
    })
}

/// The folder in which the user keeps data, if the environment names one.
pub(super) fn local_data() -> Result<Option<PathBuf>, Failure> {
    const VARIABLE: &str = "LAYERWISE_DATA";
    let Some(name) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) else { return Ok(None) };
    let folder = PathBuf::from(name);
    if !fsx::is_dir(&folder) {
        return Err(Failure::Input {
            message: format!("the variable {VARIABLE}: there is no folder '{}'", folder.display()),
            hint: "set it to a folder with published files of datasets, or not at all".to_owned(),
        });
    }
    Ok(Some(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("16 GiB"), Ok(16 << 30));
        assert_eq!(parse_size("4GB"), Ok(4_000_000_000));
        assert_eq!((parse_size("123"), parse_size("2G")), (Ok(123), Ok(2_000_000_000)));
        for wrong in ["", "GiB", "4 Gib", "-1", "99999999999 TiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
