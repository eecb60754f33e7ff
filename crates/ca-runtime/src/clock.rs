//! The machine's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use ca_core::time::Timestamp;
use ca_engine::port::clock::Clock;

/// Tells the time of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the real clock: every other place asks the port")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 or after the year 292,277,024 is wrong; what depends on it refuses it as such.
        Timestamp::from_unix_millis(match since_epoch {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, i64::wrapping_neg),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_time_of_our_days() {
        let now = SystemClock.now();
        assert!(now > Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").expect("a time"), "{now}");
        assert!(now < Timestamp::parse_rfc3339("2126-01-01T00:00:00Z").expect("a time"), "{now}");
    }
}
