//! The DER of general names (RFC 5280 §4.2.1.6, appendix A.2).

use std::borrow::Cow;
use std::net::IpAddr;

use super::{GeneralName, KIND, text};
use crate::name::{DistinguishedName, DnsName, EmailAddress, NameError, Uri, string};
use crate::oid;
use crate::tlv::{self, Element, Reader, tag};

/// The longest GeneralNames that are read, in octets.
const MAX_DER: usize = 64 * 1024;

/// The numbers of the CHOICE. Tags are IMPLICIT there, but a CHOICE inside (Name) and ANY are tagged explicitly.
const OTHER_NAME: u8 = tag::context_constructed(0);
const RFC822_NAME: u8 = tag::context(1);
const DNS_NAME: u8 = tag::context(2);
const X400_ADDRESS: u8 = tag::context_constructed(3);
const DIRECTORY_NAME: u8 = tag::context_constructed(4);
const EDI_PARTY_NAME: u8 = tag::context_constructed(5);
const URI: u8 = tag::context(6);
const IP_ADDRESS: u8 = tag::context(7);
const REGISTERED_ID: u8 = tag::context(8);

pub(super) fn encode(name: &GeneralName) -> Vec<u8> {
    match name {
        GeneralName::Other { type_id, value } => {
            let mut content = tlv::element(tag::OBJECT_IDENTIFIER, type_id.as_bytes());
            tlv::append(&mut content, tag::context_constructed(0), value);
            tlv::element(OTHER_NAME, &content)
        }
        GeneralName::Email(address) => tlv::element(RFC822_NAME, address.as_str().as_bytes()),
        GeneralName::Dns(name) => tlv::element(DNS_NAME, name.as_str().as_bytes()),
        GeneralName::Directory(name) => tlv::element(DIRECTORY_NAME, name.as_der()),
        GeneralName::Uri(uri) => tlv::element(URI, uri.as_str().as_bytes()),
        GeneralName::Ip(IpAddr::V4(address)) => tlv::element(IP_ADDRESS, &address.octets()),
        GeneralName::Ip(IpAddr::V6(address)) => tlv::element(IP_ADDRESS, &address.octets()),
        GeneralName::RegisteredId(oid) => tlv::element(REGISTERED_ID, oid.as_bytes()),
    }
}

pub(super) fn encode_all(names: &[GeneralName]) -> Vec<u8> {
    let mut der = Vec::new();
    tlv::append_nested(&mut der, tag::SEQUENCE, |list| {
        for name in names {
            list.extend_from_slice(&encode(name));
        }
    });
    der
}

pub(super) fn decode(der: &[u8]) -> Result<GeneralName, NameError> {
    let mut reader = Reader::new(der);
    let element = reader.any().and_then(|element| reader.finish().map(|()| element));
    decode_element(&element.map_err(|error| NameError::of_octets(KIND, der, error.to_string()))?)
}

pub(super) fn decode_all(der: &[u8]) -> Result<Vec<GeneralName>, NameError> {
    let fault = |why: String| NameError::of_octets("list of subject alternative names", der, why);
    if der.len() > MAX_DER {
        return Err(fault(format!("it is longer than {MAX_DER} octets")));
    }
    let mut reader = Reader::only(der, tag::SEQUENCE).map_err(|error| fault(error.to_string()))?.reader();
    // GeneralNames ::= SEQUENCE SIZE (1..MAX) OF GeneralName
    if reader.is_empty() {
        return Err(fault("it is empty; leave the extension out then (RFC 5280 §4.2.1.6)".to_owned()));
    }
    let mut names = Vec::new();
    while !reader.is_empty() {
        names.push(decode_element(&reader.any().map_err(|error| fault(error.to_string()))?)?);
    }
    Ok(names)
}

fn decode_element(element: &Element<'_>) -> Result<GeneralName, NameError> {
    let fault = |kind: &'static str, why: String| NameError::of_octets(kind, element.whole, why);
    match element.tag {
        OTHER_NAME => decode_other(element).map_err(|why| fault("otherName", why)),
        RFC822_NAME => EmailAddress::parse(&ia5(element)?).map(GeneralName::Email),
        DNS_NAME => DnsName::parse(&ia5(element)?).map(GeneralName::Dns),
        DIRECTORY_NAME => {
            let name = DistinguishedName::from_der(element.content)?;
            if name.is_empty() {
                Err(fault("directoryName", "it is empty".to_owned()))
            } else {
                Ok(GeneralName::Directory(name))
            }
        }
        URI => Uri::parse(&ia5(element)?).map(GeneralName::Uri),
        IP_ADDRESS => decode_ip(element.content).map_err(|why| fault("iPAddress", why)).map(GeneralName::Ip),
        REGISTERED_ID => {
            let oid = oid::read(element.content).map_err(|error| fault("registeredID", error.to_string()))?;
            Ok(GeneralName::RegisteredId(oid))
        }
        X400_ADDRESS => Err(fault(KIND, "x400Address is not supported".to_owned())),
        EDI_PARTY_NAME => Err(fault(KIND, "ediPartyName is not supported".to_owned())),
        other => Err(fault(KIND, format!("tag 0x{other:02x} is none of a GeneralName"))),
    }
}

/// `OtherName ::= SEQUENCE { type-id OBJECT IDENTIFIER, value [0] EXPLICIT ANY }`
fn decode_other(element: &Element<'_>) -> Result<GeneralName, String> {
    let mut parts = element.reader();
    let type_id =
        parts.take(tag::OBJECT_IDENTIFIER).and_then(|oid| oid::read(oid.content)).map_err(|error| error.to_string())?;
    let value = parts.take(tag::context_constructed(0)).map_err(|error| error.to_string())?.content;
    parts.finish().map_err(|error| error.to_string())?;
    text::check_value(value)?;
    Ok(GeneralName::Other { type_id, value: value.to_vec() })
}

fn decode_ip(octets: &[u8]) -> Result<IpAddr, String> {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        return Ok(IpAddr::from(four));
    }
    if let Ok(sixteen) = <[u8; 16]>::try_from(octets) {
        return Ok(IpAddr::from(sixteen));
    }
    Err(format!("an address has 4 or 16 octets, this one has {} (RFC 5280 §4.2.1.6)", octets.len()))
}

/// The text of an IMPLICIT IA5String.
fn ia5<'a>(element: &Element<'a>) -> Result<Cow<'a, str>, NameError> {
    string::decode_ia5(element.content).map_err(|why| NameError::of_octets(KIND, element.whole, why))
}
