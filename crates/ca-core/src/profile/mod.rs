//! Profiles: what a kind of certificate may contain.
//!
//! A profile is read from TOML ([`Profile::from_toml`]) and checked whole, so that one that exists is consistent. Who may
//! use it is the access policy's business; holding a request against it is that of [`crate::policy`].

mod attribute;
mod built_in;
mod consistency;
mod document;
mod reader;
mod rules;

pub use attribute::attribute_name;
pub use built_in::{BuiltIn, built_in};
pub use reader::{ProfileFault, ProfileFaults};
pub use rules::{
    CommonNameRule, Count, DirectoryRule, DnsRule, DomainRule, EmailRule, IpNetwork, IpRule, NameRules, OtherNameRule,
    RegisteredIdRule, RenewalRules, Retention, StatusUrlRules, SubjectRules, UriRule, ValidityRules,
};

use const_oid::ObjectIdentifier;

use crate::id::{AuthorityId, ProfileName};
use crate::key::KeyType;
use crate::time::Lifetime;
use crate::usage::{ExtendedKeyUsage, KeyUsages};

/// What kind of certificate a profile describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProfileKind {
    /// An end entity's.
    Leaf,
    /// A delegated OCSP responder's (RFC 6960 §4.2.2.2): carries id-pkix-ocsp-nocheck and points at no status service.
    OcspResponder,
    /// A certificate authority's, issued by another authority.
    Subordinate,
    /// A self-signed certificate authority's.
    Root,
}

impl ProfileKind {
    /// Whether the subject is a certificate authority.
    pub const fn is_authority(self) -> bool {
        matches!(self, Self::Subordinate | Self::Root)
    }
}

/// What a kind of certificate may contain. Immutable; made by [`Profile::from_toml`].
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub(crate) name: ProfileName,
    pub(crate) kind: ProfileKind,
    pub(crate) authority: Option<AuthorityId>,
    pub(crate) internal: bool,
    pub(crate) personal_data: bool,
    pub(crate) must_staple: bool,
    pub(crate) key_types: Vec<KeyType>,
    pub(crate) key_usage: KeyUsages,
    pub(crate) extended_key_usage: Vec<ExtendedKeyUsage>,
    pub(crate) certificate_policies: Vec<ObjectIdentifier>,
    pub(crate) path_length: Option<u8>,
    pub(crate) validity: ValidityRules,
    pub(crate) subject: SubjectRules,
    pub(crate) names: NameRules,
    pub(crate) renewal: RenewalRules,
    pub(crate) retention: Retention,
    pub(crate) status_urls: StatusUrlRules,
}

impl Profile {
    /// Its name.
    pub fn name(&self) -> &ProfileName {
        &self.name
    }

    /// What kind of certificate it describes.
    pub fn kind(&self) -> ProfileKind {
        self.kind
    }

    /// The authority that issues by default; `None` where the flow must say (responders, subordinates) or the
    /// certificate signs itself.
    pub fn authority(&self) -> Option<&AuthorityId> {
        self.authority.as_ref()
    }

    /// Whether only the service itself asks for it: refused through the API.
    pub fn is_internal(&self) -> bool {
        self.internal
    }

    /// Whether subjects and names are personal data, to be kept encrypted and out of logs.
    pub fn has_personal_data(&self) -> bool {
        self.personal_data
    }

    /// The allowed key types, at least one; the first is the default.
    pub fn key_types(&self) -> &[KeyType] {
        &self.key_types
    }

    /// The key type where the asker names none.
    pub fn default_key_type(&self) -> KeyType {
        // Cannot be empty: `from_toml` refuses that. P-256 is the house's default.
        self.key_types.first().copied().unwrap_or(KeyType::P256)
    }

    /// The lifetime where the asker names none.
    pub fn default_validity(&self) -> Lifetime {
        self.validity.default
    }

    /// The longest lifetime that may be asked for.
    pub fn maximum_validity(&self) -> Lifetime {
        self.validity.maximum
    }

    /// What the key may be used for, before usages that the key's type cannot have are left out.
    pub fn key_usage(&self) -> KeyUsages {
        self.key_usage
    }

    /// The purposes.
    pub fn extended_key_usage(&self) -> &[ExtendedKeyUsage] {
        &self.extended_key_usage
    }

    /// The certificate policies.
    pub fn certificate_policies(&self) -> &[ObjectIdentifier] {
        &self.certificate_policies
    }

    /// pathLenConstraint of an authority; `None` is unlimited.
    pub fn path_length(&self) -> Option<u8> {
        self.path_length
    }

    /// Whether the TLS feature `status_request` is set (RFC 7633).
    pub fn must_staple(&self) -> bool {
        self.must_staple
    }

    /// What the subject may be.
    pub fn subject(&self) -> &SubjectRules {
        &self.subject
    }

    /// What the subject alternative names may be.
    pub fn names(&self) -> &NameRules {
        &self.names
    }

    /// Which places for status and issuer a certificate names.
    pub fn status_urls(&self) -> &StatusUrlRules {
        &self.status_urls
    }

    /// The same profile with lifetimes of at most `limit`, for services that promise to make short-lived certificates only.
    #[must_use]
    pub fn with_maximum_validity(mut self, limit: Lifetime) -> Self {
        self.validity.maximum = self.validity.maximum.min(limit);
        self.validity.default = self.validity.default.min(limit);
        self
    }

    /// How long a certificate stays on record after its end.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// When a certificate may be renewed.
    pub fn renewal(&self) -> &RenewalRules {
        &self.renewal
    }
}

#[cfg(test)]
mod tests;
