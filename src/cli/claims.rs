//! `layerwise claims`: which sentences of the study hold.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::base::{fsx, suggest};
use crate::cli::failure::{Failure, Style};
use crate::cli::verdicts::{self, Found, Known};
use crate::cli::{page, project};
use crate::table::claim::{self, Judged, Verdict};

/// Arguments of `claims`.
#[derive(Args)]
pub(super) struct Claims {
    /// Pipeline files [default: all in pipelines/]
    pipelines: Vec<PathBuf>,
    /// Fail unless these claims hold, by number or by the name of the stage [without a value: all]
    #[arg(
        long,
        value_name = "CLAIM,…",
        num_args = 0..=1,
        require_equals = true,
        value_delimiter = ',',
        default_missing_value = ALL
    )]
    require: Option<Vec<String>>,
    /// Where results are [default: results/ beside the folder of the pipeline]
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Write JSON to stdout
    #[arg(long)]
    json: bool,
}

const ALL: &str = "all";

/// A claim, and every result that speaks of it.
struct Group {
    /// Its number; the name of the stage where it has none.
    name: String,
    found: Vec<Found>,
}

impl Claims {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let files = if self.pipelines.is_empty() { all_pipelines()? } else { self.pipelines.clone() };
        let groups = groups(verdicts::collect(&files, self.results.as_deref())?);
        if groups.is_empty() {
            let message = "there is no claim in these pipeline files".to_owned();
            let hint = "add a stage of the kind 'claim', or name other files".to_owned();
            return Err(Failure::Input { message, hint });
        }
        if self.json {
            page::print_json(&groups.iter().map(Group::to_json).collect())?;
        } else {
            let style = Style::of_stdout();
            page::print(groups.iter().map(|group| group.text(style)).collect::<Vec<_>>().join("\n"))?;
        }
        self.require.map_or(Ok(()), |names| require(&groups, &names))
    }
}

fn all_pipelines() -> Result<Vec<PathBuf>, Failure> {
    let folder = project::root(&PathBuf::from("pipelines/any")).join("pipelines");
    let is_pipeline = |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    let names = fsx::list(&folder).map_err(|error| Failure::Input {
        message: error.to_string(),
        hint:
            "name pipeline files, as in 'layerwise claims pipelines/fig1.yaml', or go to the project's folder"
                .to_owned(),
    })?;
    Ok(names.into_iter().map(|name| folder.join(name)).filter(is_pipeline).collect())
}

/// By number, then those without one by name.
fn groups(found: Vec<Found>) -> Vec<Group> {
    let mut groups: BTreeMap<(u64, String), Vec<Found>> = BTreeMap::new();
    for claim in found {
        let stage = claim.node.split('[').next().unwrap_or_default();
        let key = match claim.number {
            Some(number) => (number, number.to_string()),
            None => (u64::MAX, stage.to_owned()),
        };
        groups.entry(key).or_default().push(claim);
    }
    groups.into_iter().map(|((_, name), found)| Group { name, found }).collect()
}

fn require(groups: &[Group], names: &[String]) -> Result<(), Failure> {
    let mut wanted: Vec<&Group> = Vec::new();
    for name in names {
        if name == ALL {
            wanted.extend(groups);
        } else if let Some(group) = groups.iter().find(|group| group.name == *name) {
            wanted.push(group);
        } else {
            let message = format!("there is no claim '{name}'");
            let hint = suggest::hint(name, groups.iter().map(|group| group.name.as_str()));
            return Err(Failure::Input { message, hint });
        }
    }
    let not_held = wanted.into_iter().filter(|group| group.verdict() != Verdict::Holds);
    let not_held: Vec<_> = not_held.map(|group| format!("{} {}", group.name, group.verdict())).collect();
    if not_held.is_empty() {
        return Ok(());
    }
    let message = format!("not all required claims hold: {}", not_held.join(", "));
    let hint = "run what was not tested; look into what fails with 'layerwise report'".to_owned();
    Err(Failure::Wrong { message, hint })
}

impl Found {
    fn judged(&self) -> Option<&Judged> {
        match &self.result {
            Known::Judged(judged) => Some(judged),
            Known::Nothing | Known::Outdated => None,
        }
    }

    /// `layerwise run pipelines/fig4.yaml --scale day`.
    fn command(&self) -> String {
        let scale = self.scale.as_ref().map(|scale| format!(" --scale {scale}")).unwrap_or_default();
        format!("layerwise run {}{scale}", self.file.display())
    }
}

impl Group {
    /// One failure is a failure; otherwise one success is a success.
    fn verdict(&self) -> Verdict {
        let verdicts = || self.found.iter().filter_map(Found::judged).map(|judged| judged.judgement.verdict);
        [Verdict::Fails, Verdict::Holds]
            .into_iter()
            .find(|verdict| verdicts().any(|each| each == *verdict))
            .unwrap_or(Verdict::NotTested)
    }

    /// The verdict, then each sentence with what results say of it, then what has no result.
    fn text(&self, style: Style) -> String {
        let mut text = format!("{}  {}\n", style.strong(&self.name), paint(self.verdict(), style));
        let (missing, known): (Vec<_>, Vec<_>) =
            self.found.iter().partition(|claim| matches!(claim.result, Known::Nothing));
        if let (true, Some(first)) = (known.is_empty(), missing.first()) {
            _ = writeln!(text, "   {}", first.says);
        }
        for same in known.chunk_by(|a, b| a.says == b.says) {
            let place = same.iter().find_map(|claim| claim.judged()).map_or("", |judged| &judged.place);
            let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
            _ = writeln!(text, "   {}{place}", same[0].says);
            text.extend(same.iter().map(|claim| line(claim, style)));
        }
        for same in missing.chunk_by(|a, b| a.file == b.file) {
            let names: Vec<&str> = same.iter().map(|claim| claim.node.as_str()).collect();
            let (pipeline, command) = (&same[0].pipeline, same[0].command());
            _ = writeln!(text, "   - {pipeline}: no result yet of {}: {command}", names.join(", "));
        }
        text
    }

    fn to_json(&self) -> Value {
        let found = self.found.iter().map(|claim| {
            let state = match &claim.result {
                Known::Nothing => json!({ "result": "none" }),
                Known::Outdated => json!({ "result": "outdated" }),
                Known::Judged(judged) => json!({ "result": judged }),
            };
            json!({
                "pipeline": claim.pipeline,
                "stage": claim.node,
                "says": claim.says,
                "result": state["result"],
            })
        });
        json!({ "claim": self.name, "verdict": self.verdict(), "stages": found.collect::<Vec<_>>() })
    }
}

/// What a result says of a sentence.
fn line(claim: &Found, style: Style) -> String {
    let place = format!("{}/{}", claim.pipeline, claim.node);
    match claim.judged() {
        Some(judged) => numbers(judged, &place, style),
        None => format!("   - {place}: of other parameters than the file has now: {}\n", claim.command()),
    }
}

fn numbers(judged: &Judged, place: &str, style: Style) -> String {
    let judgement = &judged.judgement;
    let mut text = format!("   - {place}: {}", paint(judgement.verdict, style));
    if judgement.verdict == Verdict::NotTested {
        let lacks = if judged.tested_if.is_empty() { "the data cannot say" } else { &judged.tested_if };
        _ = write!(text, " at this scale: it takes {lacks}");
    } else if let Some(effect) = judgement.effect {
        _ = write!(text, "; effect {}", claim::number(effect));
        if let Some(repeated) = &judgement.repeated {
            let (low, high) = repeated.effect;
            let (low, high, n) = (claim::number(low), claim::number(high), repeated.tested);
            _ = write!(text, " ({low} to {high}; it holds in {} of {n} repetitions)", repeated.hold);
        }
        if !judged.effect_is.is_empty() {
            _ = write!(text, ": {}", judged.effect_is);
        }
    }
    let evidence = judgement.evidence.iter().map(|(name, value)| format!("{name} {}", claim::shown(value)));
    let evidence: Vec<_> = evidence.collect();
    if !evidence.is_empty() {
        _ = write!(text, "\n     {}", style.faint(&evidence.join(", ")));
    }
    text + "\n"
}

/// A verdict in its colour.
pub(super) fn paint(verdict: Verdict, style: Style) -> String {
    let code = match verdict {
        Verdict::Holds => "32",
        Verdict::Fails => "31",
        Verdict::NotTested => "2",
    };
    style.paint(code, &verdict.to_string())
}
