//! Times as X.509 encodes them (RFC 5280 §4.1.2.5): UTCTime through 2049, GeneralizedTime from 2050 on, whole seconds,
//! `Z`.
//!
//! Shared by certificates, CRLs and OCSP messages. Lifetimes and comparisons live in [`crate::time`].

use ::time::{Date, Month, OffsetDateTime};
use thiserror::Error;

use crate::time::Timestamp;
use crate::tlv::{self, DerError, Element, tag};

/// The DER of a Time: UTCTime from 1950 through 2049, GeneralizedTime through 9999. A fraction of a second is cut off.
pub fn encode_time(instant: Timestamp) -> Result<Vec<u8>, TimeOutOfRange> {
    let mut der = Vec::with_capacity(17);
    append_time(&mut der, instant)?;
    Ok(der)
}

/// Appends what [`encode_time`] returns.
pub fn append_time(out: &mut Vec<u8>, instant: Timestamp) -> Result<(), TimeOutOfRange> {
    let digits = digits(instant)?;
    // RFC 5280 §4.1.2.5: through the year 2049 it MUST be UTCTime, whose years 00 to 49 are 2000 to 2049.
    if is_utc_time(&digits) {
        tlv::append(out, tag::UTC_TIME, &digits[2..]);
    } else {
        tlv::append(out, tag::GENERALIZED_TIME, &digits);
    }
    Ok(())
}

/// Appends a GeneralizedTime, whatever the year, as OCSP and invalidityDate ask for. A fraction of a second is cut off.
pub fn append_generalized_time(out: &mut Vec<u8>, instant: Timestamp) -> Result<(), TimeOutOfRange> {
    tlv::append(out, tag::GENERALIZED_TIME, &digits(instant)?);
    Ok(())
}

/// Reads a UTCTime or GeneralizedTime with seconds, without fraction, in `Z` (RFC 5280 §4.1.2.5.1 and .2).
pub(crate) fn read_time(element: &Element<'_>) -> Result<Timestamp, DerError> {
    let invalid = DerError::Content { kind: "time" };
    let (year, rest) = match (element.tag, element.content.len()) {
        (tag::UTC_TIME, 13) => {
            let year = two_digits(element.content, 0).ok_or(invalid)?;
            (if year < 50 { 2000 + i32::from(year) } else { 1900 + i32::from(year) }, &element.content[2..])
        }
        (tag::GENERALIZED_TIME, 15) => {
            let century = two_digits(element.content, 0).ok_or(invalid)?;
            let year = two_digits(element.content, 2).ok_or(invalid)?;
            (i32::from(century) * 100 + i32::from(year), &element.content[4..])
        }
        _ => return Err(invalid),
    };
    let at = |offset| two_digits(rest, offset).ok_or(invalid);
    let (month, day, hour, minute, second) = (at(0)?, at(2)?, at(4)?, at(6)?, at(8)?);
    if rest[10] != b'Z' {
        return Err(invalid);
    }
    let month = Month::try_from(month).map_err(|_| invalid)?;
    let date = Date::from_calendar_date(year, month, day).map_err(|_| invalid)?;
    if hour > 23 || minute > 59 || second > 59 {
        return Err(invalid);
    }
    // Whole-day arithmetic: a list of a million entries is read twice before it is published.
    let days = i64::from(date.to_julian_day() - UNIX_EPOCH_JULIAN_DAY);
    let second_of_day = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
    Ok(Timestamp::from_unix_seconds(days * 86_400 + second_of_day))
}

/// Whether a GeneralizedTime's content names a time that certificates and CRLs must give as UTCTime.
pub(crate) fn is_utc_time(generalized: &[u8; 15]) -> bool {
    (b"1950"..=b"2049").contains(&&[generalized[0], generalized[1], generalized[2], generalized[3]])
}

/// `YYYYMMDDHHMMSSZ`.
fn digits(instant: Timestamp) -> Result<[u8; 15], TimeOutOfRange> {
    let moment = OffsetDateTime::from_unix_timestamp(instant.unix_seconds())
        .ok()
        .filter(|moment| (1950..=9999).contains(&moment.year()))
        .ok_or(TimeOutOfRange { instant })?;
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second) = moment.to_hms();
    // Cannot fail: filtered above.
    let year = year as u16;
    let mut digits = [b'Z'; 15];
    let fields = [(year / 100) as u8, (year % 100) as u8, u8::from(month), day, hour, minute, second];
    for (place, field) in fields.into_iter().enumerate() {
        digits[2 * place] = b'0' + field / 10;
        digits[2 * place + 1] = b'0' + field % 10;
    }
    Ok(digits)
}

/// The Julian day of 1970-01-01.
const UNIX_EPOCH_JULIAN_DAY: i32 = 2_440_588;

fn two_digits(octets: &[u8], offset: usize) -> Option<u8> {
    let tens = octets[offset].wrapping_sub(b'0');
    let ones = octets[offset + 1].wrapping_sub(b'0');
    (tens < 10 && ones < 10).then(|| tens * 10 + ones)
}

/// An instant that no X.509 time can name: before 1950 or after 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the time {instant} cannot be encoded; X.509 knows the years 1950 to 9999")]
pub struct TimeOutOfRange {
    /// The instant.
    pub instant: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlv::Reader;

    fn instant(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect(text)
    }

    #[test]
    fn utc_time_through_2049_and_generalized_time_after() {
        for (text, der) in [
            ("1950-01-01T00:00:00Z", &b"\x17\x0d500101000000Z"[..]),
            ("1999-12-31T23:59:59Z", b"\x17\x0d991231235959Z"),
            ("2026-11-20T12:34:56.789Z", b"\x17\x0d261120123456Z"),
            ("2049-12-31T23:59:59Z", b"\x17\x0d491231235959Z"),
            ("2050-01-01T00:00:00Z", b"\x18\x0f20500101000000Z"),
            ("9999-12-31T23:59:59Z", b"\x18\x0f99991231235959Z"),
        ] {
            assert_eq!(encode_time(instant(text)).as_deref(), Ok(der), "{text}");
            let element = Reader::new(der).any().expect("DER");
            assert_eq!(read_time(&element), Ok(instant(text).floor_to_second()), "{text}");
        }
    }

    #[test]
    fn refuses_years_that_cannot_be_written() {
        for seconds in [i64::MIN, -631_152_001, 253_402_300_800, i64::MAX] {
            let instant = Timestamp::from_unix_seconds(seconds);
            assert_eq!(encode_time(instant), Err(TimeOutOfRange { instant }));
        }
    }

    #[test]
    fn refuses_times_that_are_no_der() {
        for der in [
            &b"\x17\x0b2611201234Z"[..],
            b"\x17\x11261120123456+0000",
            b"\x18\x1120261120123456.5Z",
            b"\x18\x0f20261320123456Z",
            b"\x18\x0f20260229123456Z",
            b"\x18\x0f20261120123460Z",
            b"\x18\x0f2026112012345 Z",
            b"\x18\x0f202611201234560",
            b"\x18\x00",
            b"\x04\x0d261120123456Z",
        ] {
            let element = Reader::new(der).any().expect("a value");
            assert_eq!(read_time(&element), Err(DerError::Content { kind: "time" }), "{der:?}");
        }
    }
}
