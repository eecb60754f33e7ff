//! TLS as a client: the roots that are trusted, and the client certificate. Nothing of the operating system's is trusted.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ca_core::certificate::Certificate;
use ca_runtime::file::{self, Links};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};

use crate::exit::Failure;
use crate::settings::IdentityFiles;

/// Reads the root certificates in a PEM file.
pub(crate) fn read_roots(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::of_file(path, error))?;
    Certificate::all_from_pem(&text).map_err(|error| Failure::of_file(path, error))
}

/// The configuration of a client that trusts `roots` alone.
pub(crate) fn client(roots: &[Certificate], identity: Option<&IdentityFiles>) -> Result<ClientConfig, Failure> {
    client_of_versions(rustls::DEFAULT_VERSIONS, roots, identity)
}

/// The same with a certificate of its own, speaking one version of TLS.
pub(crate) fn client_of(
    version: &'static SupportedProtocolVersion,
    roots: &[Certificate],
    identity: &IdentityFiles,
) -> Result<ClientConfig, Failure> {
    client_of_versions(&[version], roots, Some(identity))
}

fn client_of_versions(
    versions: &[&'static SupportedProtocolVersion],
    roots: &[Certificate],
    identity: Option<&IdentityFiles>,
) -> Result<ClientConfig, Failure> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(CertificateDer::from(root.der().to_vec())).map_err(|error| {
            Failure::Failed(format!("the root certificate `{}` cannot be used: {error}", root.subject()))
        })?;
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(Failure::failed)?
        .with_root_certificates(store);
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some(files) => {
            let (chain, key) = read_identity(files)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                Failure::Failed(format!(
                    "{} and {} cannot authenticate: {error}",
                    files.certificate.display(),
                    files.key.display()
                ))
            })
        }
    }
}

/// The configuration of a client that takes every certificate: for `bootstrap`, which fetches what is public and believes
/// none of it but what has the fingerprint that its user brought.
pub(crate) fn client_that_trusts_anyone() -> Result<ClientConfig, Failure> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Failure::failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone { algorithms }))
        .with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Takes every certificate; that the server has its key is checked all the same.
#[derive(Debug)]
struct Anyone {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn read_identity(files: &IdentityFiles) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let text = fs::read(&files.certificate).map_err(|error| Failure::of_file(&files.certificate, error))?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Failure::of_file(&files.certificate, error))?;
    if chain.is_empty() {
        return Err(Failure::of_file(&files.certificate, "there is no certificate in it"));
    }
    let key = file::read_private(&files.key, Links::Follow)
        .map_err(|error| Failure::of_file(&files.key, error))?
        .ok_or_else(|| Failure::of_file(&files.key, "there is no such file"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| Failure::of_file(&files.key, error))?;
    Ok((chain, key))
}
