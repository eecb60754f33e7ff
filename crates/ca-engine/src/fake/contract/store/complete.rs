//! Completion: a reservation becomes a certificate on record, or must not.

use ca_core::audit::AuditAction;
use ca_core::hash::sha256;
use ca_core::principal::Role;
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::Lifetime;
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{
    COMPROMISED, Fixture, HELD, NOW, SUPERSEDED, certificate_id, change, completion, event, idempotency, name, subject,
};
use crate::port::store::{
    CompleteOutcome, Completion, Journal, Reservation, ReserveOutcome, RoleBinding, SerialState, StoredCertificate,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        a_completion_puts_the_certificate_on_record,
        a_completion_is_one_event,
        repeating_a_completion_returns_it_again,
        what_was_not_reserved_cannot_be_completed,
        a_key_blocked_meanwhile_overtakes,
        a_predecessor_revoked_or_held_meanwhile_overtakes,
        what_was_overtaken_is_abandoned,
        roles_are_inherited_when_asked_for,
        concurrent_completions_are_one,
        completion_and_abandonment_exclude_each_other,
        concurrent_completions_of_many_are_all_on_record,
    ]
}

async fn a_completion_puts_the_certificate_on_record(fixture: Fixture) {
    let predecessor = fixture.issued().await;
    let reservation = Reservation {
        subject: subject("Ünïcode Name"),
        names: ["dns:api.example.com", "ip:2001:db8::1", "email:a@example.com", "uri:spiffe://example.com/x"]
            .map(name)
            .to_vec(),
        requested_by: "token:x".to_owned(),
        ..fixture.successor_of(&predecessor)
    };
    fixture.reserve_now(reservation.clone()).await;
    let completed_at = NOW.plus(Lifetime::from_seconds(3));
    let completion = Completion { completed_at, ..completion(reservation.id) };
    let expected = StoredCertificate {
        id: reservation.id,
        authority: reservation.authority.clone(),
        serial: reservation.serial.clone(),
        profile: reservation.profile.clone(),
        subject: reservation.subject.clone(),
        names: reservation.names.clone(),
        validity: reservation.validity,
        standing: Standing::Active,
        spki_sha256: reservation.spki_sha256,
        fingerprint_sha256: sha256(&completion.certificate),
        der: completion.certificate.clone(),
        owner: reservation.owner.clone(),
        requested_by: reservation.requested_by.clone(),
        issued_at: completed_at,
        renews: Some(predecessor.id),
    };
    let store = &fixture.store;
    let outcome = store.complete(completion).await;
    assert_eq!(outcome, Ok(CompleteOutcome::Completed(Box::new(expected.clone()))));
    assert_eq!(store.certificate(expected.id).await, Ok(Some(expected.clone())));
    let by_serial = store.certificate_by_serial(&expected.authority, &expected.serial).await;
    assert_eq!(by_serial, Ok(Some(expected.clone())));
    let status = store.status(&expected.authority, &expected.serial).await.expect("status").expect("known");
    assert_eq!(status.state, SerialState::Issued(Standing::Active));
    let open = store.open_reservations(NOW.plus(Lifetime::from_days(1))).await;
    assert_eq!(open, Ok(Vec::new()), "it is no open reservation any more");
}

async fn a_completion_is_one_event(fixture: Fixture) {
    let certificate = fixture.issued().await;
    let subject = format!("certificate:{}", certificate.id);
    assert_eq!(fixture.events().await, [("certificate-issued".to_owned(), subject)]);
    assert_eq!(fixture.sequence().await, 0, "nothing was revoked");
}

async fn repeating_a_completion_returns_it_again(fixture: Fixture) {
    let certificate = fixture.issued().await;
    let repeated = fixture.complete(certificate.id).await;
    assert_eq!(repeated, CompleteOutcome::Completed(Box::new(certificate)));
    assert_eq!(fixture.event_count().await, 1, "nothing changed, nothing is told");
}

async fn what_was_not_reserved_cannot_be_completed(fixture: Fixture) {
    assert_eq!(fixture.complete(certificate_id(1_000_000)).await, CompleteOutcome::NotReserved);
    let abandoned = fixture.reserved().await;
    assert!(fixture.abandon(abandoned.id).await);
    let before = fixture.event_count().await;
    assert_eq!(fixture.complete(abandoned.id).await, CompleteOutcome::NotReserved);
    assert_eq!(fixture.event_count().await, before);
    assert_eq!(fixture.store.certificate(abandoned.id).await, Ok(None));
}

async fn a_key_blocked_meanwhile_overtakes(fixture: Fixture) {
    let reservation = fixture.reserved().await;
    let other = Reservation { spki_sha256: reservation.spki_sha256, ..fixture.reservation() };
    let other = fixture.issue(other).await;
    let mut blocking = change(other.id, Standing::Active, COMPROMISED);
    blocking.compromised_since = Some(NOW);
    fixture.store.change_standing(blocking).await.expect("change_standing");
    assert_eq!(fixture.complete(reservation.id).await, CompleteOutcome::Overtaken);
    assert_eq!(fixture.store.certificate(reservation.id).await, Ok(None));
}

async fn a_predecessor_revoked_or_held_meanwhile_overtakes(fixture: Fixture) {
    for standing in [SUPERSEDED, HELD] {
        let predecessor = fixture.issued().await;
        let successor = fixture.reserve_now(fixture.successor_of(&predecessor)).await;
        fixture.change_now(predecessor.id, Standing::Active, standing).await;
        assert_eq!(fixture.complete(successor.id).await, CompleteOutcome::Overtaken);
    }
}

async fn what_was_overtaken_is_abandoned(fixture: Fixture) {
    let predecessor = fixture.issued().await;
    let token = fixture.token(1).await;
    let successor =
        Reservation { token: Some(token.id), idempotency: idempotency(1, 1), ..fixture.successor_of(&predecessor) };
    let successor = fixture.reserve_now(successor).await;
    let sequence = fixture.revoke(&predecessor).await;
    let events = fixture.event_count().await;
    assert_eq!(fixture.complete(successor.id).await, CompleteOutcome::Overtaken);

    let (action, subject) = fixture.events().await.split_off(events).pop().expect("an event of its own");
    assert_eq!((action.as_str(), subject), ("issuance-abandoned", format!("certificate:{}", successor.id)));
    assert_eq!(fixture.event_count().await, events + 1, "exactly one");
    let status = fixture.store.status(&successor.authority, &successor.serial).await.expect("status").expect("known");
    let SerialState::Abandoned(revocation) = status.state else {
        panic!("an overtaken reservation is abandoned, not {:?}", status.state);
    };
    assert_eq!((revocation.reason, revocation.revoked_at), (RevocationReason::Unspecified, NOW));
    assert_eq!(fixture.sequence().await, sequence + 1, "it takes a number of the sequence");
    assert_eq!(fixture.used(token.id).await, 0, "the use of the token is given back");
    let again = Reservation { idempotency: idempotency(1, 2), ..fixture.reservation() };
    assert_eq!(fixture.reserve(&again).await, ReserveOutcome::Reserved, "the idempotency key is free");
    assert_eq!(fixture.complete(successor.id).await, CompleteOutcome::NotReserved, "for good");
}

async fn roles_are_inherited_when_asked_for(fixture: Fixture) {
    let predecessor = fixture.issued().await;
    for role in [Role::Registrar, Role::Auditor] {
        let journal = Journal::of(event(AuditAction::RoleGranted, &format!("certificate:{}", predecessor.id)));
        let binding = RoleBinding { certificate: predecessor.id, role, granted_at: NOW };
        fixture.store.grant_role(binding, journal).await.expect("grant_role");
    }
    let heir = fixture.reserve_now(fixture.successor_of(&predecessor)).await;
    let inheriting = Completion { inherit_roles: true, ..completion(heir.id) };
    let before = fixture.event_count().await;
    fixture.store.complete(inheriting).await.expect("complete");
    assert_eq!(fixture.event_count().await, before + 1, "one event tells of all of it");
    assert_eq!(fixture.store.roles(heir.id).await, Ok(vec![Role::Auditor, Role::Registrar]));
    assert_eq!(fixture.store.roles(predecessor.id).await, Ok(vec![Role::Auditor, Role::Registrar]), "it keeps its own");

    let heir = fixture.store.certificate(heir.id).await.expect("certificate").expect("on record");
    let plain = fixture.issue(fixture.successor_of(&heir)).await;
    assert_eq!(fixture.store.roles(plain.id).await, Ok(Vec::new()), "nothing is inherited unasked");
}

async fn concurrent_completions_are_one(fixture: Fixture) {
    let reservation = fixture.reserved().await;
    let outcomes = join_all((0..10).map(|_| fixture.complete(reservation.id))).await;
    let stored = fixture.store.certificate(reservation.id).await.expect("certificate").expect("on record");
    let expected = CompleteOutcome::Completed(Box::new(stored));
    assert!(outcomes.iter().all(|outcome| *outcome == expected), "{outcomes:?}");
    assert_eq!(fixture.event_count().await, 1);
}

async fn completion_and_abandonment_exclude_each_other(fixture: Fixture) {
    for round in 0..10 {
        let id = fixture.reserved().await.id;
        // Either is asked first in turn.
        let (completed, abandoned) = if round % 2 == 0 {
            futures::join!(fixture.complete(id), fixture.abandon(id))
        } else {
            let (abandoned, completed) = futures::join!(fixture.abandon(id), fixture.complete(id));
            (completed, abandoned)
        };
        let certificate = fixture.store.certificate(id).await.expect("certificate");
        match completed {
            CompleteOutcome::Completed(_) => assert!(!abandoned && certificate.is_some()),
            CompleteOutcome::NotReserved => assert!(abandoned && certificate.is_none()),
            CompleteOutcome::Overtaken => panic!("nothing overtook it"),
        }
    }
}

async fn concurrent_completions_of_many_are_all_on_record(fixture: Fixture) {
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(fixture.reserved().await.id);
    }
    // One among them fails; that must not undo others that an adapter joined with it into one commit.
    let unknown = certificate_id(1_000_000);
    let (outcomes, refused) =
        futures::join!(join_all(ids.iter().map(|id| fixture.complete(*id))), fixture.complete(unknown));
    assert_eq!(refused, CompleteOutcome::NotReserved);
    for (id, outcome) in ids.iter().zip(outcomes) {
        let CompleteOutcome::Completed(stored) = outcome else { panic!("{outcome:?}") };
        assert_eq!(stored.id, *id, "each caller gets its own certificate");
        assert_eq!(fixture.store.certificate(*id).await, Ok(Some(*stored)));
    }
    assert_eq!(fixture.event_count().await, 50);
}
