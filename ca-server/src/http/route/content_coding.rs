//! In which coding a client wants a list (RFC 9110 §12.5.3): gzip where it says that it takes it, else none.

use axum::http::{HeaderMap, header};

use crate::served_list::ContentCoding;

/// What a request is answered in. Parts are of the list as it is, so whoever asks for one gets that.
///
/// Who refuses both, or asks for what there is not, gets the list as it is: better than none (§12.4.1).
pub(crate) fn wanted(request: &HeaderMap) -> ContentCoding {
    if request.contains_key(header::RANGE) {
        return ContentCoding::Identity;
    }
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for line in request.get_all(header::ACCEPT_ENCODING) {
        // What cannot be read asks for nothing.
        let Ok(line) = line.to_str() else { return ContentCoding::Identity };
        for coding in line.split(',') {
            let mut parts = coding.split(';');
            let name = parts.next().unwrap_or_default().trim();
            let weight = weight(parts);
            let place = match () {
                // §8.4.1.3: the same.
                () if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => &mut gzip,
                () if name.eq_ignore_ascii_case("identity") => &mut identity,
                () if name == "*" => &mut any,
                () => continue,
            };
            *place = Some(place.unwrap_or(0).max(weight));
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    // Who does not mention the list as it is takes it, and likes any other better that it mentions.
    if gzip > 0 && gzip >= identity.unwrap_or(0) { ContentCoding::Gzip } else { ContentCoding::Identity }
}

/// The weight in thousandths (§12.4.2); 1000 where there is none, 0 where it cannot be read.
fn weight<'a>(mut parameters: impl Iterator<Item = &'a str>) -> u16 {
    let Some(parameter) = parameters.next() else { return 1_000 };
    let value = match parameter.trim().split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("q") => value,
        _ => return 0,
    };
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = fraction.bytes().all(|digit| digit.is_ascii_digit()) && fraction.len() <= 3;
    let thousandths = format!("{fraction:0<3}").parse::<u16>();
    match (whole, thousandths, parameters.next()) {
        ("0", Ok(thousandths), None) if digits => thousandths,
        ("1", Ok(0), None) if digits => 1_000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn asked(headers: &[(HeaderName, &'static str)]) -> ContentCoding {
        let mut request = HeaderMap::new();
        for (name, value) in headers {
            request.append(name.clone(), HeaderValue::from_static(value));
        }
        wanted(&request)
    }

    #[test]
    fn codings_are_chosen_as_rfc_9110_says() {
        use ContentCoding::{Gzip, Identity};
        for (accepted, expected) in [
            ("gzip", Gzip),
            ("GZip", Gzip),
            ("x-gzip", Gzip),
            ("deflate, gzip, br, zstd", Gzip),
            ("br,gzip", Gzip),
            ("compress;q=0.5, gzip;q=1.0", Gzip),
            ("gzip;q=1.0, identity; q=0.5, *;q=0", Gzip),
            ("gzip ; q=0.001", Gzip),
            ("gzip;Q=0.5", Gzip),
            ("gzip;q=1.", Gzip),
            ("gzip;q=0.5, identity;q=0.5", Gzip),
            ("gzip, identity", Gzip),
            ("gzip;q=0, x-gzip", Gzip),
            ("*", Gzip),
            ("*;q=0.1", Gzip),
            ("br, *;q=0.1", Gzip),
            ("identity;q=0, *", Gzip),
            (", gzip,", Gzip),
            ("", Identity),
            (",", Identity),
            ("identity", Identity),
            ("br", Identity),
            ("gzipped", Identity),
            ("gzip;q=0", Identity),
            ("gzip;q=0.000", Identity),
            ("gzip;q=0, *", Identity),
            ("*;q=0", Identity),
            ("identity;q=1, *;q=0", Identity),
            ("identity, gzip;q=0.5", Identity),
            ("gzip;q=0.499, identity;q=0.5", Identity),
            // Nothing is left: the list as it is.
            ("identity;q=0", Identity),
            ("gzip;q=0, identity;q=0", Identity),
            // What cannot be read asks for nothing.
            ("gzip;q", Identity),
            ("gzip;q=", Identity),
            ("gzip;q=1.001", Identity),
            ("gzip;q=2", Identity),
            ("gzip;q=-1", Identity),
            ("gzip;q=0.1234", Identity),
            ("gzip;q=0.+5", Identity),
            ("gzip;q=0.5.5", Identity),
            ("gzip;level=9", Identity),
            ("gzip;q=1;q=1", Identity),
            ("\"gzip\"", Identity),
        ] {
            assert_eq!(asked(&[(header::ACCEPT_ENCODING, accepted)]), expected, "{accepted}");
        }
        assert_eq!(asked(&[]), Identity, "RFC 9110 lets it be any; what the client says is safer");
    }

    #[test]
    fn a_field_may_come_in_lines() {
        let lines = [(header::ACCEPT_ENCODING, "br"), (header::ACCEPT_ENCODING, "gzip;q=0.5")];
        assert_eq!(asked(&lines), ContentCoding::Gzip);
        let lines = [(header::ACCEPT_ENCODING, "gzip;q=0.5"), (header::ACCEPT_ENCODING, "identity")];
        assert_eq!(asked(&lines), ContentCoding::Identity);
    }

    #[test]
    fn a_part_is_of_the_list_as_it_is() {
        for range in ["bytes=0-9", "bytes=0-1,5-6", "lines=1-2"] {
            let headers = [(header::ACCEPT_ENCODING, "gzip"), (header::RANGE, range)];
            assert_eq!(asked(&headers), ContentCoding::Identity, "{range}");
        }
    }
}
