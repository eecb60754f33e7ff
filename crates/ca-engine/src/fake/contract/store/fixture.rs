//! What cases put on record: distinct by a counter, plain, and complete, so that an adapter may bind rows by foreign keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::hash::sha256;
use ca_core::id::{AuthorityId, CertificateId, ProfileName, TokenId};
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::principal::TokenBinding;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp, Validity};

use super::StoreUnderTest;
use crate::port::keyring::{KeyRoom, SealedKey};
use crate::port::store::{
    AuthorityRecord, AuthorityState, ChangeOutcome, CompleteOutcome, Completion, CrlIntent, FROM_THE_START,
    Idempotency, Journal, KeyHome, Lease, OutboxMessage, Reservation, ReserveOutcome, StandingChange, Store,
    StoredCertificate, TokenRecord,
};

/// The instant at which cases happen, by the service's clock: 2026-11-20T12:00:00Z.
pub(super) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_176_000);

/// A store under test and a counter that makes what is put into it distinct.
pub(super) struct Fixture {
    pub(super) store: Arc<dyn Store>,
    under_test: StoreUnderTest,
    counter: AtomicU64,
}

impl Fixture {
    pub(super) fn new(under_test: StoreUnderTest) -> Self {
        Self { store: under_test.store.clone(), under_test, counter: AtomicU64::new(1) }
    }

    pub(super) async fn another(&self) -> Arc<dyn Store> {
        (self.under_test.another)().await
    }

    pub(super) async fn pass_time(&self, lifetime: Lifetime) {
        (self.under_test.pass_time)(lifetime).await;
    }

    /// The next number, from 1.
    pub(super) fn number(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::SeqCst)
    }

    /// A reservation with nothing optional, distinct in id, serial and key from every other.
    pub(super) fn reservation(&self) -> Reservation {
        let number = self.number();
        Reservation {
            id: certificate_id(number),
            authority: authority("tls"),
            serial: serial(number),
            profile: profile("server"),
            validity: Validity { not_before: NOW, not_after: NOW.plus(Lifetime::from_days(90)) },
            subject: subject("api.example.com"),
            names: vec![name("dns:api.example.com")],
            spki_sha256: sha256(&number.to_be_bytes()),
            to_be_signed: format!("to be signed {number}").into_bytes(),
            owner: "certificate:owner".to_owned(),
            requested_by: "local".to_owned(),
            renews: None,
            token: None,
            idempotency: None,
            personal_data: None,
            reserved_at: NOW,
        }
    }

    /// A reservation of the successor of `predecessor`.
    pub(super) fn successor_of(&self, predecessor: &StoredCertificate) -> Reservation {
        Reservation { renews: Some(predecessor.id), ..self.reservation() }
    }

    pub(super) async fn reserve(&self, reservation: &Reservation) -> ReserveOutcome {
        self.store.reserve(reservation.clone()).await.expect("reserve")
    }

    /// Puts a reservation on record that must be possible.
    pub(super) async fn reserve_now(&self, reservation: Reservation) -> Reservation {
        assert_eq!(self.reserve(&reservation).await, ReserveOutcome::Reserved);
        reservation
    }

    /// A reservation on record.
    pub(super) async fn reserved(&self) -> Reservation {
        self.reserve_now(self.reservation()).await
    }

    pub(super) async fn complete(&self, id: CertificateId) -> CompleteOutcome {
        self.store.complete(completion(id)).await.expect("complete")
    }

    /// Completes a reservation on record that must be possible to complete.
    pub(super) async fn complete_now(&self, id: CertificateId) -> StoredCertificate {
        match self.complete(id).await {
            CompleteOutcome::Completed(stored) => *stored,
            other => panic!("an open reservation can be completed, not {other:?}"),
        }
    }

    /// Reserves and completes.
    pub(super) async fn issue(&self, reservation: Reservation) -> StoredCertificate {
        let reservation = self.reserve_now(reservation).await;
        self.complete_now(reservation.id).await
    }

    /// A certificate on record.
    pub(super) async fn issued(&self) -> StoredCertificate {
        self.issue(self.reservation()).await
    }

    pub(super) async fn change(&self, id: CertificateId, from: Standing, to: Standing) -> ChangeOutcome {
        self.store.change_standing(change(id, from, to)).await.expect("change_standing")
    }

    /// Changes a standing as the caller expects it to be; returns the number of the sequence.
    pub(super) async fn change_now(&self, id: CertificateId, from: Standing, to: Standing) -> u64 {
        match self.change(id, from, to).await {
            ChangeOutcome::Applied { sequence } => sequence,
            ChangeOutcome::Stale => panic!("a certificate that stands as expected can be changed"),
        }
    }

    /// Revokes an active certificate for good.
    pub(super) async fn revoke(&self, certificate: &StoredCertificate) -> u64 {
        self.change_now(certificate.id, Standing::Active, SUPERSEDED).await
    }

    /// Puts an active certificate on hold.
    pub(super) async fn hold(&self, certificate: &StoredCertificate) -> u64 {
        self.change_now(certificate.id, Standing::Active, HELD).await
    }

    /// Blocks a public key, by way of a certificate that has it.
    pub(super) async fn block_key(&self, spki_sha256: [u8; 32]) {
        let certificate = self.issue(Reservation { spki_sha256, ..self.reservation() }).await;
        let mut change = change(certificate.id, Standing::Active, COMPROMISED);
        change.compromised_since = Some(NOW);
        let outcome = self.store.change_standing(change).await.expect("change_standing");
        assert!(matches!(outcome, ChangeOutcome::Applied { .. }));
    }

    pub(super) async fn abandon(&self, id: CertificateId) -> bool {
        let journal = journal(AuditAction::IssuanceAbandoned, id);
        self.store.abandon(id, journal).await.expect("abandon")
    }

    /// A token on record that expires a day after [`NOW`].
    pub(super) async fn token(&self, uses: u32) -> TokenRecord {
        let token = self.token_record(uses);
        self.store.add_token(token.clone(), token_journal(token.id)).await.expect("add_token");
        token
    }

    pub(super) fn token_record(&self, uses: u32) -> TokenRecord {
        let number = self.number();
        TokenRecord {
            id: TokenId::new(NOW, random(number)),
            secret_sha256: sha256(&number.to_le_bytes()),
            binding: TokenBinding {
                profile: profile("server"),
                names: vec![name("dns:api.example.com"), name("ip:192.0.2.1")],
                common_name: Some("api.example.com".to_owned()),
            },
            personal_data: false,
            uses,
            used: 0,
            expires_at: NOW.plus(Lifetime::from_days(1)),
            created_at: NOW,
            created_by: "local".to_owned(),
            withdrawn: false,
        }
    }

    /// How often a token was used.
    pub(super) async fn used(&self, id: TokenId) -> u32 {
        self.store.token(id).await.expect("token").expect("on record").used
    }

    /// An authority on record whose certificate is on record.
    pub(super) async fn authority(&self, id: &str, parent: Option<&str>) -> AuthorityRecord {
        let certificate = self.issued().await;
        let key = self.sealed_key(KeyRoom::Authorities);
        self.store.add_key(key.clone()).await.expect("add_key");
        let record = AuthorityRecord {
            id: authority(id),
            certificate: certificate.id,
            certificate_der: certificate.der,
            parent: parent.map(authority),
            key_home: KeyHome::Sealed(key.id),
            state: AuthorityState::Active,
            issues_from: FROM_THE_START,
        };
        let journal = Journal::of(event(AuditAction::AuthorityCreated, &format!("authority:{id}")));
        self.store.add_authority(record.clone(), journal).await.expect("add_authority");
        record
    }

    /// A sealed key, not yet on record.
    pub(super) fn sealed_key(&self, room: KeyRoom) -> SealedKey {
        let number = self.number();
        SealedKey {
            id: hex::encode(sha256(&number.to_be_bytes())),
            room,
            key_type: ca_core::key::KeyType::P256,
            spki: format!("public key {number}").into_bytes(),
            sealed: format!("sealed key {number}").into_bytes(),
            created_at: NOW,
        }
    }

    /// A lease that must be free, of a minute.
    pub(super) async fn lease(&self, name: &str) -> Lease {
        let acquired = self.store.acquire_lease(name, "first", Lifetime::from_seconds(60)).await;
        acquired.expect("acquire_lease").expect("a free lease can be taken")
    }

    /// A lease that was lost: `second` has the newer one by now.
    pub(super) async fn lost_lease(&self, name: &str) -> Lease {
        let lease = self.lease(name).await;
        self.store.release_lease(&lease).await.expect("release_lease");
        let newer = self.store.acquire_lease(name, "second", Lifetime::from_seconds(60)).await;
        newer.expect("acquire_lease").expect("a lease given back can be taken");
        lease
    }

    /// The actions and subjects of every event, in commit order. No case chains events before it asks.
    pub(super) async fn events(&self) -> Vec<(String, String)> {
        let pending = self.store.pending_events(10_000).await.expect("pending_events");
        pending.iter().map(|event| action_and_subject(&event.canonical)).collect()
    }

    /// How many events are on record.
    pub(super) async fn event_count(&self) -> usize {
        self.events().await.len()
    }

    /// How many numbers of the sequence of revocations are taken.
    pub(super) async fn sequence(&self) -> u64 {
        self.store.revocation_sequence().await.expect("revocation_sequence")
    }
}

pub(super) const SUPERSEDED: Standing = revoked(RevocationReason::Superseded);
pub(super) const HELD: Standing = revoked(RevocationReason::CertificateHold);
pub(super) const COMPROMISED: Standing = revoked(RevocationReason::KeyCompromise);

pub(super) const fn revoked(reason: RevocationReason) -> Standing {
    Standing::Revoked(Revocation { revoked_at: NOW, reason, invalidity_date: None })
}

pub(super) fn certificate_id(number: u64) -> CertificateId {
    CertificateId::new(NOW, random(number))
}

/// Octets whose order is that of `number`, so that ids of one millisecond are ordered as they were made. UUIDv7 overwrites
/// the top bits of the first and third octet.
fn random(number: u64) -> [u8; 10] {
    let mut octets = [0; 10];
    octets[3..].copy_from_slice(&number.to_be_bytes()[1..]);
    octets
}

pub(super) fn serial(number: u64) -> Serial {
    let mut octets = [0; 16];
    octets[8..].copy_from_slice(&number.to_be_bytes());
    Serial::from_random(octets)
}

pub(super) fn authority(id: &str) -> AuthorityId {
    id.parse().expect("an authority id")
}

pub(super) fn profile(name: &str) -> ProfileName {
    name.parse().expect("a profile name")
}

pub(super) fn subject(common_name: &str) -> DistinguishedName {
    DistinguishedName::from_rfc4514(&format!("CN={common_name},O=Example")).expect("a distinguished name")
}

pub(super) fn name(text: &str) -> GeneralName {
    GeneralName::parse(text).expect("a name")
}

pub(super) fn completion(id: CertificateId) -> Completion {
    Completion {
        id,
        certificate: format!("certificate {id}").into_bytes(),
        completed_at: NOW,
        inherit_roles: false,
        personal_data: false,
        journal: journal(AuditAction::CertificateIssued, id),
    }
}

pub(super) fn change(id: CertificateId, from: Standing, to: Standing) -> StandingChange {
    let journal = journal(AuditAction::CertificateRevoked, id);
    StandingChange { id, from, to, compromised_since: None, journal }
}

pub(super) fn event(action: AuditAction, subject: &str) -> AuditEvent {
    AuditEvent::new(NOW, action, "local", subject).with("detail", "value").in_request(Some("request"))
}

/// An event about a certificate, with one message.
pub(super) fn journal(action: AuditAction, id: CertificateId) -> Journal {
    Journal::of(event(action, &format!("certificate:{id}"))).telling(OutboxMessage {
        topic: "certificate.issued",
        certificate: Some(id),
        payload: "{}".to_owned(),
    })
}

pub(super) fn token_journal(id: TokenId) -> Journal {
    Journal::of(event(AuditAction::TokenCreated, &format!("token:{id}")))
}

/// An idempotency key numbered `key`, for a request numbered `request`, kept for a day after [`NOW`].
pub(super) fn idempotency(key: u8, request: u8) -> Option<Idempotency> {
    let expires_at = NOW.plus(Lifetime::from_days(1));
    Some(Idempotency { scope_sha256: [key; 32], request_sha256: [request; 32], expires_at })
}

pub(super) fn crl_intent(id: &str, number: u64) -> CrlIntent {
    CrlIntent {
        authority: authority(id),
        number,
        this_update: NOW,
        next_update: NOW.plus(Lifetime::from_days(7)),
        entries: 0,
        revocation_sequence: 0,
        to_be_signed_sha256: sha256(&number.to_be_bytes()),
    }
}

pub(super) fn action_and_subject(canonical: &[u8]) -> (String, String) {
    let event: serde_json::Value = serde_json::from_slice(canonical).expect("events are JSON");
    let text = |field: &str| event[field].as_str().expect("text").to_owned();
    (text("action"), text("subject"))
}
