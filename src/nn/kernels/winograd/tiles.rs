//! Tiles of output positions, and the input positions that each sees.

use crate::nn::kernels::{Taps, Window};

/// Channels, from which on tiles are worth it.
const LEAST: usize = 32;

/// How many output positions a tile has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// 2×2: 16 multiplications for 4 outputs.
    Two,
    /// 4×4: 36 multiplications for 16 outputs, which are less exact: as a plain convolution's or half as much.
    Four,
}

impl Size {
    /// Output positions along a side.
    pub(super) const fn side(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Input positions, and elements when they are transformed.
    pub(super) const fn elements(self) -> usize {
        (self.side() + 2) * (self.side() + 2)
    }
}

/// A tile, row by row; `None` stands for positions beyond the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// Input positions.
    pub(super) sees: Vec<Option<usize>>,
    /// Output positions.
    pub(super) gives: Vec<Option<usize>>,
}

/// The tiles of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiles {
    size: Size,
    inputs: usize,
    /// Height and width of the output map.
    output: [usize; 2],
    all: Vec<Tile>,
}

impl Tiles {
    /// The tiles of a window on an input map (height, width), if the window is one of 3×3 that moves by 1.
    pub fn new(map: [usize; 2], window: &Window, size: Size) -> Option<Self> {
        if (window.kernel, window.stride) != ([3, 3], [1, 1]) {
            return None;
        }
        let (output, side) = (window.output(map), size.side());
        let sees =
            |axis: usize, at: usize| at.checked_sub(window.padding[axis]).filter(|place| *place < map[axis]);
        let gives = |axis: usize, at: usize| Some(at).filter(|place| *place < output[axis]);
        let [rows, columns] = output.map(|length| length.div_ceil(side));
        let tile = |index: usize| {
            let [y, x] = [index / columns, index % columns].map(|at| side * at);
            let seen = |i, j| Some(sees(0, y + i)? * map[1] + sees(1, x + j)?);
            let given = |i, j| Some(gives(0, y + i)? * output[1] + gives(1, x + j)?);
            Tile { sees: square(side + 2, seen), gives: square(side, given) }
        };
        Some(Self { size, inputs: map[0] * map[1], output, all: (0..rows * columns).map(tile).collect() })
    }

    /// The tiles in which a convolution of so many channels and output channels is trained faster than in the plain way, if there are
    /// any: of 2×2, as errors of gradients add up.
    pub fn for_training(map: [usize; 2], window: &Window, channels: [usize; 2]) -> Option<Self> {
        Self::new(map, window, Size::Two).filter(|tiles| tiles.are_faster(map, window, channels))
    }

    /// Likewise evaluated: those that take the fewest multiplications.
    pub fn for_evaluation(map: [usize; 2], window: &Window, channels: [usize; 2]) -> Option<Self> {
        let tiles = [Size::Two, Size::Four].into_iter().filter_map(|size| Self::new(map, window, size));
        let faster = tiles.filter(|tiles| tiles.are_faster(map, window, channels));
        faster.min_by_key(Self::multiplications)
    }

    /// Small maps have more taps on padding, which the plain way leaves out; and with few channels, the transforms cost more than the
    /// products.
    fn are_faster(&self, map: [usize; 2], window: &Window, channels: [usize; 2]) -> bool {
        let few = channels.iter().any(|channels| *channels < LEAST);
        !few && window.padding.iter().all(|padding| *padding <= 2)
            && 2 * Taps::new(map, window).pairs() >= 3 * self.multiplications()
    }

    /// Of each example, channel and output channel.
    fn multiplications(&self) -> usize {
        self.size.elements() * self.all.len()
    }

    /// How large they are.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Number of positions of the input map.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of positions of the output map.
    pub fn outputs(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// The tiles, row by row.
    pub(super) fn all(&self) -> &[Tile] {
        &self.all
    }

    /// The tile that gives an output position.
    pub(super) fn of(&self, output: usize) -> usize {
        let (width, side) = (self.output[1], self.size.side());
        output / width / side * width.div_ceil(side) + output % width / side
    }
}

/// A square of what is at (row, column), row by row.
fn square<T>(side: usize, at: impl Fn(usize, usize) -> T) -> Vec<T> {
    (0..side * side).map(|index| at(index / side, index % side)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [Size; 2] = [Size::Two, Size::Four];

    #[test]
    fn each_position_is_given_once_by_the_tile_that_is_said_to() {
        let maps = [([1, 1], 1), ([4, 4], 1), ([5, 3], 1), ([3, 7], 0), ([2, 2], 2), ([9, 13], 1)];
        for ((map, padding), size) in maps.into_iter().flat_map(|map| SIZES.map(|size| (map, size))) {
            let window = Window { kernel: [3, 3], stride: [1, 1], padding: [padding; 2] };
            let tiles = Tiles::new(map, &window, size).unwrap();
            let given = tiles.all().iter().enumerate();
            let given =
                given.flat_map(|(index, tile)| tile.gives.iter().flatten().map(move |at| (*at, index)));
            let mut given: Vec<_> = given.collect();
            given.sort_unstable();
            let expected: Vec<_> = (0..tiles.outputs()).map(|at| (at, tiles.of(at))).collect();
            assert_eq!(given, expected);
        }
    }

    #[test]
    fn a_corner_sees_what_is_on_the_map() {
        let window = Window { kernel: [3, 3], stride: [1, 1], padding: [1, 1] };
        let tiles = Tiles::new([3, 3], &window, Size::Two).unwrap();
        let on_map = [
            [None, None, None],
            [None, Some(0), Some(1)],
            [None, Some(3), Some(4)],
            [None, Some(6), Some(7)],
        ];
        let rows: Vec<_> = tiles.all()[0].sees.chunks(4).map(|row| [row[0], row[1], row[2]]).collect();
        assert_eq!(rows, on_map);
        assert_eq!(tiles.all()[0].gives, [Some(0), Some(1), Some(3), Some(4)]);
        assert_eq!(tiles.all()[3].gives, [Some(8), None, None, None]);
        assert_eq!(Tiles::new([3, 3], &Window { stride: [2, 2], ..window }, Size::Two), None);
        let tiles = Tiles::new([3, 6], &window, Size::Four).unwrap();
        let right: Vec<_> = tiles.all()[1].sees.chunks(6).map(|row| [row[0], row[2], row[3]]).collect();
        let on_map = [[None; 3], [Some(3), Some(5), None], [Some(9), Some(11), None]];
        assert_eq!(right[..3], on_map);
        assert_eq!(tiles.all()[1].gives[..6], [Some(4), Some(5), None, None, Some(10), Some(11)]);
    }

    #[test]
    fn they_are_used_where_they_save_multiplications() {
        let window = Window { kernel: [3, 3], stride: [1, 1], padding: [1, 1] };
        let size = |tiles: Option<Tiles>| tiles.map(|tiles| tiles.size());
        let trained = |side, channels| size(Tiles::for_training([side; 2], &window, channels));
        let evaluated = |side, channels| size(Tiles::for_evaluation([side; 2], &window, channels));
        for (side, in_training, in_evaluation) in [
            (32, Some(Size::Two), Some(Size::Four)),
            (4, Some(Size::Two), Some(Size::Four)),
            // As many multiplications, of larger tiles.
            (6, Some(Size::Two), Some(Size::Two)),
            (7, None, Some(Size::Four)),
            // Most taps fall on padding.
            (2, None, None),
        ] {
            assert_eq!(trained(side, [64, 512]), in_training, "{side}");
            assert_eq!(evaluated(side, [64, 512]), in_evaluation, "{side}");
            for few in [[3, 64], [64, 10]] {
                assert_eq!((trained(side, few), evaluated(side, few)), (None, None), "{side}");
            }
        }
    }
}
