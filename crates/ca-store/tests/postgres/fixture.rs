//! What is put into a store: distinct by a number, plain.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::hash::sha256;
use ca_core::id::CertificateId;
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp, Validity};
use ca_engine::port::store::{
    CertificateStore, CompleteOutcome, Completion, CrlIntent, Journal, OutboxMessage, Reservation, ReserveOutcome,
    StandingChange, StoreError, StoredCertificate,
};
use ca_store::{OpenMode, PostgresStore};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use std::sync::Arc;

use super::server;

pub(super) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_176_000);

/// A store on a database of its own, and the database's name.
pub(super) async fn store() -> (Arc<PostgresStore>, String) {
    let database = server::shared().await.database().await;
    (another(&database).await, database)
}

/// One more replica.
pub(super) async fn another(database: &str) -> Arc<PostgresStore> {
    let options = server::shared().await.options(database);
    Arc::new(PostgresStore::open(&options, OpenMode::ReadWrite).await.expect("opens"))
}

/// A connection of the tests' own.
pub(super) async fn connect(database: &str) -> PgConnection {
    let url = server::shared().await.url(database);
    let options: PgConnectOptions = url.parse().expect("an address");
    options.connect().await.expect("connects")
}

pub(super) fn reservation(number: u64) -> Reservation {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    let digest = sha256(&number.to_be_bytes());
    let mut octets = [0; 16];
    octets.copy_from_slice(&digest[..16]);
    Reservation {
        id: CertificateId::new(NOW.plus(Lifetime::from_seconds(number)), random),
        authority: "tls".parse().expect("an authority id"),
        serial: Serial::from_random(octets),
        profile: "server".parse().expect("a profile name"),
        validity: Validity { not_before: NOW, not_after: NOW.plus(Lifetime::from_days(90)) },
        subject: DistinguishedName::from_rfc4514(&format!("CN=host{number}.example.com")).expect("a subject"),
        names: vec![GeneralName::parse(&format!("dns:host{number}.example.com")).expect("a name")],
        spki_sha256: digest,
        to_be_signed: vec![0x30; 600],
        owner: "local".to_owned(),
        requested_by: "local".to_owned(),
        renews: None,
        token: None,
        idempotency: None,
        personal_data: None,
        reserved_at: NOW,
    }
}

pub(super) fn journal(action: AuditAction, id: CertificateId) -> Journal {
    let event = AuditEvent::new(NOW, action, "local", format!("certificate:{id}"));
    let payload = "{}".to_owned();
    Journal::of(event).telling(OutboxMessage { topic: "certificate.issued", certificate: Some(id), payload })
}

pub(super) fn completion(id: CertificateId) -> Completion {
    Completion {
        id,
        certificate: [id.as_bytes().as_slice(), &[0x30; 700]].concat(),
        completed_at: NOW,
        inherit_roles: false,
        personal_data: false,
        journal: journal(AuditAction::CertificateIssued, id),
    }
}

pub(super) fn revocation(id: CertificateId, reason: RevocationReason) -> StandingChange {
    StandingChange {
        id,
        from: Standing::Active,
        to: Standing::Revoked(Revocation { revoked_at: NOW, reason, invalidity_date: None }),
        compromised_since: None,
        journal: journal(AuditAction::CertificateRevoked, id),
    }
}

/// Reserves and completes; an error of the store is passed on.
pub(super) async fn issue(store: &PostgresStore, number: u64) -> Result<StoredCertificate, StoreError> {
    let reservation = reservation(number);
    let id = reservation.id;
    assert_eq!(store.reserve(reservation).await?, ReserveOutcome::Reserved);
    match store.complete(completion(id)).await? {
        CompleteOutcome::Completed(stored) => Ok(*stored),
        other => panic!("an open reservation can be completed, not {other:?}"),
    }
}

pub(super) fn crl_intent(number: u64) -> CrlIntent {
    CrlIntent {
        authority: "tls".parse().expect("an authority id"),
        number,
        this_update: NOW,
        next_update: NOW.plus(Lifetime::from_days(7)),
        entries: 0,
        revocation_sequence: 0,
        to_be_signed_sha256: sha256(&number.to_be_bytes()),
    }
}
