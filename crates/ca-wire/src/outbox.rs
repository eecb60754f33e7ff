//! Events on their way to sinks.

use ca_api::outbox::{Delivery as Wire, DeliveryState as WireState};
use ca_core::time::Timestamp;
use ca_engine::port::store::{Delivery, DeliveryState};

/// A delivery; its payload stays where it is.
pub fn delivery(delivery: &Delivery) -> Wire {
    let (state, next_attempt_at) = match delivery.state {
        DeliveryState::Pending { next_attempt_at } => (WireState::Pending, Some(next_attempt_at)),
        DeliveryState::Dead => (WireState::Dead, None),
    };
    let last_attempt = delivery.last_attempt.as_ref();
    Wire {
        id: delivery.id.to_string(),
        sink: delivery.sink.to_string(),
        state,
        topic: delivery.topic.clone(),
        sequence: delivery.sequence,
        certificate: delivery.certificate.map(|id| id.to_string()),
        created_at: delivery.created_at.to_rfc3339(),
        attempts: delivery.attempts,
        next_attempt_at: next_attempt_at.map(Timestamp::to_rfc3339),
        last_attempt_at: last_attempt.map(|attempt| attempt.at.to_rfc3339()),
        last_error: last_attempt.map(|attempt| attempt.error.clone()),
    }
}

/// Whether a state restricts a list to dead letters, or to what is pending.
pub fn is_dead(state: WireState) -> bool {
    state == WireState::Dead
}
