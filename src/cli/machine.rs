//! What there is to know of the machine and of the place where the program runs.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::fsx;
use crate::cli::failure::Failure;
use crate::engine::Capacity;
use crate::nn::kernels;

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
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let power = ["", "K", "M", "G", "T"].iter().position(|prefix| {
        let unit = unit.trim();
        unit == *prefix || unit == format!("{prefix}B") || unit == format!("{prefix}iB")
    });
    let base: u64 = if unit.trim().ends_with("iB") { 1024 } else { 1000 };
    let size = number.parse::<u64>().ok().zip(power);
    size.and_then(|(number, power)| number.checked_mul(base.pow(power as u32)))
        .ok_or_else(|| format!("'{text}' is not a size: write it as in '16 GiB'"))
}

/// `1 record`, `2 records`.
pub(super) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `512 B`, `7.2 MB`.
pub(super) fn size(bytes: u64) -> String {
    let (mut number, mut units) = (bytes as f64, ["B", "kB", "MB", "GB", "TB"].into_iter());
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if number < 1000.0 {
            break;
        }
        (number, unit) = (number / 1000.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{number:.1} {unit}") }
}

/// `7.2 s`, `3 min 5 s`, `2 h 10 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
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
    fn sizes_and_durations() {
        assert_eq!(parse_size("16 GiB"), Ok(16 << 30));
        assert_eq!(parse_size("4GB"), Ok(4_000_000_000));
        assert_eq!(parse_size("123"), Ok(123));
        for wrong in ["", "GiB", "4 Gib", "-1", "99999999999 TiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!([0, 999, 1000, 1_250_000].map(size), ["0 B", "999 B", "1.0 kB", "1.2 MB"]);
        let told = [0.04, 7.25, 59.9, 185.0, 7_800.0].map(duration);
        assert_eq!(told, ["0.0 s", "7.2 s", "59.9 s", "3 min 5 s", "2 h 10 min"]);
    }
}
