//! E-mail addresses as certificates carry them: rfc822Name, a Mailbox of RFC 5321 §4.1.2 (RFC 5280 §4.2.1.6).

use std::fmt;

use super::{DnsName, NameError};

const KIND: &str = "e-mail address";

/// The longest part before the `@` (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL_PART: usize = 64;
/// The longest address: a path of 256 octets without its angle brackets (RFC 5321 §4.5.3.1.3).
const MAX_ADDRESS: usize = 254;

/// A mailbox: the local part as written (its case may matter), the domain lower-case and in A-label form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Reads `local@domain`: the local part a dot-atom or a quoted string of ASCII, the domain as [`DnsName::parse`]
    /// reads it, without wildcard. Address literals (`user@[192.0.2.1]`), display names and non-ASCII local parts are
    /// refused.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fault = |why: &str| NameError::new(KIND, text, why);
        let (local, domain) = text.rsplit_once('@').ok_or_else(|| fault("it has no `@`; write user@example.com"))?;
        if text.contains('<') || text.contains('>') {
            return Err(fault("write the bare address, without a display name or angle brackets"));
        }
        if !local.is_ascii() {
            // RFC 9598 puts these into an otherName, which clients of certificates hardly know.
            return Err(fault("the part before the `@` must be ASCII; SmtpUTF8Mailbox (RFC 9598) is not supported"));
        }
        if local.is_empty() || local.len() > MAX_LOCAL_PART {
            return Err(fault("the part before the `@` has 1 to 64 characters"));
        }
        if !is_dot_atom(local) && !is_quoted_string(local) {
            return Err(fault("the part before the `@` is letters, digits, !#$%&'*+-/=?^_`{|}~ and single inner dots"));
        }
        if domain.starts_with('[') {
            return Err(fault("an address literal cannot be certified; write a domain after the `@`"));
        }
        let domain = DnsName::parse(domain).map_err(|error| fault(&format!("its domain is wrong: {}", error.why)))?;
        if domain.is_wildcard() {
            return Err(fault("its domain must not be a wildcard"));
        }
        let address = format!("{local}@{domain}");
        if address.len() > MAX_ADDRESS {
            return Err(fault("it is longer than 254 octets"));
        }
        Ok(Self(address))
    }

    /// The name as encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`, as written.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The part behind the `@`: a host or domain, lower case.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 5321 §4.1.2 `Dot-string`: atoms of RFC 5322 §3.2.3 `atext` with single dots between.
fn is_dot_atom(local: &str) -> bool {
    let is_atext = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
    local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

/// RFC 5321 §4.1.2 `Quoted-string`: printable ASCII in quotes, `"` and `\` behind a backslash.
fn is_quoted_string(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut octets = inner.bytes();
    while let Some(octet) = octets.next() {
        let quoted = if octet == b'\\' { octets.next() } else { Some(octet).filter(|octet| *octet != b'"') };
        if !quoted.is_some_and(|octet| (b' '..=b'~').contains(&octet)) {
            return false;
        }
    }
    // `"` alone is both prefix and suffix to `strip_*` only when two quotes are there, so `inner` may be empty: `""@x`.
    !inner.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_mailboxes() {
        for (given, encoded) in [
            ("Maria.Silva@Example.COM", "Maria.Silva@example.com"),
            ("o'brien+tag@example.org", "o'brien+tag@example.org"),
            ("root@localhost", "root@localhost"),
            ("ana@são.example", "ana@xn--so-sia.example"),
            ("\"a b@c\"@example.com", "\"a b@c\"@example.com"),
            ("\"a\\\"b\"@example.com", "\"a\\\"b\"@example.com"),
        ] {
            assert_eq!(
                EmailAddress::parse(given).map(|address| address.to_string()),
                Ok(encoded.to_owned()),
                "{given}"
            );
        }
        let address = EmailAddress::parse("\"a@b\"@Example.com").expect("valid");
        assert_eq!((address.local_part(), address.domain()), ("\"a@b\"", "example.com"));
    }

    #[test]
    fn refuses_what_is_no_mailbox() {
        for text in [
            "",
            "@",
            "a@",
            "@example.com",
            "a",
            "a b@example.com",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "a@b@example.com",
            "a@*.example.com",
            "a@[192.0.2.1]",
            "a@192.0.2.1",
            "Ana <ana@example.com>",
            "a@example.com.",
            "\"@example.com",
            "\"\"@example.com",
            "\"a\"b\"@example.com",
            "\"a\\\"@example.com",
            "a\n@example.com",
            "a\0@example.com",
        ] {
            assert!(EmailAddress::parse(text).is_err(), "{text:?}");
        }
        assert!(EmailAddress::parse(&format!("{}@example.com", "a".repeat(65))).is_err());
        let domain = ["d".repeat(63), "d".repeat(63), "d".repeat(59)].join(".");
        assert!(EmailAddress::parse(&format!("{}@{domain}", "a".repeat(64))).is_ok());
        assert!(EmailAddress::parse(&format!("{}@{domain}.ddd", "a".repeat(64))).is_err());
        assert!(EmailAddress::parse("joão@example.com").expect_err("refused").why.contains("SmtpUTF8Mailbox"));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics_and_reading_twice_changes_nothing(
            text in "[\"a-z.\\\\\\PC]{0,8}@?[a-z.\\PC]{0,8}",
        ) {
            if let Ok(name) = EmailAddress::parse(&text) {
                prop_assert!(name.as_str().is_ascii());
                prop_assert_eq!(EmailAddress::parse(name.as_str()), Ok(name));
            }
        }
    }
}
