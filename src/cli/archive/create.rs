//! `layerwise archive create`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::archive::{
    self, Content, Contents, Description, FORMAT, Holds, Packing, Published, Request, Sealed,
};
use crate::base::digest::{Digest, Sha};
use crate::base::fsx::{self, FileError};
use crate::cli::archive::badge;
use crate::cli::failure::Failure;
use crate::cli::machine;
use crate::cli::page::{self, outln};
use crate::cli::progress::Bar;
use crate::cli::project::{self, Project};
use crate::cli::reading::Place;
use crate::data::catalogue::{self, Source};
use crate::engine::lock;
use crate::kinds;
use crate::nn::kernels;
use crate::pipeline::{Files, Node};

/// Arguments of `archive create`.
#[derive(Args)]
pub(super) struct Create {
    /// The pipeline file, as in pipelines/fig1.yaml
    pipeline: PathBuf,
    /// The file to write [default: <pipeline>.tar.zst]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Leave out the datasets; who imports it gets them again
    #[arg(long, conflicts_with = "only")]
    without_data: bool,
    /// Only what is published, and how it was made
    #[arg(long, value_name = "WHAT")]
    only: Option<Only>,
    /// How hard zstd tries, from 1 to 19
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
    /// Cut it into volumes of this size, as in 2GB: <FILE>.001, <FILE>.002, …
    #[arg(long, value_name = "SIZE", value_parser = volume)]
    split: Option<u64>,
    /// Only say what would be in it, and how large it would be at most
    #[arg(long = "dry-run")]
    is_dry: bool,
    /// Print the identity as a line of Markdown, for a README
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Only {
    /// Tables, figures and verdicts
    Tables,
}

impl Create {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let project = self.place.project(&self.pipeline)?;
        let mut contents = self.gather(&project)?;
        add_signature(&mut contents, &project)?;
        let (bytes, files) = (contents.size(), contents.payload.len());
        let left_out: u64 = contents.left_out.values().map(|left_out| left_out.size).sum();
        if self.is_dry {
            return self.forecast(bytes, files, left_out);
        }
        let bar = Bar::new("hashed");
        let sealed = Sealed::new(contents, &|done, total| bar.tell(done, total))?;
        drop(bar);
        let file = self.output.clone().unwrap_or_else(|| format!("{}.tar.zst", sealed.name).into());
        let packing = Packing { level: self.level, threads: machine::cores(), volume: self.split };
        let bar = Bar::new("packed");
        let volumes = archive::write(&sealed, &file, packing, &|done, total| bar.tell(done, total));
        drop(bar);
        let volumes = volumes.map_err(|error| too_large(error, self.split, bytes))?;
        let (bytes, files) = sealed.size();
        let packed = volumes.iter().filter_map(|volume| fsx::size(volume)).sum();
        if self.place.json {
            let mut value = json!({
                "file": file, "identity": sealed.identity.to_string(), "files": files, "bytes": bytes, "packed": packed,
            });
            if self.split.is_some() {
                value["volumes"] = json!(volumes);
            }
            return page::print_json(&value);
        }
        let count = page::count(files, "file");
        let volumes = match (self.split, &volumes[..]) {
            (Some(_), [first, .., last]) => format!(
                ", {}: {} to {}",
                page::count(volumes.len(), "volume"),
                first.display(),
                last.display()
            ),
            (Some(_), [only]) => format!(", one volume: {}", only.display()),
            _ => String::new(),
        };
        eprintln!("{}: {count}, {} in {}{volumes}", file.display(), page::size(bytes), page::size(packed));
        let identity = sealed.identity.to_string();
        if self.markdown { outln!("{}", badge(&file, &sealed.name, &identity)) } else { outln!("{identity}") }
    }

    fn forecast(&self, bytes: u64, files: usize, left_out: u64) -> Result<(), Failure> {
        if self.place.json {
            return page::print_json(&json!({ "files": files, "bytes": bytes, "left_out": left_out }));
        }
        outln!("{} of results: {} before compression", page::count(files, "file"), page::size(bytes))?;
        if left_out > 0 {
            outln!("{} left out", page::size(left_out))?;
        }
        if let Some(size) = self.split {
            outln!("at most {}", page::count(bytes.div_ceil(size) as usize, "volume"))?;
        }
        Ok(())
    }

    fn gather(&self, opened: &Project) -> Result<Contents, Failure> {
        let files = self.project_files(opened)?;
        let holds = match (self.only, self.without_data) {
            (Some(Only::Tables), _) => Holds::Tables,
            (None, true) => Holds::WithoutData,
            (None, false) => Holds::Everything,
        };
        let description = Description {
            format: FORMAT,
            pipeline: opened.keyed.pipeline.clone(),
            about: project::about(&self.pipeline),
            file: inside(&opened.root, &self.pipeline)?,
            scale: self.place.vary.scale.clone(),
            set: self.place.vary.overrides.iter().map(|o| (o.name.clone(), o.value.clone())).collect(),
            numerics: kernels::numerics_class(),
            revision: machine::revision().unwrap_or_default(),
            holds,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let is_data = |node: &Node| node.work.kind().output == kinds::DATASET;
        Ok(Contents::gather(Request {
            keyed: &opened.keyed,
            store: &opened.store,
            description,
            project: files,
            tags: tags(&opened.root)?,
            is_data: &is_data,
            published: published(),
        })?)
    }

    /// What the results were made from: pipeline files, manifests of datasets, files that stages declare, versions of libraries.
    fn project_files(&self, project: &Project) -> Result<Vec<(String, Content)>, Failure> {
        let mut files = BTreeMap::new();
        let name = self.pipeline.to_string_lossy();
        if ![".yaml", ".yml"].iter().any(|extension| name.ends_with(extension)) {
            return Err(Failure::Input {
                message: format!("the pipeline file '{name}' is not called that it is YAML"),
                hint: "rename it, so that it ends with '.yaml': an archive is read by that".to_owned(),
            });
        }
        let parsed = Files::read(&name, &fsx::read_to_string(&self.pipeline)?, &fsx::read_to_string)?;
        for document in parsed.documents {
            let path = inside(&project.root, Path::new(&document.name))?;
            files.insert(path, Content::Bytes(document.text.into_bytes()));
        }
        for node in &project.keyed.nodes {
            if let Some(name) = node.fields.parameters["dataset"]["name"].as_str()
                && let Some(text) = catalogue::text(name)
            {
                files.insert(format!("datasets/{name}.yaml"), Content::Bytes(text.into()));
            }
            for source in &node.fields.sources {
                let path = project.root.join(&source.path);
                let below = if fsx::is_dir(&path) { fsx::files_below(&path)? } else { vec![String::new()] };
                for name in below {
                    let path = path.join(&name);
                    files.insert(inside(&project.root, &path)?, Content::File(path));
                }
            }
        }
        let libraries = project.root.join("Cargo.lock");
        // Of a project elsewhere: those that this program was built with.
        let libraries =
            fsx::read(&libraries).unwrap_or_else(|_| include_bytes!("../../../Cargo.lock").to_vec());
        files.insert("Cargo.lock".to_owned(), Content::Bytes(libraries));
        Ok(files.into_iter().collect())
    }
}

/// What to do where a file system takes no such file, or there would be too many volumes.
fn too_large(error: FileError, split: Option<u64>, bytes: u64) -> Failure {
    const MEGABYTE: u64 = 1_000_000;
    if error.source.kind() != std::io::ErrorKind::FileTooLarge {
        return error.into();
    }
    match split {
        None => Failure::Input {
            message: error.to_string(),
            hint: "cut it into volumes, as with '--split 2GB'".to_owned(),
        },
        Some(size) => Failure::Input {
            message: format!("of volumes of {} it would have more than 999", page::size(size)),
            hint: format!("choose larger ones, as with '--split {}MB'", bytes / 999 / MEGABYTE + 1),
        },
    }
}

/// The size of a volume.
fn volume(text: &str) -> Result<u64, String> {
    let size = machine::parse_size(text)?;
    if size > 0 { Ok(size) } else { Err("a volume has some bytes: write it as in '2GB'".to_owned()) }
}

/// Takes the signature of the published lock along, if there is one and the lock is that of what is archived.
fn add_signature(contents: &mut Contents, project: &Project) -> Result<(), Failure> {
    let path = project.results.join(lock::SIGNATURE);
    if fsx::size(&path).is_some()
        && !contents.add_signature(&fsx::read(&project.results.join(lock::FILE))?, fsx::read(&path)?)
    {
        eprintln!("note: '{}' is of another lock, and left out", path.display());
    }
    Ok(())
}

/// Licence and citation: those of the project, or else of this program.
fn tags(root: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let ours: [(&str, &[u8]); 2] = [
        ("CITATION.cff", include_bytes!("../../../CITATION.cff")),
        ("LICENSE", include_bytes!("../../../LICENSE")),
    ];
    let tag = |(name, ours): (&str, &[u8])| {
        let path = root.join(name);
        let bytes = if fsx::size(&path).is_some() { fsx::read(&path)? } else { ours.to_vec() };
        Ok((name.to_owned(), bytes))
    };
    ours.into_iter().map(tag).collect()
}

/// Files of datasets that a web server has as they are.
fn published() -> BTreeMap<Digest, Published> {
    let mut published = BTreeMap::new();
    for dataset in catalogue::names().filter_map(catalogue::find) {
        let web = dataset.sources.iter().find_map(|source| match source {
            Source::Place(catalogue::Place::Web(place)) => Some(place),
            _ => None,
        });
        for (place, file) in web.iter().flat_map(|place| dataset.files.iter().map(move |file| (place, file)))
        {
            if let (Some(digest), Some(sha256)) = (file.blake3, Sha::parse(&file.sha256)) {
                published.insert(digest, Published { url: format!("{place}{}", file.name), sha256 });
            }
        }
    }
    published
}

/// A path within the project, with `/` between folders.
fn inside(root: &Path, path: &Path) -> Result<String, Failure> {
    let (root, full) = (fsx::absolute(root)?, fsx::absolute(path)?);
    let tidy = |path: &Path| fsx::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let inside = full.strip_prefix(&root).map(Path::to_owned);
    let inside = inside.or_else(|_| tidy(&full).strip_prefix(tidy(&root)).map(Path::to_owned));
    let names = inside.ok().and_then(|inside| {
        let names = inside.components().map(|part| match part {
            std::path::Component::Normal(name) => name.to_str().map(str::to_owned),
            _ => None,
        });
        names.collect::<Option<Vec<_>>>()
    });
    names.map(|names| names.join("/")).ok_or_else(|| Failure::Input {
        message: format!("'{}' is outside of the project's folder '{}'", path.display(), root.display()),
        hint: "move it into the folder that holds 'datasets', or work in a folder above it".to_owned(),
    })
}
