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

/// The subject alternative names of NAME when some are `given`. None given: NAME's own. A NAME that is a host joins them (a
/// server's certificate that is not good for the server's name helps nobody), a single label only among other hosts: beside an
/// e-mail address it is somebody's name.
pub(crate) fn alternative_names_of(name: &str, given: &[GeneralName]) -> Result<Vec<GeneralName>, NameError> {
    if given.is_empty() {
        return alternative_name_of(name).map(|own| vec![own]);
    }
    // What is no name of any kind by itself need not be one: there are others.
    let Ok(own) = alternative_name_of(name) else { return Ok(given.to_vec()) };
    let is_host = |name: &GeneralName| matches!(name, GeneralName::Dns(_) | GeneralName::Ip(_));
    let joins = match &own {
        GeneralName::Ip(_) => true,
        GeneralName::Dns(dns) => dns.as_str().contains('.') || given.iter().all(is_host),
        _ => false,
    };
    let own = Some(own).filter(|own| joins && !given.contains(own));
    Ok(own.into_iter().chain(given.iter().cloned()).collect())
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
    fn a_host_joins_the_names_that_are_given() {
        for (name, given, expected) in [
            ("api.example.com", vec!["api.internal", "192.0.2.1"], "dns:api.example.com dns:api.internal ip:192.0.2.1"),
            ("api.example.com", vec!["spiffe://example.org/api"], "dns:api.example.com uri:spiffe://example.org/api"),
            ("api.example.com", vec!["api.internal", "api.example.com"], "dns:api.internal dns:api.example.com"),
            ("192.0.2.1", vec!["api.internal"], "ip:192.0.2.1 dns:api.internal"),
            ("localhost", vec!["127.0.0.1"], "dns:localhost ip:127.0.0.1"),
            ("ana", vec!["ana@example.com"], "email:ana@example.com"),
            ("Ana de Souza", vec!["ana@example.com"], "email:ana@example.com"),
            ("ana", vec![], "dns:ana"),
        ] {
            let given: Vec<GeneralName> =
                given.into_iter().map(|text| GeneralName::parse(text).expect("a name")).collect();
            let names = alternative_names_of(name, &given).expect(name);
            let shown: Vec<String> = names.iter().map(ToString::to_string).collect();
            assert_eq!(shown.join(" "), expected);
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
