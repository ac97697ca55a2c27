//! Settings of the right type with a value that makes no sense.

/// What is wrong with a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Path within the settings that were checked: `sgd.lr`.
    pub path: &'static str,
    /// What is wrong.
    pub message: &'static str,
    /// What to do: begins with a verb.
    pub hint: &'static str,
}

/// The first of these whose condition does not hold.
pub(super) fn first<const N: usize>(conditions: [(bool, Problem); N]) -> Option<Problem> {
    conditions.into_iter().find(|(holds, _)| !holds).map(|(_, problem)| problem)
}
