//! Key ceremonies on a machine without network: reads a reviewed script and what it names, carries its plan out, writes what comes of
//! it into one folder with a signed transcript, opens what was sealed, and verifies all of it later.
//!
//! What is issued goes through the same profiles, templates, lints and encoders as in the service. The record is the transcript: what
//! is to be signed is written there, durably, before the key is used.

mod issue;
mod open;
mod root_key;
mod run;
mod seal;
mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ca_core::ceremony::{
    Entry, Kind, OpeningFault, Past, Plan, PlanFault, RevokedEarlier, RootKey, Script, ScriptFault, plan,
};
use ca_core::certificate::{Certificate, CertificateError};
use ca_core::csr::{CsrError, ParsedCsr};
use ca_core::hash::sha256;
use ca_core::id::AuthorityId;
use ca_core::lint::Finding;
use ca_core::policy::Violation;
use ca_core::serial::Serial;
use ca_core::time::Timestamp;
use ca_engine::port::entropy::EntropyUnavailable;
use ca_engine::port::keyring::KeyringError;
use ca_engine::port::signer::SignerError;
use thiserror::Error;

use crate::encrypted_key::EncryptedKeyError;
use crate::file;
use crate::profiles::ProfileLoadFault;
use crate::root_key::RootKeyError;
use crate::seal::PassphraseError;

pub use open::{Opened, open};
pub use run::{Mode, run};
pub use verify::{Verified, verify};

/// The transcript, in the output folder.
pub const TRANSCRIPT_FILE: &str = "transcript.jsonl";
/// What of it was signed, as text.
pub const STATEMENT_FILE: &str = "transcript.statement";
/// The signature of the root's key over the statement.
pub const SIGNATURE_FILE: &str = "transcript.sig";
/// What was opened since: lines that go on with the transcript.
pub const OPENINGS_FILE: &str = "openings.jsonl";
/// The root's certificate.
pub const ROOT_FILE: &str = "root.crt";

/// Files of a ceremony are small; what is larger is something else.
const LARGEST: u64 = 4 * 1024 * 1024;

/// A script, with everything that it names read and judged: what people confirm.
pub struct Ceremony {
    script: Script,
    /// The folder of the script: what it names is relative to it.
    base: PathBuf,
    requests: BTreeMap<AuthorityId, ParsedCsr>,
    revoked: Vec<Certificate>,
    previous: Option<Previous>,
    /// Name and SHA-256 of everything that was read.
    inputs: Vec<(String, [u8; 32])>,
}

/// The ceremony before this one.
struct Previous {
    folder: PathBuf,
    root: Certificate,
    past: Past,
}

impl Ceremony {
    /// Reads a script and what it names; secrets are not read yet.
    pub fn read(script: &Path) -> Result<Self, CeremonyError> {
        let text = read_text(script)?;
        let name = script.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut inputs = vec![(name, sha256(text.as_bytes()))];
        let script_file = script;
        let script = Script::parse(&text).map_err(CeremonyError::Script)?;
        root_key::check(&script.root.key)?;
        let base = match script_file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let mut requests = BTreeMap::new();
        for subordinate in &script.subordinates {
            let path = base.join(&subordinate.csr);
            let csr = ParsedCsr::from_pem(&read_text(&path)?)
                .map_err(|source| CeremonyError::Request { path: path.clone(), source })?;
            inputs.push((subordinate.csr.clone(), sha256(csr.der())));
            requests.insert(subordinate.id.clone(), csr);
        }
        let previous = script.root.previous.as_ref().map(|folder| read_previous(&base.join(folder))).transpose()?;
        let mut revoked = Vec::new();
        for revocation in &script.revocations {
            let path = base.join(&revocation.certificate);
            let certificate = Certificate::from_pem(&read_text(&path)?)
                .map_err(|source| CeremonyError::Certificate { path: path.clone(), source })?;
            let root = previous.as_ref().map(|previous| &previous.root);
            if root.is_none_or(|root| certificate.verify_signed_by(root.public_key()).is_err()) {
                return Err(CeremonyError::NotOfThisRoot { path });
            }
            inputs.push((revocation.certificate.clone(), sha256(certificate.der())));
            revoked.push(certificate);
        }
        if let Some(previous) = &previous {
            inputs.push((ROOT_FILE.to_owned(), previous.root.fingerprint_sha256()));
            inputs.push((TRANSCRIPT_FILE.to_owned(), sha256(&read(&previous.folder.join(TRANSCRIPT_FILE))?)));
        }
        Ok(Self { script, base, requests, revoked, previous, inputs })
    }

    /// What people compare and type: 64 bits of SHA-256 over the script and everything that it names, in four groups. The same in a
    /// rehearsal.
    pub fn fingerprint(&self) -> String {
        let mut octets = b"cartorio ceremony\0".to_vec();
        self.inputs.iter().for_each(|(_, digest)| octets.extend_from_slice(digest));
        let digits = hex::encode(&sha256(&octets)[..8]);
        [&digits[..4], &digits[4..8], &digits[8..12], &digits[12..]].join("-")
    }

    /// Its acts, if it began at `now`.
    pub fn plan(&self, now: Timestamp) -> Result<Plan, CeremonyError> {
        let nothing = Past::default();
        let past = self.previous.as_ref().map_or(&nothing, |previous| &previous.past);
        let root_ends = self.previous.as_ref().map(|previous| previous.root.validity().not_after);
        Ok(plan(&self.script, past, root_ends, now)?)
    }

    /// Title, people and inputs, for people.
    pub fn heading(&self) -> Vec<String> {
        let kind = match self.script.kind {
            Kind::Establish => "a new root",
            Kind::Continue => "a root that is there",
        };
        let mut lines = vec![
            format!("{}: {kind}", self.script.title),
            format!("carried out by {}", self.script.operators.join(", ")),
            format!("into the folder {}", self.output().display()),
        ];
        match &self.script.root.key {
            RootKey::File { .. } => {}
            RootKey::Token { uri, .. } => lines.push(format!("with the root's key in a token, {}", uri.identity())),
            RootKey::Kms { arn, .. } => lines.push(format!("with the root's key in AWS KMS, {arn}")),
        }
        lines.extend(self.inputs.iter().map(|(name, digest)| format!("reads {name}, SHA-256 {}", hex::encode(digest))));
        lines
    }

    /// The folder that a run makes.
    pub fn output(&self) -> PathBuf {
        self.base.join(&self.script.output)
    }
}

fn read_previous(folder: &Path) -> Result<Previous, CeremonyError> {
    let verified = verify(folder, None)?;
    if let Some(fault) = verified.faults.first() {
        return Err(CeremonyError::Previous { folder: folder.to_path_buf(), fault: fault.clone() });
    }
    if verified.is_rehearsal {
        let fault = "it was a rehearsal".to_owned();
        return Err(CeremonyError::Previous { folder: folder.to_path_buf(), fault });
    }
    let files = || verified.summary.of("file");
    let number = |entry: &Entry| entry.details.get("number").and_then(|number| number.parse::<u64>().ok());
    let revoked = verified.summary.of("revoked").map(|entry| {
        revoked_earlier(entry).ok_or_else(|| {
            let fault = "a line of its transcript does not say what was revoked".to_owned();
            CeremonyError::Previous { folder: folder.to_path_buf(), fault }
        })
    });
    let sealed = files().filter(|entry| entry.details.contains_key("opens_to"));
    let unopened = sealed.filter_map(|entry| entry.details.get("file")).filter(|file| !verified.opened.contains(*file));
    let past = Past {
        highest_number: files().filter_map(number).max().unwrap_or(0),
        revoked: revoked.collect::<Result<_, _>>()?,
        unopened: unopened.cloned().collect(),
    };
    Ok(Previous { folder: folder.to_path_buf(), root: verified.root, past })
}

fn revoked_earlier(entry: &Entry) -> Option<RevokedEarlier> {
    let detail = |name: &str| entry.details.get(name);
    Some(RevokedEarlier {
        serial: Serial::from_bytes(&hex::decode(detail("serial")?).ok()?).ok()?,
        revoked_at: Timestamp::parse_rfc3339(detail("revoked_at")?).ok()?,
        reason: detail("reason")?.parse().ok()?,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, CeremonyError> {
    let failed = |source| CeremonyError::Io { path: path.to_path_buf(), source };
    if fs::metadata(path).map_err(failed)?.len() > LARGEST {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any file of a ceremony")));
    }
    fs::read(path).map_err(failed)
}

fn read_text(path: &Path) -> Result<String, CeremonyError> {
    String::from_utf8(read(path)?).map_err(|_| CeremonyError::Io {
        path: path.to_path_buf(),
        source: io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"),
    })
}

/// Why a ceremony is not carried out, or what it left cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CeremonyError {
    /// The script.
    #[error("the script cannot be used:{}", lines(.0))]
    Script(Vec<ScriptFault>),
    /// A request.
    #[error("{}: {source}", path.display())]
    Request {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CsrError,
    },
    /// A certificate.
    #[error("{}: {source}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// A certificate that is to be revoked by whom it is none of.
    #[error("{}: this root did not sign it, and cannot revoke it", path.display())]
    NotOfThisRoot {
        /// The file.
        path: PathBuf,
    },
    /// The ceremony before does not verify.
    #[error("the ceremony in {} does not verify: {fault}", folder.display())]
    Previous {
        /// Its folder.
        folder: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanFault),
    /// A run that was cut off left its folder.
    #[error(
        "{} is there: a run was cut off, and its transcript says how far it had come. Nothing of it counts: destroy the folder \
         with everything in it{key}, and run again",
        path.display()
    )]
    Unfinished {
        /// The folder.
        path: PathBuf,
        /// What is to be destroyed beside it, as the sentence goes on.
        key: String,
    },
    /// The output is there.
    #[error("{} is there already; a ceremony writes what is new, and overwrites nothing", path.display())]
    Exists {
        /// What.
        path: PathBuf,
    },
    /// The key of a new root is there.
    #[error(
        "{home} is there already; a new root has a new key: name another, remove it where it is, or leave `root.key_type` out to \
         take the key as it is there"
    )]
    KeyExists {
        /// Where.
        home: String,
    },
    /// The key of a root that is there is another's.
    #[error("the key in {home} is not the one of the root's certificate; correct `root.key`, or bring the right token")]
    OtherKey {
        /// Where.
        home: String,
    },
    /// Two secrets that must differ are the same.
    #[error("{what} has the passphrase of {other}: whoever opens one would open both; choose another")]
    SamePassphrase {
        /// What is opened.
        what: &'static str,
        /// What is opened by the same.
        other: &'static str,
    },
    /// The profile refuses what the script asks for.
    #[error("{what} cannot be issued:{}", violation_lines(.violations))]
    Refused {
        /// What.
        what: String,
        /// Why.
        violations: Vec<Violation>,
    },
    /// The lint refuses what was encoded.
    #[error("{what} would break a rule and was not signed:{}", lines(.findings))]
    Findings {
        /// What.
        what: String,
        /// Why.
        findings: Vec<Finding>,
    },
    /// A fault of this program, or of a key that signs what it was not given.
    #[error("{what}: {detail}")]
    Fault {
        /// What was being done.
        what: String,
        /// What went wrong.
        detail: String,
    },
    /// Something sealed whose time has not come, or is over.
    #[error("{}: {fault}", folder.display())]
    NotOpened {
        /// The folder of the ceremony.
        folder: PathBuf,
        /// Why.
        fault: OpeningFault,
    },
    /// Something sealed.
    #[error("{}: {detail}", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why it does not open.
        detail: String,
    },
    /// Profiles.
    #[error("{} of the profiles cannot be used:{}", .0.len(), lines(.0))]
    Profiles(Vec<ProfileLoadFault>),
    /// A passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The root's key.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// A key that is made.
    #[error(transparent)]
    Key(#[from] KeyringError),
    /// A key that is encrypted.
    #[error(transparent)]
    Encryption(#[from] EncryptedKeyError),
    /// A signature.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// Randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    /// A file.
    #[error("{}: {}", path.display(), file::complaint(source))]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn lines<T: std::fmt::Display>(faults: &[T]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

fn violation_lines(violations: &[Violation]) -> String {
    violations.iter().map(|violation| format!("\n  {}", violation.message)).collect()
}
