//! `layerwise show`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::base::digest::Digest;
use crate::base::fsx;
use crate::base::suggest;
use crate::cli::content::{self, Content, Manner};
use crate::cli::failure::{Failure, Style};
use crate::cli::page;
use crate::cli::reading::{self, Place};
use crate::pipeline::KeyedNode;
use crate::store::prefix::LEAST_DIGITS;
use crate::store::{Output, Record, Store};
use crate::table::parquet;
use crate::table::tidy::Tidy;

/// A single text file up to this size is shown below the listing of its stage.
const SMALL: u64 = 4096;

/// Arguments of `show`.
#[derive(Args)]
#[command(override_usage = "layerwise show <PIPELINE> <STAGE>[/FILE]\n       layerwise show <DIGEST>[/FILE]")]
pub(super) struct Show {
    /// The pipeline file; or the first six or more digits of an object's digest or of a stage's key
    #[arg(value_name = "PIPELINE|DIGEST")]
    subject: PathBuf,
    /// The stage, as in fit or 'fit[seed=0]', and perhaps a file of it, as in fit/run.json
    #[arg(value_name = "STAGE[/FILE]")]
    stage: Option<String>,
    /// Show every row of a table
    #[arg(long)]
    all: bool,
    /// Write a table as Parquet to a file, in a build with the feature `parquet`
    #[arg(long, value_name = "FILE")]
    parquet: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// What a person pointed at.
enum Found {
    /// A result, and one of its files or all.
    Result { title: String, record: Box<Record>, file: Option<String> },
    /// Bytes.
    Object(Digest),
}

impl Show {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let manner = Manner { all: self.all, style: Style::of_stdout() };
        if let Some(target) = &self.stage {
            let project = self.place.project(&self.subject)?;
            let (stage, file) = split_file(target);
            let nodes = reading::nodes(&project, stage)?;
            let [node] = nodes[..] else { return Err(several(stage, file, &nodes)) };
            let record = reading::record(&project.store, node.key)?
                .ok_or_else(|| self.not_built(stage, &node.node.to_string()))?;
            let title = node.node.to_string();
            let found = Found::Result { title, record: Box::new(record), file: file.map(str::to_owned) };
            return self.print(&project.store, found, manner);
        }
        if self.subject.is_file() {
            let project = self.place.project(&self.subject)?;
            let hint = suggest::one_of(reading::stage_names(&project));
            return Err(Failure::Input { message: "no stage is named".to_owned(), hint });
        }
        let store = self.place.store()?;
        let found = find(&store, &self.subject.to_string_lossy())?;
        self.print(&store, found, manner)
    }

    fn not_built(&self, target: &str, node: &str) -> Failure {
        // A name without brackets needs no quotes in a shell, and here it means this node alone.
        let pipeline = self.subject.display();
        let hint = format!("run 'layerwise run {pipeline} {}'", target.replace(['\'', '"'], ""));
        Failure::Input { message: format!("stage '{node}' is not built yet"), hint }
    }

    fn print(&self, store: &Store, found: Found, manner: Manner) -> Result<(), Failure> {
        match found {
            Found::Result { file: None, .. } | Found::Object(_) if self.parquet.is_some() => Err(Failure::Input {
                message: "no table is named that could be written as Parquet".to_owned(),
                hint: "name a file of a stage, as in 'layerwise show pipelines/fig1.yaml probes/probes.csv --parquet probes.parquet'".to_owned(),
            }),
            Found::Result { title, record, file: None } => self.print_result(store, &title, &record, manner),
            Found::Result { title, record, file: Some(file) } => {
                let names = || record.outputs.iter().map(|output| output.name.as_str());
                let output = record.outputs.iter().find(|output| output.name == file);
                let output = output.ok_or_else(|| Failure::Input {
                    message: format!("stage '{title}' has no file '{file}'"),
                    hint: suggest::hint(&file, names()),
                })?;
                if let Some(target) = &self.parquet {
                    return write_parquet(&store.object_path(output.digest), &output.name, target);
                }
                let content = content::open(&output.name, &store.object_path(output.digest), manner)?;
                self.print_content(Some(&output.name), output.digest, content)
            }
            Found::Object(digest) => {
                let content = content::open("", &store.object_path(digest), manner)?;
                self.print_content(None, digest, content)
            }
        }
    }

    fn print_content(&self, name: Option<&str>, digest: Digest, content: Content) -> Result<(), Failure> {
        if self.place.json {
            let Content { form, facts, .. } = content;
            return page::print_json(
                &json!({ "name": name, "digest": digest, "form": form, "content": facts }),
            );
        }
        page::print(content.text)
    }

    fn print_result(
        &self,
        store: &Store,
        title: &str,
        record: &Record,
        manner: Manner,
    ) -> Result<(), Failure> {
        if self.place.json {
            let mut value =
                serde_json::to_value(record).expect("a record has string keys and finite numbers");
            value["stage"] = json!(title);
            for output in value["outputs"].as_array_mut().into_iter().flatten() {
                let digest = output["digest"].as_str().and_then(Digest::parse);
                output["path"] = json!(digest.map(|digest| store.object_path(digest)));
            }
            return page::print_json(&value);
        }
        let style = manner.style;
        let mut text = format!("{}  {}\n", style.strong(title), style.faint(&provenance(record)));
        let files = record.outputs.iter().map(|o| vec![o.name.clone(), page::size(o.size), o.digest.short()]);
        text += &page::columns(&files.collect::<Vec<_>>(), "  ");
        if let [Output { name, digest, size: ..=SMALL }] = &record.outputs[..] {
            text.push('\n');
            text += &content::open(name, &store.object_path(*digest), manner)?.text;
        }
        page::print(text)
    }
}

/// Writes a table, typed, in the place of whatever was there.
fn write_parquet(table: &Path, name: &str, target: &Path) -> Result<(), Failure> {
    let no_table = |error: &dyn std::fmt::Display| Failure::Input {
        message: format!("'{name}' is no table: {error}"),
        hint: "name a file with rows, as in table.csv or probes.csv".to_owned(),
    };
    let rows = Tidy::parse(&fsx::read(table)?).map_err(|error| no_table(&error))?;
    let bytes = parquet::bytes(&rows).map_err(|error| Failure::Input {
        message: error.to_string(),
        hint: error.hint().unwrap_or_default(),
    })?;
    Ok(fsx::write_atomic(target, &bytes)?)
}

/// `train, made 2026-11-25 13:50:31 UTC in 12.3 s on 2 threads of host at revision 97ed4f6, key 59c5d2a1b0c4`.
fn provenance(record: &Record) -> String {
    let origin = &record.provenance;
    let mut words =
        format!("{}, made {} in {:.1} s", record.fields.kind, page::time(origin.started), origin.seconds);
    _ = write!(words, " on {}", page::count(origin.threads, "thread"));
    if !origin.host.is_empty() {
        _ = write!(words, " of {}", origin.host);
    }
    if !origin.revision.is_empty() {
        let (hash, suffix) = origin.revision.split_once('-').unwrap_or((&origin.revision, ""));
        let dirty = if suffix.is_empty() { "" } else { "-dirty" };
        let hash: String = hash.chars().take(12).collect();
        _ = write!(words, " at revision {hash}{dirty}");
    }
    format!("{words}, key {}", record.key.short())
}

/// A target that means several nodes, and how to mean one of them.
fn several(target: &str, file: Option<&str>, nodes: &[&KeyedNode]) -> Failure {
    const SHOWN: usize = 12;
    let file = file.map_or_else(String::new, |file| format!("/{file}"));
    let names: Vec<_> = nodes.iter().take(SHOWN).map(|node| format!("{}{file}", node.node)).collect();
    let more = if nodes.len() > SHOWN { format!(" and {} more", nodes.len() - SHOWN) } else { String::new() };
    let hint = suggest::one_of(names.iter().map(String::as_str)) + &more;
    Failure::Input { message: format!("'{target}' means {}", page::count(nodes.len(), "node")), hint }
}

/// `fit[seed=0]/run.json` → (`fit[seed=0]`, `run.json`).
fn split_file(target: &str) -> (&str, Option<&str>) {
    let start = target.rfind(']').unwrap_or(0);
    match target[start..].split_once('/') {
        Some((head, file)) => (&target[..start + head.len()], Some(file)),
        None => (target, None),
    }
}

/// What the first digits of a digest or of a key mean.
fn find(store: &Store, target: &str) -> Result<Found, Failure> {
    let (digits, file) = split_file(target);
    if digits.len() < LEAST_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let is_path = Path::new(target).extension().is_some() || target.contains('/');
        let message = if is_path {
            format!("there is no file '{target}'")
        } else {
            format!("'{target}' is neither a pipeline file nor {LEAST_DIGITS} hex digits or more")
        };
        let hint = "name a pipeline file and a stage, or the first digits of a digest or a key".to_owned();
        return Err(Failure::Input { message, hint });
    }
    let (objects, keys) = (store.objects_like(digits), store.keys_like(digits));
    let names = || objects.iter().map(ToString::to_string).chain(keys.iter().map(ToString::to_string));
    match (&objects[..], &keys[..]) {
        ([digest], []) => Ok(Found::Object(*digest)),
        ([], [key]) => {
            let record = reading::record(store, *key)?.ok_or_else(|| Failure::Input {
                message: format!("the result with key {} has lost one of its files", key.short()),
                hint: "run its pipeline again".to_owned(),
            })?;
            Ok(Found::Result { title: key.short(), record: Box::new(record), file: file.map(str::to_owned) })
        }
        ([], []) => Err(Failure::Input {
            message: format!("nothing in the store begins with '{digits}'"),
            hint: "take digits from 'layerwise show PIPELINE STAGE' or a lock, and the right '--results DIR'"
                .to_owned(),
        }),
        _ => {
            let names: Vec<_> = names().take(4).map(|name| name[..16.max(digits.len())].to_owned()).collect();
            let hint = format!("give more digits: {}", names.join(", "));
            Err(Failure::Input { message: format!("'{digits}' stands for several things"), hint })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_follows_the_stage() {
        let cases = [
            ("fit", ("fit", None)),
            ("fit/run.json", ("fit", Some("run.json"))),
            ("fit[seed=0]", ("fit[seed=0]", None)),
            ("fit[path=a/b]", ("fit[path=a/b]", None)),
            ("fit[path=a/b]/out/n.txt", ("fit[path=a/b]", Some("out/n.txt"))),
            ("", ("", None)),
        ];
        for (text, expected) in cases {
            assert_eq!(split_file(text), expected);
        }
    }
}
