//! A snapshot: one instant of the record, loaded in one transaction.

use std::collections::VecDeque;
use std::io;

use ca_core::revocation::RevocationReason;
use ca_core::time::{Lifetime, Validity};
use ca_engine::port::store::{
    AuthorityStore, CertificateFilter, CertificateStore, CrlStore, LeaseStore, NameQuery, Reservation, ReserveOutcome,
    StatusStore,
};
use ca_store::{OpenMode, PostgresOptions, PostgresStore, SnapshotError, SnapshotPart, SnapshotSink, SnapshotSource};
use ca_test_services::PgBouncer;
use tokio::task::JoinSet;

use super::fixture::{NOW, another, completion, connect, crl_intent, issue, journal, reservation, revocation, store};
use super::server;

/// A snapshot in memory.
#[derive(Clone, Default)]
struct Parts(VecDeque<SnapshotPart>);

impl SnapshotSink for Parts {
    fn put(&mut self, part: SnapshotPart) -> io::Result<()> {
        self.0.push_back(part);
        Ok(())
    }
}

impl SnapshotSource for Parts {
    fn next(&mut self) -> io::Result<Option<SnapshotPart>> {
        Ok(self.0.pop_front())
    }
}

const SETTING: (&str, &[u8]) = ("record.restoration", b"pending");

async fn dump(options: &PostgresOptions) -> Parts {
    let mut parts = Parts::default();
    PostgresStore::dump(options, &mut parts).await.expect("dumped");
    parts
}

async fn count(database: &str, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut connect(database).await).await.expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_made_while_others_write_is_one_instant() {
    let (store, database) = store().await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for number in 0..30 {
                let issued = issue(&store, writer * 1_000 + number).await.expect("issued");
                if number % 2 == 0 {
                    let change = revocation(issued.id, RevocationReason::Superseded);
                    store.change_standing(change).await.expect("revoked");
                }
            }
        });
    }
    while store.revocation_sequence().await.expect("a number") < 20 {
        tokio::task::yield_now().await;
    }
    let server = server::shared().await;
    let mut parts = dump(&server.options(&database)).await;
    writers.join_all().await;

    let other = server.empty_database();
    PostgresStore::load(&server.options(&other), &mut parts, SETTING).await.expect("loaded");
    let serials = count(&other, "SELECT COUNT(*) FROM serials").await;
    assert!((20..240).contains(&serials), "{serials}: not at the end");
    let wide = count(&other, "SELECT COUNT(*) FROM certificates").await;
    assert_eq!(serials, wide + count(&other, "SELECT COUNT(*) FROM reservations").await);
    let sequence = count(&other, "SELECT value FROM counters WHERE name = 'revocations'").await;
    assert_eq!(sequence, count(&other, "SELECT COUNT(*) FROM revocations").await);
    assert_eq!(sequence, count(&other, "SELECT COUNT(*) FROM serials WHERE state = 3").await);
    let loaded = another(&other).await;
    assert_eq!(loaded.setting(SETTING.0).await, Ok(Some(SETTING.1.to_vec())));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_was_on_record_is_there_and_numbers_go_on() {
    let (store, database) = store().await;
    let first = issue(&store, 1).await.expect("issued");
    // In another month.
    let not_after = NOW.plus(Lifetime::from_days(800));
    let far = Reservation { validity: Validity { not_before: NOW, not_after }, ..reservation(2) };
    assert_eq!(store.reserve(far.clone()).await, Ok(ReserveOutcome::Reserved));
    store.complete(completion(far.id)).await.expect("completed");
    let lease =
        store.acquire_lease("crl:tls", "test", Lifetime::from_seconds(60)).await.expect("a lease").expect("free");
    store.intend_crl(&lease, crl_intent(7)).await.expect("intended");
    let event = journal(ca_core::audit::AuditAction::CrlPublished, first.id);
    store
        .publish_crl(&lease, &first.authority, 7, vec![0xff, 0x00, b'\\', b'\n'].into(), event)
        .await
        .expect("published");

    let server = server::shared().await;
    let parts = dump(&server.options(&database)).await;
    let other = server.empty_database();
    PostgresStore::load(&server.options(&other), &mut parts.clone(), SETTING).await.expect("loaded");
    let loaded = another(&other).await;
    for id in [first.id, far.id] {
        assert_eq!(loaded.certificate(id).await, store.certificate(id).await);
    }
    assert_eq!(loaded.published_crl(&first.authority).await, store.published_crl(&first.authority).await);
    let named = CertificateFilter {
        name: Some(NameQuery::AnyName("host2.example.com".to_owned())),
        ..CertificateFilter::all(NOW)
    };
    assert_eq!(loaded.list(&named, None, 10).await.expect("a page").items.len(), 1);
    // Rows that are added later are numbered after those that were loaded.
    issue(&loaded, 3).await.expect("issued");
    let events = count(&other, "SELECT COUNT(*) FROM audit_events").await;
    assert_eq!(events, count(&database, "SELECT COUNT(*) FROM audit_events").await + 1);

    let error = PostgresStore::load(&server.options(&database), &mut parts.clone(), SETTING).await.expect_err("full");
    assert!(matches!(error, SnapshotError::NotEmpty { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_makes_no_sense_leaves_an_empty_database() {
    let (store, database) = store().await;
    issue(&store, 1).await.expect("issued");
    let server = server::shared().await;
    let whole = dump(&server.options(&database)).await;
    let octets = |part: &SnapshotPart| matches!(part, SnapshotPart::Octets(_));
    let last = whole.0.iter().rposition(octets).expect("some rows");
    let spoiled: [fn(&mut VecDeque<SnapshotPart>, usize); 4] = [
        |parts, _| drop(parts.pop_front()),
        |parts, last| drop(parts.remove(last)),
        |parts, _| parts.push_back(SnapshotPart::Table { name: "pg_authid".to_owned(), columns: Vec::new() }),
        |parts, last| parts[last] = SnapshotPart::Octets(vec![0; 40]),
    ];
    for (number, spoil) in spoiled.into_iter().enumerate() {
        let mut parts = whole.clone();
        spoil(&mut parts.0, last);
        let other = server.empty_database();
        PostgresStore::load(&server.options(&other), &mut parts, SETTING).await.expect_err(&format!("{number}"));
        PostgresStore::check_empty(&server.options(&other)).await.expect("nothing was left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_work_through_a_pooler() {
    let (store, database) = store().await;
    issue(&store, 1).await.expect("issued");
    let server = server::shared().await;
    let pooler = PgBouncer::start(server, 2).expect("a pooler");
    let through = |database: &str| {
        PostgresOptions::parse(&format!("{}&pooler=transaction", pooler.url(database))).expect("an address")
    };
    let mut parts = dump(&through(&database)).await;
    let other = server.empty_database();
    PostgresStore::load(&through(&other), &mut parts, SETTING).await.expect("loaded");
    let loaded = PostgresStore::open(&through(&other), OpenMode::ReadWrite).await.expect("opens");
    assert!(loaded.certificate(reservation(1).id).await.expect("answers").is_some());
}
