//! Whether the clock has gone on without a leap for so long that what cannot be undone may be done by it.
//!
//! A machine that starts with a clock years ahead would find everything expired. Its own record cannot tell it so at once; that it was
//! looked at a day ago, and what the time was then, can. What is signed has a guard of its own ([`super::watch_clock`]).

use ca_core::time::{Lifetime, Timestamp};

use crate::engine::Engine;
use crate::error::FlowError;

/// The value of the service that remembers it: since when the clock has gone on, and when it was looked at last, in milliseconds.
const WATCH: &str = "retention.clock-watch";

/// So long it must have gone on.
pub const WATCHED: Lifetime = Lifetime::from_days(1);

/// What goes on leaps no further than this ahead from one look to the next, and never back.
const LEAP: Lifetime = Lifetime::from_days(30);

/// A stretch of time in which the clock went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    since: Timestamp,
    last: Timestamp,
}

impl Stretch {
    fn read(octets: &[u8]) -> Option<Self> {
        let (since, last) = std::str::from_utf8(octets).ok()?.split_once(' ')?;
        let instant = |text: &str| Some(Timestamp::from_unix_millis(text.parse().ok()?));
        Some(Self { since: instant(since)?, last: instant(last)? })
    }

    fn write(self) -> Vec<u8> {
        format!("{} {}", self.since.unix_millis(), self.last.unix_millis()).into_bytes()
    }

    /// The same as it is at `now`: gone on, or begun anew.
    fn at(self, now: Timestamp) -> Self {
        let goes_on = self.since <= self.last && self.last <= now && now <= self.last.plus(LEAP);
        Self { since: if goes_on { self.since } else { now }, last: now }
    }
}

/// Looks at the clock and remembers it; the instant from which on it is believed, when that has not come.
pub(super) async fn look(engine: &Engine, now: Timestamp) -> Result<Option<Timestamp>, FlowError> {
    let before = engine.store().setting(WATCH).await?;
    let begun = Stretch { since: now, last: now };
    let stretch = before.as_deref().and_then(Stretch::read).unwrap_or(begun).at(now);
    // Where another has looked at the same time, its look counts as well as ours.
    engine.store().set_setting(WATCH, before.as_deref(), &stretch.write()).await?;
    let believed_from = stretch.since.plus(WATCHED);
    Ok((now < believed_from).then_some(believed_from))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn day(number: i64) -> Timestamp {
        Timestamp::from_unix_seconds(number * 86_400)
    }

    #[test]
    fn a_stretch_goes_on_by_small_steps_and_begins_anew_after_a_leap_either_way() {
        let stretch = Stretch { since: day(100), last: day(110) };
        assert_eq!(stretch.at(day(111)), Stretch { since: day(100), last: day(111) });
        assert_eq!(stretch.at(day(140)), Stretch { since: day(100), last: day(140) });
        for leap in [day(141), day(9_000), day(109), day(0)] {
            assert_eq!(stretch.at(leap), Stretch { since: leap, last: leap });
        }
    }

    #[test]
    fn reads_what_it_writes_and_takes_nothing_else_for_a_stretch() {
        let stretch = Stretch { since: day(1), last: day(2) };
        assert_eq!(Stretch::read(&stretch.write()), Some(stretch));
        for octets in [&b""[..], b"1", b"1 x", b"\xff 1", b"1 2 3"] {
            assert_eq!(Stretch::read(octets), None);
        }
    }
}
