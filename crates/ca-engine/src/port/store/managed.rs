//! Managed certificates on record: what is wanted, and how far its rotation has come. Never a key.

use async_trait::async_trait;
use ca_core::id::{CertificateId, ManagedCertificateId, ProfileName, RotationId};
use ca_core::managed::RotationStep;
use ca_core::time::Timestamp;

use super::{FailedAttempt, Journal, Lease, StoreError};

/// A managed certificate on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedCertificate {
    /// Its name in the API.
    pub id: ManagedCertificateId,
    /// What people call it; no two have the same.
    pub name: String,
    /// Principal reference of its owner, who is told of failures.
    pub owner: String,
    /// The profile that decides, at each rotation again.
    pub profile: ProfileName,
    /// What is wanted and where, as its flow writes it: JSON, no secrets, no personal data.
    pub definition: String,
    /// Whether nothing is done for it until somebody ends that.
    pub paused: bool,
    /// Rises by one with every change of what is on record of it.
    pub revision: u64,
    /// When it was added.
    pub created_at: Timestamp,
    /// Principal reference of who added it.
    pub created_by: String,
    /// How far it has come.
    pub course: ManagedCourse,
}

/// How far a managed certificate has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedCourse {
    /// What is current in its target.
    pub current: Option<ManagedCurrent>,
    /// The rotation under way.
    pub rotation: Option<Rotation>,
    /// What was current before, and is to be revoked after an overlap.
    pub superseded: Option<Superseded>,
    /// How often it failed since something last succeeded.
    pub failures: u32,
    /// The last failure of those.
    pub last_failure: Option<FailedAttempt>,
    /// When something is to be done next: a rotation, an attempt, the end of an overlap.
    pub next_at: Timestamp,
}

/// What is current in a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagedCurrent {
    /// The certificate.
    pub certificate: CertificateId,
    /// The rotation that brought it.
    pub rotation: RotationId,
    /// When it ends.
    pub not_after: Timestamp,
}

/// A rotation under way. From [`RotationStep::Issued`] on it has a certificate, before that none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Its name.
    pub id: RotationId,
    /// The last step that was made.
    pub step: RotationStep,
    /// Its certificate.
    pub certificate: Option<CertificateId>,
    /// When it was begun.
    pub begun_at: Timestamp,
}

/// A certificate that another took the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superseded {
    /// Which.
    pub certificate: CertificateId,
    /// When it is to be revoked.
    pub revoke_at: Timestamp,
}

/// What became of adding a managed certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagedAddition {
    /// It is on record.
    Added,
    /// Another has that name; nothing was changed.
    NameTaken(ManagedCertificateId),
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManagedCounts {
    /// Not paused.
    pub active: u64,
    /// Paused.
    pub paused: u64,
    /// Of the active, those whose next instant has come.
    pub due: u64,
    /// Of the active, those with a rotation under way.
    pub rotating: u64,
    /// Of the active, those that failed since something last succeeded.
    pub failing: u64,
}

/// Managed certificates.
#[async_trait]
pub trait ManagedStore: Send + Sync {
    /// Puts one on record, with the revision it brings.
    async fn add_managed(&self, managed: ManagedCertificate, journal: Journal) -> Result<ManagedAddition, StoreError>;

    /// One by its id.
    async fn managed(&self, id: ManagedCertificateId) -> Result<Option<ManagedCertificate>, StoreError>;

    /// One by its name.
    async fn managed_by_name(&self, name: &str) -> Result<Option<ManagedCertificate>, StoreError>;

    /// Managed certificates in order of names, after `after`, at most `limit`.
    async fn managed_certificates(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ManagedCertificate>, StoreError>;

    /// Puts owner, profile, definition, whether it is paused, and course in the place of what is there, and raises the revision by one.
    /// `false`, and nothing is told, unless `managed.revision` is the one on record. What is on record of id, name and addition stays.
    /// Under a lease, [`StoreError::Fenced`] when that is not the newest.
    async fn change_managed(
        &self,
        lease: Option<&Lease>,
        managed: ManagedCertificate,
        journal: Option<Journal>,
    ) -> Result<bool, StoreError>;

    /// Takes one from the record; `false`, and nothing is told, unless `revision` is the one on record.
    async fn remove_managed(
        &self,
        id: ManagedCertificateId,
        revision: u64,
        journal: Journal,
    ) -> Result<bool, StoreError>;

    /// Those that are not paused and whose next instant is not after `now`, those that wait for longest first, at most `limit`.
    async fn due_managed(&self, now: Timestamp, limit: u32) -> Result<Vec<ManagedCertificate>, StoreError>;

    /// How many there are at `now`.
    async fn count_managed(&self, now: Timestamp) -> Result<ManagedCounts, StoreError>;
}
