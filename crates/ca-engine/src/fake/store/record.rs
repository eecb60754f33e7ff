//! The tables, and what every change shares: the journal, the sequence of revocations, the fence.

use std::collections::{BTreeMap, BTreeSet};

use ca_core::audit::{AuditEvent, ChainHash};
use ca_core::hash::sha256;
use ca_core::id::{AuthorityId, CertificateId, TokenId};
use ca_core::principal::Role;
use ca_core::revocation::{Revocation, Standing};
use ca_core::serial::Serial;
use ca_core::time::Timestamp;

use crate::port::keyring::SealedKey;
use crate::port::store::{
    AuthorityRecord, CrlIntent, Journal, Lease, OutboxMessage, Reservation, ResponderRecord, RevocationRow, StoreError,
    TokenRecord,
};

/// Everything on record. Ordered maps only, so that every run lists alike.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) issuances: BTreeMap<CertificateId, Issuance>,
    pub(super) serials: BTreeMap<(AuthorityId, Serial), CertificateId>,
    pub(super) idempotency: BTreeMap<[u8; 32], IdempotencyRow>,
    pub(super) blocked_keys: BTreeSet<[u8; 32]>,
    pub(super) revocations: Vec<RevocationRow>,
    pub(super) crls: BTreeMap<(AuthorityId, u64), CrlRow>,
    pub(super) authorities: BTreeMap<AuthorityId, AuthorityRecord>,
    pub(super) keys: BTreeMap<String, SealedKey>,
    pub(super) responders: BTreeMap<CertificateId, ResponderRecord>,
    pub(super) settings: BTreeMap<String, Vec<u8>>,
    pub(super) tokens: BTreeMap<TokenId, TokenRecord>,
    pub(super) roles: BTreeMap<(CertificateId, Role), Timestamp>,
    pub(super) leases: BTreeMap<String, LeaseRow>,
    pub(super) events: Vec<EventRow>,
    pub(super) chain: Vec<(usize, ChainHash)>,
    /// Places whose events somebody deleted.
    pub(super) lost_places: BTreeSet<u64>,
    outbox: Vec<OutboxMessage>,
}

/// A reservation and what became of it.
#[derive(Debug)]
pub(super) struct Issuance {
    pub(super) reservation: Reservation,
    pub(super) state: IssuanceState,
}

#[derive(Debug)]
pub(super) enum IssuanceState {
    Reserved,
    Issued { certificate: Vec<u8>, issued_at: Timestamp, standing: Standing },
    Abandoned(Revocation),
}

/// An idempotency key in use.
#[derive(Debug)]
pub(super) struct IdempotencyRow {
    pub(super) request_sha256: [u8; 32],
    pub(super) expires_at: Timestamp,
    pub(super) certificate: CertificateId,
}

/// An intended CRL and, once published, its octets.
#[derive(Debug)]
pub(super) struct CrlRow {
    pub(super) intent: CrlIntent,
    pub(super) der: Option<Vec<u8>>,
}

/// The newest lease of a name. The row stays when it is given back, so that tokens never repeat.
#[derive(Debug)]
pub(super) struct LeaseRow {
    pub(super) holder: Option<String>,
    pub(super) token: u64,
    pub(super) expires_at: Timestamp,
}

/// A committed audit event; its row number is its index plus one.
#[derive(Debug)]
pub(super) struct EventRow {
    pub(super) event: AuditEvent,
    pub(super) chained: bool,
}

impl Issuance {
    /// How the certificate stands; `None` while there is none.
    pub(super) fn standing(&self) -> Option<Standing> {
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

    pub(super) fn outbox(&self) -> &[OutboxMessage] {
        &self.outbox
    }

    /// Whether octets are those of a reservation or of an intended CRL.
    pub(super) fn is_intended(&self, to_be_signed: &[u8]) -> bool {
        let digest = sha256(to_be_signed);
        self.issuances.values().any(|issuance| issuance.reservation.to_be_signed == to_be_signed)
            || self.crls.values().any(|row| row.intent.to_be_signed_sha256 == digest)
    }

    /// Stores what a change brings beside itself.
    pub(super) fn write_journal(&mut self, journal: Journal) {
        self.events.push(EventRow { event: journal.event, chained: false });
        self.outbox.extend(journal.messages);
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

    pub(super) fn revocation_sequence(&self) -> u64 {
        self.revocations.last().map_or(0, |row| row.sequence)
    }

    /// Refuses a change under a lease that is not the newest of its name. An expired one that nobody took is still newest.
    pub(super) fn check_fence(&self, lease: &Lease) -> Result<(), StoreError> {
        match self.leases.get(&lease.name) {
            Some(newest) if newest.token == lease.token => Ok(()),
            _ => Err(StoreError::Fenced { lease: lease.name.clone() }),
        }
    }
}
