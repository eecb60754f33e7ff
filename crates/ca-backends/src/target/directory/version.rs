//! One version of a folder: what lies in it, read back.

use std::fs;
use std::io;
use std::path::PathBuf;

use ca_core::certificate::Certificate;
use ca_core::csr::ParsedCsr;
use ca_core::id::RotationId;
use ca_core::pem;
use ca_engine::port::certificate_target::{HeldCertificate, PrivateKeyOctets, TargetError};
use ca_engine::port::signer::Signer;
use zeroize::Zeroizing;

use crate::signer::SoftwareSigner;

/// The private key, unencrypted PKCS#8.
pub(super) const KEY: &str = "key.pem";
/// The certificate alone.
pub(super) const CERTIFICATE: &str = "certificate.pem";
/// What is above it, issuer first, the root left out; empty below a root.
pub(super) const CHAIN: &str = "chain.pem";
/// Both, as most servers want them.
pub(super) const FULL_CHAIN: &str = "fullchain.pem";
/// The request that the certificate was asked for with.
pub(super) const REQUEST: &str = ".request.pem";

/// A version that something leads to.
pub(super) struct Version {
    pub(super) rotation: RotationId,
    pub(super) folder: PathBuf,
}

impl Version {
    /// The DER of the request.
    pub(super) fn request(&self) -> Result<Vec<u8>, TargetError> {
        let text = self.text(REQUEST)?.ok_or_else(|| self.foreign(REQUEST, "is missing"))?;
        let request = ParsedCsr::from_pem(&text).map_err(|_| self.foreign(REQUEST, "is no signing request"))?;
        Ok(request.der().to_vec())
    }

    /// Everything but the key, of which only its public part leaves. `None` while there is no certificate.
    pub(super) fn held(&self) -> Result<Option<HeldCertificate>, TargetError> {
        let Some(text) = self.text(CERTIFICATE)? else { return Ok(None) };
        let certificate = Certificate::from_pem(&text).map_err(|_| self.foreign(CERTIFICATE, "is no certificate"))?;
        let chain_text = self.text(CHAIN)?.ok_or_else(|| self.foreign(CHAIN, "is missing"))?;
        let chain = if chain_text.trim().is_empty() { Ok(Vec::new()) } else { Certificate::all_from_pem(&chain_text) };
        let chain = chain.map_err(|_| self.foreign(CHAIN, "is no chain"))?;
        let whole = [text.as_str(), chain_text.as_str()].concat();
        if self.text(FULL_CHAIN)?.is_none_or(|there| *there != whole) {
            return Err(self.foreign(FULL_CHAIN, "is not the certificate and its chain"));
        }
        Ok(Some(HeldCertificate {
            rotation: self.rotation,
            certificate: certificate.der().to_vec(),
            chain: chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
            key_spki_sha256: self.key_spki_sha256()?,
        }))
    }

    fn key_spki_sha256(&self) -> Result<[u8; 32], TargetError> {
        let signer = SoftwareSigner::from_pkcs8(self.private_key()?.as_pkcs8()).map_err(|_| self.no_key())?;
        Ok(signer.public_key().spki_sha256())
    }

    /// The key.
    pub(super) fn private_key(&self) -> Result<PrivateKeyOctets, TargetError> {
        let text = self.text(KEY)?.ok_or_else(|| self.foreign(KEY, "is missing"))?;
        let mut blocks = pem::decode_all("PRIVATE KEY", &text).map_err(|_| self.no_key())?;
        let octets = blocks.pop().map(Zeroizing::new).filter(|_| blocks.is_empty());
        octets.map(PrivateKeyOctets::new).ok_or_else(|| self.no_key())
    }

    fn no_key(&self) -> TargetError {
        self.foreign(KEY, "is no private key in PKCS#8")
    }

    /// A file of the version; wiped, since it may be the key.
    fn text(&self, name: &str) -> Result<Option<Zeroizing<String>>, TargetError> {
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(octets) => match String::from_utf8(octets) {
                Ok(text) => Ok(Some(Zeroizing::new(text))),
                Err(error) => {
                    drop(Zeroizing::new(error.into_bytes()));
                    Err(self.foreign(name, "is not PEM"))
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TargetError::Unavailable { detail: format!("{}: {error}", path.display()) }),
        }
    }

    fn foreign(&self, name: &str, what: &str) -> TargetError {
        let detail = format!("{} {what}; somebody changed it", self.folder.join(name).display());
        TargetError::Foreign { detail }
    }
}
