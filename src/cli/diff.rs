//! `layerwise diff`.

use std::fmt::Write;

use clap::Args;
use serde_json::{Value, json};

use crate::base::digest::Digest;
use crate::cli::failure::{Failure, Style};
use crate::cli::metrics;
use crate::cli::page;
use crate::cli::reading::Place;
use crate::cli::sides::{self, Side};
use crate::engine::diff::{Changed, Difference, File};
use crate::engine::explain::{Change, changes};
use crate::engine::lock::Entry;
use crate::stage::{KeyFields, StageKey};
use crate::store::Store;

/// Arguments of `diff`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  layerwise diff pipelines/fig1.yaml         the published lock, and what the pipeline file says now
  layerwise diff                             the last commit, and the lock as it is
  layerwise diff results/fig1 results/fig8   two locks
  layerwise diff fig1 HEAD~3                 a lock, and the same of a revision
  layerwise diff submitted fig1              what was tagged 'submitted', and a lock
  layerwise diff HEAD~2 HEAD --pipeline fig1")]
pub(super) struct Diff {
    /// One or two of: a lock file, a results folder, a pipeline with results, a tag, a git revision, a pipeline file
    #[arg(value_name = "STATE", num_args = 0..=2)]
    sides: Vec<String>,
    /// Whose lock a revision is asked for [default: the only one in results/]
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// End with code 1 if there is a difference
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    place: Place,
}

/// How many stages are named of which the same is to be said.
const NAMED: usize = 12;

/// A stage that changed, and why.
struct Told<'a> {
    changed: &'a Changed,
    /// `None` if one of the two records is gone.
    changes: Option<Vec<Change>>,
}

impl Diff {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let pair = sides::pair(&self.sides, self.pipeline.as_deref(), &self.place)?;
        let own = if self.place.results.is_some() { Some(self.place.store()?) } else { None };
        let stores: Vec<&Store> = pair.iter().filter_map(|side| side.store.as_ref()).chain(&own).collect();
        tell_apart(&pair, &stores, self.place.json, self.exit_code)
    }
}

/// Prints in what two states differ; the stores may know more than the states themselves.
pub(super) fn tell_apart(
    pair: &[Side; 2],
    stores: &[&Store],
    json: bool,
    exit_code: bool,
) -> Result<(), Failure> {
    let difference = Difference::new(&pair[0].lock, &pair[1].lock);
    let told = difference.changed.iter().map(|changed| tell(changed, pair, stores));
    let told = told.collect::<Result<Vec<_>, _>>()?;
    let tables = metrics::tables(&difference, stores);
    if json {
        page::print_json(&json!({
            "before": pair[0].title, "after": pair[1].title, "equal": difference.equal,
            "added": difference.added, "removed": difference.removed,
            "changed": told.iter().map(to_json).collect::<Vec<_>>(),
            "published": difference.published, "metrics": metrics::json(&tables),
        }))?;
    } else if difference.is_empty() {
        page::print(format!("no difference: {}\n", page::count(difference.equal, "stage")))?;
    } else {
        let style = Style::of_stdout();
        let mut text = stages(pair, &difference, &told, style);
        text += &published(&difference.published, style);
        page::print(text + &metrics::text(&tables, style))?;
    }
    if exit_code && !difference.is_empty() { Err(Failure::Differs) } else { Ok(()) }
}

fn tell<'a>(changed: &'a Changed, pair: &[Side; 2], stores: &[&Store]) -> Result<Told<'a>, Failure> {
    let before = fields(changed.before.key, pair, stores)?;
    let after = fields(changed.after.key, pair, stores)?;
    let changes = before.zip(after).map(|(before, after)| changes(&before, &after));
    Ok(Told { changed, changes })
}

/// What went into a key, from the pipeline file or the record.
fn fields(key: StageKey, pair: &[Side; 2], stores: &[&Store]) -> Result<Option<KeyFields>, Failure> {
    if let Some(fields) = pair.iter().find_map(|side| side.fields.get(&key)) {
        return Ok(Some(fields.clone()));
    }
    for store in stores {
        if let Some(record) = store.record(key)? {
            return Ok(Some(record.fields));
        }
    }
    Ok(None)
}

fn to_json(told: &Told<'_>) -> Value {
    let mut value = serde_json::to_value(told.changed).expect("a change has string keys");
    value["changes"] = json!(told.changes);
    value
}

/// Which stages differ, and in what.
fn stages(pair: &[Side; 2], difference: &Difference, told: &[Told<'_>], style: Style) -> String {
    let mut text =
        format!("{} {}\n{} {}\n", style.faint("before"), pair[0].title, style.faint("after "), pair[1].title);
    let Difference { equal, added, removed, changed, .. } = difference;
    let counts =
        [(changed.len(), "changed"), (added.len(), "added"), (removed.len(), "removed"), (*equal, "equal")];
    let counts: Vec<_> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    _ = writeln!(text, "{}  {}", style.strong("stages"), counts.join(", "));
    let mut rows = Vec::new();
    for told in told {
        for (i, [what, value]) in own_reasons(told).into_iter().enumerate() {
            let (sign, stage) = if i == 0 { ("~", told.changed.stage.as_str()) } else { ("", "") };
            rows.push(vec![sign.to_owned(), stage.to_owned(), what, value]);
        }
    }
    let line = |sign: &str, (stage, entry): &(String, Entry)| page::row([sign, stage, &entry.kind, ""]);
    rows.extend(added.iter().map(|entry| line("+", entry)));
    rows.extend(removed.iter().map(|entry| line("-", entry)));
    text += &signed(&page::columns(&rows, "  "), style);
    let is_rekeyed = |told: &&Told<'_>| told.changed.before.key != told.changed.after.key;
    let is_undone = |told: &&Told<'_>| told.changed.after.outputs.is_empty();
    text += &together("changed by their inputs", told.iter().filter(|told| own_reasons(told).is_empty()));
    text += &together(
        "with the same bytes as before",
        told.iter().filter(is_rekeyed).filter(|told| !is_undone(told) && told.changed.outputs.is_empty()),
    );
    text + &together("not run yet", told.iter().filter(is_undone))
}

/// A line that says the same of several stages; nothing of none.
fn together<'a>(what: &str, told: impl Iterator<Item = &'a Told<'a>>) -> String {
    let names: Vec<_> = told.map(|told| told.changed.stage.as_str()).collect();
    let shown = match names.get(..NAMED).filter(|_| names.len() > NAMED + 1) {
        Some(first) => format!("{} and {} more", first.join(", "), names.len() - NAMED),
        None => names.join(", "),
    };
    if names.is_empty() { shown } else { format!("  {what}: {shown}\n") }
}

/// Lines that begin with a sign, in the colours of `git diff`.
fn signed(lines: &str, style: Style) -> String {
    let line = |line: &str| {
        let code = match line.trim_start().chars().next() {
            Some('+') => "32",
            Some('-') => "31",
            Some('~') => "33",
            _ => "0",
        };
        style.paint(code, line) + "\n"
    };
    lines.lines().map(line).collect()
}

/// Why a stage itself differs, a line each: what, and its two values. Empty if only its inputs do.
fn own_reasons(told: &Told<'_>) -> Vec<[String; 2]> {
    let Changed { before, after, outputs, .. } = told.changed;
    if before.key == after.key {
        let files: Vec<_> = outputs.iter().map(|file| file.name.as_str()).collect();
        return vec![["same key, other bytes".to_owned(), files.join(", ")]];
    }
    let Some(changes) = &told.changes else {
        let keys = format!("{} → {}", before.key.short(), after.key.short());
        return vec![["another key, parameters unknown (no record)".to_owned(), keys]];
    };
    let own = changes.iter().filter(|change| !change.is_inherited());
    own.map(|change| <[String; 2]>::from(change.parts())).collect()
}

/// Which published files differ.
fn published(files: &[File], style: Style) -> String {
    if files.is_empty() {
        return String::new();
    }
    let short = |digest: Option<Digest>| digest.map_or(String::new(), |digest| digest.short());
    let row = |file: &File| match (file.before, file.after) {
        (None, _) => page::row(["+", &file.name, &short(file.after)]),
        (_, None) => page::row(["-", &file.name, &short(file.before)]),
        _ => page::row(["~", &file.name, &format!("{} → {}", short(file.before), short(file.after))]),
    };
    let rows: Vec<_> = files.iter().map(row).collect();
    format!("{}\n{}", style.strong("published files"), signed(&page::columns(&rows, "  "), style))
}
