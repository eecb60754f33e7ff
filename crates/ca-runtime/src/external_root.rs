//! A root that others hold: AD CS, EJBCA, an offline openssl, or a root of `ca-cli ceremony`. The keys of `tls` and `document` are
//! made here and their requests written to files; what comes back signed is judged and taken on record. Later lists and OCSP
//! responders of the root are imported, since no key here can make them.
//!
//! Each step is harmless to repeat. Between the two no authority is on record, and nothing is served.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ca_core::certificate::{Certificate, CertificateError};
use ca_core::chain;
use ca_core::chain::ChainFinding;
use ca_core::chain::subordinate::{AskedAuthority, judge_subordinate};
use ca_core::csr::{CsrError, ParsedCsr};
use ca_core::id::{AuthorityId, IdError};
use ca_core::key::PublicKey;
use ca_core::pem;
use ca_core::policy::AuthorityConstraints;
use ca_core::principal::Principal;
use ca_core::tbs::RequestInfo;
use ca_engine::error::FlowError;
use ca_engine::flow::adopt::{Adoption, adopt_authorities};
use ca_engine::port::keyring::{KeyRoom, Keyring, KeyringError};
use ca_engine::port::signer::{Signer, SignerError};
use ca_engine::port::store::{KeyHome, StoreError};
use thiserror::Error;

use crate::config::KeyPlan;
use crate::file::{self, Access, Existing};
use crate::hierarchy::{InitError, Progress, ROOT, SUBORDINATES};
use crate::open::Runtime;
use crate::operator_message::operator_message;

/// The setting of the record that says which keys wait for a certificate: JSON, authority → key id.
const REQUESTED: &str = "external-root.requested";
/// The id of an authority between the root and those of this service.
const INTERMEDIATE: &str = "intermediate";
/// Files of certificates are small; what is larger is something else.
const LARGEST: u64 = 1024 * 1024;

/// A request that waits for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Whose.
    pub authority: AuthorityId,
    /// The file.
    pub file: PathBuf,
    /// SHA-256 of the SubjectPublicKeyInfo in it: what the certificate must be for.
    pub spki_sha256: [u8; 32],
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptedHierarchy {
    /// The authorities that are on record now, parents first.
    pub authorities: Vec<AuthorityId>,
    /// What differs from what was asked for, and does no harm.
    pub notes: Vec<String>,
}

/// What stands for the id of a key that the record does not hold.
const HELD_ELSEWHERE: &str = "held-elsewhere";

type Keys = BTreeMap<AuthorityId, String>;

impl Runtime {
    /// Makes the keys of the authorities below a root that others hold, where they are missing, and writes their requests into
    /// `folder`, `tls.csr` and `document.csr`.
    pub async fn request_certificates(
        &self,
        folder: &Path,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Vec<Requested>, ExternalRootError> {
        self.alone(self.request_alone(folder, progress)).await
    }

    async fn request_alone(
        &self,
        folder: &Path,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Vec<Requested>, ExternalRootError> {
        let root: AuthorityId = ROOT.parse()?;
        if self.engine.hierarchy().authority(&root).is_some() {
            return Err(ExternalRootError::HierarchyExists);
        }
        let mut requested = Vec::new();
        let mut keys = self.requested_keys().await?;
        fs::create_dir_all(folder).map_err(|source| ExternalRootError::Io { path: folder.to_path_buf(), source })?;
        for (id, constraints) in self.asked_authorities()? {
            if !keys.contains_key(&id) {
                self.make_key(&id, &mut keys, progress).await?;
            }
            let (_, signer) = self.own_key(&id, &keys).await?;
            let signer = self.engine.as_chosen(&id, signer)?;
            let subject = &self.subordinate_config(&id).subject;
            let public_key = signer.public_key().clone();
            let path = folder.join(format!("{id}.csr"));
            if !is_request_of(&path, &public_key, subject)? {
                let request = RequestInfo::of_authority(subject, &public_key, &constraints);
                let signature = signer.sign(&request).await?;
                let csr = request.into_csr(&signature)?;
                let text = pem::encode("CERTIFICATE REQUEST", csr.der());
                file::write(&path, text.as_bytes(), Access::Public, Existing::Replace)
                    .map_err(|source| ExternalRootError::Io { path: path.clone(), source })?;
            }
            requested.push(Requested { authority: id, file: path, spki_sha256: public_key.spki_sha256() });
        }
        Ok(requested)
    }

    /// Takes the authorities on record whose requests others have signed. `files` hold the certificates of all of them and of every
    /// authority above them, PEM or DER, in any order; `roots` are the SHA-256 fingerprints of the roots that are to be trusted.
    pub async fn adopt_hierarchy(
        &self,
        files: &[PathBuf],
        roots: &[[u8; 32]],
    ) -> Result<AdoptedHierarchy, ExternalRootError> {
        self.alone(self.adopt_alone(files, roots)).await
    }

    async fn adopt_alone(&self, files: &[PathBuf], roots: &[[u8; 32]]) -> Result<AdoptedHierarchy, ExternalRootError> {
        let keys = self.requested_keys().await?;
        let mut certificates: Vec<Certificate> = Vec::new();
        for path in files {
            for certificate in read_certificates(path)? {
                if !certificates.iter().any(|known| known.der() == certificate.der()) {
                    certificates.push(certificate);
                }
            }
        }
        let (mut adoptions, mut notes) = (Vec::new(), Vec::new());
        let asked = self.asked_authorities()?;
        let mut own = Vec::new();
        for (id, constraints) in asked {
            let (key_home, signer) = self.own_key(&id, &keys).await?;
            let public_key = signer.public_key().clone();
            let (mut of_key, rest): (Vec<_>, Vec<_>) =
                certificates.into_iter().partition(|certificate| *certificate.public_key() == public_key);
            certificates = rest;
            match (of_key.pop(), of_key.is_empty()) {
                (None, _) => {
                    return Err(ExternalRootError::NoCertificate {
                        authority: id,
                        spki_sha256: hex::encode(public_key.spki_sha256()),
                    });
                }
                (Some(certificate), true) => own.push((id, constraints, key_home, public_key, certificate)),
                (Some(_), false) => return Err(ExternalRootError::SeveralCertificates { authority: id }),
            }
        }
        for (id, constraints, key_home, public_key, certificate) in own {
            let candidates = std::iter::once(certificate.clone()).chain(certificates.iter().cloned()).collect();
            let chain = chain::order(candidates).chain;
            let subject = &self.subordinate_config(&id).subject;
            let asked = AskedAuthority { public_key: &public_key, subject, constraints: &constraints };
            let verdict = judge_subordinate(&chain, &asked, self.engine.now());
            if !verdict.findings.is_empty() {
                return Err(ExternalRootError::Chain { authority: id, findings: verdict.findings });
            }
            notes.extend(verdict.notes.into_iter().map(|note| format!("{id}: {note}")));
            let parent = self.adopt_above(&mut adoptions, &chain[1..], roots)?;
            adoptions.push(Adoption { id, certificate, parent, key_home });
        }
        // Parents before children: those above were put in before those below of each chain.
        adopt_authorities(&self.engine, &Principal::LocalOperator, &adoptions).await?;
        Ok(AdoptedHierarchy { authorities: adoptions.into_iter().map(|adoption| adoption.id).collect(), notes })
    }

    /// Adds the authorities of a chain (lowest first, the root last) that are not among the adoptions yet; returns the lowest's id.
    fn adopt_above(
        &self,
        adoptions: &mut Vec<Adoption>,
        above: &[Certificate],
        roots: &[[u8; 32]],
    ) -> Result<Option<AuthorityId>, ExternalRootError> {
        let mut parent = None;
        for (index, certificate) in above.iter().enumerate().rev() {
            let is_root = index + 1 == above.len();
            if is_root && !roots.contains(&certificate.fingerprint_sha256()) {
                return Err(ExternalRootError::NotConfirmed {
                    subject: certificate.subject().to_string(),
                    fingerprint: hex::encode(certificate.fingerprint_sha256()),
                });
            }
            if let Some(known) = adoptions.iter().find(|known| known.certificate.der() == certificate.der()) {
                parent = Some(known.id.clone());
                continue;
            }
            let id = self.id_for(certificate, adoptions, if is_root { ROOT } else { INTERMEDIATE })?;
            let certificate = certificate.clone();
            adoptions.push(Adoption { id: id.clone(), certificate, parent, key_home: KeyHome::File });
            parent = Some(id);
        }
        Ok(parent)
    }

    /// The id under which a certificate is on record, else the next of its kind that is free.
    fn id_for(
        &self,
        certificate: &Certificate,
        adoptions: &[Adoption],
        kind: &str,
    ) -> Result<AuthorityId, ExternalRootError> {
        let hierarchy = self.engine.hierarchy();
        let on_record = hierarchy.authorities().iter().find(|there| there.certificate().der() == certificate.der());
        if let Some(on_record) = on_record {
            return Ok(on_record.id().clone());
        }
        let mut number = 1;
        loop {
            let id: AuthorityId = if number == 1 { kind.parse()? } else { format!("{kind}-{number}").parse()? };
            let is_taken = hierarchy.authority(&id).is_some() || adoptions.iter().any(|adoption| adoption.id == id);
            if !is_taken {
                return Ok(id);
            }
            number += 1;
        }
    }

    /// Whether requests were written whose certificates have not come yet.
    pub(crate) async fn waits_for_certificates(&self) -> Result<bool, StoreError> {
        Ok(self.engine.store().setting(REQUESTED).await?.is_some())
    }

    fn asked_authorities(&self) -> Result<Vec<(AuthorityId, AuthorityConstraints)>, IdError> {
        let asked = SUBORDINATES.iter().map(|(id, purposes)| {
            let id: AuthorityId = id.parse()?;
            let name_constraints = self.subordinate_config(&id).name_constraints.clone();
            Ok((id, AuthorityConstraints { extended_key_usage: purposes.to_vec(), name_constraints }))
        });
        asked.collect()
    }

    /// Makes the key of an authority, where it is the service's to make, and notes that its certificate is asked for.
    async fn make_key(
        &self,
        id: &AuthorityId,
        keys: &mut Keys,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), ExternalRootError> {
        let key = match &self.subordinate_config(id).key {
            KeyPlan::Software(key_type) => {
                progress(Progress::MakingKey { authority: id.clone(), key_type: *key_type });
                let (sealed, _) = self.keyring.generate(KeyRoom::Authorities, *key_type).await?;
                // On record before anybody is asked to certify it.
                let key_id = sealed.id.clone();
                self.engine.store().add_key(sealed).await?;
                key_id
            }
            KeyPlan::External(_) => HELD_ELSEWHERE.to_owned(),
            KeyPlan::MadeInKms(key_type) => {
                let made = self.key_made_in_kms(id, *key_type).await;
                made.map_err(ExternalRootError::Init)?;
                HELD_ELSEWHERE.to_owned()
            }
            KeyPlan::PrivateCa(arn) => {
                return Err(ExternalRootError::Init(InitError::HeldByAws { arn: arn.to_string() }));
            }
            KeyPlan::Token { uri, make } => {
                let made = self.find_or_make_in_token(id, uri, *make, progress).await;
                made.map_err(ExternalRootError::Init)?;
                HELD_ELSEWHERE.to_owned()
            }
        };
        let before = (!keys.is_empty()).then(|| to_json(keys));
        keys.insert(id.clone(), key);
        if !self.engine.store().set_setting(REQUESTED, before.as_deref(), &to_json(keys)).await? {
            return Err(ExternalRootError::Init(InitError::InProgress));
        }
        Ok(())
    }

    /// The key for which a certificate was asked.
    async fn own_key(&self, id: &AuthorityId, keys: &Keys) -> Result<(KeyHome, Arc<dyn Signer>), ExternalRootError> {
        let key = keys.get(id).ok_or_else(|| ExternalRootError::NotRequested { authority: id.clone() })?;
        match &self.subordinate_config(id).key {
            KeyPlan::External(home) if key == HELD_ELSEWHERE => {
                Ok((home.clone(), self.engine.external_keys().find(home).await?))
            }
            KeyPlan::MadeInKms(key_type) if key == HELD_ELSEWHERE => {
                self.key_made_in_kms(id, *key_type).await.map_err(ExternalRootError::Init)
            }
            KeyPlan::Token { uri, .. } if key == HELD_ELSEWHERE => {
                // Made when its certificate was asked for: one that is gone is not made anew.
                self.find_or_make_in_token(id, uri, None, &|_| {}).await.map_err(ExternalRootError::Init)
            }
            KeyPlan::Software(_) if key != HELD_ELSEWHERE => {
                let sealed = self.engine.store().key(key).await?.ok_or(ExternalRootError::Damaged)?;
                Ok((KeyHome::Sealed(key.clone()), self.keyring.open(&sealed).await?))
            }
            _ => Err(ExternalRootError::OtherKey { authority: id.clone() }),
        }
    }

    async fn requested_keys(&self) -> Result<Keys, ExternalRootError> {
        let Some(octets) = self.engine.store().setting(REQUESTED).await? else { return Ok(Keys::new()) };
        let named: BTreeMap<String, String> =
            serde_json::from_slice(&octets).map_err(|_| ExternalRootError::Damaged)?;
        named.into_iter().map(|(id, key)| Ok((id.parse()?, key))).collect()
    }
}

fn to_json(keys: &Keys) -> Vec<u8> {
    let named: BTreeMap<&str, &str> = keys.iter().map(|(id, key)| (id.as_str(), key.as_str())).collect();
    // Cannot fail: a map of strings is always JSON.
    serde_json::to_vec(&named).unwrap_or_default()
}

/// Whether the file holds this very request; an error when it holds something of others.
fn is_request_of(
    path: &Path,
    public_key: &PublicKey,
    subject: &ca_core::name::DistinguishedName,
) -> Result<bool, ExternalRootError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(ExternalRootError::Io { path: path.to_path_buf(), source }),
    };
    match ParsedCsr::from_pem(&text) {
        Ok(csr) if csr.public_key() == public_key => Ok(csr.subject() == subject),
        _ => Err(ExternalRootError::AnotherFile { path: path.to_path_buf() }),
    }
}

/// Reads a file of certificates: PEM, or one in DER.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<Certificate>, ExternalRootError> {
    let unusable = |source| ExternalRootError::Certificate { path: path.to_path_buf(), source };
    let octets = read_small(path)?;
    match std::str::from_utf8(&octets) {
        Ok(text) if text.contains("-----BEGIN") => Certificate::all_from_pem(text).map_err(unusable),
        _ => Ok(vec![Certificate::from_der(&octets).map_err(unusable)?]),
    }
}

fn read_small(path: &Path) -> Result<Vec<u8>, ExternalRootError> {
    let failed = |source| ExternalRootError::Io { path: path.to_path_buf(), source };
    if fs::metadata(path).map_err(failed)?.len() > LARGEST {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "larger than any chain of certificates")));
    }
    fs::read(path).map_err(failed)
}

/// Why an authority of others was not asked, or not taken on record.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExternalRootError {
    /// There are authorities already.
    #[error("there is a root on record already; a hierarchy is made once")]
    HierarchyExists,
    /// The first step was not done.
    #[error(
        "no certificate was asked for `{authority}`; run `ca-server init --external-root` first and have its requests signed"
    )]
    NotRequested {
        /// Whose.
        authority: AuthorityId,
    },
    /// The configuration was changed in between.
    #[error(
        "the key of `{authority}` was asked to be certified, and `authority.{authority}.key` names another now; put it back"
    )]
    OtherKey {
        /// Whose.
        authority: AuthorityId,
    },
    /// A certificate is missing.
    #[error(
        "there is no certificate for the key of `{authority}` (SHA-256 of its public key {spki_sha256}); all requests must be \
         signed before any is imported"
    )]
    NoCertificate {
        /// Whose.
        authority: AuthorityId,
        /// SHA-256 of its SubjectPublicKeyInfo, hexadecimal.
        spki_sha256: String,
    },
    /// Two certificates of one key.
    #[error("there are several certificates for the key of `{authority}`; give the one that is to be used")]
    SeveralCertificates {
        /// Whose.
        authority: AuthorityId,
    },
    /// The chain does not hold, or is not what was asked for.
    #[error("the certificate of `{authority}` cannot be used:{}", lines(.findings))]
    Chain {
        /// Whose.
        authority: AuthorityId,
        /// Everything that is wrong.
        findings: Vec<ChainFinding>,
    },
    /// The operator has not said that a root is the right one.
    #[error(
        "the root `{subject}` has the SHA-256 fingerprint {fingerprint}: compare it with what its holders say on another way, and \
         add `--root-fingerprint {fingerprint}` when it is the same"
    )]
    NotConfirmed {
        /// Its subject.
        subject: String,
        /// Its fingerprint.
        fingerprint: String,
    },
    /// A file that should hold one certificate.
    #[error("{} must hold one certificate, and no more", path.display())]
    NotOne {
        /// The file.
        path: PathBuf,
    },
    /// A file in the way.
    #[error("{} is there and is no request of this service; move it away", path.display())]
    AnotherFile {
        /// The file.
        path: PathBuf,
    },
    /// A file that holds no certificate that can be read.
    #[error("{}: {source}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// What the record says of requests makes no sense.
    #[error("what the record says of the requests is damaged; restore the database from a backup")]
    Damaged,
    /// A file.
    #[error("{}: {}", path.display(), file::complaint(source))]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyringError),
    /// A signature.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The request that was made.
    #[error("the request that was made is no request: {0}")]
    Request(#[from] CsrError),
    /// The set-up.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A flow; the operator sees what callers do not.
    #[error("{}", operator_message(.0))]
    Flow(FlowError),
    /// A built-in id that is none.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl From<FlowError> for ExternalRootError {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}

fn lines(findings: &[ChainFinding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}
