//! The sequence of revocations is the order of commits.

use std::collections::BTreeSet;
use std::time::Duration;

use ca_core::revocation::RevocationReason;
use ca_engine::port::store::{ChangeOutcome, StatusStore};
use sqlx::Connection;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fixture::{another, issue, revocation, store};
use super::server;

/// A transaction that has taken a number and is not yet committed keeps every other from taking the next.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_a_number_while_a_lower_one_is_not_committed() {
    let (store, database) = store().await;
    let (first, second) = (issue(&store, 1).await.expect("issued"), issue(&store, 2).await.expect("issued"));

    // What the adapter does until its commit, by hand.
    let mut slow = super::fixture::connect(&database).await;
    let mut open = slow.begin().await.expect("begun");
    sqlx::raw_sql(
        "UPDATE counters SET value = value + 1 WHERE name = 'revocations';
         INSERT INTO revocations (sequence, authority, serial, reason, revoked_at, not_after)
             SELECT value, 'tls', '\\x01', 1, 0, 0 FROM counters WHERE name = 'revocations'",
    )
    .execute(&mut *open)
    .await
    .expect("a number is taken");

    let replica = another(&database).await;
    let waiting = {
        let replica = replica.clone();
        tokio::spawn(async move { replica.change_standing(revocation(first.id, RevocationReason::Superseded)).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "the second number waits for the first one's commit");
    assert_eq!(store.revocations_after(0, 10).await, Ok(Vec::new()), "no number is seen before a lower one");
    assert_eq!(store.revocation_sequence().await, Ok(0));

    open.commit().await.expect("committed");
    assert_eq!(waiting.await.expect("no panic"), Ok(ChangeOutcome::Applied { sequence: 2 }));
    let seen: Vec<_> = store.revocations_after(0, 10).await.expect("rows").iter().map(|row| row.sequence).collect();
    assert_eq!(seen, [1, 2]);

    // And a number that is taken back leaves no gap.
    let mut open = slow.begin().await.expect("begun");
    sqlx::query("UPDATE counters SET value = value + 1").execute(&mut *open).await.expect("a number is taken");
    open.rollback().await.expect("taken back");
    let next = store.change_standing(revocation(second.id, RevocationReason::Superseded)).await;
    assert_eq!(next, Ok(ChangeOutcome::Applied { sequence: 3 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_follows_two_revoking_replicas_misses_nothing() {
    let (store, database) = store().await;
    let mut ids = Vec::new();
    for number in 0..200 {
        ids.push(issue(&store, number).await.expect("issued").id);
    }
    let replicas = [store.clone(), another(&database).await];
    let mut callers = JoinSet::new();
    for (number, id) in ids.into_iter().enumerate() {
        let replica = replicas[number % 2].clone();
        callers.spawn(async move { replica.change_standing(revocation(id, RevocationReason::Superseded)).await });
    }
    let mut seen = 0;
    let follow = async {
        while seen < 200 {
            for row in store.revocations_after(seen, 7).await.expect("rows") {
                assert_eq!(row.sequence, seen + 1, "a number was seen before a lower one");
                seen = row.sequence;
            }
        }
    };
    timeout(Duration::from_secs(60), follow).await.expect("all are seen");
    let numbers: BTreeSet<u64> = callers
        .join_all()
        .await
        .into_iter()
        .map(|outcome| match outcome {
            Ok(ChangeOutcome::Applied { sequence }) => sequence,
            other => panic!("an active certificate can be revoked: {other:?}"),
        })
        .collect();
    assert_eq!(numbers, (1..=200).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_is_told_of_revocations_and_abandonments_after_their_commit() {
    use ca_engine::port::store::CertificateStore;
    let (store, database) = store().await;
    let options: sqlx::postgres::PgConnectOptions = server::shared().await.url(&database).parse().expect("an address");
    let pool = sqlx::PgPool::connect_lazy_with(options);
    let mut listener = sqlx::postgres::PgListener::connect_with(&pool).await.expect("connects");
    listener.listen("ca_revocations").await.expect("listens");
    let certificate = issue(&store, 1).await.expect("issued");
    store.change_standing(revocation(certificate.id, RevocationReason::Superseded)).await.expect("revoked");
    let told = timeout(Duration::from_secs(5), listener.recv()).await.expect("in time").expect("told");
    assert_eq!(told.payload(), "1");
    let open = super::fixture::reservation(2);
    store.reserve(open.clone()).await.expect("reserved");
    let journal = super::fixture::journal(ca_core::audit::AuditAction::IssuanceAbandoned, open.id);
    assert_eq!(store.abandon(open.id, journal).await, Ok(true));
    let told = timeout(Duration::from_secs(5), listener.recv()).await.expect("in time").expect("told");
    assert_eq!(told.payload(), "2");
}
