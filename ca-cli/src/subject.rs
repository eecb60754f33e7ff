//! What a NAME on the command line means: a common name, and the subject alternative name that verifiers look at.

use ca_core::name::{DistinguishedName, DnsName, EmailAddress, GeneralName, NameError, Uri};

/// The subject of NAME: `CN=NAME`. `None` where a common name cannot hold it (at most 64 characters, RFC 5280 appendix A.1);
/// the subject alternative name says it then.
pub(crate) fn subject_of(name: &str) -> Result<Option<DistinguishedName>, NameError> {
    if name.chars().count() > LONGEST_COMMON_NAME {
        return Ok(None);
    }
    DistinguishedName::builder().common_name(name).build().map(Some)
}

/// The subject alternative name of NAME: an iPAddress if it is one, a URI if it is one, an rfc822Name if it holds `@`, a
/// dNSName if it is a host name or a single label, else a URI made of it: many verifiers refuse a certificate without any.
pub(crate) fn alternative_name_of(name: &str) -> Result<GeneralName, NameError> {
    if let Ok(address) = name.parse() {
        return Ok(GeneralName::Ip(address));
    }
    if name.contains("://") || name.starts_with("urn:") {
        return Uri::parse(name).map(GeneralName::Uri);
    }
    if name.contains('@') {
        return EmailAddress::parse(name).map(GeneralName::Email);
    }
    if let Ok(dns) = DnsName::parse(name) {
        return Ok(GeneralName::Dns(dns));
    }
    Uri::parse(&format!("{NAME_SPACE}{}", percent_encoded(name))).map(GeneralName::Uri)
}

/// Whether NAME is a host whose certificate would not be good for it, because other names were given. Verifiers look at the
/// alternative names alone (RFC 9525 §6.3). Single labels are often no hosts.
pub(crate) fn is_host_left_out(name: &str, given: &[GeneralName]) -> bool {
    match alternative_name_of(name) {
        Ok(own @ GeneralName::Ip(_)) => !given.contains(&own),
        Ok(GeneralName::Dns(own)) if own.as_str().contains('.') => {
            let covers = |given: &DnsName| {
                let below = own.as_str().split_once('.').map(|(_, domain)| domain);
                let wildcard = given.as_str().strip_prefix("*.");
                *given == own || (wildcard.is_some() && wildcard == below)
            };
            !given.iter().any(|name| matches!(name, GeneralName::Dns(given) if covers(given)))
        }
        _ => false,
    }
}

/// The octets of `text`, all but unreserved characters percent-encoded (RFC 3986 §2.3).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(octet));
        } else {
            encoded.push_str(&format!("%{octet:02X}"));
        }
    }
    encoded
}

const LONGEST_COMMON_NAME: usize = 64;

/// The name space of names that are nothing else.
const NAME_SPACE: &str = "urn:cartorio:name:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_the_alternative_name_it_looks_like() {
        for (name, expected) in [
            ("cliente", "dns:cliente"),
            ("api.example.com", "dns:api.example.com"),
            ("*.example.com", "dns:*.example.com"),
            ("münchen.example", "dns:xn--mnchen-3ya.example"),
            ("ana@example.com", "email:ana@example.com"),
            ("192.0.2.7", "ip:192.0.2.7"),
            ("2001:db8::7", "ip:2001:db8::7"),
            ("spiffe://example.org/web", "uri:spiffe://example.org/web"),
            ("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "uri:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
            ("Ana de Souza", "uri:urn:cartorio:name:Ana%20de%20Souza"),
            ("serviço_1", "uri:urn:cartorio:name:servi%C3%A7o_1"),
        ] {
            assert_eq!(alternative_name_of(name).expect(name).to_string(), expected);
        }
        assert!(alternative_name_of("not an address@").is_err());
    }

    #[test]
    fn a_host_that_its_certificate_is_not_good_for_is_noticed() {
        for (name, given, left_out) in [
            ("api.example.com", vec!["api.internal", "192.0.2.1"], true),
            ("api.example.com", vec!["api.internal", "api.example.com"], false),
            ("api.example.com", vec!["*.example.com"], false),
            ("192.0.2.1", vec!["api.internal"], true),
            ("ana", vec!["ana@example.com"], false),
            ("Ana de Souza", vec!["ana@example.com"], false),
        ] {
            let given: Vec<GeneralName> =
                given.into_iter().map(|text| GeneralName::parse(text).expect("a name")).collect();
            assert_eq!(is_host_left_out(name, &given), left_out, "{name} {given:?}");
        }
    }

    #[test]
    fn a_name_becomes_the_common_name_where_it_fits() {
        let subject = subject_of("Ana de Souza").expect("a name").expect("short");
        assert_eq!(subject.to_string(), "CN=Ana de Souza");
        assert_eq!(subject_of(&"a".repeat(65)), Ok(None));
        assert!(subject_of("").is_err());
    }
}
