//! A server that goes away and comes back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ca_core::revocation::RevocationReason;
use ca_engine::port::store::{
    CertificateStore, ChangeOutcome, LeaseStore, ReserveOutcome, SerialState, StatusStore, Store, StoreError,
};
use ca_store::{OpenMode, PostgresStore};
use tokio::task::JoinSet;

use super::fixture::{completion, issue, reservation, revocation};
use super::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_the_server_and_the_next_call_works() {
    let mut server = Server::start();
    let database = server.database().await;
    let options = server.options(&database);
    let store = Arc::new(PostgresStore::open(&options, OpenMode::ReadWrite).await.expect("opens"));
    let (mut issued, mut revoked) = (BTreeSet::new(), BTreeSet::new());
    for (round, signal) in ["KILL", "QUIT"].into_iter().enumerate() {
        let ending = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for caller in 0..16_u64 {
            let (store, ending) = (store.clone(), ending.clone());
            let first = round as u64 * 1_000_000 + caller * 10_000;
            callers.spawn(async move { work(&store, first, &ending).await });
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        server.end(signal).expect("ends");
        ending.store(true, Ordering::SeqCst);
        for (some_issued, some_revoked) in callers.join_all().await {
            issued.extend(some_issued);
            revoked.extend(some_revoked);
        }
        let refused = store.revocation_sequence().await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        let refused = store.reserve(reservation(9_999_999)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");

        server.run().expect("runs");
        // The first call of each kind, on connections that the old server had.
        store.database_time().await.expect("reads at once");
        let number = 5_000_000 + round as u64;
        assert_eq!(store.reserve(reservation(number)).await, Ok(ReserveOutcome::Reserved), "reserves at once");
        store.complete(completion(reservation(number).id)).await.expect("completes at once");
        let lease = store.acquire_lease("job", "holder", ca_core::time::Lifetime::from_seconds(1)).await;
        lease.expect("other changes at once");

        assert!(issued.len() > 10 && revoked.len() > 5, "{} issued, {} revoked", issued.len(), revoked.len());
        for number in &issued {
            let reservation = reservation(*number);
            let found = store.status(&reservation.authority, &reservation.serial).await.expect("answers");
            let state = found.map(|found| found.state);
            assert!(matches!(state, Some(SerialState::Issued(_))), "{number} was acknowledged: {state:?}");
            let standing = store.certificate(reservation.id).await.expect("answers").expect("on record").standing;
            let is_active = standing == ca_core::revocation::Standing::Active;
            assert!(!is_active || !revoked.contains(number), "the revocation of {number} was acknowledged");
        }
    }
}

/// Issues and revokes until the server is gone; returns what was acknowledged.
async fn work(store: &PostgresStore, first: u64, ending: &AtomicBool) -> (Vec<u64>, Vec<u64>) {
    let (mut issued, mut revoked) = (Vec::new(), Vec::new());
    for number in first.. {
        let outcome: Result<(), StoreError> = async {
            let certificate = issue(store, number).await?;
            issued.push(number);
            if number % 2 == 0 {
                let outcome = store.change_standing(revocation(certificate.id, RevocationReason::Superseded)).await?;
                assert!(matches!(outcome, ChangeOutcome::Applied { .. }));
                revoked.push(number);
            }
            Ok(())
        }
        .await;
        match outcome {
            Ok(()) => {}
            Err(StoreError::Unavailable { .. } | StoreError::Unknown { .. }) => break,
            Err(other) => panic!("a server that is gone is unavailable: {other:?}"),
        }
        if ending.load(Ordering::SeqCst) {
            break;
        }
    }
    (issued, revoked)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_are_replaced_without_anybody_noticing() {
    let (store, database) = super::fixture::store().await;
    issue(&store, 1).await.expect("issued");
    store.database_time().await.expect("answers");
    for round in 0..5 {
        super::server::shared().await.run_sql(
            "postgres",
            &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"),
        );
        issue(&store, 10 + round).await.expect("issues at once");
        store.database_time().await.expect("reads at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_runs_is_unavailable_within_seconds() {
    let mut server = Server::start();
    let database = server.database().await;
    let store = PostgresStore::open(&server.options(&database), OpenMode::ReadWrite).await.expect("opens");
    server.end("INT").expect("ends");
    let answers = async {
        let refused = store.database_time().await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
        let refused = store.reserve(reservation(1)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    };
    tokio::time::timeout(Duration::from_secs(5), answers).await.expect("nobody waits for long");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_became_read_only_refuses_changes_and_goes_on_reading() {
    let (store, database) = super::fixture::store().await;
    let certificate = issue(&store, 1).await.expect("issued");
    let server = super::server::shared().await;
    server.run_sql("postgres", &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"));
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
    server.run_sql("postgres", &cut);
    let refused = store.reserve(reservation(2)).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly { .. })), "{refused:?}");
    assert!(matches!(store.certificate(certificate.id).await, Ok(Some(_))));
}
