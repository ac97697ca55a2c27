//! Where the boxes of a graph go: in layers from left to right, in an order with few crossings, near what they belong to.
//!
//! The way of Sugiyama, Tagawa and Toda: layers by the longest path, order by barycentres, and heights that come as near to
//! those of the neighbours as the order allows. An arrow over several layers passes through an empty place in each; arrows
//! from the same box share it.

use std::collections::BTreeMap;

/// Sweeps over the layers, there and back.
const SWEEPS: usize = 12;

/// What stands in a layer: a box, or the passage of arrows.
pub(super) struct Item {
    /// The layer, from the left.
    pub(super) layer: usize,
    /// Its middle, from the top.
    pub(super) y: f64,
}

/// The places of all items: first the boxes, by their places in the graph, then the passages.
pub(super) struct Layers {
    /// All items.
    pub(super) items: Vec<Item>,
    /// The items of each layer, from the top.
    pub(super) order: Vec<Vec<usize>>,
    /// Pieces of arrows: from an item to one in the next layer; each once.
    pub(super) pieces: Vec<(usize, usize)>,
    boxes: usize,
}

/// Heights of items.
pub(super) struct Heights {
    /// Of a box.
    pub(super) unit: f64,
    /// Of a passage.
    pub(super) passage: f64,
    /// Between items of a layer.
    pub(super) gap: f64,
}

impl Layers {
    /// Places `boxes` boxes, each after those with arrows to it.
    pub(super) fn new(boxes: usize, arrows: &[(usize, usize)], heights: &Heights) -> Self {
        let mut items: Vec<Item> = (0..boxes).map(|_| Item { layer: 0, y: 0.0 }).collect();
        let mut sorted = arrows.to_vec();
        sorted.sort_unstable_by_key(|(from, to)| (*to, *from));
        sorted.dedup();
        for (from, to) in &sorted {
            items[*to].layer = items[*to].layer.max(items[*from].layer + 1);
        }
        let mut pieces = Vec::new();
        let mut passages: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (from, to) in &sorted {
            let mut last = *from;
            for layer in items[*from].layer + 1..items[*to].layer {
                let passage = *passages.entry((*from, layer)).or_insert(items.len());
                if passage == items.len() {
                    items.push(Item { layer, y: 0.0 });
                    pieces.push((last, passage));
                }
                last = passage;
            }
            pieces.push((last, *to));
        }
        let mut order = vec![Vec::new(); items.iter().map(|item| item.layer + 1).max().unwrap_or(0)];
        for (i, item) in items.iter().enumerate() {
            order[item.layer].push(i);
        }
        let mut layers = Self { items, order, pieces, boxes };
        layers.untangle();
        layers.settle(heights);
        layers
    }

    /// Whether an item is a box.
    pub(super) fn is_box(&self, item: usize) -> bool {
        item < self.boxes
    }

    /// Per item, the items on one side that its pieces lead to.
    fn neighbours(&self, to_the_left: bool) -> Vec<Vec<usize>> {
        let mut all = vec![Vec::new(); self.items.len()];
        for (left, right) in &self.pieces {
            let (own, other) = if to_the_left { (*right, *left) } else { (*left, *right) };
            all[own].push(other);
        }
        all
    }

    /// The layers in the order of a sweep.
    fn sweep(&self, to_the_right: bool) -> Vec<usize> {
        let all = 0..self.order.len();
        if to_the_right { all.collect() } else { all.rev().collect() }
    }

    /// Sorts each layer by the mean place of its neighbours, again and again, and keeps the order with the fewest crossings.
    fn untangle(&mut self) {
        let sides = [self.neighbours(false), self.neighbours(true)];
        let mut best = (self.crossings(), self.order.clone());
        for turn in 0..2 * SWEEPS {
            let to_the_right = turn % 2 == 0;
            for layer in self.sweep(to_the_right) {
                let places = self.places();
                let barycentre = |item: &usize| {
                    let near = &sides[usize::from(to_the_right)][*item];
                    mean(near.iter().map(|other| places[*other] as f64)).unwrap_or(places[*item] as f64)
                };
                let mut order = std::mem::take(&mut self.order[layer]);
                order.sort_by(|a, b| barycentre(a).total_cmp(&barycentre(b)));
                self.order[layer] = order;
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.order.clone());
            }
        }
        self.order = best.1;
    }

    /// Per item, its place in its layer.
    fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.items.len()];
        for layer in &self.order {
            for (place, item) in layer.iter().enumerate() {
                places[*item] = place;
            }
        }
        places
    }

    /// How many pairs of pieces cross.
    fn crossings(&self) -> usize {
        let places = self.places();
        let mut ends = vec![Vec::new(); self.order.len()];
        for (left, right) in &self.pieces {
            ends[self.items[*left].layer].push((places[*left], places[*right]));
        }
        ends.into_iter()
            .map(|mut ends| {
                ends.sort_unstable();
                inversions(&ends.into_iter().map(|(_, right)| right).collect::<Vec<_>>())
            })
            .sum()
    }

    /// Gives each item a height near those of its neighbours, the order kept.
    fn settle(&mut self, heights: &Heights) {
        let height = |item: usize| if item < self.boxes { heights.unit } else { heights.passage };
        let offsets: Vec<Vec<f64>> = self
            .order
            .iter()
            .map(|layer| {
                let mut at = 0.0;
                layer
                    .iter()
                    .enumerate()
                    .map(|(i, item)| {
                        if i > 0 {
                            at += f64::midpoint(height(layer[i - 1]), height(*item)) + heights.gap;
                        }
                        at
                    })
                    .collect()
            })
            .collect();
        let sides = [self.neighbours(false), self.neighbours(true)];
        for turn in 0..2 * SWEEPS {
            let to_the_right = turn % 2 == 0;
            for layer in self.sweep(to_the_right) {
                let wish = |item: &usize| {
                    let near = &sides[usize::from(to_the_right)][*item];
                    mean(near.iter().map(|other| self.items[*other].y)).unwrap_or(self.items[*item].y)
                };
                let wishes: Vec<f64> = self.order[layer]
                    .iter()
                    .zip(&offsets[layer])
                    .map(|(item, offset)| wish(item) - offset)
                    .collect();
                for ((item, offset), y) in self.order[layer].iter().zip(&offsets[layer]).zip(rising(&wishes))
                {
                    self.items[*item].y = y + offset;
                }
            }
        }
        let top = |i: usize| self.items[i].y - height(i) / 2.0;
        let highest = (0..self.items.len()).map(top).fold(f64::INFINITY, f64::min);
        self.items.iter_mut().for_each(|item| item.y -= highest);
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// How many pairs stand in the wrong order; a Fenwick tree counts those before that are larger.
fn inversions(values: &[usize]) -> usize {
    let mut tree = vec![0; values.iter().max().map_or(0, |most| most + 2)];
    let mut count = 0;
    for (seen, value) in values.iter().enumerate() {
        let (mut not_larger, mut at) = (0, value + 1);
        while at > 0 {
            not_larger += tree[at];
            at &= at - 1;
        }
        count += seen - not_larger;
        at = value + 1;
        while at < tree.len() {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    count
}

/// The sequence that never falls and is nearest to another one, by least squares: neighbours that would fall are pooled.
fn rising(wishes: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for wish in wishes {
        let mut pool = (*wish, 1);
        while let Some((value, count)) = pools.pop_if(|(value, _)| *value > pool.0) {
            let all = count + pool.1;
            pool = ((value * count as f64 + pool.0 * pool.1 as f64) / all as f64, all);
        }
        pools.push(pool);
    }
    pools.into_iter().flat_map(|(value, count)| std::iter::repeat_n(value, count)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEIGHTS: Heights = Heights { unit: 30.0, passage: 6.0, gap: 10.0 };

    #[test]
    fn pieces_of_a_plane_graph_do_not_cross() {
        // Written so that the order of declaration crosses.
        let layers = Layers::new(6, &[(0, 3), (1, 2), (2, 5), (3, 4)], &HEIGHTS);
        assert_eq!(layers.crossings(), 0);
        let long = Layers::new(3, &[(0, 1), (1, 2), (0, 2)], &HEIGHTS);
        assert_eq!((long.items.len(), long.pieces.len()), (4, 4));
    }

    #[test]
    fn pairs_are_counted_and_sequences_rise() {
        assert_eq!([inversions(&[]), inversions(&[0, 1, 1, 2]), inversions(&[3, 1, 2, 0])], [0, 0, 5]);
        assert_eq!(rising(&[1.0, 3.0, 1.0, 5.0]), [1.0, 2.0, 2.0, 5.0]);
    }

    proptest! {
        #[test]
        fn boxes_keep_apart_and_arrows_go_right(arrows in prop::collection::vec((0_usize..12, 0_usize..12), 0..40)) {
            let arrows: Vec<_> = arrows.into_iter().filter(|(a, b)| a < b).collect();
            let layers = Layers::new(12, &arrows, &HEIGHTS);
            for (left, right) in &layers.pieces {
                prop_assert_eq!(layers.items[*left].layer + 1, layers.items[*right].layer);
            }
            prop_assert_eq!(layers.order.iter().map(Vec::len).sum::<usize>(), layers.items.len());
            for pair in layers.order.iter().flat_map(|layer| layer.windows(2)) {
                let height = |item| if layers.is_box(item) { HEIGHTS.unit } else { HEIGHTS.passage };
                let space = f64::midpoint(height(pair[0]), height(pair[1])) + HEIGHTS.gap;
                prop_assert!(layers.items[pair[1]].y - layers.items[pair[0]].y >= space - 1e-6);
            }
        }
    }
}
