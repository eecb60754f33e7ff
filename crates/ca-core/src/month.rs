//! Months of the calendar, in UTC: what is put away by them is put away whole.

use std::fmt;
use std::str::FromStr;

use ::time::{Date, Month as MonthOfYear, OffsetDateTime, PrimitiveDateTime, Time};
use thiserror::Error;

use crate::time::Timestamp;

/// A month of the Gregorian calendar in UTC, of the years 0001 to 9999; written `2027-03`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    month: u8,
}

impl Month {
    /// The month of an instant; the first or last there is when the instant lies outside of them.
    pub fn of(instant: Timestamp) -> Self {
        match OffsetDateTime::from_unix_timestamp(instant.unix_seconds()) {
            Ok(at) if at.year() >= FIRST_YEAR => Self { year: at.year(), month: at.month().into() },
            Ok(_) => Self { year: FIRST_YEAR, month: 1 },
            Err(_) if instant.unix_millis() < 0 => Self { year: FIRST_YEAR, month: 1 },
            Err(_) => Self { year: LAST_YEAR, month: 12 },
        }
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        let month = MonthOfYear::try_from(self.month).unwrap_or(MonthOfYear::January);
        // Cannot fail: the year is one of four digits, and every month has a first day.
        let date = Date::from_calendar_date(self.year, month, 1).unwrap_or(Date::MAX);
        Timestamp::from_unix_seconds(PrimitiveDateTime::new(date, Time::MIDNIGHT).assume_utc().unix_timestamp())
    }

    /// The first instant after it.
    pub fn end(self) -> Timestamp {
        match self.next() {
            Some(next) => next.start(),
            // After it there is no month, and 31 days later no instant that anything writes.
            None => self.start().plus(crate::time::Lifetime::from_days(31)),
        }
    }

    /// The one after it, if there is one.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self { year: LAST_YEAR, month: 12 } => None,
            Self { year, month: 12 } => Some(Self { year: year + 1, month: 1 }),
            Self { year, month } => Some(Self { year, month: month + 1 }),
        }
    }

    /// Whether an instant lies in it.
    pub fn contains(self, instant: Timestamp) -> bool {
        self.start() <= instant && instant < self.end()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let wrong = || MonthError { text: text.to_owned() };
        let (year, month) = text.split_once('-').ok_or_else(wrong)?;
        let digits = |part: &str, length| part.len() == length && part.bytes().all(|octet| octet.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return Err(wrong());
        }
        let (year, month) = (year.parse().map_err(|_| wrong())?, month.parse().map_err(|_| wrong())?);
        match (FIRST_YEAR..=LAST_YEAR).contains(&year) && (1..=12).contains(&month) {
            true => Ok(Self { year, month }),
            false => Err(wrong()),
        }
    }
}

/// A text that is no month.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not a month; write it like 2027-03")]
pub struct MonthError {
    /// What was given.
    pub text: String,
}

const FIRST_YEAR: i32 = 1;
const LAST_YEAR: i32 = 9999;

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("an instant")
    }

    #[test]
    fn begins_and_ends_in_utc() {
        let month = Month::of(instant("2027-03-31T23:59:59.999Z"));
        assert_eq!(month.to_string(), "2027-03");
        assert_eq!(month.start(), instant("2027-03-01T00:00:00Z"));
        assert_eq!(month.end(), instant("2027-04-01T00:00:00Z"));
        assert!(month.contains(month.start()) && !month.contains(month.end()));
        assert_eq!(Month::of(instant("2027-04-01T01:00:00+02:00")), month);
    }

    #[test]
    fn follow_each_other_without_gaps_through_the_years() {
        let mut month: Month = "1999-11".parse().expect("a month");
        for expected in ["1999-12", "2000-01", "2000-02", "2000-03"] {
            let next = month.next().expect("a next one");
            assert_eq!(next.start(), month.end());
            month = next;
            assert_eq!(month.to_string(), expected);
        }
        let last: Month = "9999-12".parse().expect("a month");
        assert_eq!(last.next(), None);
        assert!(last.contains(instant("9999-12-31T23:59:59Z")));
    }

    #[test]
    fn instants_outside_of_all_months_fall_into_the_first_and_the_last() {
        assert_eq!(Month::of(Timestamp::from_unix_millis(i64::MAX)).to_string(), "9999-12");
        assert_eq!(Month::of(Timestamp::from_unix_millis(i64::MIN)).to_string(), "0001-01");
    }

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        assert_eq!("2027-03".parse::<Month>().map(|month| month.to_string()), Ok("2027-03".to_owned()));
        for text in ["", "2027", "2027-13", "2027-00", "27-03", "2027-3", "2027_03", "+027-03", "0000-01"] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
    }
}
