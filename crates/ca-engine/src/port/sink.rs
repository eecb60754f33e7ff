//! Where events go: whoever wants to know what happened to certificates and lists.

use async_trait::async_trait;
use ca_core::id::{CertificateId, DeliveryId};
use ca_core::time::Lifetime;
use thiserror::Error;

/// What a sink is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkEvent {
    /// The same at every attempt: by it receivers tell repetitions.
    pub id: DeliveryId,
    /// What it tells of, as in `certificate.issued`; the body says it too.
    pub topic: String,
    /// The certificate it is about: events about one have an order.
    pub certificate: Option<CertificateId>,
    /// JSON, one object; no personal data, no secrets.
    pub body: String,
}

/// Takes events, at least once each.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Hands over one event. `Ok` when the receiver has taken responsibility for it. Gives up within a few seconds (less than a
    /// lease lasts); after an error the receiver may have got it all the same. Concurrent calls are for events that have no order.
    async fn deliver(&self, event: &SinkEvent) -> Result<(), SinkError>;
}

/// Why an event was not taken. Texts are for the operator: without secrets, addresses and what the receiver wrote.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SinkError {
    /// The receiver cannot be reached or has too much to do; other events would fare no better.
    #[error("{detail}")]
    Unavailable {
        /// What went wrong, and what would be right.
        detail: String,
        /// When it wants to be asked again, if it said so.
        retry_after: Option<Lifetime>,
    },
    /// The receiver does not take this event now; it may take others.
    #[error("{detail}")]
    Refused {
        /// What it answered, and what would be right.
        detail: String,
    },
    /// The receiver says that it will never take anything again: trying is of no use.
    #[error("{detail}")]
    Gone {
        /// What it answered, and what would be right.
        detail: String,
    },
}
