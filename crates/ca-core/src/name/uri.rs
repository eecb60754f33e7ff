//! URIs as certificates carry them: absolute, ASCII, RFC 3986 (RFC 5280 §4.2.1.6).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::NameError;

const KIND: &str = "URI";

/// The longest URI, in octets: SPIFFE's limit (SPIFFE-ID §2.3), and what others store.
const MAX_URI: usize = 2048;

/// An absolute URI, kept as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uri(String);

impl Uri {
    /// Reads an absolute URI of RFC 3986 characters with a scheme and something behind it. Where there is an authority,
    /// its host is a name or an IP address, as RFC 5280 §4.2.1.6 demands. A `spiffe` URI must be a SPIFFE ID: a
    /// lower-case trust domain and path, without user, port, query or fragment.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text).map_err(|why| NameError::new(KIND, text, why))?;
        Ok(Self(text.to_owned()))
    }

    /// The name as encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scheme, as written.
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// The host of the authority, lower case and without port, an IPv6 address in brackets; `None` when there is no
    /// authority.
    pub fn host(&self) -> Option<String> {
        let (_, rest) = self.0.split_once(':')?;
        split_authority(rest.strip_prefix("//")?).ok().map(|authority| authority.host.to_ascii_lowercase())
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parts of `userinfo@host:port` (RFC 3986 §3.2) and what follows it.
struct Authority<'a> {
    userinfo: Option<&'a str>,
    host: &'a str,
    port: Option<&'a str>,
    behind: &'a str,
}

fn check(text: &str) -> Result<(), String> {
    if text.len() > MAX_URI {
        return Err(format!("it is longer than {MAX_URI} octets"));
    }
    check_characters(text)?;
    let (scheme, rest) = text.split_once(':').ok_or("it has no scheme; write https://host/path or urn:…")?;
    // RFC 3986 §3.1
    let is_scheme_character = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(is_scheme_character) {
        return Err(format!("`{scheme}` is not a scheme: a letter, then letters, digits, `+`, `-` and `.`"));
    }
    if rest.is_empty() {
        return Err("nothing follows the scheme".to_owned());
    }
    let behind = match rest.strip_prefix("//") {
        Some(rest) => {
            let authority = split_authority(rest)?;
            check_authority(&authority)?;
            if scheme.eq_ignore_ascii_case("spiffe") {
                check_spiffe_id(scheme, &authority)?;
            }
            authority.behind
        }
        None if scheme.eq_ignore_ascii_case("spiffe") => {
            return Err("a SPIFFE ID is spiffe://trust-domain/path".to_owned());
        }
        None => rest,
    };
    // RFC 3986 §3.2.2 and §3.5: brackets only around an IP literal, one `#` only.
    if behind.contains(['[', ']']) {
        return Err("brackets may only stand around an IPv6 address; percent-encode them elsewhere".to_owned());
    }
    if behind.matches('#').count() > 1 {
        return Err("it has more than one `#`".to_owned());
    }
    Ok(())
}

/// RFC 3986 §2: unreserved, reserved, and `%` with two hexadecimal digits.
fn check_characters(text: &str) -> Result<(), String> {
    if !text.is_ascii() {
        return Err("it must be ASCII: write the host as A-labels (xn--…) and percent-encode the rest".to_owned());
    }
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&octet);
    if let Some(other) = text.bytes().find(|octet| !allowed(*octet)) {
        return Err(format!("`{}` must be percent-encoded", char::from(other).escape_debug()));
    }
    for (position, _) in text.match_indices('%') {
        let digits = text.get(position + 1..position + 3).unwrap_or("");
        if digits.len() != 2 || !digits.bytes().all(|octet| octet.is_ascii_hexdigit()) {
            return Err("`%` must be followed by two hexadecimal digits".to_owned());
        }
    }
    Ok(())
}

fn split_authority(rest: &str) -> Result<Authority<'_>, String> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let (userinfo, host_and_port) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(userinfo), host),
        None => (None, authority),
    };
    // The colons of an IPv6 address are inside its brackets.
    let host_end = match host_and_port.strip_prefix('[') {
        Some(literal) => literal.find(']').map(|end| end + 2).ok_or("the `[` of its host has no `]`")?,
        None => host_and_port.find(':').unwrap_or(host_and_port.len()),
    };
    let (host, port) = host_and_port.split_at(host_end);
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port),
        None if port.is_empty() => None,
        None => return Err("only `:port` may follow the host".to_owned()),
    };
    Ok(Authority { userinfo, host, port, behind })
}

fn check_authority(authority: &Authority<'_>) -> Result<(), String> {
    if authority.userinfo.is_some_and(|userinfo| userinfo.contains(['@', '[', ']'])) {
        return Err("`@`, `[` and `]` before the host must be percent-encoded".to_owned());
    }
    if authority.port.is_some_and(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        return Err("its port is not a number from 0 to 65535".to_owned());
    }
    let host = authority.host;
    if let Some(literal) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return literal.parse::<Ipv6Addr>().map(|_| ()).map_err(|_| format!("`{literal}` is not an IPv6 address"));
    }
    if host.is_empty() {
        return Err("the host after `//` is missing".to_owned());
    }
    if host.len() > 253 || host.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err("the labels of its host have 1 to 63 characters, the host at most 253".to_owned());
    }
    // Underscores are no part of host names but of SPIFFE trust domains (SPIFFE-ID §2.1).
    if !host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet)) {
        return Err("its host is neither a host name nor an IP address".to_owned());
    }
    let last = host.rsplit('.').next().unwrap_or(host);
    if last.bytes().all(|octet| octet.is_ascii_digit()) && host.parse::<Ipv4Addr>().is_err() {
        return Err("its host ends in a number but is no IPv4 address".to_owned());
    }
    Ok(())
}

/// SPIFFE-ID §2: `spiffe://trust-domain/segment/…` of `[a-zA-Z0-9._-]` segments, none empty, `.` or `..`.
fn check_spiffe_id(scheme: &str, authority: &Authority<'_>) -> Result<(), String> {
    let upper = |text: &str| text.bytes().any(|octet| octet.is_ascii_uppercase());
    if upper(scheme) || upper(authority.host) {
        return Err("the scheme and trust domain of a SPIFFE ID are lower case".to_owned());
    }
    if authority.userinfo.is_some() || authority.port.is_some() || authority.behind.contains(['?', '#']) {
        return Err("a SPIFFE ID has no user, port, query or fragment".to_owned());
    }
    let is_segment = |segment: &str| {
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(allowed)
    };
    if !authority.behind.is_empty() && !authority.behind.split('/').skip(1).all(is_segment) {
        return Err(
            "the path of a SPIFFE ID is segments of letters, digits, `.`, `-` and `_`, none empty, `.` or `..`"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_absolute_uris_as_written() {
        for (text, host) in [
            ("https://Example.com/a%20b?q=1#f", Some("example.com")),
            ("https://user@example.com:8443/", Some("example.com")),
            ("https://[2001:DB8::1]:80/x", Some("[2001:db8::1]")),
            ("https://192.0.2.1/", Some("192.0.2.1")),
            ("spiffe://trust_domain.example/ns/prod/sa/api", Some("trust_domain.example")),
            ("spiffe://example.org", Some("example.org")),
            ("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", None),
            ("mailto:a@example.com", None),
            ("file:/etc/x", None),
        ] {
            let uri = Uri::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((uri.as_str(), uri.host().as_deref()), (text, host));
        }
    }

    #[test]
    fn refuses_what_is_no_absolute_uri() {
        for text in [
            "",
            "example.com",
            "/a",
            "//example.com/",
            "urn:",
            ":x",
            "1a:x",
            "a b:c",
            "https://",
            "https:///x",
            "https://:80/",
            "https://a b/",
            "https://é.example/",
            "https://example.com/%2",
            "https://example.com/%gg",
            "https://example.com:x/",
            "https://example.com:+80/",
            "https://example.com:65536/",
            "https://[::1/",
            "https://[::1]x/",
            "https://[v1.a]/",
            "https://a..b/",
            "https://1.2.3/",
            "https://a@b@c/",
            "https://example.com/[x]",
            "urn:[x]",
            "urn:a#b#c",
            "https://ex%61mple.com/",
            "urn:a\nb",
            "urn:<x>",
            "urn:a\\b",
        ] {
            assert!(Uri::parse(text).is_err(), "{text:?}");
        }
        assert!(Uri::parse(&format!("urn:{}", "a".repeat(MAX_URI))).is_err());
    }

    #[test]
    fn holds_spiffe_ids_to_their_own_rules() {
        for text in [
            "spiffe:example",
            "Spiffe://example.org/a",
            "spiffe://Example.org/a",
            "spiffe://u@example.org/a",
            "spiffe://example.org:443/a",
            "spiffe://example.org/a?b",
            "spiffe://example.org/a#b",
            "spiffe://example.org/",
            "spiffe://example.org/a/",
            "spiffe://example.org//a",
            "spiffe://example.org/a/../b",
            "spiffe://example.org/a%20b",
        ] {
            assert!(Uri::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics_and_reading_twice_changes_nothing(
            text in "([a-z]{1,3}:)?(//)?[\\[\\]a-z0-9@:/?#%.\\PC]{0,16}",
        ) {
            if let Ok(name) = Uri::parse(&text) {
                prop_assert!(name.as_str().is_ascii());
                prop_assert_eq!(Uri::parse(name.as_str()), Ok(name));
            }
        }
    }
}
