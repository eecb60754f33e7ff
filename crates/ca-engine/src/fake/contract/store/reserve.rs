//! Reservations: what is on record before a key is used.

use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, authority, idempotency};
use crate::port::store::{CertificateFilter, Reservation, ReserveOutcome, SerialState};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        a_reservation_is_on_record_and_is_no_certificate,
        a_reservation_brings_no_event,
        a_serial_is_taken_for_ever_within_its_issuer,
        an_id_is_taken_for_ever,
        a_refused_reservation_changes_nothing,
        a_blocked_key_is_refused,
        refusals_come_in_the_documented_order,
        one_of_many_concurrent_reservations_gets_a_serial,
        concurrent_reservations_do_not_hinder_each_other,
    ]
}

async fn a_reservation_is_on_record_and_is_no_certificate(fixture: Fixture) {
    let reservation = fixture.reserved().await;
    let store = &fixture.store;
    assert_eq!(store.certificate(reservation.id).await, Ok(None));
    assert_eq!(store.certificate_by_serial(&reservation.authority, &reservation.serial).await, Ok(None));
    let listed = store.list(&CertificateFilter::all(NOW), None, 10).await.expect("list");
    assert!(listed.items.is_empty(), "lists hold certificates only");
    let status = store.status(&reservation.authority, &reservation.serial).await.expect("status").expect("known");
    assert_eq!(status.certificate, reservation.id);
    assert_eq!(status.state, SerialState::Reserved);
    assert_eq!(status.not_after, reservation.validity.not_after);
}

async fn a_reservation_brings_no_event(fixture: Fixture) {
    fixture.reserved().await;
    assert_eq!(fixture.event_count().await, 0);
    assert_eq!(fixture.sequence().await, 0);
}

async fn a_serial_is_taken_for_ever_within_its_issuer(fixture: Fixture) {
    let open = fixture.reserved().await;
    let issued = fixture.reserved().await;
    fixture.complete_now(issued.id).await;
    let abandoned = fixture.reserved().await;
    assert!(fixture.abandon(abandoned.id).await);
    for earlier in [open, issued, abandoned] {
        let same = Reservation { serial: earlier.serial.clone(), ..fixture.reservation() };
        assert_eq!(fixture.reserve(&same).await, ReserveOutcome::SerialTaken, "serial {}", earlier.serial);
        let of_another = Reservation { authority: authority("document"), ..same };
        assert_eq!(
            fixture.reserve(&of_another).await,
            ReserveOutcome::Reserved,
            "another issuer's serials are its own"
        );
    }
}

async fn an_id_is_taken_for_ever(fixture: Fixture) {
    let open = fixture.reserved().await;
    let issued = fixture.issued().await;
    let abandoned = fixture.reserved().await;
    assert!(fixture.abandon(abandoned.id).await);
    for id in [open.id, issued.id, abandoned.id] {
        let same = Reservation { id, ..fixture.reservation() };
        assert_eq!(fixture.reserve(&same).await, ReserveOutcome::SerialTaken);
    }
}

async fn a_refused_reservation_changes_nothing(fixture: Fixture) {
    let earlier = fixture.reserved().await;
    let token = fixture.token(1).await;
    let mut reservation = Reservation {
        serial: earlier.serial,
        token: Some(token.id),
        idempotency: idempotency(1, 1),
        ..fixture.reservation()
    };
    assert_eq!(fixture.reserve(&reservation).await, ReserveOutcome::SerialTaken);
    assert_eq!(fixture.used(token.id).await, 0, "no use of the token was consumed");
    reservation.serial = fixture.reservation().serial;
    assert_eq!(fixture.reserve(&reservation).await, ReserveOutcome::Reserved, "neither id nor key was kept");
    assert_eq!(fixture.used(token.id).await, 1);
}

async fn a_blocked_key_is_refused(fixture: Fixture) {
    let reservation = fixture.reservation();
    fixture.block_key(reservation.spki_sha256).await;
    assert_eq!(fixture.reserve(&reservation).await, ReserveOutcome::KeyBlocked);
    assert_eq!(fixture.reserve(&fixture.reservation()).await, ReserveOutcome::Reserved, "other keys are not blocked");
}

/// One reservation with everything wrong at once, mended step by step.
async fn refusals_come_in_the_documented_order(fixture: Fixture) {
    let predecessor = fixture.issued().await;
    let successor = fixture.issue(fixture.successor_of(&predecessor)).await;
    fixture.revoke(&predecessor).await;
    let revoked = fixture.issued().await;
    fixture.revoke(&revoked).await;
    let blocked = fixture.reservation().spki_sha256;
    fixture.block_key(blocked).await;
    let spent = fixture.token(1).await;
    fixture.reserve_now(Reservation { token: Some(spent.id), ..fixture.reservation() }).await;
    let first = Reservation { idempotency: idempotency(1, 1), ..fixture.reservation() };
    let first = fixture.reserve_now(first).await;

    let mut reservation = Reservation {
        serial: first.serial.clone(),
        spki_sha256: blocked,
        renews: Some(predecessor.id),
        token: Some(spent.id),
        idempotency: idempotency(1, 2),
        ..fixture.reservation()
    };
    assert_eq!(fixture.reserve(&reservation).await, ReserveOutcome::IdempotencyConflict);
    reservation.idempotency = idempotency(1, 1);
    assert_eq!(fixture.reserve(&reservation).await, ReserveOutcome::InProgress(first.id));
    fixture.complete_now(first.id).await;
    assert_eq!(fixture.reserve(&reservation).await, ReserveOutcome::Replay(first.id));
    reservation.idempotency = idempotency(2, 1);
    assert_eq!(fixture.reserve(&reservation).await, ReserveOutcome::KeyBlocked);
    reservation.spki_sha256 = [0xee; 32];
    assert_eq!(fixture.reserve(&reservation).await, ReserveOutcome::TokenSpent);
    reservation.token = Some(fixture.token(1).await.id);
    assert_eq!(fixture.reserve(&reservation).await, ReserveOutcome::SuccessorExists(successor.id));
    reservation.renews = Some(revoked.id);
    assert_eq!(fixture.reserve(&reservation).await, ReserveOutcome::PredecessorNotActive);
    reservation.renews = Some(successor.id);
    assert_eq!(fixture.reserve(&reservation).await, ReserveOutcome::SerialTaken);
    reservation.serial = fixture.reservation().serial;
    assert_eq!(fixture.reserve(&reservation).await, ReserveOutcome::Reserved);
}

async fn one_of_many_concurrent_reservations_gets_a_serial(fixture: Fixture) {
    let serial = fixture.reservation().serial;
    let reservations: Vec<_> =
        (0..20).map(|_| Reservation { serial: serial.clone(), ..fixture.reservation() }).collect();
    let outcomes = join_all(reservations.iter().map(|reservation| fixture.reserve(reservation))).await;
    let count = |wanted: ReserveOutcome| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!((count(ReserveOutcome::Reserved), count(ReserveOutcome::SerialTaken)), (1, 19), "{outcomes:?}");
}

async fn concurrent_reservations_do_not_hinder_each_other(fixture: Fixture) {
    let reservations: Vec<_> = (0..50).map(|_| fixture.reservation()).collect();
    // One among them is refused; that must not undo others that an adapter joined with it into one commit.
    let taken = fixture.reserved().await;
    let refused = Reservation { serial: taken.serial, ..fixture.reservation() };
    let (outcomes, refusal) = futures::join!(
        join_all(reservations.iter().map(|reservation| fixture.reserve(reservation))),
        fixture.reserve(&refused)
    );
    assert_eq!(refusal, ReserveOutcome::SerialTaken);
    assert!(outcomes.iter().all(|outcome| *outcome == ReserveOutcome::Reserved), "{outcomes:?}");
    for reservation in &reservations {
        let status = fixture.store.status(&reservation.authority, &reservation.serial).await.expect("status");
        assert!(status.is_some(), "an acknowledged reservation is on record");
    }
}
