//! What retention leaves on record: certificates that something needs, months that are not over for long, and everything when another
//! holds the lease.

use ca_core::audit::AuditAction;
use ca_core::id::DeliveryId;
use ca_core::month::Month;
use ca_core::principal::Role;
use ca_core::time::Timestamp;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, authority, event};
use super::retention::{OLD, chain_all, ending_in, is_on_record, lease, month, old, removal, remove, removed, settle};
use crate::port::keyring::KeyRoom;
use crate::port::store::{
    Assignment, AuthorityRecord, AuthorityState, FROM_THE_START, Journal, KeptFor, KeyHome, LEAST_RETENTION,
    RemovalOutcome, ResponderRecord, RoleBinding, StoreError, StoredCertificate,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        what_something_refers_to_stays_as_long_as_that_is_so,
        a_month_into_which_an_issuance_is_under_way_waits,
        a_month_that_has_just_ended_stays_whatever_is_asked,
        only_the_newest_lease_removes,
    ]
}

async fn what_something_refers_to_stays_as_long_as_that_is_so(fixture: Fixture) {
    let mut certificates = vec![];
    for _ in 0..8 {
        certificates.push(old(&fixture).await);
    }
    settle(&fixture).await;
    let [of_authority, of_responder, with_role, renewed, queued, delivered, pending, free] = &certificates[..] else {
        panic!("eight")
    };
    add_authority(&fixture, of_authority).await;
    add_responder(&fixture, of_responder).await;
    let binding = RoleBinding { certificate: with_role.id, role: Role::Administrator, granted_at: NOW };
    let granted = Journal::of(event(AuditAction::RoleGranted, "role"));
    fixture.store.grant_role(binding, granted).await.expect("grant_role");
    let open = fixture.reserve_now(fixture.successor_of(renewed)).await;
    tell_of(&fixture, delivered).await;
    assign_all(&fixture).await;
    tell_of(&fixture, queued).await;
    chain_all(&fixture).await;
    let told = event(AuditAction::CertificateRevoked, &format!("certificate:{}", pending.id));
    fixture.store.append_event(told).await.expect("append_event");

    let shares = fixture.store.review_month(month(OLD)).await.expect("review_month");
    let mut found: Vec<_> = shares.iter().map(|share| (share.kept_for, share.certificates)).collect();
    found.sort_unstable();
    let expected = [
        (None, 1),
        (Some(KeptFor::Authority), 1),
        (Some(KeptFor::Responder), 1),
        (Some(KeptFor::Role), 1),
        (Some(KeptFor::Renewal), 1),
        (Some(KeptFor::Message), 2),
        (Some(KeptFor::Event), 1),
    ];
    assert_eq!(found, expected);
    let lease = lease(&fixture).await;
    assert_eq!(remove(&fixture, &lease, OLD).await, removed(1, 7));
    for certificate in &certificates {
        assert_eq!(is_on_record(&fixture, certificate.id).await, certificate.id != free.id);
        let stays = fixture.store.certificate(certificate.id).await.expect("certificate");
        assert!(stays.is_none_or(|stays| stays.der == certificate.der), "as it was");
    }
    assert_eq!(remove(&fixture, &lease, OLD).await, RemovalOutcome::Nothing);

    // What passes, passes.
    let withdrawn = Journal::of(event(AuditAction::RoleWithdrawn, "role"));
    assert_eq!(fixture.store.withdraw_role(with_role.id, Role::Administrator, withdrawn).await, Ok(true));
    assert!(fixture.abandon(open.id).await);
    let outbox = fixture.lease("dropping").await;
    let later = Timestamp::from_unix_millis(i64::MAX);
    assert_eq!(fixture.store.drop_deliveries(&outbox, later, 10).await, Ok(1));
    settle(&fixture).await;
    assert_eq!(remove(&fixture, &lease, OLD).await, removed(5, 2));
    for certificate in [of_authority, of_responder] {
        assert!(is_on_record(&fixture, certificate.id).await);
    }
}

async fn add_authority(fixture: &Fixture, certificate: &StoredCertificate) {
    let key = fixture.sealed_key(KeyRoom::Authorities);
    fixture.store.add_key(key.clone()).await.expect("add_key");
    let record = AuthorityRecord {
        id: authority("expired"),
        certificate: certificate.id,
        certificate_der: certificate.der.clone(),
        parent: None,
        key_home: KeyHome::Sealed(key.id),
        state: AuthorityState::Retired,
        issues_from: FROM_THE_START,
    };
    let journal = Journal::of(event(AuditAction::AuthorityCreated, "authority:expired"));
    fixture.store.add_authority(record, journal).await.expect("add_authority");
}

async fn add_responder(fixture: &Fixture, certificate: &StoredCertificate) {
    let key = fixture.sealed_key(KeyRoom::Responders);
    fixture.store.add_key(key.clone()).await.expect("add_key");
    let record = ResponderRecord {
        authority: authority("tls"),
        certificate: certificate.id,
        certificate_der: certificate.der.clone(),
        key_id: key.id,
        validity: certificate.validity,
    };
    fixture.store.add_responder(None, record).await.expect("add_responder");
}

/// Revokes it, which sends a message.
async fn tell_of(fixture: &Fixture, certificate: &StoredCertificate) {
    fixture.revoke(certificate).await;
}

async fn assign_all(fixture: &Fixture) {
    let lease = fixture.lease("assigning").await;
    // What was told before of others is of no interest.
    for sequence in fixture.store.unassigned_messages(100).await.expect("unassigned_messages") {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&fixture.number().to_be_bytes());
        let id = DeliveryId::new(NOW, random);
        let assignment = Assignment { sequence, sink: "one".parse().expect("a sink"), id };
        fixture.store.assign_messages(&lease, vec![assignment]).await.expect("assign_messages");
    }
}

async fn a_month_into_which_an_issuance_is_under_way_waits(fixture: Fixture) {
    let certificate = old(&fixture).await;
    let open = fixture.reserve_now(ending_in(OLD, fixture.reservation())).await;
    settle(&fixture).await;
    let lease = lease(&fixture).await;
    assert_eq!(remove(&fixture, &lease, OLD).await, RemovalOutcome::Busy);
    assert!(is_on_record(&fixture, certificate.id).await);
    assert_eq!(fixture.event_count().await, 0, "nothing happened");
    let late = fixture.complete_now(open.id).await;
    settle(&fixture).await;
    assert_eq!(remove(&fixture, &lease, OLD).await, removed(2, 0));
    assert!(!is_on_record(&fixture, late.id).await);
}

async fn a_month_that_has_just_ended_stays_whatever_is_asked(fixture: Fixture) {
    let now = fixture.store.database_time().await.expect("database_time");
    let too_young = Month::of(now.minus(LEAST_RETENTION)).to_string();
    for of in [too_young.as_str(), &Month::of(now).to_string(), "2999-01"] {
        let certificate = fixture.issue(ending_in(of, fixture.reservation())).await;
        settle(&fixture).await;
        let lease = lease(&fixture).await;
        let refused = fixture.store.remove_month(&lease, removal(of)).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{of}: {refused:?}");
        assert!(is_on_record(&fixture, certificate.id).await);
        fixture.store.release_lease(&lease).await.expect("release_lease");
    }
    assert_eq!(fixture.event_count().await, 0);
}

async fn only_the_newest_lease_removes(fixture: Fixture) {
    let certificate = old(&fixture).await;
    settle(&fixture).await;
    let lost = fixture.lost_lease("retention").await;
    let fenced = Err(StoreError::Fenced { lease: "retention".to_owned() });
    assert_eq!(fixture.store.remove_month(&lost, removal(OLD)).await, fenced);
    assert!(is_on_record(&fixture, certificate.id).await);
    assert_eq!(fixture.event_count().await, 0);
}
