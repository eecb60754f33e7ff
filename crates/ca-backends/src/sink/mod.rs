//! Where events go: the `Sink` port (`ca_engine::port::sink`).

pub mod webhook;

pub use webhook::{Webhook, WebhookAddress, WebhookError, WebhookSecrets};
