//! Authorities, their sealed keys and their OCSP responders.

use std::fmt;

use async_trait::async_trait;
use ca_core::id::{AuthorityId, CertificateId, ProfileName};
use ca_core::time::{Timestamp, Validity};

use super::{Journal, Lease, StoreError};
use crate::port::keyring::{KeyRoom, SealedKey};

/// Where an authority's private key is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyHome {
    /// Sealed in the store, under this key id.
    Sealed(String),
    /// In an encrypted PKCS#8 file that is loaded only when needed: the root's.
    File,
    /// In AWS KMS, under this ARN; never an alias, which may be moved to another key.
    Kms(String),
    /// In a PKCS#11 token, where this URI (RFC 7512) says, without a PIN.
    Pkcs11(String),
    /// With AWS Private CA, which issues itself and signs nothing else; the ARN of the certificate authority.
    AcmPca(String),
}

impl KeyHome {
    /// Whether the key is away but for ceremonies: what it signs must last until the next.
    pub const fn is_offline(&self) -> bool {
        matches!(self, Self::File)
    }
}

impl fmt::Display for KeyHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed(key_id) => write!(f, "the record, sealed, as {key_id}"),
            Self::File => f.write_str("a file"),
            Self::Kms(arn) => write!(f, "AWS KMS, {arn}"),
            Self::Pkcs11(uri) => write!(f, "a PKCS#11 token, {uri}"),
            Self::AcmPca(arn) => write!(f, "AWS Private CA, {arn}"),
        }
    }
}

/// Whether an authority issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthorityState {
    /// Issues, and signs CRLs and OCSP.
    Active,
    /// Issues no more, still signs CRLs and OCSP.
    Retiring,
    /// Does nothing more.
    Retired,
}

impl AuthorityState {
    /// The name in records and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }
}

/// An authority of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityRecord {
    /// Its id.
    pub id: AuthorityId,
    /// Its certificate on record (issued by its parent, or by itself).
    pub certificate: CertificateId,
    /// The DER of that certificate.
    pub certificate_der: Vec<u8>,
    /// Its parent; `None` for a root.
    pub parent: Option<AuthorityId>,
    /// Where its key is.
    pub key_home: KeyHome,
    /// Whether it issues.
    pub state: AuthorityState,
    /// From when on it issues while it is active: [`FROM_THE_START`], or later for a generation that is to be known everywhere
    /// before anybody meets its certificates; [`NOT_ANNOUNCED`] until that is settled.
    pub issues_from: Timestamp,
}

impl AuthorityRecord {
    /// How it stands, for [`AuthorityStore::change_authority`].
    pub fn duty(&self) -> Duty {
        Duty { state: self.state, issues_from: self.issues_from }
    }
}

/// `issues_from` of an authority that has issued since it came to be.
pub const FROM_THE_START: Timestamp = Timestamp::from_unix_seconds(0);

/// `issues_from` of an authority of which it is not settled yet: 9999-12-31T23:59:59Z.
pub const NOT_ANNOUNCED: Timestamp = Timestamp::from_unix_seconds(253_402_300_799);

/// What an authority does, and from when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Whether it issues.
    pub state: AuthorityState,
    /// From when on, while it is active.
    pub issues_from: Timestamp,
}

/// The certificate and key of an OCSP responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponderRecord {
    /// The authority it answers for, which signed its certificate.
    pub authority: AuthorityId,
    /// Its certificate on record.
    pub certificate: CertificateId,
    /// The DER of that certificate.
    pub certificate_der: Vec<u8>,
    /// The id of its sealed key (room: responders).
    pub key_id: String,
    /// Its validity.
    pub validity: Validity,
}

/// A setting's value in place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// The setting.
    pub name: String,
    /// What it must be until then; `None`: not set.
    pub expected: Option<Vec<u8>>,
    /// What it is from then on.
    pub value: Vec<u8>,
}

/// Authorities, keys and responders on record.
#[async_trait]
pub trait AuthorityStore: Send + Sync {
    /// Every authority, parents before children.
    async fn authorities(&self) -> Result<Vec<AuthorityRecord>, StoreError>;

    /// Adds an authority; [`StoreError::Conflict`] when its id is taken.
    async fn add_authority(&self, record: AuthorityRecord, journal: Journal) -> Result<(), StoreError>;

    /// Changes what an authority does if that still is `from`; returns whether it was. Nothing is written otherwise.
    async fn change_authority(
        &self,
        id: &AuthorityId,
        from: Duty,
        to: Duty,
        journal: Journal,
    ) -> Result<bool, StoreError>;

    /// When the last of an authority's certificates ends, issued or under way, those of the profiles `but` apart; `None` when all
    /// ended before `from`. Reads much: for a look now and then.
    async fn last_end(
        &self,
        authority: &AuthorityId,
        but: &[ProfileName],
        from: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// Forgets the octets of a sealed key for ever; its row stays, with nothing sealed in it. Returns whether there was something to
    /// forget; nothing is written otherwise.
    async fn destroy_key(&self, id: &str, journal: Journal) -> Result<bool, StoreError>;

    /// Adds a sealed key, before it is used. Adding the same key again is harmless.
    async fn add_key(&self, key: SealedKey) -> Result<(), StoreError>;

    /// A sealed key by its id.
    async fn key(&self, id: &str) -> Result<Option<SealedKey>, StoreError>;

    /// The sealed keys of a room.
    async fn keys(&self, room: KeyRoom) -> Result<Vec<SealedKey>, StoreError>;

    /// Adds a responder whose certificate and key are on record; under a lease when a job does it.
    async fn add_responder(&self, lease: Option<&Lease>, record: ResponderRecord) -> Result<(), StoreError>;

    /// The responders of every authority whose validity has not ended at the database's time, oldest first.
    async fn responders(&self) -> Result<Vec<ResponderRecord>, StoreError>;

    /// A value of the service as a whole, such as the wrapped data keys.
    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Sets such a value if it is still `expected`; returns whether it was.
    async fn set_setting(&self, name: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, StoreError>;
}
