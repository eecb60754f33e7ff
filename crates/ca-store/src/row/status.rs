//! Serial numbers and the sequence of revocations, as their columns give them.

use ca_core::id::CertificateId;
use ca_core::revocation::Revocation;
use ca_core::serial::Serial;
use ca_core::time::Timestamp;
use ca_engine::port::store::{RevocationRow, SerialState, SerialStatus, StandingChange, StoreError};
use sqlx::FromRow;

use super::{RevocationColumns, inconsistent};

#[derive(FromRow)]
pub(crate) struct StatusColumns {
    pub(crate) certificate_id: Vec<u8>,
    pub(crate) state: i64,
    pub(crate) reason: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) invalidity_date: Option<i64>,
    pub(crate) not_after: i64,
}

impl TryFrom<StatusColumns> for SerialStatus {
    type Error = StoreError;

    fn try_from(row: StatusColumns) -> Result<Self, StoreError> {
        let StatusColumns { reason, revoked_at, invalidity_date, .. } = row;
        let columns = RevocationColumns { reason, revoked_at, invalidity_date };
        Ok(Self {
            state: super::serial_state("serials", row.state, columns)?,
            certificate: CertificateId::from_bytes(super::octets("serials.certificate_id", row.certificate_id)?),
            not_after: Timestamp::from_unix_millis(row.not_after),
        })
    }
}

/// A certificate's place in the narrow table, to be changed.
#[derive(FromRow)]
pub(crate) struct StandingRow {
    pub(crate) authority: String,
    pub(crate) serial: Vec<u8>,
    pub(crate) spki_sha256: Vec<u8>,
    pub(crate) not_after: i64,
    pub(crate) state: i64,
    pub(crate) reason: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) invalidity_date: Option<i64>,
}

impl StandingRow {
    /// Whether the certificate stands as the caller of `change` has seen it.
    pub(crate) fn stands_as_seen(&self, change: &StandingChange) -> Result<bool, StoreError> {
        let Self { reason, revoked_at, invalidity_date, .. } = *self;
        let columns = RevocationColumns { reason, revoked_at, invalidity_date };
        let place = format!("serials of certificate {}", change.id);
        match super::serial_state(&place, self.state, columns)? {
            SerialState::Issued(standing) => Ok(standing == change.from),
            _ => Err(inconsistent(&place, "a certificate whose serial is not issued")),
        }
    }
}

#[derive(FromRow)]
pub(crate) struct SequenceRow {
    pub(crate) sequence: i64,
    pub(crate) authority: String,
    pub(crate) serial: Vec<u8>,
    pub(crate) reason: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) invalidity_date: Option<i64>,
    pub(crate) not_after: i64,
}

impl TryFrom<SequenceRow> for RevocationRow {
    type Error = StoreError;

    fn try_from(row: SequenceRow) -> Result<Self, StoreError> {
        let place = format!("revocations {}", row.sequence);
        let SequenceRow { reason, revoked_at, invalidity_date, .. } = row;
        Ok(Self {
            sequence: super::unsigned(&place, row.sequence)?,
            authority: super::authority(&place, &row.authority)?,
            serial: super::serial(&place, &row.serial)?,
            standing: RevocationColumns { reason, revoked_at, invalidity_date }.standing(&place)?,
            not_after: Timestamp::from_unix_millis(row.not_after),
        })
    }
}

#[derive(FromRow)]
pub(crate) struct CrlEntryRow {
    pub(crate) serial: Vec<u8>,
    pub(crate) reason: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) invalidity_date: Option<i64>,
}

impl TryFrom<CrlEntryRow> for (Serial, Revocation) {
    type Error = StoreError;

    fn try_from(row: CrlEntryRow) -> Result<Self, StoreError> {
        let CrlEntryRow { reason, revoked_at, invalidity_date, .. } = row;
        let columns = RevocationColumns { reason, revoked_at, invalidity_date };
        Ok((super::serial("serials.serial", &row.serial)?, columns.revocation("serials")?))
    }
}
