//! What a stage may use that must not change its result.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::Path;

use crate::base::cancel::Cancel;
use crate::base::place::Place;
use crate::stage::parts::Parts;

/// Handed to [`Stage::run`](crate::stage::Stage::run). Nothing in it may influence the output's bytes.
pub struct Context<'a> {
    /// Where the output files go. Empty at the start, unless the kind resumes.
    pub out: &'a Path,
    /// For what an interrupted run needs to continue; no part of the output.
    pub scratch: &'a Path,
    /// The project's folder: where tracked datasets are.
    pub root: &'a Path,
    /// Where the user keeps data, to be looked at before it is downloaded.
    pub local: Option<&'a Path>,
    /// How many threads to use.
    pub threads: usize,
    /// Says when to end early: when the user wants to stop, or the time is over.
    pub cancel: Cancel<'a>,
    /// Results smaller than a stage, of earlier executions and for later ones.
    pub parts: &'a dyn Parts,
    /// A file for what people want to read afterwards; no part of the output. It holds what earlier attempts of this run wrote.
    pub log: &'a Path,
    /// Tells the observers.
    pub report: &'a (dyn Fn(Report) + Sync),
}

impl Context<'_> {
    /// Ends the stage early if the user wants to stop or the time is over. To be asked often: at least every 100 ms.
    pub fn check_cancelled(&self) -> Result<(), StageError> {
        if self.cancel.is_set() { Err(StageError::Cancelled) } else { Ok(()) }
    }

    /// Tells how far the work is.
    pub fn progress(&self, done: u64, total: u64, unit: &'static str, note: impl Into<String>) {
        (self.report)(Report::Progress { done, total, unit, note: note.into() });
    }

    /// Tells numbers of a step, which together make curves: by name, as in `test/error`.
    pub fn scalars(&self, step: u64, values: BTreeMap<String, f64>) {
        (self.report)(Report::Scalars { step, values });
    }

    /// Tells something that the user should know, though the work goes on.
    pub fn note(&self, text: impl Into<String>) {
        (self.report)(Report::Note(text.into()));
    }
}

/// What a running stage tells.
#[derive(Clone, Debug)]
pub enum Report {
    /// How far the work is.
    Progress {
        /// Units done, of this run and of the interrupted one that it continues.
        done: u64,
        /// Units in all.
        total: u64,
        /// What a unit is: `epochs`, `bytes`, `probes`.
        unit: &'static str,
        /// The latest figures, as in `loss 0.031 error 0.018`.
        note: String,
    },
    /// A line for the user.
    Note(String),
    /// A point of each of some curves.
    Scalars {
        /// Where: an epoch.
        step: u64,
        /// The curves by name, as in `test/error`, and their values there.
        values: BTreeMap<String, f64>,
    },
}

/// Why a stage gave no output. Any error becomes one with `?`.
#[derive(Debug)]
pub enum StageError {
    /// It was told to end early.
    Cancelled,
    /// It failed.
    Failed {
        /// What went wrong.
        cause: Box<dyn Error + Send + Sync>,
        /// What to do: begins with a verb.
        hint: Option<String>,
        /// The parameter that is to blame, if one is.
        parameter: Option<Parameter>,
    },
}

/// A parameter of a stage, or a place in one that is a text.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Path within the parameters, as in `sql` or `over[0]`.
    pub path: String,
    /// Where in the text.
    pub place: Option<Place>,
}

impl StageError {
    /// A failure with a hint that begins with a verb.
    pub fn with_hint(cause: impl Into<Box<dyn Error + Send + Sync>>, hint: impl Into<String>) -> Self {
        Self::Failed { cause: cause.into(), hint: Some(hint.into()), parameter: None }
    }

    /// A failure that a parameter is to blame for, with a hint that begins with a verb.
    pub fn of_parameter(
        cause: impl Into<Box<dyn Error + Send + Sync>>,
        hint: impl Into<String>,
        path: impl Into<String>,
        place: Option<Place>,
    ) -> Self {
        let parameter = Some(Parameter { path: path.into(), place });
        Self::Failed { cause: cause.into(), hint: Some(hint.into()), parameter }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for StageError {
    fn from(cause: E) -> Self {
        Self::Failed { cause: Box::new(cause), hint: None, parameter: None }
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("interrupted"),
            Self::Failed { cause, .. } => write!(f, "{cause}"),
        }
    }
}
