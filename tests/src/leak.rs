//! Looking for what must not be there: personal data in octets that came from anywhere (a database's files, a dump, a log), in the
//! forms in which programs write text down.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use ca_core::hash::sha256;

/// Something found that must not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// What was looked for.
    pub secret: String,
    /// In which form it was found.
    pub form: &'static str,
    /// What stands around it, as far as it is text.
    pub context: String,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is there as {}: …{}…", self.secret, self.form, self.context)
    }
}

/// Every one of `secrets` that is in `octets`, in whatever form: as text in any case, in UTF-16, in hexadecimal, in base64 at any
/// offset, or as a plain SHA-256 that whoever guesses it can confirm. Hexadecimal in `octets` is also read as the octets it stands
/// for, as dumps have it.
pub fn leaks(octets: &[u8], secrets: &[&str]) -> Vec<Leak> {
    let lower = octets.to_ascii_lowercase();
    let decoded = decoded_hexadecimal(&lower);
    let decoded_lower = decoded.to_ascii_lowercase();
    let mut leaks = Vec::new();
    for secret in secrets {
        let mut look = |place: &[u8], form: &'static str, needle: &[u8]| {
            if let Some(position) = place.windows(needle.len()).position(|window| window == needle) {
                let around = &place[position.saturating_sub(40)..(position + needle.len() + 40).min(place.len())];
                let context = String::from_utf8_lossy(around).into_owned();
                leaks.push(Leak { secret: (*secret).to_owned(), form, context });
            }
        };
        let text = secret.to_ascii_lowercase();
        look(&lower, "text", text.as_bytes());
        look(&decoded_lower, "text in hexadecimal", text.as_bytes());
        look(&lower, "hexadecimal", hex::encode(secret).as_bytes());
        for encoding in ["UTF-16BE", "UTF-16LE"] {
            let of = |unit: u16| if encoding == "UTF-16BE" { unit.to_be_bytes() } else { unit.to_le_bytes() };
            let utf16: Vec<u8> = text.encode_utf16().flat_map(of).collect();
            look(&lower, encoding, &utf16);
            look(&decoded_lower, encoding, &utf16);
        }
        for needle in base64_needles(secret) {
            look(octets, "base64", needle.as_bytes());
        }
        for digest in guessable_digests(secret) {
            look(octets, "a plain digest", &digest);
            look(&decoded, "a plain digest in hexadecimal", &digest);
            look(octets, "a plain digest in base64", STANDARD.encode(digest).trim_end_matches('=').as_bytes());
        }
    }
    leaks
}

/// What of the base64 of any text that holds `secret` does not depend on what stands before and after it.
fn base64_needles(secret: &str) -> Vec<String> {
    let mut needles = Vec::new();
    for engine in [&STANDARD, &URL_SAFE] {
        for offset in 0..3 {
            let padded = [&vec![0; offset], secret.as_bytes()].concat();
            let whole = padded.len() / 3 * 3;
            // The first group holds what stands before.
            let from = if offset == 0 { 0 } else { 4 };
            let encoded = engine.encode(&padded[..whole]);
            needles.push(encoded[from..].to_owned());
        }
    }
    // Those without a letter in which the two alphabets differ.
    needles.sort();
    needles.dedup();
    needles
}

/// SHA-256 as a store that keys nothing would have it: of the text itself, and of a term of a search.
fn guessable_digests(secret: &str) -> Vec<[u8; 32]> {
    let lower = secret.to_lowercase();
    let mut digests = Vec::new();
    for text in [secret, &lower] {
        digests.push(sha256(text.as_bytes()));
        digests.extend([0, 1].map(|kind| sha256(&[&[kind], text.as_bytes()].concat())));
    }
    digests
}

/// The octets of every run of hexadecimal digits, one after another.
fn decoded_hexadecimal(octets: &[u8]) -> Vec<u8> {
    let runs = octets.split(|octet| !octet.is_ascii_hexdigit()).filter(|run| run.len() >= 8);
    let mut decoded = Vec::new();
    for run in runs {
        decoded.extend(hex::decode(&run[..run.len() / 2 * 2]).unwrap_or_default());
        decoded.push(b' ');
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: [&str; 2] = ["Ana Zuleica Quaresma", "98765432100"];

    fn forms(octets: &[u8]) -> Vec<&'static str> {
        leaks(octets, &SECRETS).iter().map(|leak| leak.form).collect()
    }

    #[test]
    fn every_form_is_found() {
        let secret = "98765432100";
        let around = |text: String| format!("before {text} after").into_bytes();
        assert_eq!(forms(b"before 987 65432100 after Ana Quaresma"), Vec::<&str>::new());
        assert_eq!(forms(&around("ana ZULEICA quaresma".to_owned())), ["text"]);
        assert_eq!(forms(&around(secret.to_owned())), ["text"]);
        assert!(forms(&around(hex::encode(secret))).contains(&"hexadecimal"));
        assert_eq!(
            forms(&around(format!("\\\\x300c{}00", hex::encode_upper("ANA Zuleica Quaresma")))),
            ["text in hexadecimal"]
        );
        for before in ["", "x", "xy"] {
            assert_eq!(forms(&around(STANDARD.encode(format!("{before}{secret} and more")))), ["base64"], "{before}");
        }
        assert_eq!(forms(&"98765432100".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()), ["UTF-16BE"]);
        let term = sha256(b"\0ana zuleica quaresma");
        assert_eq!(forms(&term), ["a plain digest"]);
        assert_eq!(forms(&around(hex::encode(term))), ["a plain digest in hexadecimal"]);
    }
}
