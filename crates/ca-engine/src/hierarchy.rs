//! The authorities as the running service holds them: certificates parsed, keys opened, responders at hand.
//!
//! A snapshot, replaced whole when the record changes; readers never wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use ca_core::certificate::Certificate;
use ca_core::id::AuthorityId;
use ca_core::key::SignatureAlgorithm;
use ca_core::ocsp::IssuerIdentity;
use ca_core::pem;
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::template::IssuerFacts;
use ca_core::time::{Timestamp, Validity};

use crate::error::{FlowError, FlowErrorKind};
use crate::generation::{generation_in, line_of};
use crate::port::certificate_issuer::CertificateIssuer;
use crate::port::external_keys::ExternalKeys;
use crate::port::keyring::{Keyring, KeyringError};
use crate::port::signer::{Signer, signing_by};
use crate::port::store::{AuthorityRecord, AuthorityState, KeyHome, ResponderRecord, Store, StoredCertificate};
use crate::settings::Settings;

/// The profile under which the certificates of authorities are on record whose keys others hold, and always did.
pub const EXTERNAL_PROFILE: &str = "external-authority";

/// An authority, ready for use.
pub struct Authority {
    record: AuthorityRecord,
    certificate: Certificate,
    facts: IssuerFacts,
    identity: IssuerIdentity,
    ancestors: Vec<Vec<u8>>,
    /// [`Authority::chain_pem`], which every answer with a certificate has.
    chain_pem: String,
    key: Key,
    revoked: Option<RevocationReason>,
    is_external: bool,
}

/// What this process has of an authority's key.
enum Key {
    Usable(Arc<dyn Signer>),
    /// Another issues with it.
    Elsewhere(Arc<dyn CertificateIssuer>),
    /// It was not given it.
    Absent,
    /// It should have it, and this is why not. The authority is there all the same: its status is served.
    Unusable(String),
}

/// By whom an authority's certificates are signed.
#[derive(Clone, Copy)]
pub enum Hand<'a> {
    /// By this process, with its key.
    Key(&'a dyn Signer),
    /// By an issuer elsewhere, which holds the key and chooses serials.
    Elsewhere(&'a dyn CertificateIssuer),
}

impl Key {
    fn signing_by(self, algorithm: SignatureAlgorithm) -> Self {
        match self {
            Self::Usable(signer) => match signing_by(signer, algorithm) {
                Ok(signer) => Self::Usable(signer),
                Err(error) => Self::Unusable(error.to_string()),
            },
            other => other,
        }
    }
}

impl From<Option<Arc<dyn Signer>>> for Key {
    fn from(signer: Option<Arc<dyn Signer>>) -> Self {
        signer.map_or(Self::Absent, Self::Usable)
    }
}

impl Authority {
    fn read(
        record: AuthorityRecord,
        certificate: Certificate,
        ancestors: Vec<Vec<u8>>,
        key: Key,
        certificate_on_record: Option<&StoredCertificate>,
        settings: &Settings,
    ) -> Result<Self, FlowError> {
        let revoked = certificate_on_record.and_then(revocation_of);
        let is_external = certificate_on_record.is_some_and(|stored| stored.profile.as_str() == EXTERNAL_PROFILE);
        let fault = |error: &dyn std::fmt::Display| authority_fault(&record.id, error);
        let algorithm = settings.signature_of(&record.id, certificate.public_key().key_type());
        let facts = IssuerFacts::from_certificate(&certificate).map_err(|error| fault(&error))?.signing_by(algorithm);
        if matches!(&key, Key::Usable(signer) if signer.public_key() != certificate.public_key()) {
            return Err(fault(
                &"its key is not that of its certificate; the record was changed, or the wrong key lent",
            ));
        }
        let key = key.signing_by(algorithm);
        let identity =
            IssuerIdentity::new(certificate.subject().as_der(), certificate.public_key().subject_public_key());
        let chain_pem = String::new();
        let mut read = Self { record, certificate, facts, identity, ancestors, chain_pem, key, revoked, is_external };
        read.chain_pem = read.chain().into_iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
        Ok(read)
    }

    /// Its id.
    pub fn id(&self) -> &AuthorityId {
        &self.record.id
    }

    /// Its record.
    pub fn record(&self) -> &AuthorityRecord {
        &self.record
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What it brings to every certificate it issues.
    pub fn facts(&self) -> &IssuerFacts {
        &self.facts
    }

    /// The hashes by which OCSP requests name it.
    pub fn identity(&self) -> &IssuerIdentity {
        &self.identity
    }

    /// DER of the certificates above it: its parent first, the root last; empty for a root.
    pub fn ancestors(&self) -> &[Vec<u8>] {
        &self.ancestors
    }

    /// The chain of what it issues: its own certificate first, then its ancestors, the root left out.
    pub fn chain(&self) -> Vec<&[u8]> {
        let mut chain: Vec<&[u8]> = std::iter::once(self.record.certificate_der.as_slice())
            .chain(self.ancestors.iter().map(Vec::as_slice))
            .collect();
        if chain.len() > 1 || self.record.parent.is_none() {
            chain.pop();
        }
        chain
    }

    /// [`Self::chain`] in PEM.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// Whether it issues certificates: it is active, and its own certificate is neither revoked nor on hold.
    pub fn is_active(&self) -> bool {
        self.record.state == AuthorityState::Active && self.revoked.is_none()
    }

    /// Whether new certificates may come from it at `now`: it is active, and the instant it was announced for has come.
    pub fn issues_at(&self, now: Timestamp) -> bool {
        self.is_active() && now >= self.record.issues_from
    }

    /// Whether its certificate is past its end: it signs nothing any more, and nothing is expected of it.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        now >= self.facts.validity.not_after
    }

    /// Whether others hold its key, and always did: what it has to say about what it issued comes from them.
    pub fn is_external(&self) -> bool {
        self.is_external
    }

    /// Why its own certificate is revoked or on hold, when it is.
    pub fn revoked(&self) -> Option<RevocationReason> {
        self.revoked
    }

    /// Its key, or an error that says why it cannot be used here. A revoked authority still signs lists and responders: what
    /// it issued must not become `good` for want of them.
    pub fn signer(&self) -> Result<&Arc<dyn Signer>, FlowError> {
        let cannot = |why: &str| {
            let message = format!("authority {} cannot sign: {why}", self.record.id);
            FlowError::new(FlowErrorKind::AuthorityCannotSign, message)
        };
        if self.record.state == AuthorityState::Retired {
            return Err(cannot("it is retired"));
        }
        match (&self.key, self.record.key_home.is_offline()) {
            (Key::Usable(signer), _) => Ok(signer),
            (Key::Elsewhere(_), _) => Err(cannot("its issuer elsewhere signs certificates and nothing else")),
            (Key::Unusable(why), _) => Err(cannot(why)),
            (Key::Absent, _) if self.is_external => {
                Err(cannot("others hold its key; its lists and OCSP responders are imported"))
            }
            (Key::Absent, true) => Err(cannot("its key is offline; a ceremony on the host that holds it can use it")),
            (Key::Absent, false) => Err(cannot("this process was not given its key")),
        }
    }

    /// By whom its certificates are signed, or an error that says why nobody can be asked here.
    pub fn hand(&self) -> Result<Hand<'_>, FlowError> {
        match &self.key {
            Key::Elsewhere(issuer) if self.record.state != AuthorityState::Retired => Ok(Hand::Elsewhere(&**issuer)),
            _ => self.signer().map(|signer| Hand::Key(&**signer)),
        }
    }

    /// Whether another issues its certificates, and chooses their serials.
    pub fn issues_elsewhere(&self) -> bool {
        matches!(self.record.key_home, KeyHome::AcmPca(_))
    }

    /// Whether its key can be used here.
    pub fn can_sign(&self) -> bool {
        self.signer().is_ok()
    }
}

/// An OCSP responder, ready for use.
pub struct Responder {
    serial: Serial,
    certificate_der: Vec<u8>,
    key_hash: [u8; 20],
    validity: Validity,
    signer: Arc<dyn Signer>,
    /// Whether a signature of this key was verified in this process.
    proved: AtomicBool,
}

impl Responder {
    fn read(record: ResponderRecord, signer: Arc<dyn Signer>) -> Result<Self, FlowError> {
        let fault = |error: &dyn std::fmt::Display| {
            FlowError::internal(format!("responder {} of {}: {error}", record.certificate, record.authority))
        };
        let certificate = Certificate::from_der(&record.certificate_der).map_err(|error| fault(&error))?;
        if signer.public_key() != certificate.public_key() {
            return Err(fault(&"its key is not that of its certificate; the record was changed"));
        }
        Ok(Self {
            serial: certificate.serial().clone(),
            key_hash: certificate.public_key().key_identifier(),
            validity: certificate.validity(),
            certificate_der: record.certificate_der,
            signer,
            proved: AtomicBool::new(false),
        })
    }

    /// The DER of its certificate.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// SHA-1 of its public key: the responder id by key (RFC 6960 §4.2.1).
    pub fn key_hash(&self) -> [u8; 20] {
        self.key_hash
    }

    /// When it may answer.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Its key.
    pub fn signer(&self) -> &dyn Signer {
        &*self.signer
    }

    /// Whether this process has verified a signature of its key. Verifying every answer would cost twice what signing does;
    /// a key that is not the certificate's, or a signer that does not work, shows with the first one.
    pub(crate) fn is_proved(&self) -> bool {
        self.proved.load(Ordering::Acquire)
    }

    pub(crate) fn set_proved(&self) {
        self.proved.store(true, Ordering::Release);
    }
}

/// Every authority and responder.
#[derive(Default)]
pub struct Hierarchy {
    authorities: Vec<Arc<Authority>>,
    responders: BTreeMap<AuthorityId, Vec<Arc<Responder>>>,
    /// When the record was asked for it, or last found to be the same, in milliseconds.
    read_at: AtomicI64,
}

impl Hierarchy {
    /// Reads the record and opens the keys this process may use. `extra` are keys from elsewhere (the root's, from its
    /// file), by authority. What each signs with, `settings` says.
    pub async fn load(
        store: &dyn Store,
        keyring: &dyn Keyring,
        external: &dyn ExternalKeys,
        extra: &BTreeMap<AuthorityId, Arc<dyn Signer>>,
        settings: &Settings,
    ) -> Result<Self, FlowError> {
        let mut hierarchy = Self::default();
        for record in store.authorities().await? {
            let held = match &record.key_home {
                // It signs nothing any more, and its key may be destroyed.
                _ if record.state == AuthorityState::Retired => None,
                KeyHome::Sealed(key_id) => open_key(store, keyring, key_id).await?,
                _ => extra.get(&record.id).cloned(),
            };
            let ancestors = match &record.parent {
                None => Vec::new(),
                Some(parent) => {
                    let parent = hierarchy.authority(parent).ok_or_else(|| {
                        FlowError::internal(format!("authority {}: its parent {parent} is not on record", record.id))
                    })?;
                    let own = parent.record.certificate_der.clone();
                    std::iter::once(own).chain(parent.ancestors.iter().cloned()).collect()
                }
            };
            let stored = store.certificate(record.certificate).await?;
            let certificate =
                Certificate::from_der(&record.certificate_der).map_err(|error| authority_fault(&record.id, &error))?;
            let home = &record.key_home;
            let key = match (held, home) {
                (None, KeyHome::Kms(_) | KeyHome::Pkcs11(_)) => {
                    match external.open(home, certificate.public_key()).await {
                        Ok(signer) => signer.into(),
                        Err(error) => Key::Unusable(error.to_string()),
                    }
                }
                (None, KeyHome::AcmPca(_)) => match external.issuer(home).await {
                    Ok(issuer) => issuer.map_or(Key::Absent, Key::Elsewhere),
                    Err(error) => Key::Unusable(error.to_string()),
                },
                (held, _) => held.into(),
            };
            let authority = Authority::read(record, certificate, ancestors, key, stored.as_ref(), settings)?;
            hierarchy.authorities.push(Arc::new(authority));
        }
        for record in store.responders().await? {
            let (authority, certificate) = (record.authority.clone(), record.certificate);
            match hierarchy.add_responder(store, keyring, record).await {
                // One that is damaged is as good as none: the job makes another, and the others answer meanwhile.
                Err(error) if error.kind == FlowErrorKind::InternalError => {
                    let detail = error.detail.as_deref().unwrap_or(&error.message);
                    tracing::error!(%authority, %certificate, detail, "an OCSP responder on record cannot be used");
                }
                added => added?,
            }
        }
        Ok(hierarchy)
    }

    async fn add_responder(
        &mut self,
        store: &dyn Store,
        keyring: &dyn Keyring,
        record: ResponderRecord,
    ) -> Result<(), FlowError> {
        // A responder is not asked for its own status (id-pkix-ocsp-nocheck): a revoked one must fall silent by itself.
        if store.certificate(record.certificate).await?.as_ref().and_then(revocation_of).is_some() {
            return Ok(());
        }
        let Some(signer) = open_key(store, keyring, &record.key_id).await? else { return Ok(()) };
        let authority = record.authority.clone();
        let responder = Responder::read(record, signer)?;
        self.responders.entry(authority).or_default().push(Arc::new(responder));
        Ok(())
    }

    /// Every authority, parents before children.
    pub fn authorities(&self) -> &[Arc<Authority>] {
        &self.authorities
    }

    /// One authority.
    pub fn authority(&self, id: &AuthorityId) -> Option<&Arc<Authority>> {
        self.authorities.iter().find(|authority| authority.id() == id)
    }

    /// The generations of the line that `id` is of, oldest first, with their numbers.
    pub fn generations(&self, id: &AuthorityId) -> Vec<(u32, &Arc<Authority>)> {
        let line = line_of(id);
        let numbered = self.authorities.iter().map(|authority| (generation_in(&line, authority.id()), authority));
        let mut generations: Vec<_> = numbered.filter_map(|(number, authority)| Some((number?, authority))).collect();
        generations.sort_by_key(|(number, _)| *number);
        generations
    }

    /// The generation of a line that new certificates come from at `now`: the newest that issues.
    pub fn issuing(&self, line: &AuthorityId, now: Timestamp) -> Option<&Arc<Authority>> {
        let issues = |(_, authority): &(u32, &Arc<Authority>)| authority.issues_at(now);
        self.generations(line).into_iter().rfind(issues).map(|(_, authority)| authority)
    }

    /// Whether these are its authorities, octet for octet.
    pub(crate) fn is_of(&self, records: &[AuthorityRecord]) -> bool {
        self.authorities.len() == records.len()
            && records.iter().all(|record| self.authority(&record.id).is_some_and(|known| known.record == *record))
    }

    /// When the record was last known to say this.
    pub(crate) fn read_at(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.read_at.load(Ordering::Acquire))
    }

    pub(crate) fn set_read_at(&self, at: Timestamp) {
        self.read_at.store(at.unix_millis(), Ordering::Release);
    }

    /// The authority whose key signed a certificate. Several generations may share a name, so the key decides.
    pub fn issuer_of(&self, certificate: &Certificate) -> Option<&Arc<Authority>> {
        self.authorities.iter().find(|authority| {
            authority.certificate.subject() == certificate.issuer()
                && certificate.verify_signed_by(authority.certificate.public_key()).is_ok()
        })
    }

    /// The roots.
    pub fn roots(&self) -> impl Iterator<Item = &Arc<Authority>> {
        self.authorities.iter().filter(|authority| authority.record.parent.is_none())
    }

    /// Whether `authority` issued, under this serial, the certificate of an authority or of a responder.
    pub(crate) fn has_certificate(&self, authority: &AuthorityId, serial: &Serial) -> bool {
        let of_authority = self.authorities.iter().any(|child| {
            child.record.parent.as_ref().unwrap_or(child.id()) == authority && child.certificate.serial() == serial
        });
        let mut responders = self.responders.get(authority).into_iter().flatten();
        of_authority || responders.any(|responder| responder.serial == *serial)
    }

    /// Whether every responder of an earlier hierarchy is still here.
    pub(crate) fn has_responders_of(&self, before: &Self) -> bool {
        before.responders.iter().all(|(authority, responders)| {
            let now = self.responders.get(authority).map_or(&[][..], Vec::as_slice);
            responders.iter().all(|responder| now.iter().any(|other| other.serial == responder.serial))
        })
    }

    /// The responder of an authority with this key (SHA-1 of it), if it may answer at `now`.
    pub(crate) fn responder_by_key(
        &self,
        authority: &AuthorityId,
        key_hash: &[u8],
        now: Timestamp,
    ) -> Option<&Arc<Responder>> {
        let in_force =
            |responder: &&Arc<Responder>| responder.key_hash == *key_hash && responder.validity.contains(now);
        self.responders.get(authority)?.iter().find(in_force)
    }

    /// The responder of an authority that answers at `now`: of those in force, the one that ends last.
    pub fn responder(&self, authority: &AuthorityId, now: Timestamp) -> Option<&Arc<Responder>> {
        self.responders
            .get(authority)?
            .iter()
            // In its last second there is no later one for nextUpdate.
            .filter(|responder| responder.validity.contains(now) && now < responder.validity.not_after)
            .max_by_key(|responder| responder.validity.not_after)
    }
}

/// Why a certificate on record is revoked or on hold, if it is.
fn revocation_of(certificate: &StoredCertificate) -> Option<RevocationReason> {
    match certificate.standing {
        Standing::Revoked(revocation) => Some(revocation.reason),
        Standing::Active => None,
    }
}

fn authority_fault(id: &AuthorityId, error: &dyn std::fmt::Display) -> FlowError {
    FlowError::internal(format!("authority {id}: {error}"))
}

/// Opens a key, or `None` when this process has no data key for its room.
async fn open_key(
    store: &dyn Store,
    keyring: &dyn Keyring,
    key_id: &str,
) -> Result<Option<Arc<dyn Signer>>, FlowError> {
    let sealed =
        store.key(key_id).await?.ok_or_else(|| FlowError::internal(format!("sealed key {key_id} is not on record")))?;
    match keyring.open(&sealed).await {
        Ok(signer) => Ok(Some(signer)),
        Err(KeyringError::NoDataKey { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
