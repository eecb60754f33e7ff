//! Times of the calendar, as cron writes them: minute, hour, day of the month, month, day of the week, in UTC.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;
use time::{Date, OffsetDateTime};

use crate::time::Timestamp;

/// How many days ahead a time is looked for: a 29th of February on one day of the week comes within 28 years, across a century that is
/// no leap year within 40.
const DAYS: usize = 40 * 366;

/// When something is done: `0 3 * * *` is each day at three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether days of the month or of the week were named; where both were, one of them is enough, as cron has it.
    names_days: bool,
    names_weekdays: bool,
}

impl Schedule {
    /// The first time of the schedule that is not before `instant`; `None` when there is none within forty years (30th of February).
    pub fn at_or_after(&self, instant: Timestamp) -> Option<Timestamp> {
        let seconds = instant.unix_millis().div_euclid(1_000) + i64::from(instant.unix_millis().rem_euclid(1_000) > 0);
        let first = (seconds.div_euclid(60) + i64::from(seconds.rem_euclid(60) > 0)) * 60;
        let start = OffsetDateTime::from_unix_timestamp(first).ok()?;
        let mut from = u64::from(start.hour()) * 60 + u64::from(start.minute());
        let mut date = start.date();
        for _ in 0..DAYS {
            if self.has_day(date)
                && let Some(minute) = (from..24 * 60).find(|minute| self.has_minute(*minute))
            {
                let midnight = date.midnight().assume_utc().unix_timestamp();
                return Some(Timestamp::from_unix_seconds(midnight + i64::try_from(minute).ok()? * 60));
            }
            from = 0;
            date = date.next_day()?;
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let day = has(self.days, u64::from(date.day()));
        let weekday = has(self.weekdays, u64::from(date.weekday().number_days_from_sunday()));
        let fits = if self.names_days && self.names_weekdays { day || weekday } else { day && weekday };
        fits && has(self.months, u64::from(u8::from(date.month())))
    }

    fn has_minute(&self, minute: u64) -> bool {
        has(self.hours, minute / 60) && has(self.minutes, minute % 60)
    }
}

/// Each day at three.
impl Default for Schedule {
    fn default() -> Self {
        Self {
            text: "0 3 * * *".to_owned(),
            minutes: 1,
            hours: 1 << 3,
            days: all(1..=31),
            months: all(1..=12),
            weekdays: all(0..=6),
            names_days: false,
            names_weekdays: false,
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(ScheduleError::Fields { count: fields.len() });
        };
        // 7 is Sunday too.
        let week = field("day of the week", weekdays, 0..=7)?;
        let schedule = Self {
            text: fields.join(" "),
            minutes: field("minute", minutes, 0..=59)?,
            hours: field("hour", hours, 0..=23)?,
            days: field("day of the month", days, 1..=31)?,
            months: field("month", months, 1..=12)?,
            weekdays: (week | week >> 7) & all(0..=6),
            names_days: !days.starts_with('*'),
            names_weekdays: !weekdays.starts_with('*'),
        };
        // No day of the calendar is wanted: from the beginning of one leap year on there would be one.
        let leap_year = Timestamp::from_unix_seconds(1_704_067_200);
        schedule.at_or_after(leap_year).map(|_| schedule).ok_or(ScheduleError::Never)
    }
}

/// A text that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error(
        "it has {count} fields; write five: minute, hour, day of the month, month, day of the week, like `0 3 * * *`"
    )]
    Fields {
        /// How many there are.
        count: usize,
    },
    /// A field that cannot be read.
    #[error(
        "`{text}` is no {field}; write numbers from {least} to {most}, ranges like 1-5, steps like */15, lists of them with commas, or *"
    )]
    Field {
        /// Which.
        field: &'static str,
        /// What it says.
        text: String,
        /// The least number.
        least: u64,
        /// The greatest.
        most: u64,
    },
    /// A day that no calendar has.
    #[error("no calendar has such a day")]
    Never,
}

fn field(name: &'static str, text: &str, range: RangeInclusive<u64>) -> Result<u64, ScheduleError> {
    let wrong = || ScheduleError::Field {
        field: name,
        text: text.chars().take(100).collect(),
        least: *range.start(),
        most: *range.end(),
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (numbers, step) = match part.split_once('/') {
            Some((numbers, step)) => (numbers, number(step).filter(|step| *step > 0).ok_or_else(wrong)?),
            None => (part, 1),
        };
        let (from, to) = match numbers.split_once('-') {
            Some((from, to)) => (number(from).ok_or_else(wrong)?, number(to).ok_or_else(wrong)?),
            None if numbers == "*" => (*range.start(), *range.end()),
            None => {
                let one = number(numbers).ok_or_else(wrong)?;
                // `5/15` goes on to the end of the range.
                (one, if part.contains('/') { *range.end() } else { one })
            }
        };
        if from > to || !range.contains(&from) || !range.contains(&to) {
            return Err(wrong());
        }
        let mut value = from;
        while value <= to {
            bits |= 1 << value;
            value = value.saturating_add(step);
        }
    }
    Ok(bits)
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.len() <= 4 && text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn all(range: RangeInclusive<u64>) -> u64 {
    range.fold(0, |bits, value| bits | 1 << value)
}

const fn has(bits: u64, value: u64) -> bool {
    bits >> value & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, from: &str) -> String {
        let schedule: Schedule = schedule.parse().expect("a schedule");
        let from = Timestamp::parse_rfc3339(from).expect("an instant");
        schedule.at_or_after(from).expect("a time").to_rfc3339()
    }

    #[test]
    fn finds_the_first_time_that_is_not_before() {
        for (schedule, from, expected) in [
            ("0 3 * * *", "2026-11-27T21:18:05Z", "2026-11-28T03:00:00Z"),
            ("0 3 * * *", "2026-11-28T03:00:00Z", "2026-11-28T03:00:00Z"),
            ("0 3 * * *", "2026-11-28T03:00:00.001Z", "2026-11-29T03:00:00Z"),
            ("*/15 * * * *", "2026-12-31T23:46:00Z", "2027-01-01T00:00:00Z"),
            ("5/20 8-10 * * *", "2026-11-27T08:26:00Z", "2026-11-27T08:45:00Z"),
            ("30 2 1 * *", "2026-11-27T00:00:00Z", "2026-12-01T02:30:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 12 * * 7", "2026-11-27T00:00:00Z", "2026-11-29T12:00:00Z"),
            ("0 12 * * 1-5", "2026-11-28T00:00:00Z", "2026-11-30T12:00:00Z"),
            // Days of both kinds: one of them is enough.
            ("0 0 13 * 5", "2026-11-28T00:00:00Z", "2026-12-04T00:00:00Z"),
            ("0 0 1,15 6 *", "2026-06-02T00:00:00Z", "2026-06-15T00:00:00Z"),
        ] {
            assert_eq!(next(schedule, from), expected, "{schedule} from {from}");
        }
    }

    #[test]
    fn the_default_is_what_its_text_says() {
        assert_eq!(Schedule::default().to_string().parse(), Ok(Schedule::default()));
        assert_eq!("  0  3 * *  * ".parse(), Ok(Schedule::default()));
    }

    #[test]
    fn says_what_is_wrong_with_what_is_none() {
        assert_eq!("0 3 * *".parse::<Schedule>(), Err(ScheduleError::Fields { count: 4 }));
        assert_eq!("@daily".parse::<Schedule>(), Err(ScheduleError::Fields { count: 1 }));
        assert_eq!("0 0 30 2 *".parse::<Schedule>(), Err(ScheduleError::Never));
        for text in ["60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a * * * *", "5-1 * * * *"] {
            assert!(matches!(text.parse::<Schedule>(), Err(ScheduleError::Field { .. })), "{text}");
        }
        for text in ["*/0 * * * *", "1- * * * *", ", * * * *", "+1 * * * *", "1//2 * * * *", "99999 * * * *"] {
            assert!(matches!(text.parse::<Schedule>(), Err(ScheduleError::Field { .. })), "{text}");
        }
    }
}
