//! The tables, and what every change shares: the journal, the sequence of revocations, the fence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ca_core::audit::{AuditEvent, ChainHash};
use ca_core::crl::PartialScope;
use ca_core::hash::sha256;
use ca_core::id::{
    AuthorityId, BulkRevocationId, CertificateId, DeliveryId, ManagedCertificateId, TokenId, WindowMoveId,
};
use ca_core::principal::Role;
use ca_core::revocation::{Revocation, Standing};
use ca_core::serial::Serial;
use ca_core::signing::Message;
use ca_core::time::Timestamp;

use crate::port::keyring::SealedKey;
use crate::port::list_octets::ListOctets;
use crate::port::store::{
    AuthorityRecord, BulkRevocation, CrlIntent, Delivery, ExpiryNotice, GatewayRecord, Idempotency, Journal, Lease,
    ManagedCertificate, OutboxMessage, PartialIntent, Reservation, ResponderRecord, RevocationRow, StoreError,
    TokenRecord, UpstreamIntent, WindowMove,
};

/// Everything on record. Ordered maps only, so that every run lists alike.
///
/// Open to tests that hold it against what was promised ([`super::MemoryStore::tables`]), or that tamper with it as somebody does
/// who can write to the database.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Every reservation and what became of it.
    pub issuances: BTreeMap<CertificateId, Issuance>,
    /// What issuers elsewhere were asked for, by reservation.
    pub upstream: BTreeMap<CertificateId, UpstreamRow>,
    /// Certificates that were removed after their retention; of each the issuance stays, without its octets.
    pub removed: BTreeSet<CertificateId>,
    /// Serial numbers in use.
    pub serials: BTreeMap<(AuthorityId, Serial), CertificateId>,
    /// Idempotency keys in use, by scope.
    pub idempotency: BTreeMap<[u8; 32], IdempotencyRow>,
    /// SHA-256 of the SubjectPublicKeyInfo of blocked keys.
    pub blocked_keys: BTreeSet<[u8; 32]>,
    /// The sequence of revocations, in commit order.
    pub revocations: Vec<RevocationRow>,
    /// Bulk revocations.
    pub bulk_revocations: BTreeMap<BulkRevocationId, BulkRow>,
    /// Complete CRLs, by authority and number.
    pub crls: BTreeMap<(AuthorityId, u64), CrlRow>,
    /// Shards and deltas that were intended, by authority, scope and number.
    pub partial_crls: BTreeMap<(AuthorityId, PartialScope, u64), PartialIntent>,
    /// Of each scope the published one.
    pub published_partials: PublishedPartials,
    /// The authorities.
    pub authorities: BTreeMap<AuthorityId, AuthorityRecord>,
    pub(super) keys: BTreeMap<String, SealedKey>,
    /// OCSP responders, by certificate.
    pub responders: BTreeMap<CertificateId, ResponderRecord>,
    /// Settings, by name.
    pub settings: BTreeMap<String, Vec<u8>>,
    /// Enrolment tokens.
    pub tokens: BTreeMap<TokenId, TokenRecord>,
    /// Roles, and since when they are bound.
    pub roles: BTreeMap<(CertificateId, Role), Timestamp>,
    /// Gateways, by id.
    pub gateways: BTreeMap<String, GatewayRecord>,
    /// Moves of renewal windows.
    pub window_moves: BTreeMap<WindowMoveId, WindowMove>,
    /// Renewals that were asked for twice: the certificate and the successor it had.
    pub repeated_renewals: BTreeSet<(CertificateId, CertificateId)>,
    /// Digests of nonces that were used, and until when that has to be known.
    pub used_nonces: BTreeMap<[u8; 32], Timestamp>,
    /// Managed certificates, by id.
    pub managed: BTreeMap<ManagedCertificateId, ManagedCertificate>,
    /// Notices of ends, by certificate.
    pub expiry_notices: BTreeMap<CertificateId, ExpiryNotice>,
    /// Leases, by name.
    pub leases: BTreeMap<String, LeaseRow>,
    /// Committed audit events, in commit order.
    pub events: Vec<EventRow>,
    /// The audit chain: in each place the index of its event, and its hash.
    pub chain: Vec<(usize, ChainHash)>,
    /// Places whose events somebody deleted.
    pub(super) lost_places: BTreeSet<u64>,
    /// The number that the next of the sequence of revocations is above, after a restoration.
    pub sequence_floor: u64,
    /// Personal data that is said to be so, by id, and the version of the key that it would lie under.
    pub(super) personal_data: BTreeMap<[u8; 16], HeldUnder>,
    /// The versions of that key after the first, and when each was made.
    pub(super) personal_data_keys: BTreeMap<u32, Timestamp>,
    outbox: Vec<OutboxMessage>,
    /// Messages that go to no sink yet, by their number: their place among all of them, from 1.
    pub unassigned: BTreeMap<u64, QueuedMessage>,
    /// What is on its way to a sink.
    pub deliveries: BTreeMap<DeliveryId, Delivery>,
}

/// What an issuer elsewhere was asked for.
#[derive(Clone, Debug)]
pub struct UpstreamRow {
    /// What was put on record before.
    pub intent: UpstreamIntent,
    /// By what name the certificate is collected.
    pub name: Option<String>,
}

/// Published shards and deltas: the number of each, and its octets.
pub type PublishedPartials = BTreeMap<(AuthorityId, PartialScope), (u64, ListOctets)>;

/// A message that goes to no sink yet.
#[derive(Clone, Debug)]
pub struct QueuedMessage {
    /// The message.
    pub message: OutboxMessage,
    /// When its change was made.
    pub at: Timestamp,
}

/// Where personal data would lie, were anything encrypted here.
#[derive(Clone, Debug)]
pub(super) struct HeldUnder {
    pub(super) version: u32,
    pub(super) audit_text: Option<Vec<u8>>,
}

/// A reservation and what became of it.
#[derive(Clone, Debug)]
pub struct Issuance {
    /// What was reserved.
    pub reservation: Reservation,
    /// What became of it.
    pub state: IssuanceState,
}

/// What became of a reservation.
#[derive(Clone, Debug)]
pub enum IssuanceState {
    /// Nothing yet.
    Reserved,
    /// A certificate.
    Issued {
        /// Its DER.
        certificate: Vec<u8>,
        /// When it was completed.
        issued_at: Timestamp,
        /// How it stands.
        standing: Standing,
    },
    /// Nothing, for good.
    Abandoned(Revocation),
}

/// An idempotency key in use.
#[derive(Clone, Debug)]
pub struct IdempotencyRow {
    /// What was asked with it.
    pub request_sha256: [u8; 32],
    /// Until when it is kept.
    pub expires_at: Timestamp,
    /// The reservation it was asked for.
    pub certificate: CertificateId,
}

/// A bulk revocation, and what of it is left to do.
#[derive(Clone, Debug)]
pub struct BulkRow {
    /// How far it has come.
    pub operation: BulkRevocation,
    /// Its batches that are left, by their places.
    pub batches: BTreeMap<u32, Vec<CertificateId>>,
    /// The idempotency key it was asked with, until it expires.
    pub idempotency: Option<Idempotency>,
}

/// An intended CRL and, once published, its octets.
#[derive(Clone, Debug)]
pub struct CrlRow {
    /// What was intended.
    pub intent: CrlIntent,
    /// The signed list.
    pub der: Option<Arc<[u8]>>,
}

/// The newest lease of a name. The row stays when it is given back, so that tokens never repeat.
#[derive(Clone, Debug)]
pub struct LeaseRow {
    /// Who has it; nobody after it was given back.
    pub holder: Option<String>,
    /// Its token.
    pub token: u64,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A committed audit event; its row number is its index plus one.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// The event.
    pub event: AuditEvent,
    /// Whether it has its place in the chain.
    pub chained: bool,
}

impl Issuance {
    /// How the certificate stands; `None` while there is none.
    pub fn standing(&self) -> Option<Standing> {
        match &self.state {
            IssuanceState::Issued { standing, .. } => Some(*standing),
            IssuanceState::Reserved | IssuanceState::Abandoned(_) => None,
        }
    }
}

impl Record {
    pub(super) fn events(&self) -> Vec<AuditEvent> {
        self.events.iter().map(|row| row.event.clone()).collect()
    }

    /// Every committed outbox message, in commit order, delivered or not; its number is its index plus one.
    pub fn outbox(&self) -> &[OutboxMessage] {
        &self.outbox
    }

    /// Whether octets are those of a reservation or of an intended CRL.
    pub(super) fn is_intended(&self, message: Message<'_>) -> bool {
        let is_list = |digest: &[u8]| {
            self.crls.values().any(|row| row.intent.to_be_signed_sha256 == digest)
                || self.partial_crls.values().any(|intent| intent.crl.to_be_signed_sha256 == digest)
        };
        match message {
            Message::Whole(octets) => {
                self.issuances.values().any(|issuance| issuance.reservation.to_be_signed == octets)
                    || is_list(&sha256(octets))
            }
            // Of another digest than the record has, nothing can be said: no test has such a key sign lists.
            Message::Digest(digest) => is_list(digest.octets()),
        }
    }

    /// Stores what a change brings beside itself.
    pub(super) fn write_journal(&mut self, journal: Journal) {
        let at = journal.event.at;
        self.events.push(EventRow { event: journal.event, chained: false });
        for message in journal.messages {
            self.outbox.push(message.clone());
            self.unassigned.insert(self.outbox.len() as u64, QueuedMessage { message, at });
        }
    }

    /// Gives a change of standing the next number of the sequence.
    pub(super) fn next_revocation(
        &mut self,
        authority: AuthorityId,
        serial: Serial,
        standing: Standing,
        not_after: Timestamp,
    ) -> u64 {
        let sequence = self.revocation_sequence() + 1;
        self.revocations.push(RevocationRow { sequence, authority, serial, standing, not_after });
        sequence
    }

    /// The number that the next of the sequence of revocations is above.
    pub fn revocation_sequence(&self) -> u64 {
        self.revocations.last().map_or(0, |row| row.sequence).max(self.sequence_floor)
    }

    /// Refuses a change under a lease that is not the newest of its name. An expired one that nobody took is still newest.
    pub(super) fn check_fence(&self, lease: &Lease) -> Result<(), StoreError> {
        match self.leases.get(&lease.name) {
            Some(newest) if newest.token == lease.token => Ok(()),
            _ => Err(StoreError::Fenced { lease: lease.name.clone() }),
        }
    }
}
