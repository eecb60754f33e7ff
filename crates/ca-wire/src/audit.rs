//! Audit events.

use ca_api::audit::AuditEvent;
use ca_engine::error::FlowError;
use ca_engine::port::store::ChainedEvent;

/// An audit event: what is stored of it is its canonical JSON, the wire adds its place in the chain.
pub fn audit_event(chained: &ChainedEvent) -> Result<AuditEvent, FlowError> {
    let unreadable =
        |error: serde_json::Error| FlowError::internal(format!("audit event {}: {error}", chained.sequence));
    let mut value: serde_json::Value = serde_json::from_slice(&chained.canonical).map_err(unreadable)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("sequence".to_owned(), chained.sequence.into());
        fields.insert("hash".to_owned(), hex::encode(chained.hash).into());
    }
    serde_json::from_value(value).map_err(unreadable)
}
