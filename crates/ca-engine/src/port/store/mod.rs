//! The record: everything the service must not lose.
//!
//! Every method is one atomic change or one consistent read; when a change returns `Ok`, it is durable (it survives the loss of
//! power). There are no open transactions in this port, so an adapter may join changes of concurrent callers into one commit.
//! A change that brings a [`Journal`] stores its event and messages in the same transaction. Lookups return `Option`, never a
//! not-found error. Dropping a future before it is done leaves the change done or not done, never half.

mod audit;
mod authority;
mod bulk_revocation;
mod certificate;
mod crl;
mod gateway;
mod journal;
mod lease;
mod managed;
mod outbox;
mod partial_crl;
mod personal_data;
mod renewal;
mod restore;
mod retention;
mod role;
mod status;
mod token;
mod upstream;

pub use audit::{AuditStore, ChainHead, ChainLink, ChainedEvent, EventFilter, PendingEvent};
pub use authority::{
    AuthorityRecord, AuthorityState, AuthorityStore, Duty, FROM_THE_START, KeyHome, NOT_ANNOUNCED, ResponderRecord,
    SettingChange,
};
pub use bulk_revocation::{
    BatchChange, BatchOutcome, BulkBatch, BulkBeginning, BulkRepetition, BulkRevocation, BulkRevocationState,
    BulkRevocationStore, BulkShare,
};
pub use certificate::{
    CertificateFilter, CertificateStore, CompleteOutcome, Completion, Idempotency, NameQuery, OpenReservation, Page,
    PageCursor, Reservation, ReserveOutcome, StatusFilter, StoredCertificate,
};
pub use crl::{CrlIntent, CrlRecord, CrlStore, LONGEST_LIST, PublishedCrl};
pub use gateway::{EnforcedList, GatewayRecord, GatewayStore};
pub use journal::{Journal, OutboxMessage};
pub use lease::{Lease, LeaseStore};
pub use managed::{
    LATELY, ManagedAddition, ManagedCertificate, ManagedCounts, ManagedCourse, ManagedCurrent, ManagedStore, Rotation,
    Superseded,
};
pub use outbox::{Assignment, Backlog, Delivery, DeliveryState, FailedAttempt, OutboxStore, Settlement, Verdict};
pub use partial_crl::{PartialCrlStore, PartialIntent, PartialRecord, PublishedPartial};
pub use personal_data::{ClearWalk, PersonalData, PersonalDataHolder, PersonalDataKeyVersion, PersonalDataStore};
pub use renewal::{RenewalStore, WindowMove};
pub use restore::{Gaps, LostSerial, RestoreStore};
pub use retention::{
    KeptFor, LEAST_RETENTION, MonthRemoval, MonthShare, RemovalOutcome, RemovedCertificate, RetentionStore,
};
pub use role::{Holder, RoleBinding, RoleStore, ShownCertificate};
pub use status::{ChangeOutcome, RevocationRow, SerialState, SerialStatus, StandingChange, StatusStore};
pub use token::{TokenRecord, TokenStore};
pub use upstream::{AdoptOutcome, OpenUpstream, UpstreamIntent, UpstreamOrder, UpstreamStore};

use async_trait::async_trait;
use ca_core::time::Timestamp;
use thiserror::Error;

/// All the rooms of the record, and its clock.
#[async_trait]
pub trait Store:
    CertificateStore
    + StatusStore
    + BulkRevocationStore
    + CrlStore
    + PartialCrlStore
    + AuthorityStore
    + AuditStore
    + TokenStore
    + RoleStore
    + GatewayStore
    + RenewalStore
    + ManagedStore
    + LeaseStore
    + RestoreStore
    + RetentionStore
    + OutboxStore
    + PersonalDataStore
    + UpstreamStore
    + Send
    + Sync
{
    /// The database's present instant; for an embedded database, the machine's. Also proves that the record answers.
    async fn database_time(&self) -> Result<Timestamp, StoreError>;

    /// What can be done with the record at this moment: a standby that takes over becomes writable while it is open.
    async fn access(&self) -> Result<Access, StoreError>;
}

/// What can be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All.
    ReadWrite,
    /// It can be read: it is a standby's, or was opened so. Changes fail with [`StoreError::ReadOnly`].
    ReadOnly,
}

/// Why the record did not do as asked. Nothing was changed, unless the error is [`StoreError::Unknown`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database cannot be reached or does not answer in time; a retry may help.
    #[error("the database is not available: {detail}")]
    Unavailable {
        /// What went wrong, without credentials.
        detail: String,
    },
    /// The database can only be read; another replica, or this one later, may change it.
    #[error("the database can only be read: {detail}")]
    ReadOnly {
        /// What it said.
        detail: String,
    },
    /// The disk or the database's space is full.
    #[error("the database has no space left ({detail}); make room on its disk")]
    Full {
        /// What it said.
        detail: String,
    },
    /// The lease under which the change was to be made is no longer the newest.
    #[error("the lease {lease} has moved on to another holder")]
    Fenced {
        /// The name of the lease.
        lease: String,
    },
    /// Another change came first: what the caller had read is no longer so.
    #[error("the record was changed meanwhile: {detail}")]
    Conflict {
        /// What differs.
        detail: String,
    },
    /// A stored row makes no sense; somebody changed it, or this is a bug.
    #[error("the record holds something impossible: {detail}")]
    Inconsistent {
        /// Table and row, without personal data.
        detail: String,
    },
    /// This process was not given the key of personal data, and was asked for it.
    #[error("{place} is personal data, and this process was given no key for it")]
    NoPersonalDataKey {
        /// Table and row.
        place: String,
    },
    /// The acknowledgement was lost: the change may or may not be there.
    #[error("the database did not say whether the change was made: {detail}")]
    Unknown {
        /// What went wrong.
        detail: String,
    },
}
