//! Leases: one holder at a time, and tokens that fence off those who wake up late.

use ca_core::time::Lifetime;
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, crl_intent};
use crate::port::store::{Lease, StoreError};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        a_free_lease_is_taken_and_others_wait,
        leases_of_other_names_are_apart,
        the_holder_prolongs_it_and_keeps_its_token,
        a_lease_given_back_is_free_and_its_token_rises,
        an_expired_lease_is_free_and_its_token_rises,
        a_prolonged_lease_does_not_expire,
        an_expired_lease_that_nobody_took_is_still_the_newest,
        a_holder_that_wakes_up_late_cannot_write,
        a_lease_never_taken_fences_every_write,
        an_older_lease_gives_nothing_back,
        one_of_many_concurrent_takers_gets_it,
    ]
}

/// How long a short lease lasts; cases let twice as much time pass.
const SHORT: Lifetime = Lifetime::from_seconds(1);
const LONGER_THAN_SHORT: Lifetime = Lifetime::from_seconds(2);
const MINUTE: Lifetime = Lifetime::from_seconds(60);

async fn a_free_lease_is_taken_and_others_wait(fixture: Fixture) {
    let before = fixture.store.database_time().await.expect("database_time");
    let lease = acquire(&fixture, "first", MINUTE).await.expect("free");
    let after = fixture.store.database_time().await.expect("database_time");
    assert_eq!((lease.name.as_str(), lease.holder.as_str()), ("job", "first"));
    let granted = before.plus(MINUTE)..=after.plus(MINUTE);
    assert!(granted.contains(&lease.expires_at), "{} by the database's clock, within {granted:?}", lease.expires_at);
    assert_eq!(acquire(&fixture, "second", MINUTE).await, None);
}

async fn leases_of_other_names_are_apart(fixture: Fixture) {
    acquire(&fixture, "first", MINUTE).await.expect("free");
    let other = fixture.store.acquire_lease("other job", "second", MINUTE).await;
    assert!(matches!(other, Ok(Some(_))), "{other:?}");
}

async fn the_holder_prolongs_it_and_keeps_its_token(fixture: Fixture) {
    let first = acquire(&fixture, "first", MINUTE).await.expect("free");
    let hour = Lifetime::from_seconds(3_600);
    let prolonged = acquire(&fixture, "first", hour).await.expect("its own");
    assert_eq!(prolonged.token, first.token);
    assert!(prolonged.expires_at > first.expires_at);
    assert_eq!(write_under(&fixture, &first).await, Ok(()), "the token counts");
}

async fn a_lease_given_back_is_free_and_its_token_rises(fixture: Fixture) {
    let first = acquire(&fixture, "first", MINUTE).await.expect("free");
    fixture.store.release_lease(&first).await.expect("release_lease");
    let second = acquire(&fixture, "second", MINUTE).await.expect("given back");
    assert!(second.token > first.token, "{} after {}", second.token, first.token);
}

async fn an_expired_lease_is_free_and_its_token_rises(fixture: Fixture) {
    let first = acquire(&fixture, "first", SHORT).await.expect("free");
    assert_eq!(acquire(&fixture, "second", MINUTE).await, None, "not yet");
    fixture.pass_time(LONGER_THAN_SHORT).await;
    let second = acquire(&fixture, "second", MINUTE).await.expect("expired");
    assert!(second.token > first.token);
    assert_eq!(acquire(&fixture, "first", MINUTE).await, None, "the second holds it by now");
}

async fn a_prolonged_lease_does_not_expire(fixture: Fixture) {
    acquire(&fixture, "first", SHORT).await.expect("free");
    acquire(&fixture, "first", MINUTE).await.expect("its own");
    fixture.pass_time(LONGER_THAN_SHORT).await;
    assert_eq!(acquire(&fixture, "second", MINUTE).await, None);
}

async fn an_expired_lease_that_nobody_took_is_still_the_newest(fixture: Fixture) {
    let lease = acquire(&fixture, "first", SHORT).await.expect("free");
    fixture.pass_time(LONGER_THAN_SHORT).await;
    assert_eq!(write_under(&fixture, &lease).await, Ok(()));
}

async fn a_holder_that_wakes_up_late_cannot_write(fixture: Fixture) {
    let late = acquire(&fixture, "first", SHORT).await.expect("free");
    fixture.pass_time(LONGER_THAN_SHORT).await;
    let newer = acquire(&fixture, "second", MINUTE).await.expect("expired");
    assert_eq!(write_under(&fixture, &late).await, Err(StoreError::Fenced { lease: "job".to_owned() }));
    assert_eq!(write_under(&fixture, &newer).await, Ok(()));
    // Nor after the newer one was given back: there was a newer one.
    fixture.store.release_lease(&newer).await.expect("release_lease");
    assert_eq!(write_under(&fixture, &late).await, Err(StoreError::Fenced { lease: "job".to_owned() }));
}

async fn a_lease_never_taken_fences_every_write(fixture: Fixture) {
    let expires_at = fixture.store.database_time().await.expect("database_time").plus(MINUTE);
    let forged = Lease { name: "job".to_owned(), holder: "first".to_owned(), token: 1, expires_at };
    assert_eq!(write_under(&fixture, &forged).await, Err(StoreError::Fenced { lease: "job".to_owned() }));
}

async fn an_older_lease_gives_nothing_back(fixture: Fixture) {
    let late = fixture.lost_lease("job").await;
    fixture.store.release_lease(&late).await.expect("release_lease is harmless");
    assert_eq!(acquire(&fixture, "third", MINUTE).await, None, "the newer one is still held");
}

async fn one_of_many_concurrent_takers_gets_it(fixture: Fixture) {
    let holders: Vec<_> = (0..20).map(|number| format!("holder {number}")).collect();
    let leases = join_all(holders.iter().map(|holder| acquire(&fixture, holder, MINUTE))).await;
    assert_eq!(leases.iter().flatten().count(), 1, "{leases:?}");
}

async fn acquire(fixture: &Fixture, holder: &str, lifetime: Lifetime) -> Option<Lease> {
    fixture.store.acquire_lease("job", holder, lifetime).await.expect("acquire_lease")
}

/// A write of the next CRL number, under a lease.
async fn write_under(fixture: &Fixture, lease: &Lease) -> Result<(), StoreError> {
    let known = fixture.store.authorities().await.expect("authorities");
    if known.is_empty() {
        fixture.authority("tls", None).await;
    }
    fixture.store.intend_crl(lease, crl_intent("tls", fixture.number())).await
}
