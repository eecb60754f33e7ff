//! Instants, lifetimes and validity periods.
//!
//! X.509 counts whole seconds (RFC 5280 §4.1.2.5); records keep milliseconds. No clock is read here.

use std::fmt;
use std::str::FromStr;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;
use thiserror::Error;

/// An instant in UTC, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `seconds` after the Unix epoch.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The instant `milliseconds` after the Unix epoch.
    pub const fn from_unix_millis(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// The same instant without its fraction of a second, as certificates carry it.
    pub const fn floor_to_second(self) -> Self {
        Self::from_unix_seconds(self.unix_seconds())
    }

    /// This instant moved later by `lifetime`; saturates at the end of representable time.
    pub const fn plus(self, lifetime: Lifetime) -> Self {
        Self(self.0.saturating_add(lifetime.millis()))
    }

    /// This instant moved earlier by `lifetime`.
    pub const fn minus(self, lifetime: Lifetime) -> Self {
        Self(self.0.saturating_sub(lifetime.millis()))
    }

    /// How long after `earlier` this instant is; zero when it is not after it.
    pub const fn since(self, earlier: Self) -> Lifetime {
        let difference = self.0.saturating_sub(earlier.0);
        Lifetime::from_seconds(if difference < 0 { 0 } else { difference as u64 / 1000 })
    }

    /// RFC 3339 in UTC, with a fraction only where there is one.
    pub fn to_rfc3339(self) -> String {
        self.digits().unwrap_or_else(|| format!("{}ms", self.0))
    }

    /// RFC 3339, of the years that it can write. By hand: each certificate is told of by half a dozen of these, and a formatter for
    /// any format takes many times as long.
    fn digits(self) -> Option<String> {
        let moment = OffsetDateTime::from_unix_timestamp(self.unix_seconds()).ok()?;
        let year = u16::try_from(moment.year()).ok().filter(|year| *year <= 9999)?;
        let (_, month, day) = moment.to_calendar_date();
        let (hour, minute, second) = moment.to_hms();
        let mut text = String::with_capacity(LONGEST_RFC3339);
        // Both below 100.
        let fields = [(year / 100) as u8, (year % 100) as u8, u8::from(month), day, hour, minute, second];
        for (field, before) in fields.into_iter().zip(["", "", "-", "-", "T", ":", ":"]) {
            text.push_str(before);
            text.extend([char::from(b'0' + field / 10), char::from(b'0' + field % 10)]);
        }
        let millis = self.0.rem_euclid(1000) as u16;
        if millis > 0 {
            text.push('.');
            // Without zeros at the end.
            for (unit, is_left) in [(100, true), (10, !millis.is_multiple_of(100)), (1, !millis.is_multiple_of(10))] {
                if is_left {
                    text.push(char::from(b'0' + (millis / unit % 10) as u8));
                }
            }
        }
        text.push('Z');
        Some(text)
    }

    /// Reads RFC 3339 with any offset.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        let instant =
            OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimeError::NotRfc3339 { text: text.to_owned() })?;
        Ok(Self((instant.unix_timestamp_nanos() / 1_000_000) as i64))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// What [`Timestamp::to_rfc3339`] writes at the most, but for instants that no calendar has.
const LONGEST_RFC3339: usize = "2026-11-20T12:00:00.000Z".len();

/// A length of time in whole seconds, written `90d`, `12h`, `30m` or `10s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(u64);

impl Lifetime {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `seconds` seconds.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// `days` times 86,400 seconds.
    pub const fn from_days(days: u64) -> Self {
        Self(days.saturating_mul(86_400))
    }

    /// The length in seconds.
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// The longest length of time in whole days that is no longer than this one; below a day in whole hours, below an hour in
    /// whole minutes: what people are told that they may ask for.
    pub const fn rounded_down(self) -> Self {
        let unit = match self.0 {
            86_400.. => 86_400,
            3_600.. => 3_600,
            60.. => 60,
            _ => 1,
        };
        Self(self.0 - self.0 % unit)
    }

    const fn millis(self) -> i64 {
        let millis = self.0.saturating_mul(1000);
        if millis > i64::MAX as u64 { i64::MAX } else { millis as i64 }
    }
}

impl FromStr for Lifetime {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let wrong = || TimeError::NotALifetime { text: text.to_owned() };
        let unit = text.chars().last().ok_or_else(wrong)?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        let seconds = count.checked_mul(factor).ok_or_else(wrong)?;
        // 200 years: past this nothing is a lifetime but a slip of the finger.
        if seconds > 200 * 366 * 86_400 {
            return Err(wrong());
        }
        Ok(Self(seconds))
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in [('d', 86_400), ('h', 3_600), ('m', 60)] {
            if self.0 > 0 && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}s", self.0)
    }
}

/// The period in which a certificate is valid, both ends included (RFC 5280 §4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First second of validity.
    pub not_before: Timestamp,
    /// Last second of validity.
    pub not_after: Timestamp,
}

impl Validity {
    /// Whether `instant` lies within the period.
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.not_before <= instant && instant <= self.not_after
    }
}

/// A time that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TimeError {
    /// Not RFC 3339.
    #[error("`{text}` is not an RFC 3339 time; write it like 2026-11-20T12:00:00Z")]
    NotRfc3339 {
        /// What was given.
        text: String,
    },
    /// Not a lifetime.
    #[error("`{text}` is not a length of time; write a number and a unit, like 90d, 12h, 30m or 10s")]
    NotALifetime {
        /// What was given.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_down_to_a_whole_number_of_its_largest_unit() {
        for (seconds, rounded) in
            [(30 * 86_400 + 5, "30d"), (86_400, "1d"), (86_399, "23h"), (3_599, "59m"), (59, "59s"), (0, "0s")]
        {
            assert_eq!(Lifetime::from_seconds(seconds).rounded_down().to_string(), rounded);
        }
    }

    #[test]
    fn reads_and_writes_lifetimes() {
        for (text, seconds, written) in [
            ("90d", 7_776_000, "90d"),
            ("12h", 43_200, "12h"),
            ("30m", 1_800, "30m"),
            ("10s", 10, "10s"),
            ("48h", 172_800, "2d"),
        ] {
            let lifetime: Lifetime = text.parse().expect(text);
            assert_eq!(lifetime.seconds(), seconds);
            assert_eq!(lifetime.to_string(), written);
        }
        for text in ["", "d", "90", "-1d", "1.5h", "90 d", "9999999d", "99999999999999999999d", "é"] {
            assert!(text.parse::<Lifetime>().is_err(), "{text}");
        }
    }

    #[test]
    fn reads_and_writes_rfc3339() {
        let instant = Timestamp::parse_rfc3339("2026-11-20T12:00:00+02:00").expect("valid");
        assert_eq!(instant.to_rfc3339(), "2026-11-20T10:00:00Z");
        assert!(Timestamp::parse_rfc3339("yesterday").is_err());
    }

    #[test]
    fn writes_rfc3339_as_others_do() {
        let other = |millis: i64| {
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
                .ok()
                .and_then(|instant| instant.format(&Rfc3339).ok())
                .unwrap_or_else(|| format!("{millis}ms"))
        };
        let fractions = [0, 1, 10, 100, 120, 123, 999, 50];
        // Every 13 days and some hours from before the year 0 until after 9999, and what lies around the epoch and the ends.
        let days = (-62_300_000_000..253_600_000_000_i64).step_by(1_123_457);
        let ends = [-62_167_219_200, -62_167_219_201, -1, 0, 1, 951_782_400, 253_402_300_799, 253_402_300_800];
        for (index, seconds) in days.chain(ends).enumerate() {
            for millis in [seconds * 1000, seconds * 1000 + fractions[index % fractions.len()]] {
                assert_eq!(Timestamp::from_unix_millis(millis).to_rfc3339(), other(millis));
            }
        }
        for millis in [i64::MIN, i64::MAX] {
            assert_eq!(Timestamp::from_unix_millis(millis).to_rfc3339(), other(millis));
        }
    }

    #[test]
    fn rounds_down_before_the_epoch_too() {
        assert_eq!(Timestamp::from_unix_millis(-1).unix_seconds(), -1);
    }
}
