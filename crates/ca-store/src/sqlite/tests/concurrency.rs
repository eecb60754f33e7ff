//! Many callers at once.

use std::collections::BTreeSet;
use std::time::Duration;

use ca_core::revocation::RevocationReason;
use ca_engine::port::store::{
    AuditStore, CertificateFilter, CertificateStore, ChangeOutcome, StatusStore, Store, StoreError,
};
use tokio::task::JoinSet;

use super::fixture::{Folder, NOW, completion, count, issue, reservation, revocation};

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_concurrent_callers_each_get_their_own_certificate() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut callers = JoinSet::new();
    for number in 0..200 {
        let store = store.clone();
        callers.spawn(async move { (number, issue(&store, number).await) });
    }
    while let Some(ended) = callers.join_next().await {
        let (number, issued) = ended.expect("no panic");
        let issued = issued.expect("issued");
        assert_eq!(issued.id, reservation(number).id);
        // Acknowledged means that others see it.
        assert_eq!(store.certificate(issued.id).await, Ok(Some(issued)));
    }
    assert_eq!(store.pending_events(1_000).await.expect("events").len(), 200, "one event each");
    let page = store.list(&CertificateFilter::all(NOW), None, 1_000).await.expect("a page");
    assert_eq!(page.items.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_revocations_one_is_applied() {
    let folder = Folder::new();
    let store = folder.store().await;
    let certificate = issue(&store, 1).await.expect("issued");
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        let change = revocation(certificate.id, RevocationReason::Superseded);
        callers.spawn(async move { store.change_standing(change).await });
    }
    let outcomes: Vec<_> = callers.join_all().await;
    let applied: Vec<_> =
        outcomes.iter().filter(|outcome| matches!(outcome, Ok(ChangeOutcome::Applied { sequence: 1 }))).collect();
    assert_eq!(applied.len(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(ChangeOutcome::Stale)).count(), 49);
    assert_eq!(store.revocation_sequence().await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sequence_of_concurrent_revocations_has_no_gap_and_its_readers_miss_none() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut ids = Vec::new();
    for number in 0..100 {
        ids.push(issue(&store, number).await.expect("issued").id);
    }
    let mut callers = JoinSet::new();
    for id in ids {
        let store = store.clone();
        callers.spawn(async move { store.change_standing(revocation(id, RevocationReason::Superseded)).await });
    }
    // A reader that follows while they are written: each number it sees, it sees after all lower ones.
    let mut seen = 0;
    while seen < 100 {
        for row in store.revocations_after(seen, 7).await.expect("rows") {
            assert_eq!(row.sequence, seen + 1);
            seen = row.sequence;
        }
    }
    let applied: BTreeSet<u64> = callers
        .join_all()
        .await
        .into_iter()
        .map(|outcome| match outcome {
            Ok(ChangeOutcome::Applied { sequence }) => sequence,
            other => panic!("an active certificate can be revoked: {other:?}"),
        })
        .collect();
    assert_eq!(applied, (1..=100).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_go_away_leave_whole_changes() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut callers = JoinSet::new();
    for number in 0..300 {
        let store = store.clone();
        callers.spawn(async move {
            let patience = Duration::from_micros(50 * number);
            let _given_up = tokio::time::timeout(patience, issue(&store, number)).await;
        });
    }
    callers.join_all().await;
    store.close().await;
    let both = "SELECT COUNT(*) FROM serials";
    let either = "SELECT (SELECT COUNT(*) FROM certificates) + (SELECT COUNT(*) FROM reservations)";
    assert_eq!(count(&folder, both).await, count(&folder, either).await);
    let issued = "SELECT COUNT(*) FROM serials WHERE state = 1";
    for side in
        ["SELECT COUNT(*) FROM certificates", "SELECT COUNT(*) FROM audit_events", "SELECT COUNT(*) FROM outbox"]
    {
        assert_eq!(count(&folder, issued).await, count(&folder, side).await, "{side}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_callers_than_the_queue_holds_wait_for_a_place() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut callers = JoinSet::new();
    for number in 0..3_000 {
        let store = store.clone();
        callers.spawn(async move { store.reserve(reservation(number)).await });
    }
    while let Some(ended) = callers.join_next().await {
        ended.expect("no panic").expect("reserved");
    }
}

#[tokio::test]
async fn a_closed_store_refuses_changes() {
    let folder = Folder::new();
    let store = folder.store().await;
    let issued = issue(&store, 1).await.expect("issued");
    store.close().await;
    let refused = store.complete(completion(issued.id)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert!(matches!(store.database_time().await, Err(StoreError::Unavailable { .. })));
}
