//! Requests in the path of a GET (RFC 6960 appendix A.1, RFC 9919 §5): base64, percent-encoded where a URL asks for it.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::request::{MAX_REQUEST_OCTETS, RequestError};

/// Padding may be there or not: some clients and proxies cut the `=` off.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The request in what follows `/ocsp/` in a path, percent-encoded or decoded already.
///
/// `/`, `//` and `+` are characters of the base64 and stay; a `+` never stands for a blank. Slashes before the request
/// are passed over: base64 of an OCSPRequest begins with `M`, and clients put a `/` after a responder URL that ends in
/// one.
pub fn decode_get_path(path: &str) -> Result<Vec<u8>, RequestError> {
    let text = path.trim_start_matches('/');
    // Every octet of the request is at most four characters, each at most `%XX`.
    if text.len() > MAX_REQUEST_OCTETS.div_ceil(3) * 4 * 3 {
        return Err(RequestError::TooLarge { octets: text.len() });
    }
    let base64 = percent_decode(text)?;
    BASE64.decode(base64).map_err(|_| RequestError::NotBase64)
}

/// The path that carries `request`, without a `/` before it. `+`, `/` and `=` are percent-encoded (RFC 6960 appendix
/// A.1).
pub fn encode_get_path(request: &[u8]) -> String {
    BASE64.encode(request).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

fn percent_decode(text: &str) -> Result<Vec<u8>, RequestError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            decoded.push(octet);
            continue;
        }
        let mut digit = || octets.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(RequestError::NotPercentEncoded) };
        decoded.push((high << 4 | low) as u8);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `30 03 fb ef ff`: its base64, `MAP77/8=`, has a slash and padding; with one octet more a plus.
    const REQUEST: [u8; 5] = [0x30, 0x03, 0xfb, 0xef, 0xff];

    #[test]
    fn reads_every_way_that_clients_write_the_path() {
        for path in ["MAP77/8=", "MAP77/8", "MAP77%2F8%3D", "MAP77%2f8%3d", "/MAP77/8=", "//MAP77%2F8", "%4dAP77/8"] {
            assert_eq!(decode_get_path(path), Ok(REQUEST.to_vec()), "{path}");
        }
        for path in ["MA//+/8=", "MA%2F%2F%2B%2F8%3D"] {
            assert_eq!(decode_get_path(path), Ok(vec![0x30, 0x0f, 0xff, 0xfb, 0xff]), "{path}");
        }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        for size in 0..200_u8 {
            let request: Vec<u8> = (0..size).map(|octet| octet.wrapping_mul(151)).collect();
            let path = encode_get_path(&request);
            assert!(path.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'%'), "{path}");
            assert_eq!(decode_get_path(&path), Ok(request));
        }
    }

    #[test]
    fn refuses_what_is_no_base64() {
        for path in ["MAP77/8 ", "MAP 7/8=", "MAP77-8=", "M", "MAP77/8==="] {
            assert_eq!(decode_get_path(path), Err(RequestError::NotBase64), "{path}");
        }
        for path in ["MAP77%2", "MAP77%", "MAP77%zz8", "MAP77%+28"] {
            assert_eq!(decode_get_path(path), Err(RequestError::NotPercentEncoded), "{path}");
        }
        let long = "A".repeat(100_000);
        assert_eq!(decode_get_path(&long), Err(RequestError::TooLarge { octets: 100_000 }));
    }
}
