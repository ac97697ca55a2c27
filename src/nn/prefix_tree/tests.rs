use super::*;
use crate::base::rng;
use crate::nn::zoo::Arch;

fn network(arch: &str, shape: [usize; 3]) -> Network {
    serde_json::from_str::<Arch>(arch).unwrap().network(shape, 10)
}

/// Segments of the chains that a host and five draws of each layer give: first layer, examples.
fn cut(arch: &str, draws: usize) -> Vec<(usize, usize)> {
    let network = network(arch, [3, 32, 32]);
    let (depth, host) = (network.layers().len(), network.init(0));
    let host: Vec<_> = (0..depth).map(|layer| network.prepare(layer, &host)).collect();
    let drawn: Vec<_> = (0..draws as u32).map(|draw| network.draw(0, draw)).collect();
    let drawn: Vec<Vec<_>> =
        drawn.iter().map(|params| (0..depth).map(|layer| network.prepare(layer, params)).collect()).collect();
    let patched = |(draw, layer): (usize, usize)| {
        (0..depth).map(|place| if place == layer { &drawn[draw][place] } else { &host[place] }).collect()
    };
    let mut chains: Vec<Vec<_>> = vec![host.iter().collect()];
    chains.extend((0..draws).flat_map(|draw| (0..depth).map(move |layer| (draw, layer))).map(patched));
    let tree = PrefixTree::new(&network, &chains);
    tree.segments.iter().map(|segment| (segment.start, segment.examples)).collect()
}

#[test]
fn later_layers_get_more_examples() {
    assert_eq!(cut(r#"{"fcn": {"depth": 3, "width": 256}}"#, 5), [(0, 341)]);
    // The first block of a stage takes what the stage before it gives: only behind it are maps smaller.
    let resnet = r#"{"resnet": {"depth": 50, "width": 16}}"#;
    assert_eq!(cut(resnet, 0), [(0, 16), (5, 32), (9, 64), (15, 128)]);
    assert_eq!(cut(resnet, 1), cut(resnet, 0), "one branch of each layer waits with those before it");
}

#[test]
fn each_chain_gives_what_it_gives_alone() {
    const EXAMPLES: usize = 70;
    let network = network(r#"{"resnet": {"depth": 18, "width": 3}}"#, [3, 8, 8]);
    let (depth, features) = (network.layers().len(), network.features());
    let sets = [network.init(0), network.draw(0, 0), network.draw(0, 1)];
    let sets = sets.map(|set| (0..depth).map(|layer| network.prepare(layer, &set)).collect::<Vec<_>>());
    let mut numbers = rng::stream(0, &["test"]);
    let pixels: Vec<f32> = (0..EXAMPLES * features).map(|_| numbers.normal() as f32).collect();
    // Most layers are the first set's, so that chains have much in common; the last two are the same.
    let mut chains: Vec<Vec<_>> = vec![sets[0].iter().collect()];
    for _ in 0..12 {
        let mut set = || numbers.below(12).saturating_sub(9) as usize;
        chains.push((0..depth).map(|layer| &sets[set()][layer]).collect());
    }
    chains.push(chains[12].clone());
    let alone = |chain: &Vec<&Prepared>| {
        let mut batch = Matrix::default();
        network.input().load(&pixels, &mut batch);
        for layer in chain {
            let mut output = Matrix::default();
            layer.forward(&batch, EXAMPLES, &mut output, &mut Spare::default());
            batch = output;
        }
        batch.to_rows()
    };
    let expected: Vec<_> = chains.iter().map(alone).collect();
    let mut buffers = Buffers::default();
    for (numbers, segments) in [(1, 1), (400, 4), (2_000, 4), (1 << 22, 1)] {
        let tree = PrefixTree::with_batches(&network, &chains, numbers);
        assert_eq!(tree.segments.len(), segments, "{:?}", tree.segments);
        let mut found = vec![Vec::new(); chains.len()];
        let rows = |range: Range<usize>, out: &mut [f32]| {
            out.copy_from_slice(&pixels[range.start * features..range.end * features]);
        };
        let mut row = [0.0; 10];
        let done = tree.evaluate(0..EXAMPLES, &rows, &mut buffers, &mut |logits| {
            logits.each(&mut row, |example, row| {
                for chain in logits.chains {
                    assert_eq!(found[*chain].len(), example * 10, "in their order");
                    found[*chain].extend_from_slice(row);
                }
            });
            Some(())
        });
        assert_eq!(done, Some(()));
        assert_eq!(found, expected, "batches of {numbers} numbers");
    }
}

#[test]
fn a_range_is_cut_evenly() {
    let cut = |range, most| evenly(range, most).collect::<Vec<_>>();
    assert_eq!(cut(0..10, 9), [0..5, 5..10]);
    assert_eq!(cut(0..10, 10).len(), 1);
    assert_eq!(cut(5..16, 10), [5..11, 11..16]);
    assert_eq!(cut(0..7, 3), [0..3, 3..6, 6..7]);
    assert!(cut(3..3, 3).is_empty());
}
