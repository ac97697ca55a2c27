//! The combinations that the matrix leaves to some of its axes, numbered.
//!
//! Of each factor that has one of the axes, the distinct projections of its rows; their product is the space. A place in it is
//! one digit per factor, so that places of two stages are compared by arithmetic, without a search.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::base::name::AxisName;
use crate::pipeline::scalar;
use crate::pipeline::spec::Factor;

/// Where in the matrix a node stands: axes with their values, in the order of their names.
pub type Coordinates = Vec<(AxisName, Value)>;

/// The combinations of some axes.
pub(super) struct Space<'a> {
    factors: &'a [Factor],
    /// In the order of their first axes; the last one varies fastest.
    pub(super) projections: Vec<Projection>,
}

/// The distinct combinations that the rows of one factor leave to some of its axes.
pub(super) struct Projection {
    /// Which factor.
    pub(super) factor: usize,
    /// Which of its axes.
    columns: Vec<usize>,
    /// Number of the combination that each row has.
    pub(super) of_row: Vec<usize>,
    /// A row that has each combination.
    pub(super) rows: Vec<usize>,
}

impl<'a> Space<'a> {
    pub(super) fn new(factors: &'a [Factor], axes: &BTreeSet<AxisName>) -> Self {
        let mut projections: Vec<Projection> = Vec::new();
        for (place, factor) in factors.iter().enumerate() {
            let columns: Vec<usize> =
                (0..factor.axes.len()).filter(|column| axes.contains(&factor.axes[*column])).collect();
            if !columns.is_empty() {
                projections.push(Projection::new(place, factor, columns));
            }
        }
        projections.sort_by_key(|projection| &factors[projection.factor].axes[projection.columns[0]]);
        Self { factors, projections }
    }

    /// How many places there are; `None` if too many to count.
    pub(super) fn len(&self) -> Option<usize> {
        self.projections.iter().try_fold(1_usize, |size, projection| size.checked_mul(projection.rows.len()))
    }

    /// All places in order, each as digits.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&[usize])) {
        let mut digits = vec![0; self.projections.len()];
        loop {
            visit(&digits);
            let Some(at) = (0..digits.len()).rfind(|at| digits[*at] + 1 < self.projections[*at].rows.len())
            else {
                return;
            };
            digits[at] += 1;
            digits[at + 1..].fill(0);
        }
    }

    pub(super) fn coordinates(&self, digits: &[usize]) -> Coordinates {
        let mut coordinates = Coordinates::new();
        for (projection, digit) in self.projections.iter().zip(digits) {
            let factor = &self.factors[projection.factor];
            let row = &factor.rows[projection.rows[*digit]];
            coordinates.extend(projection.columns.iter().map(|c| (factor.axes[*c].clone(), row[*c].clone())));
        }
        if self.projections.len() > 1 {
            coordinates.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        coordinates
    }

    /// Which digit stands for a factor.
    pub(super) fn digit_of(&self, factor: usize) -> Option<usize> {
        self.projections.iter().position(|projection| projection.factor == factor)
    }

    /// How far apart two places are that differ by one in a digit.
    pub(super) fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.projections.len()];
        for at in (1..strides.len()).rev() {
            strides[at - 1] = strides[at] * self.projections[at].rows.len();
        }
        strides
    }
}

impl Projection {
    fn new(place: usize, factor: &Factor, columns: Vec<usize>) -> Self {
        if columns.len() == factor.axes.len() {
            let all: Vec<usize> = (0..factor.rows.len()).collect();
            return Self { factor: place, columns, of_row: all.clone(), rows: all };
        }
        let (mut of_row, mut rows) = (Vec::with_capacity(factor.rows.len()), Vec::new());
        let mut known = BTreeMap::new();
        for (at, row) in factor.rows.iter().enumerate() {
            let texts: Vec<String> = columns.iter().map(|column| scalar::text(&row[*column])).collect();
            let number = *known.entry(texts).or_insert_with(|| {
                rows.push(at);
                rows.len() - 1
            });
            of_row.push(number);
        }
        Self { factor: place, columns, of_row, rows }
    }

    /// For each combination of this projection, those of another one of the same factor that some row has together with it.
    pub(super) fn together(&self, other: &Self) -> Lists {
        let mut pairs: Vec<(usize, usize)> =
            self.of_row.iter().copied().zip(other.of_row.iter().copied()).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let mut starts = vec![0; self.rows.len() + 1];
        for (ours, _) in &pairs {
            starts[ours + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        Lists { starts, items: pairs.into_iter().map(|(_, theirs)| theirs).collect() }
    }
}

/// Lists of numbers, one behind the other.
pub(super) struct Lists {
    starts: Vec<usize>,
    items: Vec<usize>,
}

impl Lists {
    pub(super) fn get(&self, at: usize) -> &[usize] {
        &self.items[self.starts[at]..self.starts[at + 1]]
    }
}
