//! `layerwise log`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::base::fsx;
use crate::cli::failure::{Failure, Style};
use crate::cli::page;
use crate::cli::reading::{self, Place};
use crate::kinds::command::Command;
use crate::pipeline::KeyedNode;
use crate::stage::Stage;

/// Arguments of `log`.
#[derive(Args)]
pub(super) struct Log {
    /// The pipeline file
    pipeline: PathBuf,
    /// The stage, as in fit, 'fit[seed=0]' or 'fig*'
    stage: String,
    #[command(flatten)]
    place: Place,
}

impl Log {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let project = self.place.project(&self.pipeline)?;
        let nodes = reading::nodes(&project, &self.stage)?;
        let mut logs = Vec::new();
        for node in nodes {
            let text = match fsx::read(&project.store.log_path(node.key)) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error.into()),
            };
            // A program that ran and printed nothing leaves no file.
            let has_run =
                node.node.work.kind().name == Command::KIND && project.store.record(node.key)?.is_some();
            logs.push((node, text.or_else(|| has_run.then(Vec::new))));
        }
        if self.place.json {
            let entry = |(node, text): &(&KeyedNode, Option<Vec<u8>>)| {
                let text = text.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                json!({ "stage": node.node.to_string(), "key": node.key, "log": text })
            };
            return page::print_json(&Value::Array(logs.iter().map(entry).collect()));
        }
        if logs.iter().all(|(_, text)| text.is_none()) {
            let kind = logs[0].0.node.work.kind().name;
            return Err(Failure::Input {
                message: format!("stage '{}' ({kind}) has no log", self.stage),
                hint: "run it first; only stages that run a program leave a log".to_owned(),
            });
        }
        let style = Style::of_stdout();
        for (node, text) in &logs {
            if logs.len() > 1 {
                page::print(style.strong(&format!("== {}", node.node)) + "\n")?;
            }
            match text {
                Some(bytes) if bytes.is_empty() => eprintln!("{} printed nothing", node.node),
                Some(bytes) => page::print(bytes)?,
                None => page::print(style.faint("no log") + "\n")?,
            }
        }
        Ok(())
    }
}
