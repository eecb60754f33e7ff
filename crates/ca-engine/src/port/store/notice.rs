//! Ends of certificates: which come near, and of which it was told.

use async_trait::async_trait;
use ca_core::id::{AuthorityId, CertificateId, ProfileName};
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp, Validity};

use super::{Journal, StoreError};

/// A certificate whose end comes near. It names no subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndingCertificate {
    /// Its id.
    pub id: CertificateId,
    /// Its issuer.
    pub authority: AuthorityId,
    /// Its serial number.
    pub serial: Serial,
    /// Its profile.
    pub profile: ProfileName,
    /// Its validity.
    pub validity: Validity,
    /// Principal reference of its owner.
    pub owner: String,
    /// How long before the end the last notice of it was due; `None`: there was none.
    pub noted: Option<Lifetime>,
    /// The managed certificate that it is current of.
    pub managed: Option<ManagedStanding>,
}

/// How a managed certificate fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedStanding {
    /// What people call it.
    pub name: String,
    /// Whether nothing is done for it.
    pub paused: bool,
    /// How often it failed since something last succeeded.
    pub failures: u32,
}

/// That it was told of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiryNotice {
    /// Of which certificate; it may be an authority's.
    pub certificate: CertificateId,
    /// Its end.
    pub not_after: Timestamp,
    /// How long before the end the notice was due.
    pub before: Lifetime,
}

/// Notices on record.
#[async_trait]
pub trait NoticeStore: Send + Sync {
    /// Certificates in force (issued, neither revoked nor on hold) that have no live successor and end before `ends_before`, in the order
    /// of (end, id), after `after`, at most `limit`.
    async fn ending_certificates(
        &self,
        after: (Timestamp, CertificateId),
        ends_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<EndingCertificate>, StoreError>;

    /// How long before the end the last notice of a certificate was due; `None`: there was none.
    async fn expiry_notice(&self, certificate: CertificateId) -> Result<Option<Lifetime>, StoreError>;

    /// Notes a notice. `false`, and nothing is told, when one that was due as near to the end, or nearer, was noted before. Without a
    /// journal it is noted and nobody told.
    async fn note_expiry(&self, notice: ExpiryNotice, journal: Option<Journal>) -> Result<bool, StoreError>;

    /// Drops notices of ends before an instant, at most `limit`; returns how many.
    async fn drop_expiry_notices(&self, ended_before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}
