//! Name constraints of a CA certificate (RFC 5280 §4.2.1.10): what they are, and as text.
//!
//! Their DER is in `der_form`; whether names obey them is decided in `check`.

mod check;
mod der_form;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

pub use check::ConstraintViolation;

use super::{DistinguishedName, DnsName, EmailAddress, GeneralName, NameError};

const KIND: &str = "name constraint";

/// The name constraints of a CA: every name of a kind that `permitted` mentions must lie in one of its subtrees of that
/// kind, and none may lie in one of `excluded`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameConstraints {
    /// permittedSubtrees
    pub permitted: Vec<Subtree>,
    /// excludedSubtrees
    pub excluded: Vec<Subtree>,
}

/// A set of names of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subtree {
    /// dNSName: a domain itself and what ends in it.
    Dns(Domain),
    /// rfc822Name: one mailbox.
    EmailMailbox(EmailAddress),
    /// rfc822Name: every mailbox of a host, or of the hosts inside a domain (`.example.org`).
    EmailDomain(Domain),
    /// uniformResourceIdentifier: a host, or the hosts inside a domain (`.example.org`).
    UriHost(Domain),
    /// iPAddress: a network.
    Ip {
        /// Its first address; bits behind the prefix are zero.
        network: IpAddr,
        /// Length of the prefix in bits, 0 to 32 or 128; more counts as that.
        prefix: u8,
    },
    /// directoryName: names that begin with these RDNs; of the empty name, every name.
    Directory(DistinguishedName),
}

/// A host or domain, as a constraint names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// Every name: the empty string.
    Any,
    /// `example.org`: this host; in a DNS constraint, what ends in it, too.
    Host(DnsName),
    /// `.example.org`: at least one label before it. RFC 5280 knows this for e-mail and URIs; in DNS constraints it is
    /// read because some CAs write it, and means the same (as OpenSSL and Go take it).
    Below(DnsName),
}

impl Subtree {
    /// Reads one of
    ///
    /// | text | names |
    /// |---|---|
    /// | `dns:example.org` | example.org and what ends in it; `dns:` alone: every DNS name |
    /// | `email:ana@example.org` | one mailbox |
    /// | `email:example.org`, `email:.example.org` | mailboxes of that host, of hosts below it; `email:` alone: all |
    /// | `uri:example.org`, `uri:.example.org` | URIs of that host, of hosts below it |
    /// | `ip:10.0.0.0/8` | a network, bits behind the prefix zero; without `/`: one address |
    /// | `dirname:O=Example,C=BR` | names that begin with these RDNs (in DER order); `dirname:` alone: every name |
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fault = |why: &str| NameError::new(KIND, text, why);
        let Some((kind, value)) = text.split_once(':') else {
            return Err(fault("it has no type; write dns:example.org, ip:10.0.0.0/8, email:…, uri:… or dirname:…"));
        };
        match kind.to_ascii_lowercase().as_str() {
            "dns" if value.starts_with('.') => {
                Err(fault("a DNS constraint covers what is below it anyway; leave out the dot at the start"))
            }
            "dns" => Domain::parse(value).map(Self::Dns),
            "email" => Self::parse_email(value),
            "uri" => Self::parse_uri(value),
            "ip" => parse_network(value).map_err(|why| fault(&why)),
            "dirname" | "directoryname" => DistinguishedName::from_rfc4514(value).map(Self::Directory),
            _ => Err(fault("only dns, email, uri, ip and dirname can be constrained")),
        }
    }

    /// The forms of RFC 5280 §4.2.1.10: a mailbox, a host, or a domain with a dot before it.
    fn parse_email(value: &str) -> Result<Self, NameError> {
        if value.contains('@') {
            EmailAddress::parse(value).map(Self::EmailMailbox)
        } else {
            Domain::parse(value).map(Self::EmailDomain)
        }
    }

    fn parse_uri(value: &str) -> Result<Self, NameError> {
        if value.is_empty() {
            // RFC 5280 knows no empty URI constraint, and OpenSSL matches nothing with it.
            return Err(NameError::new(KIND, value, "a URI constraint names a host, or a domain with a dot before it"));
        }
        if value.contains([':', '/', '[']) {
            return Err(NameError::new(
                KIND,
                value,
                "a URI constraint is a host name only: no scheme, port, path or address",
            ));
        }
        Domain::parse(value).map(Self::UriHost)
    }
}

impl Domain {
    /// Reads `example.org`, `.example.org` or the empty string.
    fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Ok(Self::Any);
        }
        let (name, below) = match text.strip_prefix('.') {
            Some(name) => (DnsName::parse(name)?, true),
            None => (DnsName::parse(text)?, false),
        };
        if name.is_wildcard() {
            return Err(NameError::new(
                KIND,
                text,
                "a constraint has no wildcard; write the domain below which names may lie",
            ));
        }
        Ok(if below { Self::Below(name) } else { Self::Host(name) })
    }
}

fn parse_network(text: &str) -> Result<Subtree, String> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| "write a network such as 10.0.0.0/8 or 2001:db8::/32")?;
    let bits = address_bits(address);
    let prefix: u8 = match prefix {
        Some(digits) if !digits.starts_with('+') => digits.parse().ok().filter(|prefix| *prefix <= bits),
        Some(_) => None,
        None => Some(bits),
    }
    .ok_or_else(|| format!("the length of the prefix is a number from 0 to {bits}"))?;
    let network = first_address(address, prefix);
    if network != address {
        return Err(format!("bits are set behind the prefix; the network is {network}/{prefix}"));
    }
    Ok(Subtree::Ip { network, prefix })
}

/// How many bits an address has.
fn address_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with the bits behind the prefix cleared.
fn first_address(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & mask_v4(prefix)).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & mask_v6(prefix)).into()),
    }
}

fn mask_v4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(u32::from(prefix))).unwrap_or(0)
}

fn mask_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(u32::from(prefix))).unwrap_or(0)
}

impl NameConstraints {
    /// Whether nothing is constrained; the extension is left out then.
    pub fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.excluded.is_empty()
    }

    /// The DER of the extension's value, to be marked critical; `None` when nothing is constrained (RFC 5280 forbids
    /// the empty sequence).
    pub fn to_der(&self) -> Option<Vec<u8>> {
        der_form::encode(self)
    }

    /// Reads the DER of the extension's value, at most 65,536 octets. Refused, since they could not be enforced: kinds
    /// other than those of [`Subtree`], `minimum` and `maximum` (RFC 5280 forbids them), and masks with holes.
    pub fn from_der(der: &[u8]) -> Result<Self, NameError> {
        der_form::decode(der)
    }

    /// Judges a subject and its alternative names; every violation is told. As RFC 5280 §4.2.1.10 asks, a non-empty
    /// subject counts as a directoryName, and its emailAddress attributes count as rfc822Names (here whether or not
    /// there are others). A common name that reads as a host name with a dot counts as a dNSName when there is none (as
    /// OpenSSL does, which would refuse the certificate otherwise). A wildcard must lie wholly in a permitted subtree
    /// and may not touch an excluded one. Kinds that are not constrained pass.
    pub fn check(&self, subject: &DistinguishedName, names: &[GeneralName]) -> Result<(), Vec<ConstraintViolation>> {
        check::check(self, subject, names)
    }
}

impl fmt::Display for Subtree {
    /// As [`Subtree::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(domain) => write!(f, "dns:{domain}"),
            Self::EmailMailbox(address) => write!(f, "email:{address}"),
            Self::EmailDomain(domain) => write!(f, "email:{domain}"),
            Self::UriHost(domain) => write!(f, "uri:{domain}"),
            Self::Ip { network, prefix } => write!(f, "ip:{network}/{prefix}"),
            Self::Directory(name) => write!(f, "dirname:{}", name.to_exact_rfc4514()),
        }
    }
}

impl fmt::Display for Domain {
    /// `example.org`, `.example.org` or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Host(name) => name.fmt(f),
            Self::Below(name) => write!(f, ".{name}"),
        }
    }
}
