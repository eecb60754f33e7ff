//! Messages are numbered in another order than they are committed; none is passed over, and of one certificate both orders agree.

use std::time::Duration;

use ca_core::id::{CertificateId, DeliveryId, SinkName};
use ca_core::revocation::RevocationReason;
use ca_core::time::Lifetime;
use ca_engine::port::store::{
    Assignment, ChangeOutcome, Delivery, LeaseStore, OutboxStore, Settlement, StatusStore, Verdict,
};
use ca_store::PostgresStore;
use sqlx::types::Uuid;
use sqlx::{Connection, PgConnection};

use super::fixture::{NOW, another, connect, issue, revocation, store};

const MINUTE: Lifetime = Lifetime::from_seconds(60);

fn sink() -> SinkName {
    "inventory".parse().expect("a sink's name")
}

/// One round of the job, whose every delivery succeeds; returns the numbers that were delivered.
async fn serve(store: &PostgresStore) -> Vec<u64> {
    let lease = store.acquire_lease("outbox", "test", MINUTE).await.expect("answers").expect("free");
    let messages = store.unassigned_messages(100).await.expect("messages");
    let assignments = messages.iter().map(|sequence| {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&sequence.to_be_bytes());
        Assignment { sequence: *sequence, sink: sink(), id: DeliveryId::new(NOW, random) }
    });
    store.assign_messages(&lease, assignments.collect()).await.expect("assigned");
    let mut delivered = Vec::new();
    loop {
        let due: Vec<Delivery> = store.due_deliveries(&sink(), 100).await.expect("due");
        if due.is_empty() {
            return delivered;
        }
        delivered.extend(due.iter().map(|delivery| delivery.sequence));
        let settled = due.iter().map(|delivery| Settlement { id: delivery.id, verdict: Verdict::Delivered });
        store.settle_deliveries(&lease, settled.collect()).await.expect("settled");
    }
}

/// What the adapter does until its commit, by hand: the certificate's row is locked, then its message written.
async fn begin_a_change(transaction: &mut PgConnection, id: CertificateId) -> u64 {
    let id = Uuid::from_bytes(*id.as_bytes());
    let lock = "SELECT certificate_id FROM serials WHERE certificate_id = $1 FOR NO KEY UPDATE";
    sqlx::query(lock).bind(id).execute(&mut *transaction).await.expect("locked");
    let write =
        "INSERT INTO outbox (topic, certificate_id, payload, created_at) VALUES ('certificate.revoked', $1, '{}', 0)
        RETURNING id";
    let number: i64 = sqlx::query_scalar(write).bind(id).fetch_one(&mut *transaction).await.expect("written");
    u64::try_from(number).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_a_lower_number_that_is_committed_later_is_delivered() {
    let (store, database) = store().await;
    let slow = issue(&store, 1).await.expect("issued");
    serve(&store).await;
    let mut connection = connect(&database).await;
    let mut open = connection.begin().await.expect("begun");
    let low = begin_a_change(&mut open, slow.id).await;
    let quick = issue(&store, 2).await.expect("issued");
    let delivered = serve(&store).await;
    assert!(delivered.len() == 1 && delivered[0] > low, "the higher number goes first: {delivered:?}, not {low}");
    open.commit().await.expect("committed");
    assert_eq!(serve(&store).await, [low], "and the lower one when it is there");
    // Nothing is left, and what comes goes on.
    let outcome = store.change_standing(revocation(quick.id, RevocationReason::Superseded)).await;
    assert!(matches!(outcome, Ok(ChangeOutcome::Applied { .. })), "{outcome:?}");
    assert_eq!(serve(&store).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_certificate_the_order_of_numbers_is_that_of_commits() {
    let (store, database) = store().await;
    let certificate = issue(&store, 1).await.expect("issued");
    serve(&store).await;
    let mut connection = connect(&database).await;
    let mut open = connection.begin().await.expect("begun");
    let first = begin_a_change(&mut open, certificate.id).await;
    let replica = another(&database).await;
    let waiting =
        tokio::spawn(
            async move { replica.change_standing(revocation(certificate.id, RevocationReason::Superseded)).await },
        );
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "the second change of a certificate waits before it takes a number");
    assert_eq!(serve(&store).await, [0_u64; 0]);
    open.commit().await.expect("committed");
    let outcome = waiting.await.expect("no panic");
    assert!(matches!(outcome, Ok(ChangeOutcome::Applied { .. })), "{outcome:?}");
    let delivered = serve(&store).await;
    assert!(delivered.len() == 2 && delivered[0] == first && delivered[1] > first, "{delivered:?} after {first}");
}
