//! The rules a profile is made of: plain values, without judgement (that is [`crate::policy`]'s).

use std::net::IpAddr;

use const_oid::ObjectIdentifier;

use crate::name::{DistinguishedName, DnsName};
use crate::time::Lifetime;

/// How long a certificate lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityRules {
    /// Where the asker names none; cut short at the issuer's end.
    pub default: Lifetime,
    /// The longest that may be asked for.
    pub maximum: Lifetime,
}

/// What a subject may be.
#[derive(Clone, Debug, PartialEq)]
pub struct SubjectRules {
    /// Whether the CSR's subject is taken where the request names none.
    pub from_csr: bool,
    /// Attribute types that must be there.
    pub required: Vec<ObjectIdentifier>,
    /// Attribute types that may be there besides.
    pub optional: Vec<ObjectIdentifier>,
    /// Attributes that every subject begins with; the asker gives none of these types.
    pub fixed: Option<DistinguishedName>,
    /// What a common name may be.
    pub common_name: CommonNameRule,
    /// The most attributes a subject may have, the fixed ones included.
    pub maximum_attributes: usize,
}

/// What a common name may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommonNameRule {
    /// Anything.
    Any,
    /// The text of one of the subject alternative names.
    OneOfNames,
}

/// What the subject alternative names may be; a kind without a rule is refused.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct NameRules {
    /// Whether the CSR's names are taken where the request names none.
    pub from_csr: bool,
    /// Whether at least one name must be there.
    pub required: bool,
    /// The most names of all kinds.
    pub maximum: usize,
    /// dNSName
    pub dns: Option<DnsRule>,
    /// iPAddress
    pub ip: Option<IpRule>,
    /// rfc822Name
    pub email: Option<EmailRule>,
    /// uniformResourceIdentifier
    pub uri: Option<UriRule>,
    /// otherName
    pub other: Option<OtherNameRule>,
    /// directoryName
    pub directory: Option<DirectoryRule>,
    /// registeredID
    pub registered_id: Option<RegisteredIdRule>,
}

/// How many names of a kind: at least, at most.
pub type Count = std::ops::RangeInclusive<usize>;

/// DNS names.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsRule {
    /// How many.
    pub count: Count,
    /// Whether the first label may be `*`.
    pub wildcards: bool,
    /// Whether names of one label (`localhost`) may be there.
    pub single_labels: bool,
    /// The domains; empty means all.
    pub within: Vec<DomainRule>,
}

/// A domain that names must lie in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainRule {
    /// `example.org`: the domain itself and every name below it.
    AtOrBelow(DnsName),
    /// `.example.org`: only names below it.
    Below(DnsName),
}

/// IP addresses.
#[derive(Clone, Debug, PartialEq)]
pub struct IpRule {
    /// How many.
    pub count: Count,
    /// The networks; empty means all.
    pub within: Vec<IpNetwork>,
}

/// A network, `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNetwork {
    /// Its first address.
    pub address: IpAddr,
    /// Length of its prefix in bits: at most 32 or 128.
    pub prefix: u8,
}

/// E-mail addresses.
#[derive(Clone, Debug, PartialEq)]
pub struct EmailRule {
    /// How many.
    pub count: Count,
    /// The domains behind the `@`; empty means all.
    pub within: Vec<DomainRule>,
}

/// URIs.
#[derive(Clone, Debug, PartialEq)]
pub struct UriRule {
    /// How many.
    pub count: Count,
    /// The schemes, lower case; empty means all.
    pub schemes: Vec<String>,
    /// The hosts' domains; empty means all, and lets URIs without a host through.
    pub within: Vec<DomainRule>,
}

/// otherNames.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherNameRule {
    /// How many.
    pub count: Count,
    /// The type-ids or arcs of type-ids; empty means all.
    pub types: Vec<ObjectIdentifier>,
}

/// directoryNames.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectoryRule {
    /// How many.
    pub count: Count,
}

/// registeredIDs.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisteredIdRule {
    /// How many.
    pub count: Count,
}

/// When a certificate may be renewed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RenewalRules {
    /// From which part of its lifetime on its holder may renew it: 0 (at once) to 1 (only at its end).
    pub from: f64,
    /// How long after its end it may still be renewed, by those who may renew it without its key.
    pub until: Lifetime,
    /// How long after its end its holder may still renew it, by a proof that the old key signs: at most
    /// [`RenewalRules::LONGEST_AFTER_EXPIRY`]; zero, not at all.
    pub after_expiry: Lifetime,
}

impl RenewalRules {
    /// No profile lets a holder renew longer after the end than this: a key that was forgotten on an old disk must not come back.
    pub const LONGEST_AFTER_EXPIRY: Lifetime = Lifetime::from_days(7);
}

/// How long a certificate stays on record after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// As long as the operator keeps what has expired.
    AsConfigured,
    /// At least so long; where the operator keeps everything, for ever all the same.
    AtLeast(Lifetime),
    /// For ever.
    Forever,
}

/// Which places for status and issuer a certificate names, where the service has such places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusUrlRules {
    /// cRLDistributionPoints
    pub crl: bool,
    /// authorityInfoAccess, id-ad-ocsp
    pub ocsp: bool,
    /// authorityInfoAccess, id-ad-caIssuers
    pub ca_issuers: bool,
}

impl NameRules {
    /// Whether any kind of name is allowed.
    pub fn allows_any(&self) -> bool {
        self.dns.is_some()
            || self.ip.is_some()
            || self.email.is_some()
            || self.uri.is_some()
            || self.other.is_some()
            || self.directory.is_some()
            || self.registered_id.is_some()
    }
}

impl DomainRule {
    /// Whether the host lies in the domain. A wildcard counts as a name below what follows the `*.`.
    pub fn admits(&self, host: &str) -> bool {
        let below = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
        match self {
            Self::AtOrBelow(domain) => host == domain.as_str() || below(domain.as_str()),
            Self::Below(domain) => below(domain.as_str()),
        }
    }
}

impl std::fmt::Display for DomainRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtOrBelow(domain) => domain.fmt(f),
            Self::Below(domain) => write!(f, ".{domain}"),
        }
    }
}

impl IpNetwork {
    /// Whether the address lies in the network; one of the other family never does.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0);
                u32::from(network) & mask == u32::from(address) & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix.min(128))).unwrap_or(0);
                u128::from(network) & mask == u128::from(address) & mask
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}
