//! Bulk revocations, as their columns give them.

use ca_core::id::{BulkRevocationId, CertificateId};
use ca_core::revocation::RevocationReason;
use ca_core::time::Timestamp;
use ca_engine::port::store::{
    BatchChange, BulkBatch, BulkRepetition, BulkRevocation, BulkRevocationState, BulkShare, StoreError,
};
use sqlx::FromRow;

use super::inconsistent;

#[derive(FromRow)]
pub(crate) struct BulkRevocationRow {
    pub(crate) id: Vec<u8>,
    pub(crate) scope: String,
    pub(crate) reason: i64,
    pub(crate) invalidity_date: Option<i64>,
    pub(crate) requested_by: String,
    pub(crate) request_id: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) count: i64,
    pub(crate) shares: String,
    pub(crate) refused: i64,
    pub(crate) refused_first: Vec<u8>,
    pub(crate) state: i64,
    pub(crate) revoked: i64,
    pub(crate) skipped: i64,
    pub(crate) sequence: i64,
    pub(crate) ended_at: Option<i64>,
}

impl TryFrom<BulkRevocationRow> for BulkRevocation {
    type Error = StoreError;

    fn try_from(row: BulkRevocationRow) -> Result<Self, StoreError> {
        let id = BulkRevocationId::from_bytes(super::octets("bulk_revocations.id", row.id)?);
        let place = format!("bulk_revocations {id}");
        let reason = u8::try_from(row.reason).ok().and_then(RevocationReason::from_code);
        let shares: Vec<(String, String, u64)> = serde_json::from_str(&row.shares)
            .map_err(|_| inconsistent(&place, "shares that are not of their shape"))?;
        let shares = shares.into_iter().map(|(authority, profile, count)| {
            let authority = super::authority(&place, &authority)?;
            Ok(BulkShare { authority, profile: super::profile(&place, &profile)?, count })
        });
        Ok(Self {
            id,
            scope: row.scope,
            reason: reason.ok_or_else(|| inconsistent(&place, format_args!("{} is no reason code", row.reason)))?,
            invalidity_date: row.invalidity_date.map(Timestamp::from_unix_millis),
            requested_by: row.requested_by,
            request_id: row.request_id,
            created_at: Timestamp::from_unix_millis(row.created_at),
            count: super::unsigned(&place, row.count)?,
            shares: shares.collect::<Result<_, StoreError>>()?,
            refused: super::unsigned(&place, row.refused)?,
            refused_first: certificates(&place, &row.refused_first)?,
            state: match row.state {
                RUNNING => BulkRevocationState::Running,
                COMPLETED => BulkRevocationState::Completed,
                CANCELED => BulkRevocationState::Canceled,
                other => return Err(inconsistent(&place, format_args!("{other} is no state"))),
            },
            revoked: super::unsigned(&place, row.revoked)?,
            skipped: super::unsigned(&place, row.skipped)?,
            sequence: super::unsigned(&place, row.sequence)?,
            ended_at: row.ended_at.map(Timestamp::from_unix_millis),
        })
    }
}

/// A batch that is left.
#[derive(FromRow)]
pub(crate) struct BatchRow {
    pub(crate) number: i64,
    pub(crate) certificates: Vec<u8>,
}

impl TryFrom<BatchRow> for BulkBatch {
    type Error = StoreError;

    fn try_from(row: BatchRow) -> Result<Self, StoreError> {
        let number = u32::try_from(row.number);
        Ok(Self {
            number: number.map_err(|_| inconsistent("bulk_revocation_batches.number", "out of range"))?,
            certificates: certificates("bulk_revocation_batches.certificates", &row.certificates)?,
        })
    }
}

/// What an idempotency key was used for.
#[derive(FromRow)]
pub(crate) struct RepetitionRow {
    pub(crate) id: Vec<u8>,
    pub(crate) request_sha256: Vec<u8>,
}

impl RepetitionRow {
    pub(crate) fn compared_with(self, request_sha256: &[u8; 32]) -> Result<BulkRepetition, StoreError> {
        let id = BulkRevocationId::from_bytes(super::octets("bulk_revocations.id", self.id)?);
        Ok(if self.request_sha256 == request_sha256 { BulkRepetition::Same(id) } else { BulkRepetition::Other })
    }
}

/// Whether the batch that is there is the one that the caller of `change` has seen.
pub(crate) fn is_as_seen(batch: &BulkBatch, change: &BatchChange) -> bool {
    let mut seen: Vec<CertificateId> = change.changes.iter().map(|change| change.id).collect();
    seen.extend(&change.skipped);
    seen.sort_unstable();
    let mut there = batch.certificates.clone();
    there.sort_unstable();
    seen == there
}

/// The column `shares`.
pub(crate) fn shares_column(shares: &[BulkShare]) -> String {
    let rows =
        shares.iter().map(|share| serde_json::json!([share.authority.as_str(), share.profile.as_str(), share.count]));
    serde_json::Value::Array(rows.collect()).to_string()
}

/// The columns `certificates` and `refused_first`.
pub(crate) fn certificates_column(ids: &[CertificateId]) -> Vec<u8> {
    ids.iter().flat_map(|id| *id.as_bytes()).collect()
}

fn certificates(place: &str, column: &[u8]) -> Result<Vec<CertificateId>, StoreError> {
    let (ids, rest) = column.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(inconsistent(place, format_args!("{} octets are no ids", column.len())));
    }
    Ok(ids.iter().map(|octets| CertificateId::from_bytes(*octets)).collect())
}

/// The column `state`: certificates may still stand.
pub(crate) const RUNNING: i64 = 0;
/// The column `state`: every certificate has had its turn.
pub(crate) const COMPLETED: i64 = 1;
/// The column `state`: somebody ended it.
pub(crate) const CANCELED: i64 = 2;
