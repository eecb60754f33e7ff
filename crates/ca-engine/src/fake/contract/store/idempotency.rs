//! Idempotency keys: the same request with the same key is done once.

use ca_core::time::Lifetime;
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, idempotency};
use crate::port::store::{Idempotency, Reservation, ReserveOutcome};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        the_same_request_is_in_progress_then_replayed,
        a_replay_outlives_the_revocation_of_its_certificate,
        a_replay_consumes_no_use_of_a_token,
        another_request_with_the_same_key_is_a_conflict,
        scopes_are_apart,
        an_expired_key_is_as_good_as_absent,
        abandoning_frees_the_key,
        abandoning_leaves_a_key_that_another_took_over,
        expired_keys_are_dropped_and_counted,
        one_of_fifty_concurrent_requests_with_one_key_is_reserved,
    ]
}

async fn the_same_request_is_in_progress_then_replayed(fixture: Fixture) {
    let first = fixture.reserve_now(asked(&fixture, 1, 1)).await;
    assert_eq!(fixture.reserve(&asked(&fixture, 1, 1)).await, ReserveOutcome::InProgress(first.id));
    fixture.complete_now(first.id).await;
    assert_eq!(fixture.reserve(&asked(&fixture, 1, 1)).await, ReserveOutcome::Replay(first.id));
}

async fn a_replay_outlives_the_revocation_of_its_certificate(fixture: Fixture) {
    let certificate = fixture.issue(asked(&fixture, 1, 1)).await;
    fixture.revoke(&certificate).await;
    assert_eq!(fixture.reserve(&asked(&fixture, 1, 1)).await, ReserveOutcome::Replay(certificate.id));
}

async fn a_replay_consumes_no_use_of_a_token(fixture: Fixture) {
    let token = fixture.token(1).await;
    let with_token = || Reservation { token: Some(token.id), ..asked(&fixture, 1, 1) };
    let certificate = fixture.issue(with_token()).await;
    assert_eq!(fixture.reserve(&with_token()).await, ReserveOutcome::Replay(certificate.id), "though it is spent");
    assert_eq!(fixture.used(token.id).await, 1);
}

async fn another_request_with_the_same_key_is_a_conflict(fixture: Fixture) {
    let first = fixture.reserve_now(asked(&fixture, 1, 1)).await;
    assert_eq!(fixture.reserve(&asked(&fixture, 1, 2)).await, ReserveOutcome::IdempotencyConflict);
    fixture.complete_now(first.id).await;
    assert_eq!(fixture.reserve(&asked(&fixture, 1, 2)).await, ReserveOutcome::IdempotencyConflict);
}

async fn scopes_are_apart(fixture: Fixture) {
    fixture.reserve_now(asked(&fixture, 1, 1)).await;
    assert_eq!(fixture.reserve(&asked(&fixture, 2, 1)).await, ReserveOutcome::Reserved);
    assert_eq!(fixture.reserve(&fixture.reservation()).await, ReserveOutcome::Reserved, "no key, no memory");
}

async fn an_expired_key_is_as_good_as_absent(fixture: Fixture) {
    fixture.issue(asked(&fixture, 1, 1)).await;
    fixture.reserve_now(asked(&fixture, 2, 1)).await;
    for (key, request) in [(1, 1), (2, 9)] {
        let later = two_days_later(asked(&fixture, key, request));
        let later = fixture.reserve_now(later).await;
        fixture.complete_now(later.id).await;
        let repeated = two_days_later(asked(&fixture, key, request));
        assert_eq!(
            fixture.reserve(&repeated).await,
            ReserveOutcome::Replay(later.id),
            "the key is the later one's now"
        );
    }
}

async fn abandoning_frees_the_key(fixture: Fixture) {
    let first = fixture.reserve_now(asked(&fixture, 1, 1)).await;
    assert!(fixture.abandon(first.id).await);
    assert_eq!(fixture.reserve(&asked(&fixture, 1, 2)).await, ReserveOutcome::Reserved);
}

async fn abandoning_leaves_a_key_that_another_took_over(fixture: Fixture) {
    let first = fixture.reserve_now(asked(&fixture, 1, 1)).await;
    let second = fixture.reserve_now(two_days_later(asked(&fixture, 1, 1))).await;
    assert!(fixture.abandon(first.id).await);
    let third = two_days_later(asked(&fixture, 1, 1));
    assert_eq!(fixture.reserve(&third).await, ReserveOutcome::InProgress(second.id));
}

async fn expired_keys_are_dropped_and_counted(fixture: Fixture) {
    for key in 1..=3 {
        fixture.issue(asked(&fixture, key, 1)).await;
    }
    let kept = fixture.issue(two_days_later(asked(&fixture, 4, 1))).await;
    let drop = |instant| fixture.store.drop_expired_idempotency(instant);
    assert_eq!(drop(NOW).await, Ok(0));
    assert_eq!(drop(NOW.plus(Lifetime::from_days(2))).await, Ok(3));
    assert_eq!(drop(NOW.plus(Lifetime::from_days(2))).await, Ok(0));
    assert_eq!(fixture.reserve(&asked(&fixture, 1, 2)).await, ReserveOutcome::Reserved);
    assert_eq!(fixture.reserve(&asked(&fixture, 4, 1)).await, ReserveOutcome::Replay(kept.id));
}

async fn one_of_fifty_concurrent_requests_with_one_key_is_reserved(fixture: Fixture) {
    let requests: Vec<_> = (0..50).map(|_| asked(&fixture, 1, 1)).collect();
    let outcomes = join_all(requests.iter().map(|request| fixture.reserve(request))).await;
    let count = |wanted: ReserveOutcome| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    let reserved = requests.iter().zip(&outcomes).find(|(_, outcome)| **outcome == ReserveOutcome::Reserved);
    let reserved = reserved.expect("one is reserved").0.id;
    assert_eq!((count(ReserveOutcome::Reserved), count(ReserveOutcome::InProgress(reserved))), (1, 49), "{outcomes:?}");
}

/// A reservation asked for with an idempotency key that expires a day after [`NOW`].
fn asked(fixture: &Fixture, key: u8, request: u8) -> Reservation {
    Reservation { idempotency: idempotency(key, request), ..fixture.reservation() }
}

fn two_days_later(mut reservation: Reservation) -> Reservation {
    let two_days = Lifetime::from_days(2);
    reservation.reserved_at = reservation.reserved_at.plus(two_days);
    reservation.idempotency = reservation
        .idempotency
        .map(|idempotency| Idempotency { expires_at: idempotency.expires_at.plus(two_days), ..idempotency });
    reservation
}
