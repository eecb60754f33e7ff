//! The TLS side of the API: its own certificate, swapped while it runs, and whose client certificates it asks for.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;
use ca_engine::hierarchy::Hierarchy;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// What the API listener shows and asks for.
pub(crate) struct TlsIdentity {
    resolver: Arc<CurrentCertificate>,
    acceptor: ArcSwap<ServerConfig>,
}

/// The certificate in use; handshakes take it from here, so that a new one needs no restart.
#[derive(Debug)]
struct CurrentCertificate(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl TlsIdentity {
    /// Begins with `certificate`, asking clients for certificates of `hierarchy` without demanding one.
    pub(crate) fn new(certificate: CertifiedKey, hierarchy: &Hierarchy) -> anyhow::Result<Self> {
        let resolver = Arc::new(CurrentCertificate(ArcSwap::from_pointee(certificate)));
        let config = server_config(&resolver, hierarchy)?;
        Ok(Self { resolver, acceptor: ArcSwap::from_pointee(config) })
    }

    /// Shows another certificate from the next handshake on.
    pub(crate) fn show(&self, certificate: CertifiedKey) {
        self.resolver.0.store(Arc::new(certificate));
    }

    /// Asks for certificates of what the hierarchy is now.
    pub(crate) fn trust(&self, hierarchy: &Hierarchy) -> anyhow::Result<()> {
        self.acceptor.store(Arc::new(server_config(&self.resolver, hierarchy)?));
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.acceptor.load_full())
    }
}

fn server_config(resolver: &Arc<CurrentCertificate>, hierarchy: &Hierarchy) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .context("TLS 1.2 and 1.3")?
        .with_client_cert_verifier(client_verifier(hierarchy, &provider)?)
        .with_cert_resolver(Arc::clone(resolver) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session would carry a client certificate that was checked before; each connection shakes hands anew.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Whether a client's certificate is revoked is asked of the record at each request, not of a list here.
fn client_verifier(
    hierarchy: &Hierarchy,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let mut trusted = RootCertStore::empty();
    for authority in hierarchy.authorities() {
        // Issuing authorities are anchors too: a client that sends its leaf alone is understood.
        trusted.add(CertificateDer::from(authority.certificate().der().to_vec())).with_context(|| {
            format!("the certificate of authority {} is not one that TLS can trust", authority.id())
        })?;
    }
    if trusted.is_empty() {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), Arc::clone(provider))
        .allow_unauthenticated()
        .build()
        .context("client certificates cannot be verified")
}

/// A certificate chain and its key from PEM.
pub(crate) fn certified_key(chain_pem: &[u8], key_pem: &[u8]) -> anyhow::Result<CertifiedKey> {
    let chain = CertificateDer::pem_slice_iter(chain_pem)
        .collect::<Result<Vec<_>, _>>()
        .context("the API's certificate is not PEM")?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).context("the API's key is not PEM")?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider).context("the API's certificate and key do not fit")
}

/// The same from files.
pub(crate) fn read_certified_key(chain: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let key_pem = zeroize::Zeroizing::new(read(key)?);
    certified_key(&read(chain)?, &key_pem)
}
