//! The steps of a rotation at its target, over ports alone: whoever stands where the target is makes them, the service or a worker.
//!
//! Every step may be made again. The key goes into the target before anybody is asked to certify it; nothing becomes current that was
//! not read back from where readers will find it.

use ca_core::certificate::Certificate;
use ca_core::chain;
use ca_core::csr::ParsedCsr;
use ca_core::id::RotationId;
use ca_core::key::KeyType;
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::tbs::RequestInfo;
use ca_core::time::Timestamp;
use thiserror::Error;

use crate::port::certificate_target::{
    CertificateTarget, HeldCertificate, KeyMaker, KeyMakerError, MadeKey, StagedKey, TargetError, TargetPlace,
};

/// What a rotation needs of its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The rotation.
    pub rotation: RotationId,
    /// The subject that the request names.
    pub subject: DistinguishedName,
    /// The kind of key.
    pub key_type: KeyType,
    /// Whether the key that is current is to be certified again, if it is of that kind.
    pub keep_key: bool,
}

/// What is to be in a target.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// The rotation that brings it.
    pub rotation: RotationId,
    /// The DER of the certificate.
    pub certificate: &'a [u8],
    /// The roots that its chain may end in.
    pub roots: &'a [Certificate],
    /// The names that it must have.
    pub names: &'a [GeneralName],
}

/// Why a step was not made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The target did not do as asked.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no key.
    #[error(transparent)]
    Key(#[from] KeyMakerError),
    /// The request could not be made or read.
    #[error("the request cannot be used: {detail}")]
    Request {
        /// What is wrong.
        detail: String,
    },
    /// Another rotation has its key there: another worker is at it.
    #[error("another rotation has its key in the target; whoever makes that one goes on with it")]
    Overtaken,
    /// What was read back is not what was delivered, or no reader could use it.
    #[error("what was read back from the target is not right: {detail}")]
    NotRight {
        /// What is wrong.
        detail: String,
    },
    /// The key that waited in the target is not there any more.
    #[error("the key that waited for its certificate is gone from the target")]
    KeyGone,
}

/// The request of the key that waits in the target for this rotation. When there is none, a key is made and put there.
pub async fn stage(
    target: &dyn CertificateTarget,
    keys: &dyn KeyMaker,
    wanted: &Wanted,
) -> Result<ParsedCsr, DeliveryError> {
    let is_its = |staged: &StagedKey| staged.rotation == wanted.rotation;
    if let Some(staged) = target.staged().await?.filter(is_its) {
        return read_request(&staged);
    }
    let key = key(target, keys, wanted).await?;
    let info = RequestInfo::of_key(&wanted.subject, key.signer.public_key());
    let unusable = |detail: String| DeliveryError::Request { detail };
    let signature = key.signer.sign(&info).await.map_err(|error| unusable(error.to_string()))?;
    let request = info.into_csr(&signature).map_err(|error| unusable(error.to_string()))?;
    let staged = StagedKey { rotation: wanted.rotation, request: request.der().to_vec() };
    target.stage(&staged, &key.octets).await?;
    // Another may have been first, with a key of its own.
    let there = target.staged().await?.filter(is_its).ok_or(DeliveryError::Overtaken)?;
    read_request(&there)
}

async fn key(target: &dyn CertificateTarget, keys: &dyn KeyMaker, wanted: &Wanted) -> Result<MadeKey, DeliveryError> {
    if wanted.keep_key
        && let Some(octets) = target.current_key().await?
    {
        let key = keys.read(octets).await?;
        if key.signer.public_key().key_type() == wanted.key_type {
            return Ok(key);
        }
    }
    Ok(keys.make(wanted.key_type).await?)
}

fn read_request(staged: &StagedKey) -> Result<ParsedCsr, DeliveryError> {
    ParsedCsr::from_der(&staged.request).map_err(|error| DeliveryError::Request { detail: error.to_string() })
}

/// Puts the certificate beside its key. [`DeliveryError::KeyGone`] when that does not wait there any more.
pub async fn deliver(
    target: &dyn CertificateTarget,
    rotation: RotationId,
    certificate: &[u8],
    chain: &[Vec<u8>],
) -> Result<(), DeliveryError> {
    match target.deliver(rotation, certificate, chain).await {
        Err(refused @ TargetError::Refused { .. }) => match target.staged().await {
            Ok(None) => Err(DeliveryError::KeyGone),
            Ok(Some(staged)) if staged.rotation != rotation => Err(DeliveryError::KeyGone),
            _ => Err(refused.into()),
        },
        done => Ok(done?),
    }
}

/// Reads a place of the target and holds what is there against what is to be there: the certificate octet for octet, a pair with the
/// key beside it, under a chain that verifies now, for the names that are wanted.
pub async fn verify(
    target: &dyn CertificateTarget,
    place: TargetPlace,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<(), DeliveryError> {
    let not_right = |detail: String| DeliveryError::NotRight { detail };
    let held = target.look(place).await?.ok_or_else(|| not_right("nothing is there".to_owned()))?;
    if held.rotation != expected.rotation {
        return Err(not_right(format!("it is of rotation {}", held.rotation)));
    }
    if held.certificate != expected.certificate {
        return Err(not_right("it is another certificate; somebody changed it".to_owned()));
    }
    judge(&held, expected, now).map_err(not_right)
}

fn judge(held: &HeldCertificate, expected: &Expected<'_>, now: Timestamp) -> Result<(), String> {
    let mut chain = Vec::with_capacity(held.chain.len() + 2);
    for der in std::iter::once(&held.certificate).chain(&held.chain) {
        chain.push(Certificate::from_der(der).map_err(|error| error.to_string())?);
    }
    let leaf = &chain[0];
    if leaf.public_key().spki_sha256() != held.key_spki_sha256 {
        return Err("its certificate is of another key than the one beside it".to_owned());
    }
    if let Some(missing) = expected.names.iter().find(|name| !leaf.names().contains(name)) {
        return Err(format!("it is not for {}:{}", missing.type_name(), missing.value_text()));
    }
    let last = chain.last().unwrap_or(leaf);
    let is_above = |root: &&Certificate| {
        last.der() == root.der()
            || last.issuer().matches(root.subject()) && last.verify_signed_by(root.public_key()).is_ok()
    };
    let root = expected.roots.iter().find(is_above).ok_or("its chain ends in none of the roots that are trusted")?;
    if last.der() != root.der() {
        chain.push(root.clone());
    }
    match chain::validate(&chain, now, None).first() {
        Some(finding) => Err(finding.to_string()),
        None => Ok(()),
    }
}

/// Makes what is pending current and reads it back from there.
pub async fn promote(
    target: &dyn CertificateTarget,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<(), DeliveryError> {
    target.promote(expected.rotation).await?;
    verify(target, TargetPlace::Current, expected, now).await
}
