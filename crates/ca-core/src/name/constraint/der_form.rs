//! The DER of name constraints (RFC 5280 §4.2.1.10, appendix A.2).

use std::borrow::Cow;
use std::net::IpAddr;

use super::{Domain, KIND, NameConstraints, Subtree, first_address, mask_v4, mask_v6};
use crate::name::{DistinguishedName, NameError, string};
use crate::tlv::{self, Element, Reader, tag};

/// The longest extension value that is read, in octets.
const MAX_DER: usize = 64 * 1024;

const PERMITTED: u8 = tag::context_constructed(0);
const EXCLUDED: u8 = tag::context_constructed(1);

const RFC822_NAME: u8 = tag::context(1);
const DNS_NAME: u8 = tag::context(2);
const DIRECTORY_NAME: u8 = tag::context_constructed(4);
const URI: u8 = tag::context(6);
const IP_ADDRESS: u8 = tag::context(7);

pub(super) fn encode(constraints: &NameConstraints) -> Option<Vec<u8>> {
    if constraints.is_empty() {
        return None;
    }
    let mut content = Vec::new();
    for (tag, subtrees) in [(PERMITTED, &constraints.permitted), (EXCLUDED, &constraints.excluded)] {
        if !subtrees.is_empty() {
            tlv::append(&mut content, tag, &subtrees.iter().flat_map(encode_subtree).collect::<Vec<u8>>());
        }
    }
    Some(tlv::element(tag::SEQUENCE, &content))
}

/// GeneralSubtree; `minimum` is 0, its default, and so left out.
fn encode_subtree(subtree: &Subtree) -> Vec<u8> {
    let base = match subtree {
        Subtree::Dns(domain) => tlv::element(DNS_NAME, domain.to_string().as_bytes()),
        Subtree::EmailMailbox(address) => tlv::element(RFC822_NAME, address.as_str().as_bytes()),
        Subtree::EmailDomain(domain) => tlv::element(RFC822_NAME, domain.to_string().as_bytes()),
        Subtree::UriHost(domain) => tlv::element(URI, domain.to_string().as_bytes()),
        Subtree::Ip { network, prefix } => tlv::element(IP_ADDRESS, &address_and_mask(*network, *prefix)),
        Subtree::Directory(name) => tlv::element(DIRECTORY_NAME, name.as_der()),
    };
    tlv::element(tag::SEQUENCE, &base)
}

/// RFC 5280 §4.2.1.10: 8 or 32 octets, the mask behind the address (RFC 4632).
fn address_and_mask(network: IpAddr, prefix: u8) -> Vec<u8> {
    match network {
        IpAddr::V4(address) => [address.octets(), mask_v4(prefix).to_be_bytes()].concat(),
        IpAddr::V6(address) => [address.octets(), mask_v6(prefix).to_be_bytes()].concat(),
    }
}

pub(super) fn decode(der: &[u8]) -> Result<NameConstraints, NameError> {
    let fault = |why: String| NameError::of_octets("name constraints extension", der, why);
    if der.len() > MAX_DER {
        return Err(fault(format!("it is longer than {MAX_DER} octets")));
    }
    let mut parts = Reader::only(der, tag::SEQUENCE).map_err(|error| fault(error.to_string()))?.reader();
    let mut constraints = NameConstraints::default();
    for (tag, subtrees) in [(PERMITTED, &mut constraints.permitted), (EXCLUDED, &mut constraints.excluded)] {
        if let Some(list) = parts.optional(tag).map_err(|error| fault(error.to_string()))? {
            let mut list = list.reader();
            // GeneralSubtrees ::= SEQUENCE SIZE (1..MAX) OF GeneralSubtree
            if list.is_empty() {
                return Err(fault("a list of subtrees is empty".to_owned()));
            }
            while !list.is_empty() {
                let subtree = list.take(tag::SEQUENCE).map_err(|error| fault(error.to_string()))?;
                subtrees.push(decode_subtree(&subtree).map_err(|why| fault(why.to_string()))?);
            }
        }
    }
    parts.finish().map_err(|error| fault(error.to_string()))?;
    if constraints.is_empty() {
        return Err(fault("it constrains nothing (RFC 5280 §4.2.1.10)".to_owned()));
    }
    Ok(constraints)
}

fn decode_subtree(subtree: &Element<'_>) -> Result<Subtree, NameError> {
    let fault = |why: String| NameError::of_octets(KIND, subtree.whole, why);
    let mut parts = subtree.reader();
    let base = parts.any().map_err(|error| fault(error.to_string()))?;
    if !parts.is_empty() {
        return Err(fault("it has a minimum or maximum, which RFC 5280 §4.2.1.10 forbids".to_owned()));
    }
    match base.tag {
        DNS_NAME => Domain::parse(&ia5(&base)?).map(Subtree::Dns),
        RFC822_NAME => Subtree::parse_email(&ia5(&base)?),
        URI => Subtree::parse_uri(&ia5(&base)?),
        IP_ADDRESS => decode_network(base.content).map_err(|why| fault(why.to_owned())),
        DIRECTORY_NAME => DistinguishedName::from_der(base.content).map(Subtree::Directory),
        other => Err(fault(format!("names of tag 0x{other:02x} cannot be constrained here"))),
    }
}

fn decode_network(octets: &[u8]) -> Result<Subtree, &'static str> {
    const HOLES: &str = "the mask of a network has holes (RFC 4632)";
    let (address, prefix) = if let Ok(octets) = <[u8; 8]>::try_from(octets) {
        let number = u64::from_be_bytes(octets);
        let (address, mask) = ((number >> 32) as u32, number as u32);
        let prefix = leading_ones(mask.leading_ones(), |prefix| mask_v4(prefix) == mask).ok_or(HOLES)?;
        (IpAddr::V4(address.into()), prefix)
    } else if let Ok(octets) = <[u8; 32]>::try_from(octets) {
        let (address, mask) = octets.split_at(16);
        let number = |octets: &[u8]| octets.iter().fold(0_u128, |number, octet| number << 8 | u128::from(*octet));
        let (address, mask) = (number(address), number(mask));
        let prefix = leading_ones(mask.leading_ones(), |prefix| mask_v6(prefix) == mask).ok_or(HOLES)?;
        (IpAddr::V6(address.into()), prefix)
    } else {
        return Err("a network has 8 or 32 octets (RFC 5280 §4.2.1.10)");
    };
    Ok(Subtree::Ip { network: first_address(address, prefix), prefix })
}

/// The number of leading ones as a prefix, when its mask is the one given.
fn leading_ones(ones: u32, is_the_mask: impl Fn(u8) -> bool) -> Option<u8> {
    u8::try_from(ones).ok().filter(|prefix| is_the_mask(*prefix))
}

/// The text of an IMPLICIT IA5String.
fn ia5<'a>(base: &Element<'a>) -> Result<Cow<'a, str>, NameError> {
    string::decode_ia5(base.content).map_err(|why| NameError::of_octets(KIND, base.whole, why))
}
