//! Values of flags that more than one command takes, and how they are read.

use std::str::FromStr;

use ca_core::name::GeneralName;
use ca_core::revocation::RevocationReason;
use ca_core::time::{Lifetime, Timestamp};
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// A point in time: RFC 3339, or a length of time from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instant {
    /// At this time.
    At(Timestamp),
    /// So long from now, or so long ago, as the flag says.
    Away(Lifetime),
}

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(lifetime) = text.parse() {
            return Ok(Self::Away(lifetime));
        }
        Timestamp::parse_rfc3339(text).map(Self::At).map_err(|_| {
            format!(
                "`{text}` is neither a time like 2026-11-20T12:00:00Z nor a length of time like 90d, 12h, 30m or 10s"
            )
        })
    }
}

/// A SHA-256 fingerprint: 64 hexadecimal digits of either case, with or without colons or blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.rsplit_once('=').map_or(text, |(_, digits)| digits);
        let digits: String = digits.chars().filter(|character| !matches!(character, ':' | ' ')).collect();
        let mut octets = [0; 32];
        hex::decode_to_slice(&digits, &mut octets).map_err(|_| {
            "a SHA-256 fingerprint has 64 hexadecimal digits; `ca-server` prints it, and so does `openssl x509 -noout \
             -fingerprint -sha256`"
                .to_owned()
        })?;
        Ok(Self(octets))
    }
}

/// Reads a subject alternative name.
pub(super) fn general_name(text: &str) -> Result<GeneralName, String> {
    GeneralName::parse(text).map_err(|error| error.to_string())
}

/// Reads a revocation reason; help and completions list them.
pub(super) fn revocation_reason() -> impl TypedValueParser<Value = RevocationReason> {
    let names = RevocationReason::ALL.map(RevocationReason::as_str);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<RevocationReason>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_time_or_a_length_of_time() {
        assert_eq!("30d".parse(), Ok(Instant::Away(Lifetime::from_days(30))));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(Instant::At(Timestamp::from_unix_seconds(1))));
        assert!("tomorrow".parse::<Instant>().expect_err("no time").contains("90d"));
    }

    #[test]
    fn reads_a_fingerprint_as_openssl_and_browsers_print_it() {
        let plain = "ab".repeat(32);
        let colons = ["AB"; 32].join(":");
        for text in [plain.as_str(), &colons, &format!("sha256 Fingerprint={colons}")] {
            assert_eq!(text.parse(), Ok(Fingerprint([0xab; 32])), "{text}");
        }
        assert!("ab".repeat(20).parse::<Fingerprint>().expect_err("SHA-1").contains("64"));
    }
}
