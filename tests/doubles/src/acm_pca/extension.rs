//! Extensions as they come into a certificate: object identifier, whether critical, and the octets of the value.

use std::net::IpAddr;

use serde_json::Value;

use super::request::{arguments, items, octets, optional_text, text};
use crate::json_protocol::AwsError;

pub(super) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(super) const KEY_ENCIPHERMENT: u8 = 0x20;

pub(super) const KEY_USAGE: &str = "2.5.29.15";
pub(super) const ALTERNATIVE_NAMES: &str = "2.5.29.17";
pub(super) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(super) const DISTRIBUTION_POINTS: &str = "2.5.29.31";
pub(super) const POLICIES: &str = "2.5.29.32";
pub(super) const PURPOSES: &str = "2.5.29.37";
pub(super) const ACCESS: &str = "1.3.6.1.5.5.7.1.1";

/// An extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) oid: String,
    pub(super) critical: bool,
    pub(super) value: Vec<u8>,
}

impl Extension {
    pub(super) fn new(oid: &str, critical: bool, value: Vec<u8>) -> Self {
        Self { oid: oid.to_owned(), critical, value }
    }

    /// The arcs of its object identifier.
    pub(super) fn arcs(&self) -> Result<Vec<u64>, AwsError> {
        arcs(&self.oid)
    }
}

/// The extensions that a request asks for beside its CSR.
pub(super) fn asked_for(extensions: &Value) -> Result<Vec<Extension>, AwsError> {
    let mut asked = Vec::new();
    if extensions["KeyUsage"].is_object() {
        asked.push(key_usage(key_usage_bits(&extensions["KeyUsage"])));
    }
    let purposes_asked = items(extensions, "ExtendedKeyUsage").iter().map(purpose).collect::<Result<Vec<_>, _>>()?;
    if !purposes_asked.is_empty() {
        asked.push(purposes(&purposes_asked, false)?);
    }
    let policies = items(extensions, "CertificatePolicies")
        .iter()
        .map(|policy| Ok(tlv(0x30, &oid(text(policy, "CertPolicyId")?)?)))
        .collect::<Result<Vec<_>, AwsError>>()?;
    if !policies.is_empty() {
        asked.push(Extension::new(POLICIES, false, tlv(0x30, &policies.concat())));
    }
    let names = items(extensions, "SubjectAlternativeNames").iter().map(general_name).collect::<Result<Vec<_>, _>>()?;
    if !names.is_empty() {
        asked.push(Extension::new(ALTERNATIVE_NAMES, false, tlv(0x30, &names.concat())));
    }
    for custom in items(extensions, "CustomExtensions") {
        let critical = custom["Critical"].as_bool().unwrap_or(false);
        let extension = Extension::new(text(custom, "ObjectIdentifier")?, critical, octets(custom, "Value")?);
        if asked.iter().any(|other| other.oid == extension.oid) {
            return Err(arguments(format!("extension {} is asked for twice", extension.oid)));
        }
        extension.arcs()?;
        asked.push(extension);
    }
    Ok(asked)
}

/// KeyUsage of bits, the first use being the highest of them.
pub(super) fn key_usage(bits: u16) -> Extension {
    let [first, second] = bits.to_be_bytes();
    let unused = |octet: u8| u8::try_from(octet.trailing_zeros().min(7)).unwrap_or(7);
    let content = if second == 0 { vec![unused(first), first] } else { vec![unused(second), first, second] };
    Extension::new(KEY_USAGE, true, tlv(0x03, &content))
}

/// ExtendedKeyUsage of object identifiers.
pub(super) fn purposes<T: AsRef<str>>(oids: &[T], critical: bool) -> Result<Extension, AwsError> {
    let oids = oids.iter().map(|text| oid(text.as_ref())).collect::<Result<Vec<_>, _>>()?;
    Ok(Extension::new(PURPOSES, critical, tlv(0x30, &oids.concat())))
}

/// cRLDistributionPoints of one URL.
pub(super) fn distribution_point(url: &str) -> Extension {
    let name = tlv(0xa0, &tlv(0xa0, &tlv(0x86, url.as_bytes())));
    Extension::new(DISTRIBUTION_POINTS, false, tlv(0x30, &tlv(0x30, &name)))
}

/// AuthorityInfoAccess of one OCSP URL.
pub(super) fn ocsp_access(url: &str) -> Result<Extension, AwsError> {
    let description = [oid("1.3.6.1.5.5.7.48.1")?, tlv(0x86, url.as_bytes())].concat();
    Ok(Extension::new(ACCESS, false, tlv(0x30, &tlv(0x30, &description))))
}

/// basicConstraints of an end entity.
pub(super) fn end_entity(critical: bool) -> Extension {
    Extension::new(BASIC_CONSTRAINTS, critical, tlv(0x30, &[]))
}

fn key_usage_bits(usage: &Value) -> u16 {
    const NAMES: [&str; 9] = [
        "DigitalSignature",
        "NonRepudiation",
        "KeyEncipherment",
        "DataEncipherment",
        "KeyAgreement",
        "KeyCertSign",
        "CRLSign",
        "EncipherOnly",
        "DecipherOnly",
    ];
    let set = NAMES.iter().enumerate().filter(|(_, name)| usage[**name].as_bool() == Some(true));
    set.fold(0, |bits, (place, _)| bits | 0x8000 >> place)
}

fn purpose(asked: &Value) -> Result<String, AwsError> {
    if let Some(oid) = optional_text(asked, "ExtendedKeyUsageObjectIdentifier")? {
        return Ok(oid.to_owned());
    }
    Ok(match text(asked, "ExtendedKeyUsageType")? {
        "SERVER_AUTH" => "1.3.6.1.5.5.7.3.1",
        "CLIENT_AUTH" => "1.3.6.1.5.5.7.3.2",
        "CODE_SIGNING" => "1.3.6.1.5.5.7.3.3",
        "EMAIL_PROTECTION" => "1.3.6.1.5.5.7.3.4",
        "TIME_STAMPING" => "1.3.6.1.5.5.7.3.8",
        "OCSP_SIGNING" => "1.3.6.1.5.5.7.3.9",
        other => return Err(arguments(format!("the double has no purpose {other}"))),
    }
    .to_owned())
}

fn general_name(name: &Value) -> Result<Vec<u8>, AwsError> {
    for (member, tag) in [("DnsName", 0x82), ("Rfc822Name", 0x81), ("UniformResourceIdentifier", 0x86)] {
        if let Some(text) = optional_text(name, member)? {
            return Ok(tlv(tag, text.as_bytes()));
        }
    }
    if let Some(text) = optional_text(name, "IpAddress")? {
        let address: IpAddr = text.parse().map_err(|_| arguments(format!("{text} is no address of the Internet")))?;
        return Ok(match address {
            IpAddr::V4(address) => tlv(0x87, &address.octets()),
            IpAddr::V6(address) => tlv(0x87, &address.octets()),
        });
    }
    Err(arguments(format!("the double has no such name: {name}")))
}

/// The DER of an object identifier.
fn oid(text: &str) -> Result<Vec<u8>, AwsError> {
    let arcs = arcs(text)?;
    let mut content = Vec::new();
    for arc in std::iter::once(arcs[0] * 40 + arcs[1]).chain(arcs[2..].iter().copied()) {
        let mut groups = vec![(arc & 0x7f) as u8];
        let mut left = arc >> 7;
        while left > 0 {
            groups.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        content.extend(groups.iter().rev());
    }
    Ok(tlv(0x06, &content))
}

pub(super) fn arcs(text: &str) -> Result<Vec<u64>, AwsError> {
    let arcs: Option<Vec<u64>> = text.split('.').map(|arc| arc.parse().ok()).collect();
    arcs.filter(|arcs| arcs.len() >= 2 && arcs[0] <= 2 && arcs[1] < 48 && arcs.iter().all(|arc| *arc < 1 << 56))
        .ok_or_else(|| arguments(format!("{text} is no object identifier")))
}

/// Tag, length and content.
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().position(|octet| *octet != 0).unwrap_or(length.len() - 1)..];
    let mut der = vec![tag];
    if content.len() > 127 {
        der.push(0x80 | length.len() as u8);
    }
    der.extend_from_slice(length);
    der.extend_from_slice(content);
    der
}
