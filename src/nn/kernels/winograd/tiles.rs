//! Tiles of 2×2 output positions, and the 4×4 input positions that each sees.

use crate::nn::kernels::Window;

/// A tile; `None` stands for positions beyond the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// Input positions.
    pub(super) sees: [[Option<usize>; 4]; 4],
    /// Output positions.
    pub(super) gives: [[Option<usize>; 2]; 2],
}

/// The tiles of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiles {
    inputs: usize,
    /// Height and width of the output map.
    output: [usize; 2],
    all: Vec<Tile>,
}

impl Tiles {
    /// The tiles of a window on an input map (height, width), if the window is one of 3×3 that moves by 1.
    pub fn new(map: [usize; 2], window: &Window) -> Option<Self> {
        if (window.kernel, window.stride) != ([3, 3], [1, 1]) {
            return None;
        }
        let output = window.output(map);
        let sees = |axis: usize, tile: usize, at: usize| {
            (2 * tile + at).checked_sub(window.padding[axis]).filter(|place| *place < map[axis])
        };
        let gives =
            |axis: usize, tile: usize, at: usize| Some(2 * tile + at).filter(|place| *place < output[axis]);
        let [rows, columns] = output.map(|length| length.div_ceil(2));
        let tile = |index: usize| {
            let (y, x) = (index / columns, index % columns);
            let seen = |i, j| Some(sees(0, y, i)? * map[1] + sees(1, x, j)?);
            let given = |i, j| Some(gives(0, y, i)? * output[1] + gives(1, x, j)?);
            Tile {
                sees: [0, 1, 2, 3].map(|i| [0, 1, 2, 3].map(|j| seen(i, j))),
                gives: [0, 1].map(|i| [0, 1].map(|j| given(i, j))),
            }
        };
        Some(Self { inputs: map[0] * map[1], output, all: (0..rows * columns).map(tile).collect() })
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
        let width = self.output[1];
        output / width / 2 * width.div_ceil(2) + output % width / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_position_is_given_once_by_the_tile_that_is_said_to() {
        for (map, padding) in [([1, 1], 1), ([4, 4], 1), ([5, 3], 1), ([3, 7], 0), ([2, 2], 2)] {
            let window = Window { kernel: [3, 3], stride: [1, 1], padding: [padding; 2] };
            let tiles = Tiles::new(map, &window).unwrap();
            let given = tiles.all().iter().enumerate();
            let given = given.flat_map(|(index, tile)| {
                tile.gives.into_iter().flatten().flatten().map(move |at| (at, index))
            });
            let mut given: Vec<_> = given.collect();
            given.sort_unstable();
            let expected: Vec<_> = (0..tiles.outputs()).map(|at| (at, tiles.of(at))).collect();
            assert_eq!(given, expected);
        }
    }

    #[test]
    fn a_corner_sees_what_is_on_the_map() {
        let window = Window { kernel: [3, 3], stride: [1, 1], padding: [1, 1] };
        let tiles = Tiles::new([3, 3], &window).unwrap();
        let on_map = [
            [None, None, None],
            [None, Some(0), Some(1)],
            [None, Some(3), Some(4)],
            [None, Some(6), Some(7)],
        ];
        assert_eq!(tiles.all()[0].sees.map(|row| [row[0], row[1], row[2]]), on_map);
        assert_eq!(tiles.all()[0].gives, [[Some(0), Some(1)], [Some(3), Some(4)]]);
        assert_eq!(tiles.all()[3].gives, [[Some(8), None], [None, None]]);
        assert_eq!(Tiles::new([3, 3], &Window { stride: [2, 2], ..window }), None);
    }
}
