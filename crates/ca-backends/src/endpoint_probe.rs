//! A look at what a TLS server shows: a handshake that believes every certificate, and proves nothing but that the server has its key.
//!
//! Whether what is shown is right is the caller's to say: it knows which certificate it waits for. Nothing is sent over the connection,
//! and nothing that a server says later, as that it wants a certificate of its client, takes back what it showed.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ca_core::managed::definition::EndpointDefinition;
use ca_engine::port::certificate_target::{EndpointProbe, ProbeError};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a look may take, connection and handshake together.
const WITHIN: Duration = Duration::from_secs(10);

/// Connects by TCP, from where this process is.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsProbe;

#[async_trait]
impl EndpointProbe for TlsProbe {
    async fn served(&self, endpoint: &EndpointDefinition) -> Result<Vec<Vec<u8>>, ProbeError> {
        let failed = |detail: String| ProbeError { address: endpoint.address.clone(), detail };
        let (host, port) = endpoint
            .host_and_port()
            .ok_or_else(|| failed("it is no address; write host:port, like www.example.com:443".to_owned()))?;
        let name = endpoint.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| failed(format!("`{name}` is no name that can be asked for; set server_name")))?;
        let shown = Arc::new(Shown::new());
        let config = config(Arc::clone(&shown)).map_err(|error| failed(error.to_string()))?;
        let look = async {
            let stream = TcpStream::connect((host, port)).await.map_err(|error| format!("no connection: {error}"))?;
            let ended = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
            ended.map(drop).map_err(|error| format!("no TLS: {error}"))
        };
        let ended = tokio::time::timeout(WITHIN, look).await;
        match (shown.proved(), ended) {
            (Some(chain), _) => Ok(chain),
            (None, Ok(Err(detail))) => Err(failed(detail)),
            (None, Ok(Ok(()))) => Err(failed("it showed none".to_owned())),
            (None, Err(_)) => Err(failed(format!("nothing within {} s", WITHIN.as_secs()))),
        }
    }
}

fn config(shown: Arc<Shown>) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&shown.provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(shown)
        .with_no_client_auth();
    // A session that is resumed shows nothing.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes down what is shown, and whether the server has its key.
struct Shown {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    chain: Vec<Vec<u8>>,
    is_proved: bool,
}

impl Shown {
    fn new() -> Self {
        Self { provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()), seen: Mutex::default() }
    }

    /// The chain of a server that has the key of its certificate.
    fn proved(&self) -> Option<Vec<Vec<u8>>> {
        let seen = self.lock();
        seen.is_proved.then(|| seen.chain.clone())
    }

    fn note(
        &self,
        verified: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.lock().is_proved = verified.is_ok();
        verified
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        self.lock().chain = all.map(|certificate| certificate.to_vec()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.note(verify_tls12_signature(message, certificate, signature, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.note(verify_tls13_signature(message, certificate, signature, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
