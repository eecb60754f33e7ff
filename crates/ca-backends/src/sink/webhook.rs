//! Events by HTTP POST, signed as Standard Webhooks has it, so that receivers find a library that verifies them.
//!
//! `webhook-id` names the event and is the same at every attempt; `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over
//! `ID.TIMESTAMP.BODY`, one for each secret. What the receiver writes is read past and never told to anybody.

mod address;
mod secrets;

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ca_core::time::Lifetime;
use ca_engine::port::clock::Clock;
use ca_engine::port::sink::{Sink, SinkError, SinkEvent};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

pub use address::{WebhookAddress, WebhookAddressError};
pub use secrets::{WebhookSecretError, WebhookSecrets};

/// How long one attempt may take as a whole: less than the lease lasts under which it is made.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// So much of an answer is read, in octets, that the connection can be used again; one that says more is closed.
const LARGEST_ANSWER: usize = 16 << 10;

/// A receiver of events.
pub struct Webhook {
    address: WebhookAddress,
    secrets: WebhookSecrets,
    client: Client,
    clock: Arc<dyn Clock>,
}

/// Without what may be secret.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why there is no webhook.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The roots that it is to trust.
    #[error("its CA certificates cannot be used: {detail}; give one or more CERTIFICATE blocks in PEM")]
    Roots {
        /// What is wrong with them.
        detail: String,
    },
    /// TLS, or the HTTP client.
    #[error("no HTTPS client can be made: {detail}")]
    Client {
        /// Why not.
        detail: String,
    },
}

impl Webhook {
    /// A webhook that trusts the CA certificates in `roots` (PEM) alone, else those that Mozilla trusts. Nothing is sent yet.
    pub fn new(
        address: WebhookAddress,
        secrets: WebhookSecrets,
        roots: Option<&[u8]>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WebhookError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls(roots)?)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // A redirect would carry events to where nobody configured them to go; neither does the environment decide.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("ca-server/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| WebhookError::Client { detail: error.to_string() })?;
        Ok(Self { address, secrets, client, clock })
    }
}

#[async_trait]
impl Sink for Webhook {
    async fn deliver(&self, event: &SinkEvent) -> Result<(), SinkError> {
        let id = event.id.to_string();
        let timestamp = self.clock.now().unix_seconds().to_string();
        let signature = self.secrets.sign(&id, &timestamp, &event.body);
        let request = self
            .client
            .post(self.address.url())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(event.body.clone());
        let response = request.send().await.map_err(|error| unanswered(&error))?;
        let verdict = judge(&response);
        read_past(response).await;
        verdict
    }
}

fn tls(roots: Option<&[u8]>) -> Result<ClientConfig, WebhookError> {
    let wrong = |detail: String| WebhookError::Roots { detail };
    let mut store = RootCertStore::empty();
    match roots {
        None => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                store.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if store.is_empty() {
                return Err(wrong("there is none".to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| WebhookError::Client { detail: error.to_string() })?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}

/// What an answer means. Whatever is not 2xx is tried again, but for 410: the receiver wants nothing more.
fn judge(response: &Response) -> Result<(), SinkError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    Err(match status {
        StatusCode::GONE => {
            SinkError::Gone { detail: format!("it answered {status}: it takes no events any more; remove the webhook") }
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => busy(response),
        _ if status.is_server_error() => busy(response),
        _ if status.is_redirection() => SinkError::Refused {
            detail: format!("it answered {status}, and redirects are not followed; set url to where it leads"),
        },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => SinkError::Refused {
            detail: format!(
                "it answered {status}; does it verify with the secret in secret_file, and with the body as it came?"
            ),
        },
        _ => SinkError::Refused { detail: format!("it answered {status}; its own log should say why") },
    })
}

fn busy(response: &Response) -> SinkError {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    SinkError::Unavailable {
        detail: format!("it answered {}; its own log should say why", response.status()),
        retry_after: seconds.map(Lifetime::from_seconds),
    }
}

/// Whatever it says is no matter; what cannot be read neither.
async fn read_past(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > LARGEST_ANSWER {
            return;
        }
    }
}

/// Why no answer came. The address stays out of it: its path may be a secret.
fn unanswered(error: &reqwest::Error) -> SinkError {
    let detail = match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(reason)) => format!(
            "it shows a certificate that is not to be trusted: {reason:?}; is it the right server, and is its CA named by \
             ca_file?"
        ),
        Some(other) => format!("TLS: {other}"),
        None if error.is_timeout() => {
            format!("it did not answer within {} s; it should answer first and work then", TIMEOUT.as_secs())
        }
        None => format!("it cannot be reached: {}", innermost(error)),
    };
    SinkError::Unavailable { detail, retry_after: None }
}

/// The TLS error inside, if it is one.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(tls) = unwrapped(inner).downcast_ref() {
            return Some(tls);
        }
        source = inner.source();
    }
    None
}

/// What an I/O error wraps: it names the source of that as its own, not that itself. Connectors wrap more than once.
fn unwrapped<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => unwrapped(inner),
        None => error,
    }
}

fn innermost(error: &reqwest::Error) -> String {
    let mut source: Option<&dyn std::error::Error> = error.source();
    let mut text = "no answer came".to_owned();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
