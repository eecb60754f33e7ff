//! Personal data on record: the versions of its key, and what lies under which.

use std::fmt;

use async_trait::async_trait;
use ca_core::id::{CertificateId, ProfileName};
use ca_core::time::Timestamp;

use super::{Journal, Lease, StoreError};

/// What a reservation brings whose subject, names and octets are personal data: they are kept encrypted, and so is this.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonalData {
    /// What the certificate's audit event commits to ([`ca_core::audit::commitment`]), with the salt: it can be erased without
    /// breaking the chain.
    pub audit_text: Vec<u8>,
}

/// Without what it holds.
impl fmt::Debug for PersonalData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonalData(…)")
    }
}

/// A version of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersonalDataKeyVersion {
    /// Rises by one with every new key.
    pub version: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What personal data is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PersonalDataHolder {
    /// Certificates.
    Certificates,
    /// Reservations that were abandoned. Those that are open are left alone: their issuance ends within minutes.
    Reservations,
    /// Enrolment tokens.
    Tokens,
}

impl PersonalDataHolder {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Certificates, Self::Reservations, Self::Tokens];
}

/// Some of the rows of a walk over what may lie in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearWalk {
    /// How many rows were in clear and are encrypted now.
    pub sealed: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<[u8; 16]>,
}

/// The key of personal data, its versions, and moving what is encrypted from one to the next.
///
/// A row is told to be personal data by [`super::Reservation::personal_data`], [`super::Completion::personal_data`] and
/// [`super::TokenRecord::personal_data`]. Nothing else of the port shows whether a row is encrypted.
#[async_trait]
pub trait PersonalDataStore: Send + Sync {
    /// The versions of the key, oldest first.
    async fn personal_data_keys(&self) -> Result<Vec<PersonalDataKeyVersion>, StoreError>;

    /// How many rows lie under a version; reads an index from one end of it to the other.
    async fn personal_data_rows(&self, version: u32) -> Result<u64, StoreError>;

    /// Makes the next version, under which everything new is encrypted from then on; returns its number.
    /// [`StoreError::Fenced`] when `lease` is not the newest.
    async fn add_personal_data_key(&self, lease: &Lease, journal: Journal) -> Result<u32, StoreError>;

    /// Encrypts at most `limit` rows anew that are under older versions than the newest; returns how many, 0 when none is left.
    /// One change for all of them, fenced as above.
    async fn reseal_personal_data(
        &self,
        lease: &Lease,
        holder: PersonalDataHolder,
        limit: u32,
    ) -> Result<u64, StoreError>;

    /// Looks at the next `limit` rows of a profile after `after`, in the order of their ids, and encrypts those that lie in
    /// clear: what was written before the profile was said to hold personal data. Fenced as above.
    async fn seal_clear_personal_data(
        &self,
        lease: &Lease,
        holder: PersonalDataHolder,
        profile: &ProfileName,
        after: Option<[u8; 16]>,
        limit: u32,
    ) -> Result<ClearWalk, StoreError>;

    /// Drops the older versions that no row has; returns how many. The journal is stored if there was one. Fenced as above.
    async fn drop_personal_data_keys(&self, lease: &Lease, journal: Journal) -> Result<u64, StoreError>;

    /// What the audit event of a certificate commits to; `None` when there is none, or when it was erased.
    async fn audit_text(&self, certificate: CertificateId) -> Result<Option<Vec<u8>>, StoreError>;

    /// Erases that text; `false` when there is none.
    async fn erase_audit_text(&self, certificate: CertificateId, journal: Journal) -> Result<bool, StoreError>;
}
