//! Managed certificates on record: what is wanted, and how far its rotation has come. Never a key.

use async_trait::async_trait;
use ca_core::id::{CertificateId, ManagedCertificateId, ProfileName, RotationId};
use ca_core::managed::definition::Deliverer;
use ca_core::managed::{RotationStep, Urgency};
use ca_core::time::{Lifetime, Timestamp};

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
    /// Who brings it to its target, as the definition says.
    pub delivered_by: Deliverer,
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
    /// Whether somebody asked for a rotation though none is due; until one that was begun since is done.
    pub asked: bool,
    /// How urgent it was when its owner was told last that it fails, of what is current; `None` when that was not told.
    pub told: Option<Urgency>,
    /// Until when what is current is to be seen served; `None` once it was, or where nobody looks.
    pub probe_until: Option<Timestamp>,
    /// When something is to be done next: a rotation, an attempt, and of one that the service delivers, the end of an overlap and what
    /// else it looks after.
    pub next_at: Timestamp,
    /// Of one that a worker delivers: when the service itself is to look after it next. `None` of others, and when there is nothing to
    /// look after.
    pub watch_at: Option<Timestamp>,
}

impl ManagedCourse {
    /// Of one that was added now, and is to be brought to its target at once.
    pub const fn begin(now: Timestamp) -> Self {
        Self {
            current: None,
            rotation: None,
            superseded: None,
            failures: 0,
            last_failure: None,
            asked: false,
            told: None,
            probe_until: None,
            next_at: now,
            watch_at: None,
        }
    }
}

impl ManagedCertificate {
    /// When the service has something to do for it; `None` when that is all a worker's.
    pub const fn service_at(&self) -> Option<Timestamp> {
        match self.delivered_by {
            Deliverer::Service => Some(self.course.next_at),
            Deliverer::Worker => self.course.watch_at,
        }
    }

    /// Whether `who` has something to do for it at `now`.
    pub fn is_due(&self, who: Deliverer, now: Timestamp) -> bool {
        let at = match who {
            Deliverer::Service => self.service_at(),
            Deliverer::Worker => Some(self.course.next_at).filter(|_| self.delivered_by == Deliverer::Worker),
        };
        !self.paused && at.is_some_and(|at| at <= now)
    }
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
    /// Another has that target; nothing was changed.
    TargetTaken(ManagedCertificateId),
}

/// How far back [`ManagedCounts::rotated_lately`] looks.
pub const LATELY: Lifetime = Lifetime::from_seconds(600);

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
    /// Of the active, those whose current certificate was brought by a rotation that was begun not longer ago than [`LATELY`].
    pub rotated_lately: u64,
}

/// Managed certificates. No two have one target: the same deliverer, and the same kind and place, as their definitions say it in
/// `delivered_by`, `target.kind`, `target.path` or `target.secret`, and `target.region`. Definitions that name no kind of target may be
/// alike.
#[async_trait]
pub trait ManagedStore: Send + Sync {
    /// Puts one on record, with the revision it brings.
    async fn add_managed(&self, managed: ManagedCertificate, journal: Journal) -> Result<ManagedAddition, StoreError>;

    /// One by its id.
    async fn managed(&self, id: ManagedCertificateId) -> Result<Option<ManagedCertificate>, StoreError>;

    /// One by its name.
    async fn managed_by_name(&self, name: &str) -> Result<Option<ManagedCertificate>, StoreError>;

    /// The one that has the target of this definition.
    async fn managed_by_target(&self, definition: &str) -> Result<Option<ManagedCertificateId>, StoreError>;

    /// Managed certificates in order of names, after `after`, at most `limit`.
    async fn managed_certificates(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ManagedCertificate>, StoreError>;

    /// Puts owner, profile, definition, who delivers it, whether it is paused, and course in the place of what is there, and raises the revision by one.
    /// `false`, and nothing is told, unless `managed.revision` is the one on record; [`StoreError::Conflict`] when another has its target. What is on record of id, name and addition stays.
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

    /// Those that are not paused and for which `who` has something to do at `now` ([`ManagedCertificate::is_due`]), those that wait for
    /// longest first, at most `limit`.
    async fn due_managed(
        &self,
        who: Deliverer,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<ManagedCertificate>, StoreError>;

    /// How many there are at `now`.
    async fn count_managed(&self, now: Timestamp) -> Result<ManagedCounts, StoreError>;
}
