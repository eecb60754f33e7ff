//! Keys and certificate signing requests, made by rcgen where the test runs; and a certificate with its key.

use anyhow::Context;
use ca_api::certificate::{Certificate, NewCertificate, SubjectAlternativeName, SubjectAlternativeNameType};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate chain and the key of its leaf.
#[derive(Clone)]
pub struct Identity {
    chain_pem: String,
    key_pem: String,
}

impl Identity {
    /// From PEM texts: the leaf first, then its chain; the key in PKCS#8.
    pub fn from_pem(chain_pem: String, key_pem: String) -> Self {
        Self { chain_pem, key_pem }
    }

    /// What the service answered, with the key that stayed here.
    pub fn of(certificate: &Certificate, key: &SubjectKey) -> Self {
        Self { chain_pem: format!("{}{}", certificate.certificate, certificate.chain), key_pem: key.to_pem() }
    }

    /// The leaf, then its chain, PEM.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The key, PKCS#8 PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The same for rustls.
    pub fn for_tls(&self) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let chain = CertificateDer::pem_slice_iter(self.chain_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .context("a certificate is not PEM")?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).context("a key is not PEM")?;
        Ok((chain, key))
    }
}

/// A P-256 key that asks for certificates.
pub struct SubjectKey(KeyPair);

impl SubjectKey {
    /// A new key.
    pub fn generate() -> anyhow::Result<Self> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("no key can be made")?))
    }

    /// The key, PKCS#8 PEM.
    pub fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// A CSR with this common name and these dNSNames, PEM.
    pub fn csr(&self, common_name: &str, dns_names: &[&str]) -> anyhow::Result<String> {
        let names: Vec<String> = dns_names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).context("a name is not ASCII")?;
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, common_name);
        let request = parameters.serialize_request(&self.0).context("no CSR can be made")?;
        request.pem().context("no PEM can be made")
    }
}

/// The body of a request for a certificate whose names are those of its CSR.
pub fn request(profile: &str, csr: String) -> NewCertificate {
    NewCertificate { profile: profile.to_owned(), csr, subject: None, subject_alternative_names: None, validity: None }
}

/// A dNSName on the wire.
pub fn dns(value: &str) -> SubjectAlternativeName {
    name(SubjectAlternativeNameType::Dns, value)
}

/// A name on the wire.
pub fn name(kind: SubjectAlternativeNameType, value: &str) -> SubjectAlternativeName {
    SubjectAlternativeName { kind, value: value.to_owned() }
}
