//! Where events go: the `Sink` port (`ca_engine::port::sink`).

#[cfg(feature = "hooks-aws")]
pub mod aws;
#[cfg(feature = "hooks-aws")]
pub mod deployments;
#[cfg(feature = "hooks-aws")]
mod patience;
pub mod webhook;

pub use webhook::{Webhook, WebhookAddress, WebhookError, WebhookSecrets};
