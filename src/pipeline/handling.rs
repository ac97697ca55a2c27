//! `resources`, `timeout` and `retries` of a stage: how it is run, which never affects its result.

use std::time::Duration;

use serde_json::Value;

use crate::pipeline::scalar::text;
use crate::pipeline::spec::Resources;

/// Keys under `resources`.
pub(super) const RESOURCES: [&str; 3] = ["cores", "memory", "gpu"];

/// What is wrong with a value, and what to do.
pub(super) struct Nonsense {
    pub(super) message: String,
    pub(super) hint: &'static str,
}

fn nonsense<T>(message: String, hint: &'static str) -> Result<T, Nonsense> {
    Err(Nonsense { message, hint })
}

/// Sets one of [`RESOURCES`].
pub(super) fn resource(resources: &mut Resources, name: &str, value: &Value) -> Result<(), Nonsense> {
    match name {
        "cores" => match whole(value).filter(|cores| *cores > 0) {
            Some(cores) => resources.cores = Some(cores as usize),
            None => {
                return nonsense(format!("'{}' is not a number of cores", text(value)), "write 1 or more");
            }
        },
        "memory" => resources.memory = memory(value)?,
        _ => match whole(value) {
            Some(gpu) => resources.gpu = gpu,
            None => return nonsense(format!("'{}' is not a number of GPUs", text(value)), "write 0 or more"),
        },
    }
    Ok(())
}

fn whole(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// How often a stage is tried again.
pub(super) fn retries(value: &Value) -> Result<u32, Nonsense> {
    match whole(value).filter(|retries| *retries <= 100) {
        Some(retries) => Ok(retries),
        None => nonsense(
            format!("'{}' is not a number of retries", text(value)),
            "write a whole number from 0 to 100",
        ),
    }
}

/// `4 GiB`, or bytes.
fn memory(value: &Value) -> Result<u64, Nonsense> {
    const UNITS: [(&str, f64); 9] = [
        ("B", 1.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
    ];
    const HINT: &str = "write a number of bytes, or one with a unit, as in '512 MiB' or '4 GiB'";
    match (value.as_u64(), measure(value, &UNITS)) {
        (Some(bytes), _) => Ok(bytes),
        (None, Some(bytes)) if bytes < 1e18 => Ok(bytes as u64),
        _ => nonsense(format!("'{}' is not an amount of memory", text(value)), HINT),
    }
}

/// `90 s`, `10 min`, `2 h`.
pub(super) fn timeout(value: &Value) -> Result<Duration, Nonsense> {
    const UNITS: [(&str, f64); 5] =
        [("ms", 0.001), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86_400.0)];
    const HINT: &str = "write a number with a unit, as in '90 s', '10 min' or '2 h'";
    match measure(value, &UNITS) {
        Some(seconds) if seconds > 0.0 && seconds < 1e9 => Ok(Duration::from_secs_f64(seconds)),
        Some(_) => nonsense(format!("'{}' is no time that a stage could take", text(value)), HINT),
        None => nonsense(format!("'{}' is not a length of time", text(value)), HINT),
    }
}

/// A number with one of these units.
fn measure(value: &Value, units: &[(&str, f64)]) -> Option<f64> {
    let text = value.as_str()?;
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim();
    units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| number * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_have_units() {
        let bytes = |value: Value| memory(&value).ok();
        assert_eq!(bytes(json!("4 GiB")), Some(4 << 30));
        assert_eq!(bytes(json!("1.5MB")), Some(1_500_000));
        assert_eq!(bytes(json!(4096)), Some(4096));
        for wrong in [json!("4"), json!("4 gib"), json!("GiB"), json!(-1), json!(1.5), json!("-1 GiB")] {
            assert_eq!(bytes(wrong.clone()), None, "{wrong}");
        }
        let time = |value: Value| timeout(&value).ok();
        assert_eq!(time(json!("90 s")), Some(Duration::from_secs(90)));
        assert_eq!(time(json!("1.5 h")), Some(Duration::from_mins(90)));
        for wrong in
            [json!(90), json!("90"), json!("0 s"), json!("90 sec"), json!("1e3 s"), json!("99999999 d")]
        {
            assert_eq!(time(wrong.clone()), None, "{wrong}");
        }
    }
}
