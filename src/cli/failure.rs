//! What went wrong, for people: the only place that knows `miette`.

use std::io::IsTerminal;
use std::ops::Range;
use std::path::PathBuf;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

use crate::base::causes;
use crate::base::fsx::FileError;
use crate::engine::lock::LockError;
use crate::engine::plan::PlanError;
use crate::engine::{RerunError, RunError, TooMuch};
use crate::pipeline::SpecErrors;
use crate::pipeline::error::SourceText;
use crate::pipeline::target::TargetError;
use crate::stage::StageError;
use crate::store::StoreError;

/// Everything that can end a command.
pub(super) enum Failure {
    /// The pipeline file has mistakes.
    Spec(SpecErrors),
    /// Something else about the input or the surroundings: what, and what to do.
    Input { message: String, hint: String },
    /// Stages failed.
    Stages(Vec<FailedStage>),
    /// The results of this pipeline file are not those of the lock: these stages and files differ.
    OtherThanLock { names: Vec<String>, pipeline: PathBuf },
    /// A check found something wrong, which was told already: a summary, and what to do.
    Wrong { message: String, hint: String },
    /// The user stopped the run.
    Interrupted,
    /// The user stopped a push or a pull.
    Stopped,
    /// Two things differ, and the user wanted to know by the exit code.
    Differs,
}

/// A stage that failed.
pub(super) struct FailedStage {
    /// The node.
    pub(super) name: String,
    /// Its kind.
    pub(super) kind: &'static str,
    /// Why.
    pub(super) error: StageError,
    /// The part of the pipeline file that is to blame, if one is.
    pub(super) blamed: Option<(SourceText, Range<usize>)>,
}

/// How to draw.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// With colours.
    pub(super) colour: bool,
}

impl Style {
    /// Colours on a terminal, unless the user said no (<https://no-color.org>).
    pub(super) fn of_stderr() -> Self {
        Self { colour: std::io::stderr().is_terminal() && !is_no_colour() }
    }

    /// Likewise for stdout.
    pub(super) fn of_stdout() -> Self {
        Self { colour: std::io::stdout().is_terminal() && !is_no_colour() }
    }
}

fn is_no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Stages(_) | Self::OtherThanLock { .. } | Self::Wrong { .. } | Self::Differs => 1,
            Self::Spec(_) | Self::Input { .. } => 2,
            Self::Interrupted | Self::Stopped => 130,
        }
    }

    /// Draws the failure; ends with a newline.
    pub(super) fn render(&self, style: Style) -> String {
        match self {
            Self::Spec(errors) => {
                let reports = errors.errors.iter().map(|error| {
                    let label = error.span.clone().map(|span| LabeledSpan::at(span, &error.label));
                    let diagnostic = diagnostic(&error.message, error.hint.as_deref()).with_labels(label);
                    let file = &errors.files[error.file];
                    let source = NamedSource::new(&file.name, file.text.clone());
                    draw(&Report::from(diagnostic).with_source_code(source), style)
                });
                reports.collect()
            }
            Self::Input { message, hint } | Self::Wrong { message, hint } => {
                draw(&diagnostic(message, Some(hint)).into(), style)
            }
            Self::Stages(failures) => failures.iter().map(|failed| failed.render(style)).collect(),
            Self::OtherThanLock { names, pipeline } => {
                let message = format!("the results are not those of the lock: {}", first(names));
                let hint = format!(
                    "compare with 'layerwise diff {}', or run without '--locked' to write a new lock",
                    pipeline.display()
                );
                draw(&diagnostic(&message, Some(&hint)).into(), style)
            }
            Self::Differs => String::new(),
            Self::Stopped => {
                let message = "stopped; what has travelled whole is not sent again";
                draw(&diagnostic(message, Some("run the same command again to go on")).into(), style)
            }
            Self::Interrupted => {
                let message = "stopped; finished stages and the last training state are kept";
                draw(
                    &diagnostic(message, Some("run the same command again to continue from there")).into(),
                    style,
                )
            }
        }
    }
}

impl FailedStage {
    fn render(&self, style: Style) -> String {
        let Self { name, kind, error, blamed } = self;
        let hint = match error {
            StageError::Failed { hint, .. } => hint.as_deref(),
            StageError::Cancelled => None,
        };
        let diagnostic = diagnostic(&format!("stage '{name}' ({kind}) failed: {}", chain(error)), hint);
        let Some((file, span)) = blamed else { return draw(&diagnostic.into(), style) };
        let labelled = diagnostic.with_label(LabeledSpan::at(span.clone(), "here"));
        draw(&Report::from(labelled).with_source_code(NamedSource::new(&file.name, file.text.clone())), style)
    }
}

/// What a stage failed for, with its causes.
pub(super) fn chain(error: &StageError) -> String {
    match error {
        StageError::Failed { cause, .. } => causes::chain(&**cause),
        StageError::Cancelled => error.to_string(),
    }
}

/// The first of many names.
fn first(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

fn diagnostic(message: &str, hint: Option<&str>) -> MietteDiagnostic {
    let diagnostic = MietteDiagnostic::new(message);
    match hint {
        Some(hint) => diagnostic.with_help(hint),
        None => diagnostic,
    }
}

fn draw(report: &Report, style: Style) -> String {
    let theme = if style.colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = handler.render_report(&mut text, report.as_ref());
    text + "\n"
}

impl From<SpecErrors> for Failure {
    fn from(errors: SpecErrors) -> Self {
        Self::Spec(errors)
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Target(error) => error.into(),
            PlanError::Store(error) => error.into(),
        }
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        Self::Input { message: error.to_string(), hint: error.hint().to_owned() }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::TooMuch(error) => error.into(),
            RunError::Store(error) => error.into(),
        }
    }
}

impl From<TooMuch> for Failure {
    fn from(error: TooMuch) -> Self {
        let hint = format!("lower 'resources' of the stage, or {}", error.hint);
        Self::Input { message: error.to_string(), hint }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = match error {
            StoreError::InUse { .. } => "wait until it has ended",
            _ => "make the results folder writable, or choose another with '--results DIR'",
        };
        Self::Input { message: error.to_string(), hint: hint.to_owned() }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let hint = "use the version that wrote it, or remove it if its results are not wanted";
        Self::Input { message: error.to_string(), hint: hint.to_owned() }
    }
}

impl From<RerunError> for Failure {
    fn from(error: RerunError) -> Self {
        let message = error.to_string();
        match error {
            RerunError::TooMuch(error) => error.into(),
            RerunError::Store(error) => error.into(),
            RerunError::NotThere { .. } => {
                Self::Input { message, hint: "run the pipeline first, with 'layerwise run'".to_owned() }
            }
            RerunError::Failed { error: StageError::Cancelled, .. } => Self::Interrupted,
            RerunError::Failed { .. } => {
                Self::Wrong { message, hint: "look for what the stage reads and does not declare".to_owned() }
            }
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        StoreError::from(error).into()
    }
}
