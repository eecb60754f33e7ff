//! Enrolment tokens: kept, listed, withdrawn, and counted by reservations.

use ca_core::audit::AuditAction;
use ca_core::id::TokenId;
use ca_core::time::Lifetime;
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, event, token_journal};
use crate::port::store::{Journal, Reservation, ReserveOutcome, StoreError, TokenRecord};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        a_token_is_kept_as_it_was_given,
        tokens_are_listed_newest_first_in_pages,
        withdrawing_happens_once,
        each_change_of_a_token_is_one_event,
        each_reservation_consumes_one_use,
        unknown_withdrawn_and_expired_tokens_are_spent,
        abandoning_gives_the_use_back,
        concurrent_reservations_never_use_a_token_too_often,
    ]
}

async fn a_token_is_kept_as_it_was_given(fixture: Fixture) {
    let token = fixture.token(3).await;
    assert_eq!(fixture.store.token(token.id).await, Ok(Some(token)));
    let unknown = fixture.token_record(1);
    assert_eq!(fixture.store.token(unknown.id).await, Ok(None));
    let mut without_common_name = fixture.token_record(1);
    without_common_name.binding.common_name = None;
    without_common_name.binding.names.clear();
    let id = without_common_name.id;
    fixture.store.add_token(without_common_name.clone(), token_journal(id)).await.expect("add_token");
    assert_eq!(fixture.store.token(id).await, Ok(Some(without_common_name)));
}

async fn tokens_are_listed_newest_first_in_pages(fixture: Fixture) {
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.insert(0, fixture.token(1).await.id);
    }
    let page = |after, limit| ids(&fixture, after, limit);
    assert_eq!(page(None, 10).await, expected);
    assert_eq!(page(None, 2).await, expected[..2]);
    assert_eq!(page(Some(expected[1]), 2).await, expected[2..4]);
    assert_eq!(page(Some(expected[4]), 2).await, []);
}

async fn withdrawing_happens_once(fixture: Fixture) {
    let token = fixture.token(3).await;
    assert_eq!(withdraw(&fixture, token.id).await, Ok(true));
    assert_eq!(withdraw(&fixture, token.id).await, Ok(false), "it is withdrawn already");
    assert_eq!(withdraw(&fixture, fixture.token_record(1).id).await, Ok(false), "it is unknown");
    let withdrawn = TokenRecord { withdrawn: true, ..token };
    assert_eq!(fixture.store.token(withdrawn.id).await, Ok(Some(withdrawn)), "it stays on record");
}

async fn each_change_of_a_token_is_one_event(fixture: Fixture) {
    let token = fixture.token(1).await;
    withdraw(&fixture, token.id).await.expect("withdraw_token");
    withdraw(&fixture, token.id).await.expect("withdraw_token");
    let subject = format!("token:{}", token.id);
    let events = [("token-created".to_owned(), subject.clone()), ("token-deleted".to_owned(), subject)];
    assert_eq!(fixture.events().await, events);
}

async fn each_reservation_consumes_one_use(fixture: Fixture) {
    let token = fixture.token(2).await;
    let first = fixture.reserve_now(using(&fixture, &token)).await;
    assert_eq!(fixture.used(token.id).await, 1);
    fixture.complete_now(first.id).await;
    assert_eq!(fixture.used(token.id).await, 1, "a completion consumes nothing more");
    fixture.reserve_now(using(&fixture, &token)).await;
    assert_eq!(fixture.reserve(&using(&fixture, &token)).await, ReserveOutcome::TokenSpent);
    assert_eq!(fixture.used(token.id).await, 2);
}

async fn unknown_withdrawn_and_expired_tokens_are_spent(fixture: Fixture) {
    let unknown = fixture.token_record(1);
    assert_eq!(fixture.reserve(&using(&fixture, &unknown)).await, ReserveOutcome::TokenSpent);
    let withdrawn = fixture.token(1).await;
    assert_eq!(withdraw(&fixture, withdrawn.id).await, Ok(true));
    assert_eq!(fixture.reserve(&using(&fixture, &withdrawn)).await, ReserveOutcome::TokenSpent);
    let token = fixture.token(1).await;
    let mut late = using(&fixture, &token);
    late.reserved_at = token.expires_at.plus(Lifetime::from_seconds(1));
    assert_eq!(fixture.reserve(&late).await, ReserveOutcome::TokenSpent, "expiry is judged at reserved_at");
    late.reserved_at = token.expires_at.minus(Lifetime::from_seconds(1));
    assert_eq!(fixture.reserve(&late).await, ReserveOutcome::Reserved);
}

async fn abandoning_gives_the_use_back(fixture: Fixture) {
    let token = fixture.token(1).await;
    let first = fixture.reserve_now(using(&fixture, &token)).await;
    assert!(fixture.abandon(first.id).await);
    assert_eq!(fixture.used(token.id).await, 0);
    assert!(!fixture.abandon(first.id).await);
    assert_eq!(fixture.used(token.id).await, 0, "only once");
    let second = fixture.reserve_now(using(&fixture, &token)).await;
    fixture.complete_now(second.id).await;
    assert!(!fixture.abandon(second.id).await);
    assert_eq!(fixture.used(token.id).await, 1, "what was issued was used");
}

async fn concurrent_reservations_never_use_a_token_too_often(fixture: Fixture) {
    let token = fixture.token(3).await;
    let reservations: Vec<_> = (0..20).map(|_| using(&fixture, &token)).collect();
    let outcomes = join_all(reservations.iter().map(|reservation| fixture.reserve(reservation))).await;
    let count = |wanted: ReserveOutcome| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!((count(ReserveOutcome::Reserved), count(ReserveOutcome::TokenSpent)), (3, 17), "{outcomes:?}");
    assert_eq!(fixture.used(token.id).await, 3);
}

fn using(fixture: &Fixture, token: &TokenRecord) -> Reservation {
    Reservation { token: Some(token.id), ..fixture.reservation() }
}

async fn withdraw(fixture: &Fixture, id: TokenId) -> Result<bool, StoreError> {
    let journal = Journal::of(event(AuditAction::TokenDeleted, &format!("token:{id}")));
    fixture.store.withdraw_token(id, journal).await
}

async fn ids(fixture: &Fixture, after: Option<TokenId>, limit: u32) -> Vec<TokenId> {
    let tokens = fixture.store.tokens(after, limit).await.expect("tokens");
    tokens.iter().map(|token| token.id).collect()
}
