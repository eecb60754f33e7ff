//! Serials and where they stand: what OCSP and CRLs are made from.

use async_trait::async_trait;
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::revocation::{Revocation, Standing};
use ca_core::serial::Serial;
use ca_core::time::Timestamp;

use super::{Journal, StoreError};

/// The state of a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialState {
    /// Reserved: an issuance is under way. Not `good`.
    Reserved,
    /// A certificate was issued.
    Issued(Standing),
    /// The issuance was abandoned; answers as revoked.
    Abandoned(Revocation),
}

/// What the narrow table knows of a serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialStatus {
    /// The certificate, or the reservation.
    pub certificate: CertificateId,
    /// Its state.
    pub state: SerialState,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// A change of a certificate's standing, against the standing the caller has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingChange {
    /// Which certificate.
    pub id: CertificateId,
    /// How it stood when the caller decided.
    pub from: Standing,
    /// How it is to stand.
    pub to: Standing,
    /// `keyCompromise`, and since when the key is not to be trusted: the public key is blocked for ever, and no role is left to
    /// whoever descends from the certificate by a renewal completed at that instant or after it (by any further renewals).
    pub compromised_since: Option<Timestamp>,
    /// The event of it.
    pub journal: Journal,
}

/// What became of a change of standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// Done, as this number of the revocation sequence.
    Applied {
        /// Its place in commit order.
        sequence: u64,
    },
    /// The certificate stands otherwise than `from`: read again and decide again.
    Stale,
}

/// One entry of the sequence of revocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationRow {
    /// Its place in commit order: every row with a lower number is visible when this one is. From 1, without gaps but those that
    /// restorations leave.
    pub sequence: u64,
    /// The issuer.
    pub authority: AuthorityId,
    /// The serial.
    pub serial: Serial,
    /// How it stands since; `Active` ends a hold.
    pub standing: Standing,
    /// The end of the certificate's validity.
    pub not_after: Timestamp,
}

/// Serial numbers and their standing.
#[async_trait]
pub trait StatusStore: Send + Sync {
    /// The state of one serial, or `None` when this service never knew it.
    async fn status(&self, authority: &AuthorityId, serial: &Serial) -> Result<Option<SerialStatus>, StoreError>;

    /// Changes a certificate's standing if it still is `change.from`, gives the change the next number of the sequence, and does
    /// what follows from a compromise. Abandoning a reservation takes a number of the same sequence.
    async fn change_standing(&self, change: StandingChange) -> Result<ChangeOutcome, StoreError>;

    /// The number of the newest entry of the sequence; 0 when there is none.
    async fn revocation_sequence(&self) -> Result<u64, StoreError>;

    /// Entries after `sequence`, in order, at most `limit`.
    async fn revocations_after(&self, sequence: u64, limit: u32) -> Result<Vec<RevocationRow>, StoreError>;

    /// A page of what a CRL of `authority` lists: serials revoked, held or abandoned whose `not_after` is at or after
    /// `not_after_from`, in the order of their serial octets, after `after`, at most `limit`.
    async fn revoked_serials(
        &self,
        authority: &AuthorityId,
        not_after_from: Timestamp,
        after: Option<&Serial>,
        limit: u32,
    ) -> Result<Vec<(Serial, Revocation)>, StoreError>;

    /// How many serials such a list holds.
    async fn count_revoked(&self, authority: &AuthorityId, not_after_from: Timestamp) -> Result<u64, StoreError>;

    /// Whether a public key is blocked.
    async fn is_key_blocked(&self, spki_sha256: &[u8; 32]) -> Result<bool, StoreError>;
}
