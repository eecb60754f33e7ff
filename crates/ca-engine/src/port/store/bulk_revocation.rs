//! Bulk revocations: many certificates to be revoked by one request, batch by batch, however often the work is cut off.

use async_trait::async_trait;
use ca_core::id::{AuthorityId, BulkRevocationId, CertificateId, ProfileName};
use ca_core::revocation::RevocationReason;
use ca_core::time::Timestamp;

use super::{Idempotency, Journal, Lease, StandingChange, StoreError};

/// How far a bulk revocation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkRevocationState {
    /// Some of its certificates may still stand.
    Running,
    /// Every one of its certificates has had its turn.
    Completed,
    /// Somebody ended it; what was revoked until then stays revoked.
    Canceled,
}

/// A bulk revocation on record. It holds no personal data: which certificates it reaches is kept as their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkRevocation {
    /// Its name in the API.
    pub id: BulkRevocationId,
    /// What was asked for, in words, without names and subjects.
    pub scope: String,
    /// Why.
    pub reason: RevocationReason,
    /// Since when the keys are not to be trusted.
    pub invalidity_date: Option<Timestamp>,
    /// Principal reference of who asked.
    pub requested_by: String,
    /// The request it came with.
    pub request_id: Option<String>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// How many certificates it was to revoke.
    pub count: u64,
    /// The same, by issuer and profile, in their order.
    pub shares: Vec<BulkShare>,
    /// How many the caller may not revoke; they are not among `count`.
    pub refused: u64,
    /// The first of those.
    pub refused_first: Vec<CertificateId>,
    /// How far it has come.
    pub state: BulkRevocationState,
    /// How many it has revoked so far.
    pub revoked: u64,
    /// How many had been revoked by others, or were removed, when their turn came.
    pub skipped: u64,
    /// The number that its newest revocation has in the sequence of revocations; 0 when there is none.
    pub sequence: u64,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// How many certificates of one issuer and profile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BulkShare {
    /// The issuer.
    pub authority: AuthorityId,
    /// The profile.
    pub profile: ProfileName,
    /// How many.
    pub count: u64,
}

/// What was asked with an idempotency key before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkRepetition {
    /// The same: this bulk revocation was its answer.
    Same(BulkRevocationId),
    /// Something else.
    Other,
}

/// What became of beginning a bulk revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkBeginning {
    /// On record, with its batches.
    Begun,
    /// The idempotency key was used before; nothing was changed.
    Repeated(BulkRepetition),
}

/// The certificates of a bulk revocation that have their turn together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkBatch {
    /// Its place, from 0.
    pub number: u32,
    /// Those of them whose turn has not come.
    pub certificates: Vec<CertificateId>,
}

/// What is to become of a batch: for each certificate that it had, a change, or nothing where nothing is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchChange {
    /// Whose batch.
    pub id: BulkRevocationId,
    /// Its place.
    pub number: u32,
    /// What is to be changed, against what the caller has seen.
    pub changes: Vec<StandingChange>,
    /// Those that are to be left as they are.
    pub skipped: Vec<CertificateId>,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// One commit made every change that was not stale, and took those certificates and the skipped ones from the batch. An empty
    /// batch is gone.
    Made {
        /// Certificates that stand otherwise than the caller saw: they stay in the batch.
        stale: Vec<CertificateId>,
    },
    /// The bulk revocation is not running any more, or the batch is another than the caller saw: nothing was changed.
    Superseded,
}

/// Bulk revocations.
#[async_trait]
pub trait BulkRevocationStore: Send + Sync {
    /// Puts a bulk revocation on record with everything it is to revoke: batches in order, none of them empty, no certificate twice.
    /// It is running. An idempotency key that expired before `operation.created_at` is as good as absent.
    async fn begin_bulk_revocation(
        &self,
        operation: BulkRevocation,
        batches: Vec<Vec<CertificateId>>,
        idempotency: Option<Idempotency>,
        journal: Journal,
    ) -> Result<BulkBeginning, StoreError>;

    /// What was asked with an idempotency key before, if it has not expired at `now`.
    async fn repeated_bulk_revocation(
        &self,
        idempotency: &Idempotency,
        now: Timestamp,
    ) -> Result<Option<BulkRepetition>, StoreError>;

    /// One bulk revocation.
    async fn bulk_revocation(&self, id: BulkRevocationId) -> Result<Option<BulkRevocation>, StoreError>;

    /// Bulk revocations, newest first, older than `after`, at most `limit`.
    async fn bulk_revocations(
        &self,
        after: Option<BulkRevocationId>,
        limit: u32,
    ) -> Result<Vec<BulkRevocation>, StoreError>;

    /// Those that are running, oldest first.
    async fn running_bulk_revocations(&self) -> Result<Vec<BulkRevocation>, StoreError>;

    /// The first batch of a bulk revocation that is left.
    async fn next_batch(&self, id: BulkRevocationId) -> Result<Option<BulkBatch>, StoreError>;

    /// Makes the changes of a batch, under a lease. Each has the next number of the sequence, its event and its messages, as by
    /// [`super::StatusStore::change_standing`].
    async fn change_batch(&self, lease: &Lease, batch: BatchChange) -> Result<BatchOutcome, StoreError>;

    /// Ends a bulk revocation that is running. As completed under a lease, and only when no batch is left; as canceled without one,
    /// and then what is left of its batches goes. `false` when it was not changed.
    async fn end_bulk_revocation(
        &self,
        lease: Option<&Lease>,
        id: BulkRevocationId,
        journal: Journal,
    ) -> Result<bool, StoreError>;
}
