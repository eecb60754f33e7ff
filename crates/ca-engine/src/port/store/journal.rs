//! What is stored beside every change, in its transaction.

use ca_core::audit::AuditEvent;
use ca_core::id::CertificateId;

/// The audit event of a change and the messages that tell others about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Exactly one event for every change of state.
    pub event: AuditEvent,
    /// Messages for the outbox, in order.
    pub messages: Vec<OutboxMessage>,
}

impl Journal {
    /// A journal of one event and no message.
    pub fn of(event: AuditEvent) -> Self {
        Self { event, messages: Vec::new() }
    }

    /// The same journal with one more message.
    #[must_use]
    pub fn telling(mut self, message: OutboxMessage) -> Self {
        self.messages.push(message);
        self
    }
}

/// A message to be delivered at least once after the commit, in order for each certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxMessage {
    /// `certificate.issued`, `certificate.renewed`, `certificate.revoked`, `certificate.released`, `crl.published` …
    pub topic: &'static str,
    /// The certificate it is about: the ordering key.
    pub certificate: Option<CertificateId>,
    /// JSON; no personal data, no secrets.
    pub payload: String,
}
