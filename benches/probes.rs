//! Speed of the probes of a network: each layer reset from five sources, on random images, beside the loop that copies the
//! parameters, resets a layer and evaluates the whole network.
//!
//! `cargo bench --profile dev --bench probes -- [--model vgg16] [--images N] [--threads N]` prints a line for each way:
//! `model,way,threads,probes,images,seconds`. `benches/peers/probes_pytorch.py` does the same work in `PyTorch`.
#![expect(clippy::print_stdout, reason = "what a bench is for")]

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use layerwise::base::cancel::Cancel;
use layerwise::nn::evaluate;
use layerwise::nn::examples::Labelled;
use layerwise::nn::metric::Metric;
use layerwise::nn::network::Network;
use layerwise::nn::params::Params;
use layerwise::nn::probe::Probes;
use layerwise::nn::reset::{Patch, Source};
use layerwise::nn::zoo::Arch;

const SHAPE: [usize; 3] = [3, 32, 32];
const DRAWS: u32 = 5;

fn main() {
    let option = |name: &str, default: &str| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
        arguments.next().unwrap_or_else(|| default.to_owned())
    };
    let number =
        |name: &str, default: &str| option(name, default).parse().expect("a number after the option");
    let (name, images, threads) =
        (option("--model", "vgg16"), number("--images", "500"), number("--threads", "2"));
    let arch = match name.as_str() {
        "vgg16" => r#"{"vgg": {"depth": 16}}"#,
        "resnet18" => r#"{"resnet": {"depth": 18}}"#,
        "resnet18-bn" => r#"{"resnet": {"depth": 18, "bn": true}}"#,
        _ => panic!("the models are vgg16, resnet18, resnet18-bn"),
    };
    let arch: Arch = serde_json::from_str(arch).expect("what a pipeline file may say");
    let network = arch.network(SHAPE, 10);
    let host = network.init(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
    let mut stream = layerwise::base::rng::stream(0, &["bench"]);
    let pixels: Vec<f32> =
        (0..images * network.features()).map(|_| stream.uniform(-1.7, 1.7) as f32).collect();
    let labels: Vec<u16> = (0..images).map(|_| stream.below(10) as u16).collect();
    let patches = patches(&network);
    // Drawn once: the loop would otherwise mostly draw.
    let draws: Vec<Params> = (0..DRAWS).map(|draw| network.draw(0, draw)).collect();

    let clock = Instant::now();
    let probed = probe(&network, &host, &patches, &draws, (&pixels, &labels), &pool);
    let shared = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    let naive: Vec<f64> = patches
        .iter()
        .map(|patch| {
            let mut params = host.clone();
            patch.apply(&mut params, &draws[draw(patch.source)]);
            let fill = |indices: &[u32], out: &mut [f32]| {
                let size = SHAPE.iter().product();
                for (out, index) in out.chunks_exact_mut(size).zip(indices) {
                    out.copy_from_slice(&pixels[*index as usize * size..][..size]);
                }
            };
            pool.install(|| evaluate::score(&network, &params, &Labelled { labels: &labels, fill: &fill }))
                .error()
        })
        .collect();
    let loops = clock.elapsed().as_secs_f64();
    assert_eq!(probed, naive, "both ways give the same errors");
    for (way, seconds) in [("shared", shared), ("loop", loops)] {
        println!("{name},{way},{threads},{},{images},{seconds:.3}", patches.len());
    }
}

/// Each layer alone, from each draw.
fn patches(network: &Network) -> Vec<Patch> {
    let layers = network.layers().iter().map(|layer| layer.name.clone());
    let patch = |layer| (0..DRAWS).map(move |draw| (layer, draw));
    let layers: Vec<_> = layers.collect();
    let pairs = layers.iter().flat_map(patch);
    let patches = pairs.map(|(layer, draw)| Patch {
        layer: layer.to_string(),
        layers: vec![layer.clone()],
        source: Source::Rerand { draw },
        keep: std::collections::BTreeSet::new(),
    });
    patches.collect()
}

fn draw(source: Source) -> usize {
    match source {
        Source::Rerand { draw } => draw as usize,
        _ => unreachable!("all are draws"),
    }
}

fn probe(
    network: &Network,
    host: &Params,
    patches: &[Patch],
    draws: &[Params],
    (pixels, labels): (&[f32], &[u16]),
    pool: &rayon::ThreadPool,
) -> Vec<f64> {
    let (stop, size) = (AtomicBool::new(false), network.features());
    let probes = Probes {
        network,
        host,
        labels,
        rows: &|range, out| out.copy_from_slice(&pixels[range.start * size..range.end * size]),
        metrics: &[Metric::Error],
        pool,
        cancel: Cancel::new(&stop),
        progress: &|_| {},
    };
    let results = probes.evaluate(patches, |source| Ok(draws[draw(source)].clone()));
    results.expect("nobody stops it").into_iter().map(|metrics| metrics[0]).collect()
}
