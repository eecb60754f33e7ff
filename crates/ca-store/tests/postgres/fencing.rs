//! A holder that wakes up late cannot write, and nobody takes a lease in the middle of a write under it.

use std::time::Duration;

use ca_core::time::Lifetime;
use ca_engine::port::store::{CrlStore, LeaseStore, StoreError};
use sqlx::Connection;

use super::fixture::{another, crl_intent, store};

const SHORT: Lifetime = Lifetime::from_seconds(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_holder_that_wakes_up_late_cannot_write() {
    let (first, database) = store().await;
    let second = another(&database).await;
    let paused = first.acquire_lease("crl", "first", SHORT).await.expect("answers").expect("free");
    assert_eq!(first.intend_crl(&paused, crl_intent(1)).await, Ok(()));
    // The first is paused: another takes over by the server's clock, writes, and even gives back.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let newer = second.acquire_lease("crl", "second", SHORT).await.expect("answers").expect("expired");
    assert!(newer.token > paused.token);
    assert_eq!(second.intend_crl(&newer, crl_intent(2)).await, Ok(()));
    second.release_lease(&newer).await.expect("given back");
    let late = first.intend_crl(&paused, crl_intent(3)).await;
    assert_eq!(late, Err(StoreError::Fenced { lease: "crl".to_owned() }));
    let newest = first.newest_crl(&"tls".parse().expect("an id")).await.expect("answers").expect("on record");
    assert_eq!(newest.intent.number, 2, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_waits_for_a_write_under_the_lease_and_a_write_for_a_takeover() {
    let (store, database) = store().await;
    let lease = store.acquire_lease("crl", "first", SHORT).await.expect("answers").expect("free");
    tokio::time::sleep(Duration::from_millis(1_200)).await;

    // A write that has checked its token and is not yet committed.
    let mut slow = super::fixture::connect(&database).await;
    let mut open = slow.begin().await.expect("begun");
    let check = "SELECT token FROM leases WHERE name = 'crl' FOR NO KEY UPDATE";
    sqlx::query(check).execute(&mut *open).await.expect("locked");
    let takeover = {
        let store = store.clone();
        tokio::spawn(async move { store.acquire_lease("crl", "second", Lifetime::from_seconds(60)).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!takeover.is_finished(), "it would slip in between the check and the commit");
    open.commit().await.expect("committed");
    let newer = takeover.await.expect("no panic").expect("answers").expect("expired");
    assert!(newer.token > lease.token);

    // A takeover that is not yet committed: the write waits, and is refused then.
    let mut open = slow.begin().await.expect("begun");
    let take = "UPDATE leases SET token = token + 1, holder = 'third' WHERE name = 'crl'";
    sqlx::query(take).execute(&mut *open).await.expect("taken");
    let write = {
        let store = store.clone();
        tokio::spawn(async move { store.intend_crl(&newer, crl_intent(1)).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!write.is_finished());
    open.commit().await.expect("committed");
    assert_eq!(write.await.expect("no panic"), Err(StoreError::Fenced { lease: "crl".to_owned() }));
}
