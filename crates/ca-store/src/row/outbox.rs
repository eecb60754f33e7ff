//! Deliveries, as their columns give them.

use ca_core::id::{CertificateId, DeliveryId};
use ca_core::time::Timestamp;
use ca_engine::port::store::{Backlog, Delivery, DeliveryState, FailedAttempt, Settlement, StoreError, Verdict};
use sqlx::FromRow;

use super::inconsistent;

#[derive(FromRow)]
pub(crate) struct DeliveryRow {
    pub(crate) id: Vec<u8>,
    pub(crate) sink: String,
    pub(crate) sequence: i64,
    pub(crate) topic: String,
    pub(crate) certificate_id: Option<Vec<u8>>,
    pub(crate) payload: String,
    pub(crate) created_at: i64,
    pub(crate) state: i64,
    pub(crate) attempts: i64,
    pub(crate) next_attempt_at: i64,
    pub(crate) last_attempt_at: Option<i64>,
    pub(crate) last_error: Option<String>,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, StoreError> {
        let id = DeliveryId::from_bytes(super::octets("deliveries.id", row.id)?);
        let place = format!("deliveries {id}");
        let certificate = row.certificate_id.map(|octets| super::octets(&place, octets)).transpose()?;
        Ok(Self {
            id,
            sink: super::parse(&place, &row.sink)?,
            sequence: super::unsigned(&place, row.sequence)?,
            topic: row.topic,
            certificate: certificate.map(CertificateId::from_bytes),
            payload: row.payload,
            created_at: Timestamp::from_unix_millis(row.created_at),
            state: match row.state {
                PENDING => DeliveryState::Pending { next_attempt_at: Timestamp::from_unix_millis(row.next_attempt_at) },
                DEAD => DeliveryState::Dead,
                other => return Err(inconsistent(&place, format_args!("{other} is no state"))),
            },
            attempts: u32::try_from(row.attempts).map_err(|_| inconsistent(&place, "a count out of range"))?,
            last_attempt: row
                .last_attempt_at
                .zip(row.last_error)
                .map(|(at, error)| FailedAttempt { at: Timestamp::from_unix_millis(at), error }),
        })
    }
}

/// How a sink stands, from the oldest pending change and the count of dead letters.
pub(crate) fn backlog(oldest_pending: Option<i64>, dead: i64) -> Result<Backlog, StoreError> {
    Ok(Backlog {
        oldest_pending: oldest_pending.map(Timestamp::from_unix_millis),
        dead: super::unsigned("deliveries", dead)?,
    })
}

/// The columns that a failed attempt leaves: state, pause until the next attempt in milliseconds, error. `None` when it succeeded.
pub(crate) fn failure(settlement: &Settlement) -> Option<(i64, i64, &str)> {
    match &settlement.verdict {
        Verdict::Delivered => None,
        // Longer than a record can hold is never.
        Verdict::Retry { after_millis, error } => {
            Some((PENDING, i64::try_from(*after_millis).unwrap_or(LONGEST).min(LONGEST), error))
        }
        Verdict::Dead { error } => Some((DEAD, 0, error)),
    }
}

/// The first name that a delivery of an instant or later can have: names begin with the instant (RFC 9562 §5.7).
pub(crate) fn first_of(instant: Timestamp) -> DeliveryId {
    DeliveryId::new(instant, [0; 10])
}

/// The column `deliveries.state`.
pub(crate) const PENDING: i64 = 0;
pub(crate) const DEAD: i64 = 1;

/// A thousand years, in milliseconds: added to an instant it is still one.
const LONGEST: i64 = 1_000 * 366 * 86_400_000;
