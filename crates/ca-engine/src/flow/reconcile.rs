//! Closes what was begun and never finished.
//!
//! A reservation whose holder died may have been signed; its certificate has left nobody's hands (it leaves only after
//! completion), so it is recorded as abandoned and its serial answers as revoked.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::principal::Principal;
use ca_core::time::{Lifetime, Timestamp};

use super::watch_clock::dependable_now;
use crate::engine::Engine;
use crate::error::FlowError;
use crate::port::store::{Journal, OpenReservation};

/// Abandons every reservation that is older than any issuance may take, by the database's time: a process whose clock is ahead would
/// take from the others what they are at work on.
pub async fn abandon_reservations_older_than(
    engine: &Engine,
    principal: &Principal,
    patience: Lifetime,
) -> Result<u64, FlowError> {
    let before = engine.store().database_time().await?.minus(patience);
    abandon_reservations_before(engine, principal, before).await
}

/// Abandons every reservation made before `before`; returns how many. At start-up of a service that is alone on its record
/// `before` is now; among replicas it lies further back than any issuance may take. One that is completed meanwhile is passed
/// over. Refused while the record is not known to be the newest: what is open in an old one may have been issued since.
pub async fn abandon_reservations_before(
    engine: &Engine,
    principal: &Principal,
    before: Timestamp,
) -> Result<u64, FlowError> {
    engine.check_anchor()?;
    abandon_all_before(engine, principal, before).await
}

/// The same for a restoration, which is what the record is closed for.
pub(super) async fn abandon_all_before(
    engine: &Engine,
    principal: &Principal,
    before: Timestamp,
) -> Result<u64, FlowError> {
    let mut abandoned = 0;
    loop {
        let open = engine.store().open_reservations(before).await?;
        if open.is_empty() {
            return Ok(abandoned);
        }
        for reservation in open {
            let now = dependable_now(engine).await?;
            let journal = abandonment(now, principal, &reservation, "found-open", None);
            if engine.store().abandon(reservation.id, journal).await? {
                abandoned += 1;
            }
        }
    }
}

/// The event of an abandonment and its cause. Its serial is revoked from `now` on: a date ahead of the true time would keep every
/// list from being made until then.
pub(super) fn abandonment(
    now: Timestamp,
    principal: &Principal,
    reservation: &OpenReservation,
    cause: &str,
    request_id: Option<&str>,
) -> Journal {
    let subject = format!("certificate:{}", reservation.id);
    Journal::of(
        AuditEvent::new(now, AuditAction::IssuanceAbandoned, principal.reference(), subject)
            .with("authority", &reservation.authority)
            .with("cause", cause)
            .with("reserved_at", reservation.reserved_at)
            .with("serial", &reservation.serial)
            .in_request(request_id),
    )
}
