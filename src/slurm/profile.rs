//! The site's profile: what jobs ask for on this cluster when their stages do not say, and how many of them there may be.
//!
//! As strict as a pipeline file, and its mistakes are shown in the same way.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::base::suggest;
use crate::pipeline::document::{Document, join};
use crate::pipeline::error::{SourceText, SpecError, SpecErrors};
use crate::pipeline::handling::{self, Nonsense};
use crate::pipeline::scalar::text;
use crate::slurm::request::Request;

/// What every request may say.
const REQUEST: [&str; 6] = ["partition", "account", "cores", "memory", "time", "extra"];
/// What only the profile itself says.
const OWN: [&str; 9] =
    ["gpu", "coordinator", "setup", "program", "jobs", "submitted", "local_below", "together", "resubmit"];

/// What there is to know of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What a job asks for.
    pub jobs: Request,
    /// What a job that needs GPUs asks for.
    pub gpu: Request,
    /// What the job of a detached run asks for.
    pub coordinator: Request,
    /// Lines of shell before each job's work, as in `module load cuda`.
    pub setup: Vec<String>,
    /// This program on the nodes, if it is elsewhere there; words before it, as of a container, included.
    pub program: Option<String>,
    /// How many jobs may run at the same time.
    pub running: Option<u32>,
    /// How many jobs may be in the queue, running ones included.
    pub submitted: u32,
    /// Stages that took less than this before are done here.
    pub local_below: Duration,
    /// So many stages are done by one job, one after another, as took this long together before; none if each has a job of its own.
    pub together: Option<Duration>,
    /// How often a job is submitted again that was lost with its node, or gave way to another.
    pub resubmit: u32,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            jobs: Request::default(),
            gpu: Request::default(),
            coordinator: Request::default(),
            setup: Vec::new(),
            program: None,
            running: None,
            submitted: 1000,
            local_below: Duration::from_secs(1),
            together: None,
            resubmit: 3,
        }
    }
}

impl Profile {
    /// Reads a profile; `name` is what errors call the file.
    pub fn parse(name: &str, text: &str) -> Result<Self, SpecErrors> {
        let fail = |errors| SpecErrors {
            files: vec![SourceText { name: name.to_owned(), text: text.to_owned() }],
            errors,
        };
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        let document = Document::parse(name, text).map_err(|error| fail(vec![error]))?;
        let mut reader = Reader { document: &document, errors: Vec::new() };
        let profile = reader.profile();
        reader.errors.sort_by_key(|error| error.span.as_ref().map(|span| span.start));
        if reader.errors.is_empty() { Ok(profile) } else { Err(fail(reader.errors)) }
    }
}

struct Reader<'a> {
    document: &'a Document,
    errors: Vec<SpecError>,
}

impl<'a> Reader<'a> {
    fn profile(&mut self) -> Profile {
        let mut profile = Profile::default();
        let document = self.document;
        let Some(members) = self.mapping(&document.value, "", "the profile") else { return profile };
        self.known(members, "", &[&REQUEST[..], &OWN[..]].concat());
        profile.jobs = self.request(members, "", &Request::default());
        // What stands for all jobs also stands for these, unless they say otherwise.
        [profile.gpu, profile.coordinator] = ["gpu", "coordinator"].map(|name| {
            let Some(value) = members.get(name) else { return profile.jobs.clone() };
            let Some(given) = self.mapping(value, name, &format!("'{name}'")) else {
                return profile.jobs.clone();
            };
            self.known(given, name, &REQUEST);
            self.request(given, name, &profile.jobs)
        });
        profile.setup = self.read(members, "", "setup", lines).unwrap_or_default();
        profile.program = self.read(members, "", "program", sentence);
        profile.running = self.read(members, "", "jobs", count);
        profile.submitted = self.read(members, "", "submitted", count).unwrap_or(profile.submitted);
        let local_below = self.read(members, "", "local_below", duration);
        profile.local_below = local_below.unwrap_or(profile.local_below);
        profile.together = self.read(members, "", "together", handling::timeout);
        profile.resubmit = self.read(members, "", "resubmit", number).unwrap_or(profile.resubmit);
        profile
    }

    fn request(&mut self, members: &'a Map<String, Value>, path: &str, beneath: &Request) -> Request {
        Request {
            partition: self
                .read(members, path, "partition", handling::word)
                .or_else(|| beneath.partition.clone()),
            account: self.read(members, path, "account", handling::word).or_else(|| beneath.account.clone()),
            cores: self.read(members, path, "cores", count).or(beneath.cores),
            memory: self.read(members, path, "memory", handling::memory).or(beneath.memory),
            time: self.read(members, path, "time", handling::timeout).or(beneath.time),
            extra: self
                .read(members, path, "extra", handling::arguments)
                .unwrap_or_else(|| beneath.extra.clone()),
            ..Request::default()
        }
    }

    fn read<T>(
        &mut self,
        members: &'a Map<String, Value>,
        path: &str,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, Nonsense>,
    ) -> Option<T> {
        match read(members.get(name)?) {
            Ok(value) => Some(value),
            Err(Nonsense { message, hint }) => {
                let span = self.document.spans.locate(&join(path, name));
                self.errors.push(SpecError::at(span, message, "this value").hint(hint));
                None
            }
        }
    }

    fn mapping(&mut self, value: &'a Value, path: &str, what: &str) -> Option<&'a Map<String, Value>> {
        if value.as_object().is_none() {
            let span = self.document.spans.locate(path);
            let error = SpecError::at(span, format!("{what} must be a mapping"), "not a mapping");
            self.errors.push(error.hint("write 'key: value' pairs"));
        }
        value.as_object()
    }

    fn known(&mut self, members: &'a Map<String, Value>, path: &str, known: &[&'static str]) {
        for key in members.keys().filter(|key| !known.contains(&key.as_str())) {
            let span = self.document.spans.locate_key(&join(path, key));
            let error = SpecError::at(span, format!("a profile has no key '{key}' here"), "unknown");
            self.errors.push(error.hint(suggest::hint(key, known.iter().copied())));
        }
    }
}

fn nonsense<T>(value: &Value, what: &str, hint: &'static str) -> Result<T, Nonsense> {
    Err(Nonsense { message: format!("'{}' is not {what}", text(value)), hint })
}

fn number(value: &Value) -> Result<u32, Nonsense> {
    handling::whole(value).map_or_else(|| nonsense(value, "a whole number", "write 0 or more"), Ok)
}

fn count(value: &Value) -> Result<u32, Nonsense> {
    let count = handling::whole(value).filter(|count| *count > 0);
    count.map_or_else(|| nonsense(value, "a number of them", "write 1 or more"), Ok)
}

/// As [`handling::timeout`], or none at all.
fn duration(value: &Value) -> Result<Duration, Nonsense> {
    if value.as_u64() == Some(0) { Ok(Duration::ZERO) } else { handling::timeout(value) }
}

fn sentence(value: &Value) -> Result<String, Nonsense> {
    let words = value.as_str().filter(|words| !words.trim().is_empty());
    words.map_or_else(
        || nonsense(value, "a program", "write its path, after the words that a container needs"),
        |words| Ok(words.to_owned()),
    )
}

fn lines(value: &Value) -> Result<Vec<String>, Nonsense> {
    let lines = value.as_array().map(|lines| lines.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    match lines.flatten() {
        Some(lines) => Ok(lines.into_iter().map(str::to_owned).collect()),
        None => nonsense(value, "a list of lines", "write a list of texts, as in ['module load cuda']"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_and_what_it_leaves_out_has_a_default() {
        let text = "
partition: main
time: 2 h
memory: 4 GiB
gpu: { partition: gpu, extra: ['--constraint=a100'] }
coordinator: { time: 3 d, cores: 1 }
setup: [module load cuda]
jobs: 50
local_below: 0
together: 5 min
";
        let profile = Profile::parse("slurm.yaml", text).unwrap();
        assert_eq!(profile.gpu.partition.as_deref(), Some("gpu"));
        assert_eq!((profile.gpu.time, profile.gpu.memory), (profile.jobs.time, Some(4 << 30)));
        assert_eq!(profile.coordinator.time, Some(Duration::from_hours(72)));
        assert_eq!((profile.running, profile.submitted), (Some(50), 1000));
        assert_eq!((profile.local_below, profile.together), (Duration::ZERO, Some(Duration::from_mins(5))));
        assert_eq!(Profile::parse("slurm.yaml", "# nothing\n").unwrap(), Profile::default());
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        let text = "partion: main\ncores: none\ngpu: { tim: 1 h }\nsetup: module load\n";
        let told = Profile::parse("slurm.yaml", text).unwrap_err();
        let told: Vec<(usize, String, Option<String>)> = told
            .errors
            .iter()
            .map(|error| {
                let at = error.span.clone().unwrap_or_default().start;
                (told.files[0].line_column(at).0, error.message.clone(), error.hint.clone())
            })
            .collect();
        let lines: Vec<usize> = told.iter().map(|(line, ..)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
        assert_eq!(told[0].2.as_deref(), Some("did you mean 'partition'?"));
        assert_eq!(told[1].1, "'none' is not a number of them");
        assert_eq!(told[2].2.as_deref(), Some("did you mean 'time'?"));
    }
}
