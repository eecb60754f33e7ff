//! Audit events: what happened, who asked, and the hash chain that puts committed events in order.
//!
//! An event is made with the change it describes and stored in the same transaction; a leased sequencer gives it a place in
//! the chain within a second. Nothing here stores or reads a clock. Secrets never enter an event, and of personal data it holds
//! a [`commitment`] at most: the clear text lies beside it and can be erased, and the chain is whole all the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hash::sha256;
use crate::time::Timestamp;

/// What an event tells. The text forms are stable: others parse them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AuditAction {
    /// An authority, its key and its certificate came to be.
    AuthorityCreated,
    /// The certificate of a generation was asked for, of whoever holds the key above it.
    AuthorityRequested,
    /// A generation of an authority has what relying parties look up, and it is settled from when on it issues.
    AuthorityAnnounced,
    /// An authority issues no more, since a later generation does; it still signs lists and answers.
    AuthorityRetiring,
    /// The last certificate of an authority has ended, and its last list is out: its key is of no use any more.
    AuthorityRetired,
    /// The key of a retired authority was destroyed on the host.
    AuthorityKeyDestroyed,
    /// An authority whose certificate others signed was taken on record.
    AuthorityAdopted,
    /// A key of an authority left the store as encrypted PKCS#8.
    AuthorityKeyExported,
    /// The root's key was moved out of the data folder.
    RootKeyExported,
    /// What is sealed was moved to another seal, or sealed anew.
    KeysResealed,
    /// A certificate was issued.
    CertificateIssued,
    /// A certificate was issued as the successor of another.
    CertificateRenewed,
    /// The holder of a certificate asked for a second successor while it has one: somebody else may have its key.
    RenewalRepeated,
    /// The renewal windows of many certificates were moved.
    RenewalWindowsMoved,
    /// Windows that were moved are the usual ones again.
    RenewalWindowsRestored,
    /// A managed certificate was put on record.
    ManagedCertificateAdded,
    /// What is wanted of a managed certificate was changed, or it was paused or resumed.
    ManagedCertificateChanged,
    /// A managed certificate was taken from the record.
    ManagedCertificateRemoved,
    /// It was told that a certificate, or an authority, ends soon and nobody has seen to what comes after.
    ExpiryNoticed,
    /// A managed certificate was brought to its target and is current there.
    CertificateRotated,
    /// The rotation of a managed certificate failed; once for each urgency.
    RotationFailed,
    /// A certificate was revoked or put on hold.
    CertificateRevoked,
    /// A hold was ended.
    CertificateReleased,
    /// The revocation of many certificates was begun; each has an event of its own when it is revoked.
    BulkRevocationBegun,
    /// Every certificate of a bulk revocation has had its turn.
    BulkRevocationCompleted,
    /// A bulk revocation was ended before all of its certificates had their turn.
    BulkRevocationCanceled,
    /// An issuance was begun and never finished; its serial answers as revoked.
    IssuanceAbandoned,
    /// An OCSP responder's certificate was issued.
    ResponderIssued,
    /// A CRL was signed and published.
    CrlPublished,
    /// An enrolment token was made.
    TokenCreated,
    /// An enrolment token was withdrawn.
    TokenDeleted,
    /// A role was bound to a certificate.
    RoleGranted,
    /// A role was taken from a certificate.
    RoleWithdrawn,
    /// A gateway was heard of for the first time, or speaks by another certificate than before.
    GatewayRegistered,
    /// A gateway was taken from the record; it comes back when it speaks again.
    GatewayRemoved,
    /// An event that could not be delivered to a sink is to be tried again.
    DeliveryReplayed,
    /// The administrators were reset on the host.
    AdministratorReset,
    /// A copy of the record was begun to be made on the host.
    RecordBackedUp,
    /// A record that was older than what had been published was brought up to it, on the host.
    RecordRestored,
    /// A certificate that was issued after the backup that the record comes from was taken back on record.
    CertificateRecovered,
    /// A new version of the key of personal data was made.
    PersonalDataKeyMade,
    /// Versions of the key of personal data that nothing lies under any more were dropped.
    PersonalDataKeyDropped,
    /// A certificate that others signed, of an authority or an OCSP responder, was taken on record.
    CertificateAdopted,
    /// The personal data that a certificate's event commits to was erased.
    PersonalDataErased,
    /// Certificates of a month were removed from the record after their retention; their serials stay.
    CertificatesRemoved,
}

impl AuditAction {
    /// The stable name, as in `certificate-issued`: the one that serde writes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorityCreated => "authority-created",
            Self::AuthorityRequested => "authority-requested",
            Self::AuthorityAnnounced => "authority-announced",
            Self::AuthorityRetiring => "authority-retiring",
            Self::AuthorityRetired => "authority-retired",
            Self::AuthorityKeyDestroyed => "authority-key-destroyed",
            Self::AuthorityAdopted => "authority-adopted",
            Self::AuthorityKeyExported => "authority-key-exported",
            Self::RootKeyExported => "root-key-exported",
            Self::KeysResealed => "keys-resealed",
            Self::CertificateIssued => "certificate-issued",
            Self::CertificateRenewed => "certificate-renewed",
            Self::RenewalRepeated => "renewal-repeated",
            Self::RenewalWindowsMoved => "renewal-windows-moved",
            Self::RenewalWindowsRestored => "renewal-windows-restored",
            Self::ManagedCertificateAdded => "managed-certificate-added",
            Self::ManagedCertificateChanged => "managed-certificate-changed",
            Self::ManagedCertificateRemoved => "managed-certificate-removed",
            Self::CertificateRotated => "certificate-rotated",
            Self::RotationFailed => "rotation-failed",
            Self::ExpiryNoticed => "expiry-noticed",
            Self::CertificateRevoked => "certificate-revoked",
            Self::CertificateReleased => "certificate-released",
            Self::BulkRevocationBegun => "bulk-revocation-begun",
            Self::BulkRevocationCompleted => "bulk-revocation-completed",
            Self::BulkRevocationCanceled => "bulk-revocation-canceled",
            Self::IssuanceAbandoned => "issuance-abandoned",
            Self::ResponderIssued => "responder-issued",
            Self::CrlPublished => "crl-published",
            Self::TokenCreated => "token-created",
            Self::TokenDeleted => "token-deleted",
            Self::RoleGranted => "role-granted",
            Self::RoleWithdrawn => "role-withdrawn",
            Self::GatewayRegistered => "gateway-registered",
            Self::GatewayRemoved => "gateway-removed",
            Self::DeliveryReplayed => "delivery-replayed",
            Self::AdministratorReset => "administrator-reset",
            Self::RecordBackedUp => "record-backed-up",
            Self::RecordRestored => "record-restored",
            Self::CertificateRecovered => "certificate-recovered",
            Self::PersonalDataKeyMade => "personal-data-key-made",
            Self::PersonalDataKeyDropped => "personal-data-key-dropped",
            Self::CertificateAdopted => "certificate-adopted",
            Self::PersonalDataErased => "personal-data-erased",
            Self::CertificatesRemoved => "certificates-removed",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// When it happened, by the service's clock.
    pub at: Timestamp,
    /// What happened.
    pub action: AuditAction,
    /// Who asked: [`crate::principal::Principal::reference`].
    pub principal: String,
    /// To what: `certificate:ID`, `authority:ID`, `token:ID` …
    pub subject: String,
    /// The request it belongs to, where there was one.
    pub request_id: Option<String>,
    /// Further facts, by name; no personal data, no secrets.
    pub details: BTreeMap<String, String>,
}

impl AuditEvent {
    /// An event without details.
    pub fn new(at: Timestamp, action: AuditAction, principal: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            at,
            action,
            principal: principal.into(),
            subject: subject.into(),
            request_id: None,
            details: BTreeMap::new(),
        }
    }

    /// The same event with one more detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.details.insert(name.to_owned(), value.to_string());
        self
    }

    /// The same event, tied to a request.
    #[must_use]
    pub fn in_request(mut self, request_id: Option<&str>) -> Self {
        self.request_id = request_id.map(str::to_owned);
        self
    }

    /// The octets that are stored and hashed: JSON with keys in alphabetical order and without blanks.
    pub fn canonical(&self) -> Vec<u8> {
        /// Its fields stand in alphabetical order, and serde writes them as they stand: whether maps of serde_json are
        /// sorted depends on the features that others turn on.
        #[derive(Serialize)]
        struct Canonical<'a> {
            action: AuditAction,
            at: String,
            details: &'a BTreeMap<String, String>,
            principal: &'a str,
            request_id: Option<&'a str>,
            subject: &'a str,
        }
        let canonical = Canonical {
            action: self.action,
            at: self.at.to_rfc3339(),
            details: &self.details,
            principal: &self.principal,
            request_id: self.request_id.as_deref(),
            subject: &self.subject,
        };
        // Cannot fail: strings and a map with string keys are always JSON.
        serde_json::to_vec(&canonical).unwrap_or_default()
    }
}

/// What an event holds of personal data: SHA-256 over a label, a random salt and the clear text. Whoever is shown salt and text
/// can check it; without the salt nothing can be guessed from it, however few the possible texts are.
pub fn commitment(salt: &[u8; 32], text: &[u8]) -> [u8; 32] {
    sha256(&[b"cartorio audit commitment\0", salt.as_slice(), text].concat())
}

/// The hash of a place in the chain.
pub type ChainHash = [u8; 32];

/// The hash before the first event.
pub const GENESIS: ChainHash = [0; 32];

/// SHA-256 over the previous hash, the sequence number (8 octets, big-endian) and the event's canonical octets.
pub fn link(previous: &ChainHash, sequence: u64, canonical: &[u8]) -> ChainHash {
    let mut octets = Vec::with_capacity(40 + canonical.len());
    octets.extend_from_slice(previous);
    octets.extend_from_slice(&sequence.to_be_bytes());
    octets.extend_from_slice(canonical);
    sha256(&octets)
}

/// Where a chain stops being whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// A place is missing or there twice.
    #[error("expected event {expected}, found {found}: events are missing or were moved")]
    Gap {
        /// The sequence number that should come.
        expected: u64,
        /// The one that did.
        found: u64,
    },
    /// An event or its hash was changed.
    #[error("event {sequence} does not hash to what the chain says: it or an earlier one was changed")]
    Broken {
        /// Where.
        sequence: u64,
    },
}

/// Follows a chain link by link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainVerifier {
    sequence: u64,
    hash: ChainHash,
}

impl Default for ChainVerifier {
    fn default() -> Self {
        Self { sequence: 0, hash: GENESIS }
    }
}

impl ChainVerifier {
    /// Checks the next event; the first has sequence 1.
    pub fn next(&mut self, sequence: u64, canonical: &[u8], hash: &ChainHash) -> Result<(), ChainFault> {
        let expected = self.sequence + 1;
        if sequence != expected {
            return Err(ChainFault::Gap { expected, found: sequence });
        }
        if link(&self.hash, sequence, canonical) != *hash {
            return Err(ChainFault::Broken { sequence });
        }
        self.sequence = sequence;
        self.hash = *hash;
        Ok(())
    }

    /// How many events were followed, and the hash of the last.
    pub fn head(&self) -> (u64, ChainHash) {
        (self.sequence, self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(subject: &str) -> AuditEvent {
        AuditEvent::new(Timestamp::from_unix_seconds(0), AuditAction::CertificateIssued, "local", subject)
            .with("serial", "0a")
            .with("authority", "tls")
    }

    /// Names that were stored are looked for by what is read here.
    #[test]
    fn an_action_has_one_name_whoever_writes_it() {
        let mut count = 0;
        for name in include_str!("audit/testdata/actions.txt").lines() {
            let action: AuditAction = serde_json::from_value(name.into()).expect(name);
            assert_eq!(action.as_str(), name);
            assert_eq!(serde_json::to_value(action).expect("a string"), name);
            count += 1;
        }
        assert_eq!(count, AuditAction::CertificatesRemoved as usize + 1, "every action, in the file too");
    }

    #[test]
    fn canonical_octets_are_sorted_json() {
        assert_eq!(
            String::from_utf8(event("certificate:x").canonical()).expect("UTF-8"),
            r#"{"action":"certificate-issued","at":"1970-01-01T00:00:00Z","details":{"authority":"tls","serial":"0a"},"principal":"local","request_id":null,"subject":"certificate:x"}"#
        );
    }

    /// Made with Python: `hashlib.sha256(b"cartorio audit commitment\0" + bytes(32) + b"Ana").hexdigest()`.
    #[test]
    fn a_commitment_is_what_others_compute_and_says_nothing_without_its_salt() {
        let committed = commitment(&[0; 32], b"Ana");
        assert_eq!(hex::encode(committed), "65a22193cb2bf7615f85918e26ca06d2a6a950bc16c08fa957471e2c02a03b8a");
        assert_ne!(committed, commitment(&[1; 32], b"Ana"));
        assert_ne!(committed, sha256(b"Ana"));
    }

    #[test]
    fn a_changed_or_missing_event_breaks_the_chain() {
        let events: Vec<_> = ["a", "b", "c"].iter().map(|subject| event(subject).canonical()).collect();
        let mut hashes = Vec::new();
        let mut previous = GENESIS;
        for (sequence, canonical) in (1..).zip(&events) {
            previous = link(&previous, sequence, canonical);
            hashes.push(previous);
        }
        let mut whole = ChainVerifier::default();
        for (sequence, (canonical, hash)) in (1..).zip(events.iter().zip(&hashes)) {
            whole.next(sequence, canonical, hash).expect("whole");
        }
        let mut missing = ChainVerifier::default();
        missing.next(1, &events[0], &hashes[0]).expect("first");
        assert_eq!(missing.next(3, &events[2], &hashes[2]), Err(ChainFault::Gap { expected: 2, found: 3 }));
        assert_eq!(missing.next(2, &events[0], &hashes[1]), Err(ChainFault::Broken { sequence: 2 }));
    }
}
