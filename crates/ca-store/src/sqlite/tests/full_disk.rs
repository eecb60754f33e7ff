//! No space left: told as such, nothing half done, usable again when there is room.
//!
//! SQLite's own limit on the size of a file stands for the disk; it fails in the same place, with the same code.

use async_trait::async_trait;
use ca_engine::port::store::{CertificateStore, StatusStore, Store, StoreError};
use sqlx::{AssertSqlSafe, SqliteConnection};
use tokio::task::JoinSet;

use super::super::change::Change;
use super::super::error::Failure;
use super::fixture::{Folder, completion, count, issue, reservation};

/// Limits the file to what it has and this many pages more. As a change, since the limit belongs to the writing connection.
struct PagesLeft(i64);

#[async_trait]
impl Change for PagesLeft {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *connection).await?;
        let sql = format!("PRAGMA max_page_count = {}", pages + self.0);
        sqlx::query(AssertSqlSafe(sql)).execute(connection).await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_leaves_nothing_half_done() {
    let folder = Folder::new();
    let store = folder.store().await;
    issue(&store, 0).await.expect("issued");
    store.change(PagesLeft(20)).await.expect("limited");

    let mut callers = JoinSet::new();
    for number in 1..200 {
        let store = store.clone();
        callers.spawn(async move { (number, issue(&store, number).await) });
    }
    let (mut issued, mut refused) = (Vec::new(), Vec::new());
    while let Some(ended) = callers.join_next().await {
        match ended.expect("no panic") {
            (number, Ok(_)) => issued.push(number),
            (number, Err(StoreError::Full { .. })) => refused.push(number),
            (_, Err(other)) => panic!("a full disk is told as such: {other:?}"),
        }
    }
    assert!(!refused.is_empty(), "twenty pages do not hold two hundred certificates");

    // What was acknowledged is there, and reading goes on.
    store.database_time().await.expect("answers");
    for number in &issued {
        assert!(matches!(store.certificate(reservation(*number).id).await, Ok(Some(_))), "{number}");
    }
    // Each is whole: a serial has a certificate or a reservation, a certificate its event, its names and its message.
    let serials = count(&folder, "SELECT COUNT(*) FROM serials").await;
    let certificates = count(&folder, "SELECT COUNT(*) FROM certificates").await;
    assert_eq!(certificates, 1 + issued.len() as i64);
    assert_eq!(serials, certificates + count(&folder, "SELECT COUNT(*) FROM reservations").await);
    for side in ["audit_events", "outbox", "certificate_names WHERE kind = 0"] {
        let sql = format!("SELECT COUNT(*) FROM {side}");
        assert_eq!(certificates, count(&folder, sql.leak()).await, "{side}");
    }

    // Room again: whoever was refused can finish.
    store.change(PagesLeft(10_000)).await.expect("the limit itself needs no space");
    for number in refused {
        let reservation = reservation(number);
        match store.status(&reservation.authority, &reservation.serial).await.expect("answers") {
            None => drop(issue(&store, number).await.expect("issued")),
            Some(_) => drop(store.complete(completion(reservation.id)).await.expect("completed")),
        }
    }
    assert_eq!(count(&folder, "SELECT COUNT(*) FROM certificates").await, 200);
}
