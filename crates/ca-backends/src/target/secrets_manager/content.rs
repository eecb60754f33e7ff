//! What the versions of a secret hold, and how they are named.
//!
//! AWS has one name for a version and one content for ever. So the name says of which rotation a version is and what it holds, and
//! whoever repeats a step after a crash names the same version again. A key that waits for its certificate is a version of its own,
//! which no reader of the secret asks for.

use ca_core::certificate::Certificate;
use ca_core::id::RotationId;
use ca_core::pem;
use ca_engine::port::certificate_target::{HeldCertificate, PrivateKeyOctets, StagedKey};
use ca_engine::port::signer::Signer;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::plan::SecretLayout;
use crate::signer::software::SoftwareSigner;

/// The longest value, in octets.
pub(super) const LONGEST: usize = 65_536;
/// The version of a new secret.
pub(super) const EMPTY: &str = "00000000000000000000000000000000-empty";

/// The name of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum VersionName {
    /// Of a new secret.
    Empty,
    /// A key that waits for its certificate.
    Key(RotationId),
    /// Key, certificate and chain; the octets tell deliveries of one rotation apart.
    Certificate(RotationId, [u8; 8]),
}

impl VersionName {
    /// The name of what is delivered.
    pub(super) fn of_certificate(rotation: RotationId, certificate: &[u8], chain: &[Vec<u8>]) -> Self {
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        for der in std::iter::once(certificate).chain(chain.iter().map(Vec::as_slice)) {
            digest.update(&(der.len() as u64).to_be_bytes());
            digest.update(der);
        }
        let mut octets = [0; 8];
        octets.copy_from_slice(&digest.finish().as_ref()[..8]);
        Self::Certificate(rotation, octets)
    }

    /// Reads a name; `None` when this service did not give it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == EMPTY {
            return Some(Self::Empty);
        }
        let (rotation, rest) = text.split_once('-')?;
        let mut octets = [0; 16];
        hex::decode_to_slice(rotation, &mut octets).ok()?;
        let rotation = RotationId::from_bytes(octets);
        if rest == "key" {
            return Some(Self::Key(rotation));
        }
        let mut octets = [0; 8];
        hex::decode_to_slice(rest.strip_prefix("certificate-")?, &mut octets).ok()?;
        Some(Self::Certificate(rotation, octets))
    }

    /// Of which rotation.
    pub(super) fn rotation(&self) -> Option<RotationId> {
        match self {
            Self::Empty => None,
            Self::Key(rotation) | Self::Certificate(rotation, _) => Some(*rotation),
        }
    }
}

impl std::fmt::Display for VersionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str(EMPTY),
            Self::Key(rotation) => write!(f, "{}-key", hex::encode(rotation.as_bytes())),
            Self::Certificate(rotation, octets) => {
                write!(f, "{}-certificate-{}", hex::encode(rotation.as_bytes()), hex::encode(octets))
            }
        }
    }
}

/// The value of a key that waits for its certificate.
pub(super) fn staged_value(staged: &StagedKey, key: &PrivateKeyOctets) -> Zeroizing<String> {
    let private_key = Zeroizing::new(pem::encode("PRIVATE KEY", key.as_pkcs8()));
    Zeroizing::new(
        json!({
            "state": "this key waits for its certificate",
            "rotation": staged.rotation.to_string(),
            "request": pem::encode("CERTIFICATE REQUEST", &staged.request),
            "private_key": private_key.as_str(),
        })
        .to_string(),
    )
}

/// A key that waits for its certificate, as it was read back.
pub(super) struct StagedValue {
    pub(super) request: Vec<u8>,
    pub(super) private_key: Zeroizing<Vec<u8>>,
}

/// Reads what [`staged_value`] wrote; the error says what is wrong, without the value.
pub(super) fn read_staged(value: &str) -> Result<StagedValue, &'static str> {
    let value: Value = serde_json::from_str(value).map_err(|_| "it is no JSON")?;
    let request =
        value["request"].as_str().and_then(|text| one("CERTIFICATE REQUEST", text)).ok_or("it has no request")?;
    let private_key = value["private_key"].as_str().and_then(|text| one("PRIVATE KEY", text)).ok_or("it has no key")?;
    Ok(StagedValue { request, private_key: Zeroizing::new(private_key) })
}

/// The value that readers of the secret get.
pub(super) fn certificate_value(
    layout: SecretLayout,
    rotation: RotationId,
    private_key: &[u8],
    certificate: &Certificate,
    chain: &[Vec<u8>],
) -> Zeroizing<String> {
    let private_key = Zeroizing::new(pem::encode("PRIVATE KEY", private_key));
    let chain: String = chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
    Zeroizing::new(match layout {
        SecretLayout::Pem => format!("{}{}{chain}", private_key.as_str(), certificate.to_pem()),
        SecretLayout::Json => json!({
            "certificate": certificate.to_pem(),
            "chain": chain,
            "private_key": private_key.as_str(),
            "serial": certificate.serial().to_string(),
            "not_before": certificate.validity().not_before.to_rfc3339(),
            "not_after": certificate.validity().not_after.to_rfc3339(),
            "fingerprint_sha256": hex::encode(certificate.fingerprint_sha256()),
            "rotation": rotation.to_string(),
        })
        .to_string(),
    })
}

/// Reads what [`certificate_value`] wrote, in either layout; the error says what is wrong, without the value.
pub(super) fn read_certificate(rotation: RotationId, value: &str) -> Result<HeldCertificate, &'static str> {
    let (private_key, mut certificates) = if value.trim_start().starts_with('{') {
        let value: Value = serde_json::from_str(value).map_err(|_| "it is no JSON")?;
        let member = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let mut certificates = all("CERTIFICATE", &member("certificate"))?;
        certificates.extend(all("CERTIFICATE", &member("chain"))?);
        (one("PRIVATE KEY", &Zeroizing::new(member("private_key"))), certificates)
    } else {
        (one("PRIVATE KEY", value), all("CERTIFICATE", value)?)
    };
    let private_key = Zeroizing::new(private_key.ok_or("it has no key in PKCS#8")?);
    let signer = SoftwareSigner::from_pkcs8(&private_key).map_err(|_| "its key cannot be read")?;
    if certificates.is_empty() {
        return Err("it has no certificate");
    }
    let certificate = certificates.remove(0);
    Certificate::from_der(&certificate).map_err(|_| "its certificate cannot be read")?;
    Ok(HeldCertificate {
        rotation,
        certificate,
        chain: certificates,
        key_spki_sha256: signer.public_key().spki_sha256(),
    })
}

/// The key of what [`certificate_value`] wrote; the error says what is wrong, without the value.
pub(super) fn read_private_key(value: &str) -> Result<PrivateKeyOctets, &'static str> {
    let key = if value.trim_start().starts_with('{') {
        let value: Value = serde_json::from_str(value).map_err(|_| "it is no JSON")?;
        one("PRIVATE KEY", value["private_key"].as_str().unwrap_or_default())
    } else {
        one("PRIVATE KEY", value)
    };
    key.map(|key| PrivateKeyOctets::new(Zeroizing::new(key))).ok_or("it has no key in PKCS#8")
}

fn one(label: &str, text: &str) -> Option<Vec<u8>> {
    pem::decode_all(label, text).ok()?.into_iter().next()
}

fn all(label: &str, text: &str) -> Result<Vec<Vec<u8>>, &'static str> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    pem::decode_all(label, text).map_err(|_| "its PEM cannot be read")
}
