//! Several rounds of one measurement, told by their median.

use crate::clock::{Scope, Spent, Stopwatch};

/// How often everything is measured.
pub(crate) const ROUNDS: usize = 7;

/// The median of some values, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of at least one value; of none, not-a-number, which holds no target.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let (lower, upper) = (values.len().saturating_sub(1) / 2, values.len() / 2);
        Self { median: f64::midpoint(at(lower), at(upper)), least: at(0), most: at(values.len().saturating_sub(1)) }
    }
}

/// What a piece of work takes, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    pub(crate) processor: Spread,
    pub(crate) wall: Spread,
}

impl Cost {
    /// Of the rounds of a measurement.
    pub(crate) fn of(rounds: &[Spent]) -> Self {
        Self {
            processor: Spread::of(rounds.iter().map(|spent| spent.processor).collect()),
            wall: Spread::of(rounds.iter().map(|spent| spent.wall).collect()),
        }
    }
}

/// Does `work` `times` times a round, on this thread, and tells what once takes. A round that is not counted comes first.
pub(crate) fn measure<T>(times: u32, mut work: impl FnMut() -> T) -> Cost {
    let mut round = || {
        let stopwatch = Stopwatch::start(Scope::Thread);
        for _ in 0..times {
            std::hint::black_box(work());
        }
        stopwatch.spent().per(times)
    };
    round();
    let rounds: Vec<Spent> = (0..ROUNDS).map(|_| round()).collect();
    Cost::of(&rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two_middle_ones() {
        assert_eq!(Spread::of(vec![5.0, 1.0, 3.0]), Spread { median: 3.0, least: 1.0, most: 5.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 8.0]), Spread { median: 3.0, least: 1.0, most: 8.0 });
        assert_eq!(Spread::of(vec![2.0]), Spread { median: 2.0, least: 2.0, most: 2.0 });
    }

    #[test]
    fn no_rounds_have_no_median() {
        assert!(Spread::of(Vec::new()).median.is_nan());
    }

    #[test]
    fn work_costs_processor_time() {
        let mut runs = 0;
        let cost = measure(3, || {
            runs += 1;
            (0..100_000_u64).map(std::hint::black_box).sum::<u64>()
        });
        assert_eq!(runs, 3 * (ROUNDS + 1));
        assert!(cost.processor.least > 0.0 && cost.processor.least <= cost.processor.most);
    }
}
