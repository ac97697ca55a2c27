//! `resources`, `timeout` and `retries` of a stage: how it is run, which never affects its result.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::pipeline::scalar::text;
use crate::pipeline::spec::{Growth, Queue, Resources};

/// Keys under `resources`.
pub(super) const RESOURCES: [&str; 7] = ["cores", "memory", "gpu", "time", "partition", "account", "extra"];

/// Keys under `retries`, where it is a mapping.
pub(super) const RETRIES: [&str; 3] = ["times", "memory", "time"];

/// What is wrong with a value, and what to do.
pub struct Nonsense {
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do: begins with a verb.
    pub hint: &'static str,
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
        "gpu" => match whole(value) {
            Some(gpu) => resources.gpu = gpu,
            None => return nonsense(format!("'{}' is not a number of GPUs", text(value)), "write 0 or more"),
        },
        _ => queued(Arc::make_mut(resources.queue.get_or_insert_default()), name, value)?,
    }
    Ok(())
}

/// Sets what only a cluster asks for.
fn queued(queue: &mut Queue, name: &str, value: &Value) -> Result<(), Nonsense> {
    match name {
        "time" => queue.time = Some(timeout(value)?),
        "partition" => queue.partition = Some(word(value)?),
        "account" => queue.account = Some(word(value)?),
        _ => queue.extra = arguments(value)?,
    }
    Ok(())
}

/// A name of the cluster.
pub fn word(value: &Value) -> Result<String, Nonsense> {
    let is_word = |text: &&str| !text.is_empty() && !text.contains(char::is_whitespace);
    match value.as_str().filter(is_word) {
        Some(word) => Ok(word.to_owned()),
        None => nonsense(format!("'{}' is not a name", text(value)), "write one word"),
    }
}

/// Further arguments of the scheduler's own command: a list, each beginning with `-`.
pub fn arguments(value: &Value) -> Result<Vec<String>, Nonsense> {
    const HINT: &str =
        "write a list of options in quotes, each with its value after '=', as in ['--qos=high']";
    let items = value.as_array().map(|items| items.iter().map(|item| item.as_str()).collect::<Vec<_>>());
    let is_option = |item: Option<&str>| item.is_some_and(|item| item.starts_with('-'));
    match items {
        Some(items) if items.iter().copied().all(is_option) => {
            Ok(items.into_iter().flatten().map(str::to_owned).collect())
        }
        _ => nonsense(format!("'{}' is not a list of options", text(value)), HINT),
    }
}

/// A whole number.
pub fn whole(value: &Value) -> Option<u32> {
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

/// How much more, as in `x2`.
pub(super) fn factor(value: &Value) -> Result<Growth, Nonsense> {
    let number =
        value.as_str().and_then(|text| text.strip_prefix('x')).and_then(|text| text.parse::<f64>().ok());
    match number.filter(|number| (1.0..=100.0).contains(number)) {
        Some(number) => Ok(Growth((number * 100.0).round() as u32)),
        None => nonsense(
            format!("'{}' does not say how much more", text(value)),
            "write a factor from x1 to x100, as in 'x2'",
        ),
    }
}

/// `4 GiB`, or bytes.
pub fn memory(value: &Value) -> Result<u64, Nonsense> {
    const HINT: &str = "write a number of bytes, or one with a unit, as in '512 MiB' or '4 GiB'";
    match value.as_u64().or_else(|| amount(value.as_str()?)) {
        Some(bytes) => Ok(bytes),
        None => nonsense(format!("'{}' is not an amount of memory", text(value)), HINT),
    }
}

/// The bytes that `4 GiB` are.
pub fn amount(text: &str) -> Option<u64> {
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
    measure(text, &UNITS).filter(|bytes| *bytes < 1e18).map(|bytes| bytes as u64)
}

/// `90 s`, `10 min`, `2 h`.
pub fn timeout(value: &Value) -> Result<Duration, Nonsense> {
    const UNITS: [(&str, f64); 5] =
        [("ms", 0.001), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86_400.0)];
    const HINT: &str = "write a number with a unit, as in '90 s', '10 min' or '2 h'";
    match value.as_str().and_then(|text| measure(text, &UNITS)) {
        Some(seconds) if seconds > 0.0 && seconds < 1e9 => Ok(Duration::from_secs_f64(seconds)),
        Some(_) => nonsense(format!("'{}' is no time that a stage could take", text(value)), HINT),
        None => nonsense(format!("'{}' is not a length of time", text(value)), HINT),
    }
}

/// A number with one of these units.
fn measure(text: &str, units: &[(&str, f64)]) -> Option<f64> {
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
