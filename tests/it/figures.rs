//! The figures and tables of the paper on CIFAR-10: their pipelines are sound at every scale, and at the smallest one, whole.

use std::collections::BTreeSet;
use std::path::Path;

use crate::space::{Space, repository};

/// Pipelines whose data nobody may hand on.
const IMAGENET: [&str; 3] = ["fig5.yaml", "fig13.yaml", "fig16.yaml"];

/// Pipelines of the repository that have scales, and data that can be had.
fn scaled() -> Vec<String> {
    let folder = repository().join("pipelines");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("fig") || name.starts_with("table") || name.starts_with("calibrate"))
        .filter(|name| name != "fig1.yaml" && name != "fig8.yaml" && !IMAGENET.contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

/// The repository's pipelines in a space of their own.
fn space() -> Space {
    let folder = repository().join("pipelines");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let with = |space: Space, name: &str| space.write(&format!("pipelines/{name}"), &read(name));
    let space = ["parts/cifar10.yaml", "parts/imagenet.yaml"].into_iter().fold(Space::new(), with);
    let space = IMAGENET.into_iter().fold(space, with);
    scaled().iter().fold(space, |space, name| with(space, name))
}

#[test]
fn every_pipeline_is_sound_at_every_scale() {
    let space = space();
    assert!(scaled().len() >= 10);
    for name in scaled() {
        let file = format!("pipelines/{name}");
        let mut plans = BTreeSet::new();
        for scale in [None, Some("day"), Some("evening"), Some("hour"), Some("minute")] {
            let mut arguments = vec!["plan", &file, "--json"];
            arguments.extend(scale.into_iter().flat_map(|scale| ["--scale", scale]));
            let plan = space.run(&arguments);
            assert_eq!(plan.code, 0, "{name} {scale:?}: {}", plan.stderr);
            plans.insert(plan.stdout);
        }
        assert!(plans.len() > 1, "{name}: the scales differ");
    }
}

fn picture(path: &Path, [width, height]: [u32; 2], colour: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    let pixels: Vec<u8> = (0..width * height).map(|place| colour.wrapping_add((place % 97) as u8)).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

#[test]
fn the_figures_on_imagenet_say_what_is_missing() {
    let space = space();
    for name in IMAGENET {
        let run = space.run(&["run", &format!("pipelines/{name}"), "--scale", "minute"]);
        assert_eq!(run.code, 2, "{name}: {}", run.stderr);
        assert!(run.stderr.contains("datasets/imagenet"), "{name}: {}", run.stderr);
    }
}

/// Of a tree that is laid out as `ImageNet` is.
#[test]
fn a_figure_on_imagenet_runs_where_there_are_pictures() {
    let space = space();
    for (class, split, count) in
        [("n01440764", "train", 5), ("n01443537", "train", 4), ("n01440764", "val", 2)]
    {
        for number in 0..count {
            let path = space.path(&format!("pictures/{split}/{class}/{number}.JPEG.png"));
            picture(&path, [40 + number, 36], 50 * number as u8);
        }
    }
    let run = space.run(&[
        "run",
        "pipelines/fig5.yaml",
        "--scale",
        "minute",
        "--set",
        "folder=pictures",
        "--set",
        "depth=18",
        "--set",
        "train=all",
        "--set",
        "test=all",
        "--set",
        "epochs=1",
        "--set",
        "saved=[0, 1]",
    ]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let tables = tables(&space.path("results/fig5-minute"));
    assert_eq!(tables.len(), 1);
    let (name, text) = &tables[0];
    whole(name, text);
    assert_eq!(text.lines().count(), 1 + 11 * 3, "{text}");
}

/// Needs CIFAR-10: `make test-figures` gets it. Minutes.
#[test]
#[ignore = "needs CIFAR-10, and minutes: make test-figures"]
fn every_figure_is_whole_at_the_smallest_scale() {
    let space = space();
    for name in scaled() {
        let (file, folder) = (format!("pipelines/{name}"), name.replace(".yaml", "-minute"));
        let run = space.run(&["run", &file, "--scale", "minute"]);
        assert_eq!(run.code, 0, "{name}: {}", run.stderr);
        let tables = tables(&space.path(&format!("results/{folder}")));
        assert!(!tables.is_empty(), "{name}: there are tables");
        for (table, text) in tables {
            whole(&format!("{folder}/{table}"), &text);
        }
    }
}

/// The tables of a folder of results that have a row for each cell of a figure.
fn tables(folder: &Path) -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let csv = files.filter(|path| path.extension().is_some_and(|extension| extension == "csv"));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let read = csv.map(|path| (name(&path), std::fs::read_to_string(path).unwrap()));
    read.filter(|(_, text)| text.lines().next().unwrap().contains(",metric,n,mean,")).collect()
}

/// Each row head with each column head, once, with a number.
fn whole(name: &str, text: &str) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heads = reader.headers().unwrap().clone();
    let place = |wanted: &str| heads.iter().position(|head| head == wanted).unwrap();
    let (metric, mean) = (place("metric"), place("mean"));
    let mut cells = BTreeSet::new();
    for record in reader.records() {
        let record = record.unwrap();
        let value: f64 = record[mean].parse().unwrap_or(f64::NAN);
        assert!(value.is_finite(), "{name}: {record:?}");
        let keys: Vec<String> = record.iter().take(metric).map(str::to_owned).collect();
        let (column, row) = keys.split_last().map(|(last, rest)| (last.clone(), rest.to_vec())).unwrap();
        assert!(cells.insert((row, column)), "{name}: {record:?} again");
    }
    let rows: BTreeSet<_> = cells.iter().map(|(row, _)| row).collect();
    let columns: BTreeSet<_> = cells.iter().map(|(_, column)| column).collect();
    assert_eq!(cells.len(), rows.len() * columns.len(), "{name}: no cell is missing");
}
