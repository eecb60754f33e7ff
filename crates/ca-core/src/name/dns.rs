//! DNS names as certificates carry them (RFC 5280 §4.2.1.6, RFC 9525 §2): LDH labels, lower case, A-labels for IDNs.

use std::fmt;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use super::NameError;

const KIND: &str = "DNS name";

/// The longest name in its text form (RFC 1035 §2.3.4: 255 octets with length octets and the root).
const MAX_NAME: usize = 253;
/// The longest label (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// A lower-case DNS name in A-label form, possibly a single label, possibly with a leading `*.` wildcard label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// Reads a name typed by a person or taken from a CSR: upper case and U-labels are mapped (IDNA 2008, UTS 46
    /// non-transitional), A-labels are checked. The result has labels of 1 to 63 letters, digits and inner hyphens (RFC
    /// 5280 §4.2.1.6 "preferred name syntax"; no underscore), at most 253 octets, and no dot at its end. `*` may be the
    /// whole first label of a longer name. A name whose last label is a number is refused: clients take it for an IPv4
    /// address.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fault = |why: &str| NameError::new(KIND, text, why);
        if text.is_empty() {
            return Err(fault("it is empty; write a host name such as api.example.com"));
        }
        if text.len() > 4 * MAX_NAME {
            return Err(fault("it is longer than 253 octets"));
        }
        if text.ends_with('.') {
            return Err(fault("names in certificates have no dot at the end (RFC 5280 §4.2.1.6); leave it out"));
        }
        let (wildcard, host) = match text.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, text),
        };
        if host.contains('*') {
            return Err(fault("`*` may only be the whole first label, as in *.example.com"));
        }
        let host = to_a_labels(host).map_err(|why| fault(&why))?;
        let name = if wildcard { format!("*.{host}") } else { host };
        if name.len() > MAX_NAME {
            return Err(fault("it is longer than 253 octets"));
        }
        Ok(Self(name))
    }

    /// The name as encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the first label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The labels, the leftmost first, a wildcard's `*` included.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether this name is `domain` itself or ends in it at a label (RFC 5280 §4.2.1.10: "adding zero or more labels
    /// to the left-hand side").
    pub fn is_within(&self, domain: &Self) -> bool {
        self.0 == domain.0 || self.is_below(domain)
    }

    /// Whether this name is `domain` with at least one label more.
    pub fn is_below(&self, domain: &Self) -> bool {
        self.0.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The A-label form of a name without wildcard, or what is wrong with it.
fn to_a_labels(host: &str) -> Result<String, String> {
    // Labels are judged below, where the fault can be told; UTS 46 only maps, decodes and validates IDNs here.
    // ASCII names pass too: their `xn--` labels must decode to what IDNA allows.
    let mapped = Uts46::new()
        .to_ascii(host.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore)
        .map_err(|_| "it holds characters or an `xn--` label that IDNA does not allow (UTS 46)".to_owned())?
        .into_owned();
    for label in mapped.split('.') {
        check_label(label)?;
    }
    // The WHATWG URL standard's "ends in a number": clients parse such a host as an IPv4 address.
    let last = mapped.rsplit('.').next().unwrap_or(&mapped);
    let hexadecimal =
        last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|octet| octet.is_ascii_hexdigit()));
    if hexadecimal || last.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err("its last label is a number, so clients take it for an IP address; write an address as ip:ADDRESS"
            .to_owned());
    }
    Ok(mapped)
}

/// Refuses what is no LDH label (RFC 5890 §2.3.1).
fn check_label(label: &str) -> Result<(), String> {
    if label.is_empty() {
        return Err("it has an empty label: two dots in a row, or one at the start".to_owned());
    }
    if label.len() > MAX_LABEL {
        return Err(format!("a label of {} octets is longer than {MAX_LABEL}", label.len()));
    }
    if label.contains('_') {
        return Err("host names have no underscore (RFC 5280 §4.2.1.6); use a hyphen".to_owned());
    }
    if let Some(other) = label.chars().find(|character| !character.is_ascii_alphanumeric() && *character != '-') {
        return Err(format!("labels are letters, digits and hyphens; `{}` is none of them", other.escape_debug()));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(format!("the label `{label}` begins or ends with a hyphen"));
    }
    // RFC 5891 §4.2.3.1, of the U-label, whose hyphens the A-label hides. ASCII labels such as `r3---sn` are left alone.
    if label.starts_with("xn--")
        && Uts46::new().to_unicode(label.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Check).1.is_err()
    {
        return Err(format!(
            "the IDN that `{label}` stands for has a hyphen at an end, or two in third and fourth place"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn maps_to_lower_case_and_a_labels() {
        for (given, encoded) in [
            ("API.Example.COM", "api.example.com"),
            ("münchen.example", "xn--mnchen-3ya.example"),
            ("São-Paulo.example", "xn--so-paulo-rza.example"),
            ("faß.de", "xn--fa-hia.de"),
            ("xn--fa-hia.de", "xn--fa-hia.de"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("ＡＰＩ.example", "api.example"),
            ("cliente", "cliente"),
            ("*.example.com", "*.example.com"),
            ("*.example", "*.example"),
            ("*.MÜNCHEN.example", "*.xn--mnchen-3ya.example"),
            ("r3---sn.example", "r3---sn.example"),
            ("1.2.3.4.example", "1.2.3.4.example"),
            ("4gateway", "4gateway"),
        ] {
            assert_eq!(DnsName::parse(given).map(|name| name.to_string()), Ok(encoded.to_owned()), "{given}");
        }
    }

    #[test]
    fn refuses_what_is_no_host_name() {
        for text in [
            "",
            ".",
            "example.com.",
            ".example.com",
            "a..b",
            "*",
            "*.",
            "*.*.example.com",
            "f*.example.com",
            "a.*.com",
            "*example.com",
            "＊.example.com",
            "_dmarc.example.com",
            "a b.example",
            " example.com",
            "-a.example",
            "a-.example",
            "1.2.3.4",
            "１.2.3.4",
            "127.1",
            "*.1.2.3",
            "2130706433",
            "0x7f.0x1",
            "0x",
            "::1",
            "[::1]",
            "a@b",
            "a/b",
            "a:80",
            "xn--a",
            "xn--abc-.example",
            "-어b.example",
            "어b-.example",
            "xn---b-iw7j.example",
            "9ü--z.example",
            "a\0b",
            "a\u{202e}b.example",
            "a\u{ad}\u{ad}..b",
            "\u{ad}",
        ] {
            assert!(DnsName::parse(text).is_err(), "{text:?} gave {:?}", DnsName::parse(text));
        }
    }

    #[test]
    fn limits_labels_and_names() {
        let label = "a".repeat(63);
        assert!(DnsName::parse(&label).is_ok());
        assert!(DnsName::parse(&format!("a{label}")).is_err());
        let long = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert_eq!(DnsName::parse(&long).map(|name| name.as_str().len()), Ok(253));
        assert!(DnsName::parse(&format!("{long}b")).is_err());
        assert!(DnsName::parse(&format!("*.{long}")).is_err());
    }

    #[test]
    fn says_what_would_be_right() {
        let why = |text| DnsName::parse(text).expect_err("refused").why;
        assert!(why("example.com.").contains("leave it out"));
        assert!(why("10.0.0.1").contains("ip:ADDRESS"));
        assert!(why("a_b.example").contains("hyphen"));
        assert!(why("f*.example").contains("*.example.com"));
    }

    #[test]
    fn lies_within_a_domain_at_labels_only() {
        let name = |text| DnsName::parse(text).expect("valid");
        assert!(name("a.example.org").is_within(&name("example.org")));
        assert!(name("example.org").is_within(&name("example.org")));
        assert!(!name("example.org").is_below(&name("example.org")));
        assert!(!name("badexample.org").is_within(&name("example.org")));
        assert!(!name("org").is_within(&name("example.org")));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics_and_reading_twice_changes_nothing(
            text in "(\\*\\.)?([\\PCA-Za-z0-9._-]{1,8}\\.){0,3}[\\PCa-z0-9-]{0,8}",
        ) {
            if let Ok(name) = DnsName::parse(&text) {
                prop_assert!(name.as_str().is_ascii());
                prop_assert_eq!(DnsName::parse(name.as_str()), Ok(name));
            }
        }
    }
}
