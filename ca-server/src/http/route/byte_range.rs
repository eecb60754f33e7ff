//! Parts of what is served (RFC 9110 §14): one range of octets, so that a fetch of a large list that broke off can go on.

use std::ops::Range;

use axum::http::{HeaderMap, Method, header};

/// What part of a representation a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: no range, several ranges, one that makes no sense (§14.2: it is ignored), or one of another representation.
    Whole,
    /// These octets.
    Part(Range<usize>),
    /// A range that begins after its end.
    Nothing,
}

/// Reads `Range` and `If-Range` for a representation of `length` octets with a strong entity tag.
pub(crate) fn wanted(method: &Method, request: &HeaderMap, etag: &str, length: usize) -> Wanted {
    let Some(range) = request.get(header::RANGE).filter(|_| *method == Method::GET) else { return Wanted::Whole };
    // §13.1.5: a part of another list must not be put to the part that the caller has. A date is too coarse to tell them apart.
    if request.get(header::IF_RANGE).is_some_and(|condition| condition.as_bytes() != etag.as_bytes()) {
        return Wanted::Whole;
    }
    range.to_str().ok().and_then(|range| read(range, length)).unwrap_or(Wanted::Whole)
}

/// `bytes=FIRST-LAST`, `bytes=FIRST-` or `bytes=-LENGTH`; nothing for what is none of these.
fn read(range: &str, length: usize) -> Option<Wanted> {
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    Some(match (number(first)?, number(last)?) {
        (None, None) => return None,
        (None, Some(suffix)) => part(length.saturating_sub(suffix), length),
        (Some(first), None) => part(first, length),
        (Some(first), Some(last)) if first > last => return None,
        (Some(first), Some(last)) => part(first, last.saturating_add(1).min(length)),
    })
}

fn part(first: usize, end: usize) -> Wanted {
    if first < end { Wanted::Part(first..end) } else { Wanted::Nothing }
}

/// Digits, or none at all; one too large for this machine lies beyond every end.
fn number(text: &str) -> Option<Option<usize>> {
    match text {
        "" => Some(None),
        text if text.bytes().all(|digit| digit.is_ascii_digit()) => Some(Some(text.parse().unwrap_or(usize::MAX))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn asked(headers: &[(header::HeaderName, &'static str)]) -> Wanted {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        wanted(&Method::GET, &headers.collect(), "\"a\"", 1_000)
    }

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        for (range, expected) in [
            ("bytes=0-499", Wanted::Part(0..500)),
            ("bytes=500-999", Wanted::Part(500..1_000)),
            ("bytes=500-", Wanted::Part(500..1_000)),
            ("bytes=-500", Wanted::Part(500..1_000)),
            ("bytes=-2000", Wanted::Part(0..1_000)),
            ("bytes=999-5000", Wanted::Part(999..1_000)),
            ("Bytes=0-0", Wanted::Part(0..1)),
            ("bytes=0-99999999999999999999999999", Wanted::Part(0..1_000)),
            ("bytes=1000-", Wanted::Nothing),
            ("bytes=99999999999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            // Ignored.
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=9-1", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("octets=0-1", Wanted::Whole),
            ("0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(asked(&[(header::RANGE, range)]), expected, "{range}");
        }
        assert_eq!(asked(&[]), Wanted::Whole);
    }

    #[test]
    fn a_part_of_another_list_is_never_given() {
        let range = (header::RANGE, "bytes=500-");
        assert_eq!(asked(&[range.clone(), (header::IF_RANGE, "\"a\"")]), Wanted::Part(500..1_000));
        for other in ["\"b\"", "W/\"a\"", "Fri, 02 Jan 2026 03:04:05 GMT"] {
            assert_eq!(asked(&[range.clone(), (header::IF_RANGE, other)]), Wanted::Whole, "{other}");
        }
        let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=0-1"))]);
        assert_eq!(wanted(&Method::HEAD, &headers, "\"a\"", 1_000), Wanted::Whole, "§14.2: of GET alone");
    }

    #[test]
    fn nothing_has_no_part() {
        for range in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(read(range, 0), Some(Wanted::Nothing), "{range}");
        }
    }
}
