//! Name constraints of a CA certificate (RFC 5280 §4.2.1.10): what they are, as text and as DER, and whether names obey.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

use super::{DistinguishedName, DnsName, EmailAddress, GeneralName, NameError};

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
    /// dNSName: the domain itself and what ends in it.
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
        /// Length of the prefix in bits, 0 to 32 or 128.
        prefix: u8,
    },
    /// directoryName: names that begin with these RDNs.
    Directory(DistinguishedName),
}

/// A host or domain, as a constraint names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// Every name: the empty string.
    Any,
    /// `example.org`
    Host(DnsName),
    /// `.example.org`: at least one label before it.
    Below(DnsName),
}

impl Subtree {
    /// Reads `dns:example.org`, `email:…`, `uri:…`, `ip:10.0.0.0/8` or `dirname:O=Example,C=BR`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Err(NameError::new("name constraint", text, "not yet read"))
    }
}

impl fmt::Display for Subtree {
    /// As [`Subtree::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl NameConstraints {
    /// Whether nothing is constrained; the extension is left out then.
    pub fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.excluded.is_empty()
    }

    /// The DER of the extension's value; `None` when nothing is constrained (RFC 5280 forbids the empty sequence).
    pub fn to_der(&self) -> Option<Vec<u8>> {
        None
    }

    /// Reads the DER of the extension's value.
    pub fn from_der(der: &[u8]) -> Result<Self, NameError> {
        Err(NameError::new("name constraints", &hex::encode(der), "not yet read"))
    }

    /// Judges a subject and its alternative names; every violation is told.
    pub fn check(&self, subject: &DistinguishedName, names: &[GeneralName]) -> Result<(), Vec<ConstraintViolation>> {
        if self.is_empty() || (subject.is_empty() && names.is_empty()) {
            return Ok(());
        }
        Err(vec![ConstraintViolation::Unjudgeable { name: subject.to_string(), why: "not yet judged".to_owned() }])
    }
}

/// A name that breaks its issuer's constraints.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConstraintViolation {
    /// In none of the permitted subtrees of its kind.
    #[error("`{name}` is outside what the issuer may certify: {permitted}")]
    NotPermitted {
        /// The name, typed.
        name: String,
        /// The permitted subtrees of its kind.
        permitted: String,
    },
    /// In an excluded subtree.
    #[error("`{name}` is inside `{excluded}`, which the issuer must not certify")]
    Excluded {
        /// The name, typed.
        name: String,
        /// The subtree it lies in.
        excluded: String,
    },
    /// Its kind is constrained, but it has no part to compare (a URI without a host).
    #[error("`{name}` cannot be held against the issuer's name constraints: {why}")]
    Unjudgeable {
        /// The name, typed.
        name: String,
        /// Why.
        why: String,
    },
}
