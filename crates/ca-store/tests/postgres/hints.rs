//! News of revocations, and what may be done with the record.

use std::time::Duration;

use ca_core::revocation::RevocationReason;
use ca_engine::port::revocation_hints::RevocationHints;
use ca_engine::port::store::{Access, StatusStore, Store};
use ca_store::{OpenMode, PostgresHints, PostgresStore};
use tokio::time::timeout;

use super::fixture::{another, issue, revocation, store};
use super::server;

const SOON: Duration = Duration::from_secs(10);

async fn hint(hints: &PostgresHints) -> bool {
    timeout(SOON, hints.wait()).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_is_told_of_each_revocation_of_others_and_of_a_connection_that_was_lost() {
    let (store, database) = store().await;
    let hints = PostgresHints::listen(&server::shared().await.options(&database));
    assert!(hint(&hints).await, "it begins with a hint");
    let replica = another(&database).await;
    for number in 1..=3 {
        let issued = issue(&store, number).await.expect("issued");
        assert!(timeout(Duration::from_millis(200), hints.wait()).await.is_err(), "issuance is no news");
        replica.change_standing(revocation(issued.id, RevocationReason::Superseded)).await.expect("revoked");
        assert!(hint(&hints).await, "revocation {number}");
    }
    let cut = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE 'LISTEN%'"
    );
    server::shared().await.run_sql("postgres", &cut);
    assert!(hint(&hints).await, "something may have been missed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_says_whether_it_can_be_changed() {
    let (store, database) = store().await;
    assert_eq!(store.access().await, Ok(Access::ReadWrite));
    let options = server::shared().await.options(&database);
    let reader = PostgresStore::open(&options, OpenMode::ReadOnly).await.expect("opens");
    assert_eq!(reader.access().await, Ok(Access::ReadOnly));
    let issued = issue(&store, 1).await.expect("issued");
    let refused = reader.change_standing(revocation(issued.id, RevocationReason::Superseded)).await;
    assert!(matches!(refused, Err(ca_engine::port::store::StoreError::ReadOnly { .. })), "{refused:?}");
    server::shared()
        .await
        .run_sql("postgres", &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"));
    let told = another(&database).await;
    assert_eq!(told.access().await, Ok(Access::ReadOnly));
    let refused = told.change_standing(revocation(issued.id, RevocationReason::Superseded)).await;
    assert!(matches!(refused, Err(ca_engine::port::store::StoreError::ReadOnly { .. })), "{refused:?}");
}
