//! What people do about events that are not delivered: look at them, and have them tried again.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::DeliveryId;
use ca_core::principal::Principal;

use super::query::permit;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::authorizer::{Action, Resource};
use crate::port::store::{Delivery, Journal};

/// Deliveries that sinks have not taken, newest first: dead letters, those that are pending, or both.
pub async fn list_deliveries(
    engine: &Engine,
    principal: &Principal,
    dead: Option<bool>,
    after: Option<DeliveryId>,
    limit: u32,
) -> Result<Vec<Delivery>, FlowError> {
    permit(engine, principal, Action::ListOutbox, Resource::Service)?;
    Ok(engine.store().deliveries(dead, after, limit).await?)
}

/// Makes a delivery due at once, as if it had never been tried; returns it as it stands then. One whose sink is no longer
/// configured waits for it.
pub async fn replay_delivery(
    engine: &Engine,
    principal: &Principal,
    id: DeliveryId,
    request_id: Option<&str>,
) -> Result<Delivery, FlowError> {
    permit(engine, principal, Action::ReplayDelivery, Resource::Service)?;
    let missing =
        || FlowError::new(FlowErrorKind::NotFound, "no such event waits to be delivered; its sink may have it");
    let delivery = engine.store().delivery(id).await?.ok_or_else(missing)?;
    let event =
        AuditEvent::new(engine.now(), AuditAction::DeliveryReplayed, principal.reference(), format!("delivery:{id}"))
            .with("sink", &delivery.sink)
            .with("message", delivery.sequence)
            .with("topic", &delivery.topic)
            .in_request(request_id);
    if !engine.store().replay_delivery(id, Journal::of(event)).await? {
        return Err(missing());
    }
    // Its sink may have taken it already; then it stands as it did before.
    Ok(engine.store().delivery(id).await?.unwrap_or(delivery))
}
