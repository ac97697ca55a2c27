//! Which input positions the output positions of a convolution see.
//!
//! A position of a map is a number: y·width + x. A tap is a place in the window: `ky·kernel_width + kx`. Taps that fall
//! on padding see zeros, so they are left out.

/// The window of a convolution, each pair height first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its size.
    pub kernel: [usize; 2],
    /// How far it moves from an output position to the next.
    pub stride: [usize; 2],
    /// Zeros around the map, on each side.
    pub padding: [usize; 2],
}

impl Window {
    /// Height and width of the output map for this input map; 0 where not even one window fits.
    pub fn output(&self, map: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let free = (map[axis] + 2 * self.padding[axis]).checked_sub(self.kernel[axis]);
            free.map_or(0, |free| free / self.stride[axis] + 1)
        })
    }

    /// Where on an axis of this length the tap falls for this output coordinate, if not on padding.
    fn sees(&self, axis: usize, length: usize, output: usize, tap: usize) -> Option<usize> {
        let place = (output * self.stride[axis] + tap).checked_sub(self.padding[axis])?;
        (place < length).then_some(place)
    }
}

/// A tap, and the position that is seen through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nn::kernels) struct Sight {
    pub(in crate::nn::kernels) tap: usize,
    pub(in crate::nn::kernels) position: usize,
}

/// Which input positions the output positions of a convolution see, tap by tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taps {
    count: usize,
    inputs: usize,
    /// Per output position, taps ascending.
    sights: Vec<Vec<Sight>>,
}

impl Taps {
    /// The taps of a window on an input map (height, width).
    pub fn new(map: [usize; 2], window: &Window) -> Self {
        let [_, columns] = window.kernel;
        let count = window.kernel[0] * columns;
        let [height, width] = window.output(map);
        let sight = |output: usize, tap: usize| {
            let y = window.sees(0, map[0], output / width, tap / columns)?;
            let x = window.sees(1, map[1], output % width, tap % columns)?;
            Some(Sight { tap, position: y * map[1] + x })
        };
        let sights = |output| (0..count).filter_map(|tap| sight(output, tap)).collect();
        Self { count, inputs: map[0] * map[1], sights: (0..height * width).map(sights).collect() }
    }

    /// The taps of a convolution that sees one position each: its own.
    pub fn single(positions: usize) -> Self {
        let sights = (0..positions).map(|position| vec![Sight { tap: 0, position }]).collect();
        Self { count: 1, inputs: positions, sights }
    }

    /// The same pairs seen from the input: what the gradient at the input sums.
    #[must_use]
    pub fn flipped(&self) -> Self {
        let mut sights = vec![Vec::new(); self.inputs];
        for (output, seen) in self.sights.iter().enumerate() {
            for sight in seen {
                sights[sight.position].push(Sight { tap: sight.tap, position: output });
            }
        }
        for seen in &mut sights {
            seen.sort_by_key(|sight| sight.tap);
        }
        Self { count: self.count, inputs: self.outputs(), sights }
    }

    /// Number of taps.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Number of positions of the input map.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of positions of the output map.
    pub fn outputs(&self) -> usize {
        self.sights.len()
    }

    /// Number of pairs of an output position and an input position that it sees.
    pub fn pairs(&self) -> usize {
        self.sights.iter().map(Vec::len).sum()
    }

    /// What an output position sees.
    pub(in crate::nn::kernels) fn of(&self, output: usize) -> &[Sight] {
        &self.sights[output]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel: usize, stride: usize, padding: usize) -> Window {
        Window { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2] }
    }

    #[test]
    fn outputs_are_counted() {
        assert_eq!(window(3, 1, 1).output([32, 5]), [32, 5]);
        assert_eq!(window(3, 2, 1).output([32, 5]), [16, 3]);
        assert_eq!(window(1, 2, 0).output([32, 5]), [16, 3]);
        assert_eq!(window(5, 1, 2).output([1, 2]), [1, 2]);
        assert_eq!(window(3, 1, 0).output([2, 4]), [0, 2]);
    }

    #[test]
    fn a_corner_sees_what_is_on_the_map() {
        let taps = Taps::new([2, 3], &window(3, 1, 1));
        let seen: Vec<_> = taps.of(0).iter().map(|sight| (sight.tap, sight.position)).collect();
        assert_eq!(seen, [(4, 0), (5, 1), (7, 3), (8, 4)]);
        assert_eq!([taps.count(), taps.inputs(), taps.outputs(), taps.pairs()], [9, 6, 6, 28]);
    }

    #[test]
    fn flipped_twice_is_the_same() {
        for (kernel, stride, padding) in
            [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (5, 3, 2), (2, 2, 0), (1, 1, 2)]
        {
            for map in [[1, 1], [4, 4], [5, 3], [2, 7]] {
                let taps = Taps::new(map, &window(kernel, stride, padding));
                let flipped = taps.flipped();
                assert_eq!([flipped.inputs(), flipped.outputs()], [taps.outputs(), taps.inputs()]);
                assert!(
                    (0..map[0] * map[1]).all(|input| flipped.of(input).is_sorted_by_key(|sight| sight.tap))
                );
                assert_eq!(flipped.flipped(), taps);
            }
        }
    }
}
