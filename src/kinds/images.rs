//! `images`: a folder of pictures, a folder per class, as a dataset.
//!
//! The layout is that of `ImageNet` and of torchvision's `ImageFolder`: `folder/train/<class>/*.jpg`. Pictures are decoded once. Their order is
//! drawn, so that a `sample` of them has all classes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::base::digest::Digest;
use crate::base::{fsx, rng};
use crate::data::catalogue::{DataFile, Dataset, Role};
use crate::data::examples::{DESCRIPTION, Split};
use crate::data::format::Format;
use crate::data::picture::{Framing, Sums};
use crate::kinds::{DATASET, parameters};
use crate::stage::{ArtifactType, Context, Inputs, ParameterError, Slot, Stage, StageError};

/// Pictures that are decoded side by side before they are written.
const CHUNK: usize = 256;

/// Parameters of `images`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// A folder of the project, or an absolute path.
    folder: String,
    /// Its folder of training images; absent: there are none, and the dataset can only be evaluated on.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    train: Option<String>,
    /// Its folder of test images.
    test: String,
    /// The shorter side of each picture is scaled to so many pixels.
    resize: u32,
    /// Height and width of the middle that is taken of it.
    crop: u32,
    /// Mean of the pixels / 255 for red, green and blue; absent: that of the training images.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    mean: Option<[f64; 3]>,
    /// Their standard deviation, likewise.
    #[serde(default, skip_serializing_if = "parameters::is_default")]
    std: Option<[f64; 3]>,
}

/// What is wrong with a folder of pictures.
#[derive(Debug, thiserror::Error)]
enum ImagesError {
    #[error("'{}' has no folder of a class with a picture in it", folder.display())]
    Empty { folder: PathBuf },
    #[error("'{file}' in '{}' is in no folder of a class", folder.display())]
    NoClass { folder: PathBuf, file: String },
    #[error("the class '{class}' has test images and no training images")]
    OtherClass { class: String },
    #[error("there are {count} classes, and a label is below 65,536")]
    TooMany { count: usize },
    #[error("'{}' is no picture that can be read: {source}", path.display())]
    Picture { path: PathBuf, source: image::ImageError },
}

impl ImagesError {
    fn hint(&self) -> String {
        match self {
            Self::Empty { folder } => format!("put pictures into '{}/<class>/'", folder.display()),
            Self::NoClass { .. } => "move it into the folder of its class, or away".to_owned(),
            Self::OtherClass { .. } => "give the class training images, or remove it".to_owned(),
            Self::TooMany { .. } => "merge classes".to_owned(),
            Self::Picture { .. } => "remove it, or replace it by a JPEG or a PNG".to_owned(),
        }
    }

    fn told(self) -> StageError {
        let hint = self.hint();
        StageError::with_hint(self, hint)
    }
}

impl Stage for Images {
    const KIND: &'static str = "images";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "make a dataset of a folder of pictures, with a folder per class";
    const SLOTS: &'static [Slot] = &[];
    const OUTPUT: ArtifactType = DATASET;

    fn check(&self) -> Result<(), ParameterError> {
        let is_lacking = self.train.is_none() && (self.mean.is_none() || self.std.is_none());
        let error = match self {
            Self { crop: 0, .. } => ("crop", "the examples are empty", "give 1 or more"),
            Self { resize, crop, .. } if crop > resize => {
                ("crop", "the middle is larger than the scaled picture", "give 'resize' or less")
            }
            Self { mean, std, .. } if mean.is_some() != std.is_some() => {
                ("", "'mean' and 'std' go together", "give both, or neither")
            }
            Self { std: Some(std), .. } if !std.iter().all(|std| *std > 0.0) => {
                ("std", "it divides the pixels", "give numbers above 0")
            }
            _ if is_lacking => {
                let hint = "give 'train', or 'mean' and 'std'; of ImageNet they are [0.485, 0.456, 0.406] and [0.229, 0.224, 0.225]";
                ("", "without training images there is no mean and deviation", hint)
            }
            _ => return Ok(()),
        };
        Err(ParameterError::new(error.0, error.1, error.2))
    }

    fn sources(&self) -> Vec<String> {
        vec![self.folder.clone()]
    }

    fn run(&self, _: &Inputs, context: &Context) -> Result<(), StageError> {
        let folder = context.root.join(&self.folder);
        let split = |name: &String| Pictures::find(&folder.join(name));
        let train = self.train.as_ref().map(split).transpose()?;
        let test = split(&self.test)?;
        let classes = train.as_ref().unwrap_or(&test).classes();
        if classes.len() > usize::from(u16::MAX) {
            return Err(ImagesError::TooMany { count: classes.len() }.told());
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(context.threads).build()?;
        let work =
            Work { framing: Framing { resize: self.resize, crop: self.crop }, classes: &classes, context };
        let (mut files, mut moments) = (Vec::new(), None);
        if let Some(train) = train {
            let sums = pool.install(|| work.write(&train, Split::Train, &mut files))?;
            moments = Some(sums.moments());
        }
        pool.install(|| work.write(&test, Split::Test, &mut files))?;
        let given = self.mean.zip(self.std);
        let (mean, std) =
            given.or(moments).expect("without training images they are given: 'check' saw to it");
        let side = self.crop as usize;
        let dataset = Dataset {
            name: name_of(&folder),
            about: String::new(),
            licence: String::new(),
            citation: String::new(),
            format: Format::PIXELS,
            shape: [3, side, side],
            classes: classes.len(),
            mean: mean.to_vec(),
            std: std.to_vec(),
            files,
            sample: None,
            sources: Vec::new(),
        };
        Ok(fsx::write_atomic(&context.out.join(DESCRIPTION), &serde_json::to_vec_pretty(&dataset)?)?)
    }
}

/// The last part of a path.
fn name_of(folder: &Path) -> String {
    folder.file_name().map_or_else(|| "images".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The pictures of a split: each with its class, in an order that was drawn.
struct Pictures {
    folder: PathBuf,
    /// `class/…`.
    names: Vec<String>,
}

impl Pictures {
    fn find(folder: &Path) -> Result<Self, StageError> {
        let mut names = fsx::files_below(folder)?;
        names.retain(|name| !name.split('/').any(|part| part.starts_with('.')));
        if let Some(file) = names.iter().find(|name| !name.contains('/')) {
            return Err(ImagesError::NoClass { folder: folder.to_owned(), file: file.clone() }.told());
        }
        if names.is_empty() {
            return Err(ImagesError::Empty { folder: folder.to_owned() }.told());
        }
        let order = rng::stream(0, &["images"]).permutation(names.len());
        let names = order.into_iter().map(|place| names[place as usize].clone()).collect();
        Ok(Self { folder: folder.to_owned(), names })
    }

    fn class(name: &str) -> &str {
        name.split('/').next().unwrap_or_default()
    }

    /// The names of all classes, sorted: a label is a place among them.
    fn classes(&self) -> Vec<String> {
        let classes: BTreeSet<_> = self.names.iter().map(|name| Self::class(name).to_owned()).collect();
        classes.into_iter().collect()
    }
}

/// What both splits are written with.
struct Work<'a> {
    framing: Framing,
    classes: &'a [String],
    context: &'a Context<'a>,
}

impl Work<'_> {
    /// Writes pixels and labels of a split, and describes the two files.
    fn write(
        &self,
        pictures: &Pictures,
        split: Split,
        files: &mut Vec<DataFile>,
    ) -> Result<Sums, StageError> {
        let (for_images, for_labels) = match split {
            Split::Train => (Role::TrainImages, Role::TrainLabels),
            Split::Test => (Role::TestImages, Role::TestLabels),
        };
        let (word, total) = (split.as_str(), pictures.names.len() as u64);
        let name = format!("{word}.pixels");
        let path = self.context.out.join(&name);
        let mut file = fsx::create(&path)?;
        let (mut sums, mut labels) = (Sums::default(), Vec::new());
        for (number, names) in pictures.names.chunks(CHUNK).enumerate() {
            self.context.check_cancelled()?;
            let decoded: Result<Vec<_>, _> =
                names.par_iter().map(|name| self.decode(&pictures.folder.join(name))).collect();
            for pixels in decoded? {
                sums.add(&pixels);
                fsx::write_all(&mut file, &path, &pixels)?;
            }
            for name in names {
                let class = Pictures::class(name);
                let label = self.classes.binary_search_by(|known| known.as_str().cmp(class));
                let other = |_| ImagesError::OtherClass { class: class.to_owned() }.told();
                let label = label.map_err(other)?;
                labels.extend((label as u16).to_le_bytes());
            }
            self.context.progress(((number * CHUNK) + names.len()) as u64, total, "pictures", word);
        }
        drop(file);
        files.push(self.describe(&name, for_images)?);
        let name = format!("{word}.labels");
        fsx::write_atomic(&self.context.out.join(&name), &labels)?;
        files.push(self.describe(&name, for_labels)?);
        Ok(sums)
    }

    fn decode(&self, path: &Path) -> Result<Vec<u8>, StageError> {
        let bytes = fsx::read(path)?;
        let picture = self.framing.read(&bytes);
        picture.map_err(|source| ImagesError::Picture { path: path.to_owned(), source }.told())
    }

    fn describe(&self, name: &str, role: Role) -> Result<DataFile, StageError> {
        let path = self.context.out.join(name);
        let (blake3, size) = Digest::of_file(&path)?;
        let sha256 = sha256(fsx::open(&path)?)?;
        Ok(DataFile { role, name: name.to_owned(), size, sha256, blake3: Some(blake3), gzip: None })
    }
}

fn sha256(mut file: File) -> Result<String, StageError> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("{:x}", hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data;
    use crate::kinds::fixture::{Bench, complaint};
    use crate::stage::{Artifact, Kind, ParseError};

    static KIND: Kind = Kind::of::<Images>();

    /// A PNG of one colour.
    fn picture(path: &Path, [width, height]: [u32; 2], colour: [u8; 3]) {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&colour.repeat((width * height) as usize)).unwrap();
        writer.finish().unwrap();
        fsx::create_dir_all(path.parent().unwrap()).unwrap();
        fsx::write_atomic(path, &bytes).unwrap();
    }

    /// Six training pictures in three classes, two test pictures.
    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (number, class) in ["ant", "bee", "cow"].into_iter().enumerate() {
            for copy in 0..2 {
                let colour = [10 * number as u8, 100, 50 * copy];
                picture(
                    &folder.path().join(format!("train/{class}/{copy}.png")),
                    [9 + number as u32, 7],
                    colour,
                );
            }
        }
        picture(&folder.path().join("val/bee/x.png"), [5, 30], [1, 2, 3]);
        picture(&folder.path().join("val/cow/y.PNG"), [8, 8], [4, 5, 6]);
        folder
    }

    fn make(folder: &tempfile::TempDir, more: &serde_json::Value) -> Result<Artifact, StageError> {
        let mut parameters =
            json!({"folder": folder.path(), "train": "train", "test": "val", "resize": 6, "crop": 4});
        parameters.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        Bench::new().stage("images", &KIND, &parameters, &[])
    }

    #[test]
    fn a_folder_becomes_a_dataset() {
        let folder = tree();
        let bench = Bench::new();
        let parameters =
            json!({"folder": folder.path(), "train": "train", "test": "val", "resize": 6, "crop": 4});
        let output = bench.stage("images", &KIND, &parameters, &[]).unwrap();
        let train = data::load(&output.files, Split::Train).unwrap();
        assert_eq!((train.len(), train.shape, train.classes), (6, [3, 4, 4], 3));
        let images = |examples: &data::Examples| {
            let mut images = vec![[0.0; 48]; examples.len()];
            examples.images(0..examples.len(), images.as_flattened_mut());
            images
        };
        for (image, label) in images(&train).iter().zip(&train.labels) {
            assert!(image[..16].iter().all(|red| *red == f32::from(10 * label)), "{image:?} {label}");
            assert!(image[16..32].iter().all(|green| *green == 100.0));
        }
        let test = data::load(&output.files, Split::Test).unwrap();
        let mut reds: Vec<_> = images(&test).iter().map(|image| image[0]).zip(test.labels).collect();
        reds.sort_by_key(|(_, label)| *label);
        assert_eq!(reds, [(1.0, 1), (4.0, 2)]);
        let description: Dataset =
            serde_json::from_slice(&fsx::read(output.path(DESCRIPTION).unwrap()).unwrap()).unwrap();
        assert!((description.mean[0] - 10.0 / 255.0).abs() < 1e-12);
        assert!((description.std[2] - 25.0 / 255.0).abs() < 1e-12);
        assert!((description.std[1] - 1.0).abs() < 1e-12, "of one value everywhere");
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_told() {
        let folder = tree();
        let path = |name: &str| folder.path().join(name);
        picture(&path("val/dog/z.png"), [5, 5], [0, 0, 0]);
        let (message, _) = complaint(make(&folder, &json!({})));
        assert_eq!(message, "the class 'dog' has test images and no training images");
        fsx::remove_dir_all(&path("val/dog")).unwrap();
        fsx::write_atomic(&path("train/ant/notes.txt"), b"ants").unwrap();
        let (message, hint) = complaint(make(&folder, &json!({})));
        assert!(message.contains("notes.txt' is no picture that can be read: "), "{message}");
        assert_eq!(hint, "remove it, or replace it by a JPEG or a PNG");
        fsx::remove_file(&path("train/ant/notes.txt")).unwrap();
        fsx::write_atomic(&path("train/readme"), b"").unwrap();
        let (message, _) = complaint(make(&folder, &json!({})));
        assert!(
            message.starts_with("'readme' in '") && message.ends_with("is in no folder of a class"),
            "{message}"
        );
        let (message, _) = complaint(make(&folder, &json!({"train": "nothing"})));
        assert!(message.ends_with("nothing' has no folder of a class with a picture in it"), "{message}");
    }

    #[test]
    fn senseless_parameters_are_refused() {
        let refused = |more: &serde_json::Value| {
            let mut parameters = json!({"folder": "x", "test": "val", "resize": 6, "crop": 4});
            parameters.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
            match KIND.parse(&parameters) {
                Err(ParseError::Value(error)) => error.message,
                other => panic!("{:?}", other.err()),
            }
        };
        assert_eq!(refused(&json!({})), "without training images there is no mean and deviation");
        assert_eq!(
            refused(&json!({"train": "train", "crop": 7})),
            "the middle is larger than the scaled picture"
        );
        assert_eq!(refused(&json!({"train": "train", "mean": [0, 0, 0]})), "'mean' and 'std' go together");
        assert_eq!(refused(&json!({"mean": [0, 0, 0], "std": [1, 0, 1]})), "it divides the pixels");
    }
}
