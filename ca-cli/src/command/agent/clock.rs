//! Whether the clock of the machine was set, or stood still with it: the wall clock against the one that only goes on.

use std::time::Duration;

use ca_core::time::Timestamp;

/// How far the two may be apart.
const TOLERANCE: Duration = Duration::from_secs(60);

/// A pair of readings, the last that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockWatch {
    wall: Timestamp,
    steady: Duration,
}

impl ClockWatch {
    /// Begins to watch. `steady` is what has passed since some instant, of a clock that is never set.
    pub(super) fn new(wall: Timestamp, steady: Duration) -> Self {
        Self { wall, steady }
    }

    /// Looks again; by how many seconds the wall clock jumped since the last look, if it did.
    pub(super) fn look(&mut self, wall: Timestamp, steady: Duration) -> Option<i64> {
        let expected = i64::try_from(steady.saturating_sub(self.steady).as_millis()).unwrap_or(i64::MAX);
        let passed = wall.unix_millis().saturating_sub(self.wall.unix_millis());
        *self = Self { wall, steady };
        let jump = passed.saturating_sub(expected);
        (u128::from(jump.unsigned_abs()) > TOLERANCE.as_millis()).then_some(jump / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_seen_once_either_way_and_slow_drift_is_none() {
        let (start, second) = (Timestamp::from_unix_seconds(1_000_000), Duration::from_secs);
        let at = |seconds: i64| Timestamp::from_unix_seconds(1_000_000 + seconds);
        let mut watch = ClockWatch::new(start, second(0));
        assert_eq!(watch.look(at(60), second(60)), None);
        assert_eq!(watch.look(at(150), second(120)), None, "half a minute");
        assert_eq!(watch.look(at(3_810), second(180)), Some(3_600));
        assert_eq!(watch.look(at(3_870), second(240)), None, "it was told");
        assert_eq!(watch.look(at(270), second(300)), Some(-3_660));
    }
}
