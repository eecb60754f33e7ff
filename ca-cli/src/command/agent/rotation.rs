//! From the certificate in place to the next, step by step. Each step finds what the one before left in the folder, so whoever is cut off
//! goes on where it was: the key and its request lie there before the service is asked, and it is asked under the rotation's id.

use std::sync::Arc;

use ca_api::certificate::Certificate as Record;
use ca_core::certificate::Certificate;
use ca_core::chain;
use ca_core::csr::ParsedCsr;
use ca_core::id::RotationId;
use ca_core::key::KeyType;
use ca_core::time::Timestamp;
use ca_engine::port::certificate_target::{CertificateTarget, PrivateKeyOctets, StagedKey, TargetError, TargetPlace};

use super::issuer::{Issuer, Way};
use super::settings::TakeOver;
use crate::exit::Failure;
use crate::key::PrivateKey;

/// The folder of a certificate, and what must be so of everything that is put there.
pub(super) struct Rotation<'a> {
    target: Arc<dyn CertificateTarget>,
    /// The roots that a certificate must lead to.
    roots: &'a [Certificate],
    /// The kind of new keys.
    key_type: KeyType,
    /// What is in place and is renewed: the next one is for the same names.
    current: Option<&'a Certificate>,
}

impl<'a> Rotation<'a> {
    pub(super) fn new(
        target: Arc<dyn CertificateTarget>,
        roots: &'a [Certificate],
        key_type: KeyType,
        current: Option<&'a Certificate>,
    ) -> Self {
        Self { target, roots, key_type, current }
    }

    /// Puts the next certificate in place; which rotation brought it.
    pub(super) async fn carry_out(
        &self,
        issuer: &Issuer<'_>,
        way: &Way,
        now: Timestamp,
        random: [u8; 10],
    ) -> Result<RotationId, Failure> {
        // 1. The key: the one that waits there, or a new one.
        let staged = match self.usable(now).await? {
            Some(staged) => staged,
            None => self.stage_new(RotationId::new(now, random)).await?,
        };
        let csr = ParsedCsr::from_der(&staged.request).map_err(Failure::failed)?;
        // 2. Its certificate, unless that was delivered.
        if !self.is_delivered(staged.rotation).await? {
            let record = issuer.ask(way, &csr, &staged.rotation.to_string(), now).await?;
            let certificates = read_chain(&record)?;
            self.check(&certificates, &csr)?;
            let mut octets = certificates.iter().map(|certificate| certificate.der().to_vec());
            let leaf = octets.next().unwrap_or_default();
            let above: Vec<Vec<u8>> = octets.collect();
            self.target.deliver(staged.rotation, &leaf, &above).await.map_err(of_target)?;
        }
        // 3. Read back, then in place, then read back again.
        self.promote(staged.rotation, &csr).await?;
        Ok(staged.rotation)
    }

    /// Puts a pair that lies elsewhere in place.
    pub(super) async fn take_over(
        &self,
        pair: &TakeOver,
        now: Timestamp,
        random: [u8; 10],
    ) -> Result<RotationId, Failure> {
        let text =
            std::fs::read_to_string(&pair.certificate).map_err(|error| Failure::of_file(&pair.certificate, error))?;
        let certificates =
            Certificate::all_from_pem(&text).map_err(|error| Failure::of_file(&pair.certificate, error))?;
        let certificates: Vec<Certificate> =
            certificates.into_iter().filter(|certificate| !self.roots.contains(certificate)).collect();
        let key = PrivateKey::from_file(&pair.key).map_err(Failure::failed)?;
        let csr = key.signing_request().map_err(Failure::failed)?;
        self.check(&certificates, &csr)?;
        let rotation = RotationId::new(now, random);
        self.stage(rotation, &key, &csr).await?;
        let mut octets = certificates.iter().map(|certificate| certificate.der().to_vec());
        let leaf = octets.next().unwrap_or_default();
        let above: Vec<Vec<u8>> = octets.collect();
        self.target.deliver(rotation, &leaf, &above).await.map_err(of_target)?;
        self.promote(rotation, &csr).await?;
        Ok(rotation)
    }

    /// The key that waits in the folder, if the certificate beside it, where there is one, is worth putting in place.
    async fn usable(&self, now: Timestamp) -> Result<Option<StagedKey>, Failure> {
        let Some(staged) = self.target.staged().await.map_err(of_target)? else { return Ok(None) };
        let Some(held) = self.target.look(TargetPlace::Pending).await.map_err(of_target)? else {
            return Ok(Some(staged));
        };
        let pending = Certificate::from_der(&held.certificate).map_err(Failure::failed)?;
        let not_after = pending.validity().not_after;
        let is_later = self.current.is_none_or(|current| current.validity().not_after < not_after);
        Ok((is_later && now <= not_after).then_some(staged))
    }

    async fn is_delivered(&self, rotation: RotationId) -> Result<bool, Failure> {
        let held = self.target.look(TargetPlace::Pending).await.map_err(of_target)?;
        Ok(held.is_some_and(|held| held.rotation == rotation))
    }

    async fn stage_new(&self, rotation: RotationId) -> Result<StagedKey, Failure> {
        let key_type = self.key_type;
        // RSA keys take seconds.
        let made = tokio::task::spawn_blocking(move || {
            let key = PrivateKey::generate(key_type)?;
            let csr = key.signing_request()?;
            Ok((key, csr))
        });
        let made = made.await.map_err(Failure::failed)?;
        let (key, csr) = made.map_err(|error: crate::key::KeyFailure| Failure::failed(error))?;
        self.stage(rotation, &key, &csr).await
    }

    async fn stage(&self, rotation: RotationId, key: &PrivateKey, csr: &ParsedCsr) -> Result<StagedKey, Failure> {
        let staged = StagedKey { rotation, request: csr.der().to_vec() };
        let octets = PrivateKeyOctets::new(key.to_pkcs8().map_err(Failure::failed)?);
        self.target.stage(&staged, &octets).await.map_err(of_target)?;
        Ok(staged)
    }

    async fn promote(&self, rotation: RotationId, csr: &ParsedCsr) -> Result<(), Failure> {
        self.verify(TargetPlace::Pending, rotation, csr).await?;
        self.target.promote(rotation).await.map_err(of_target)?;
        self.verify(TargetPlace::Current, rotation, csr).await
    }

    /// What lies in a place, read back from there: of this rotation, a pair, and what may be put in place.
    async fn verify(&self, place: TargetPlace, rotation: RotationId, csr: &ParsedCsr) -> Result<(), Failure> {
        let held = self.target.look(place).await.map_err(of_target)?;
        let held = held
            .filter(|held| held.rotation == rotation)
            .ok_or_else(|| Failure::failed("what was put into the folder is not there any more"))?;
        let octets = std::iter::once(&held.certificate).chain(&held.chain);
        let certificates = octets.map(|der| Certificate::from_der(der)).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(Failure::failed)?;
        if held.key_spki_sha256 != csr.public_key().spki_sha256() {
            return Err(Failure::failed("the key in the folder is not the one that was put there"));
        }
        self.check(&certificates, csr)
    }

    /// Whether a certificate and its chain are what was asked for: over this key, for the same names, under a root that is trusted.
    fn check(&self, certificates: &[Certificate], csr: &ParsedCsr) -> Result<(), Failure> {
        let leaf = certificates.first().ok_or_else(|| Failure::failed("there is no certificate"))?;
        if leaf.public_key() != csr.public_key() {
            return Err(Failure::failed("the certificate is of another key"));
        }
        let leads_to = |root: &Certificate| {
            let ordered = chain::order(certificates.iter().cloned().chain([root.clone()]).collect());
            ordered.left_out.is_empty() && ordered.chain.first() == Some(leaf) && ordered.chain.last() == Some(root)
        };
        if !self.roots.iter().any(leads_to) {
            return Err(Failure::failed("the certificate leads to none of the roots that are trusted"));
        }
        match self.current {
            Some(current) if current.subject() != leaf.subject() || current.names() != leaf.names() => {
                Err(Failure::failed("the certificate is for other names than the one in place"))
            }
            _ => Ok(()),
        }
    }
}

/// A failure of the folder; a retry may help when the disk was full or busy.
pub(super) fn of_target(error: TargetError) -> Failure {
    match error {
        TargetError::Unavailable { .. } => Failure::Busy(error.to_string()),
        _ => Failure::Failed(error.to_string()),
    }
}

/// The certificate of a record, then its chain.
fn read_chain(record: &Record) -> Result<Vec<Certificate>, Failure> {
    let unreadable = |error| Failure::Failed(format!("the certificate that the service answered: {error}"));
    let mut chain = vec![Certificate::from_pem(&record.certificate).map_err(unreadable)?];
    if !record.chain.is_empty() {
        chain.extend(Certificate::all_from_pem(&record.chain).map_err(unreadable)?);
    }
    Ok(chain)
}
