//! One version of a folder: what lies in it, read back.

use ca_core::certificate::Certificate;
use ca_core::pem;
use ca_engine::port::certificate_target::{HeldCertificate, PrivateKeyOctets, TargetError};
use ca_engine::port::signer::Signer;
use zeroize::Zeroizing;

use super::super::versions::Version;
use crate::signer::SoftwareSigner;

/// The private key, unencrypted PKCS#8.
pub(super) const KEY: &str = "key.pem";
/// The certificate alone.
pub(super) const CERTIFICATE: &str = "certificate.pem";
/// What is above it, issuer first, the root left out; empty below a root.
pub(super) const CHAIN: &str = "chain.pem";
/// Both, as most servers want them.
pub(super) const FULL_CHAIN: &str = "fullchain.pem";

/// Everything but the key, of which only its public part leaves. `None` while there is no certificate.
pub(super) fn held(version: &Version) -> Result<Option<HeldCertificate>, TargetError> {
    let Some(text) = version.text(CERTIFICATE)? else { return Ok(None) };
    let certificate = Certificate::from_pem(&text).map_err(|_| version.foreign(CERTIFICATE, "is no certificate"))?;
    let chain_text = version.text(CHAIN)?.ok_or_else(|| version.foreign(CHAIN, "is missing"))?;
    let chain = if chain_text.trim().is_empty() { Ok(Vec::new()) } else { Certificate::all_from_pem(&chain_text) };
    let chain = chain.map_err(|_| version.foreign(CHAIN, "is no chain"))?;
    let whole = [text.as_str(), chain_text.as_str()].concat();
    if version.text(FULL_CHAIN)?.is_none_or(|there| *there != whole) {
        return Err(version.foreign(FULL_CHAIN, "is not the certificate and its chain"));
    }
    Ok(Some(HeldCertificate {
        rotation: version.rotation,
        certificate: certificate.der().to_vec(),
        chain: chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
        key_spki_sha256: key_spki_sha256(version)?,
    }))
}

fn key_spki_sha256(version: &Version) -> Result<[u8; 32], TargetError> {
    let signer = SoftwareSigner::from_pkcs8(private_key(version)?.as_pkcs8()).map_err(|_| no_key(version))?;
    Ok(signer.public_key().spki_sha256())
}

/// The key.
pub(super) fn private_key(version: &Version) -> Result<PrivateKeyOctets, TargetError> {
    let text = version.text(KEY)?.ok_or_else(|| version.foreign(KEY, "is missing"))?;
    let mut blocks = pem::decode_all("PRIVATE KEY", &text).map_err(|_| no_key(version))?;
    let octets = blocks.pop().map(Zeroizing::new).filter(|_| blocks.is_empty());
    octets.map(PrivateKeyOctets::new).ok_or_else(|| no_key(version))
}

fn no_key(version: &Version) -> TargetError {
    version.foreign(KEY, "is no private key in PKCS#8")
}
