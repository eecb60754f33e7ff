//! How long things took, of many: what soak runs print and judge.

use std::fmt;
use std::time::Duration;

/// Durations in order.
#[derive(Clone, Default)]
pub struct Percentiles(Vec<Duration>);

impl Percentiles {
    /// Of these, in any order.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest of them that so many of a hundred are not above (nearest rank); nothing took no time.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    /// The longest.
    pub fn longest(&self) -> Duration {
        self.percentile(100)
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        let [half, ninety, most, longest] =
            [self.percentile(50), self.percentile(90), self.percentile(99), self.longest()].map(milliseconds);
        write!(
            f,
            "{} times: p50 {half:.1} ms, p90 {ninety:.1} ms, p99 {most:.1} ms, longest {longest:.1} ms",
            self.count()
        )
    }
}

impl fmt::Debug for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let of = |count: u64| Percentiles::of((1..=count).rev().map(Duration::from_secs).collect());
        assert_eq!(of(200).percentile(99), Duration::from_secs(198));
        assert_eq!((of(200).percentile(50), of(200).longest()), (Duration::from_secs(100), Duration::from_secs(200)));
        assert_eq!((of(1).percentile(50), of(10).percentile(99)), (Duration::from_secs(1), Duration::from_secs(10)));
        assert_eq!(of(0).longest(), Duration::ZERO);
    }
}
