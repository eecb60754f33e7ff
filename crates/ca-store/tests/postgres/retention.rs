//! What retention does to tables, and what others notice of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ca_core::audit::AuditAction;
use ca_core::time::{Lifetime, Timestamp, Validity};
use ca_engine::port::store::{
    AuditStore, CertificateStore, ChainLink, CompleteOutcome, Lease, LeaseStore, MonthRemoval, OutboxStore,
    RemovalOutcome, Reservation, ReserveOutcome, RetentionStore, StoreError, StoredCertificate,
};
use ca_store::{OpenMode, PostgresOptions, PostgresStore, SnapshotPart, SnapshotSink, SnapshotSource};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::fixture::{NOW, completion, connect, issue, journal, reservation, store};
use super::server;

const MONTH: &str = "2024-05";

fn old(number: u64, profile: &str) -> Reservation {
    let not_after = MONTH.parse::<ca_core::month::Month>().expect("a month").start().plus(Lifetime::from_days(9));
    let not_before = not_after.minus(Lifetime::from_days(90));
    Reservation {
        profile: profile.parse().expect("a profile name"),
        validity: Validity { not_before, not_after },
        reserved_at: not_before,
        ..reservation(number)
    }
}

async fn issue_old(store: &PostgresStore, number: u64, profile: &str) -> StoredCertificate {
    let reservation = old(number, profile);
    let id = reservation.id;
    assert_eq!(store.reserve(reservation).await, Ok(ReserveOutcome::Reserved));
    match store.complete(completion(id)).await {
        Ok(CompleteOutcome::Completed(stored)) => *stored,
        other => panic!("an open reservation can be completed, not {other:?}"),
    }
}

/// A month of 20 that go and one that stays; nothing on its way.
async fn full_month(store: &PostgresStore) -> StoredCertificate {
    for number in 1..=20 {
        issue_old(store, number, "server").await;
    }
    let stays = issue_old(store, 21, "document").await;
    settle(store).await;
    stays
}

async fn settle(store: &PostgresStore) {
    let lease = acquire(store, "settling").await;
    while store.drop_unassigned(&lease, Timestamp::from_unix_millis(i64::MAX), 1_000).await.expect("dropped") > 0 {}
    let head = store.chain_head().await.expect("a head");
    let (mut sequence, mut hash, mut links) = (head.sequence, head.hash, vec![]);
    for event in store.pending_events(10_000).await.expect("pending") {
        sequence += 1;
        hash = ca_core::audit::link(&hash, sequence, &event.canonical);
        links.push(ChainLink { row: event.row, sequence, hash });
    }
    store.chain_events(&lease, &head, links).await.expect("chained");
    store.release_lease(&lease).await.expect("given back");
}

async fn acquire(store: &PostgresStore, name: &str) -> Lease {
    let lease = store.acquire_lease(name, "first", Lifetime::from_seconds(60)).await;
    lease.expect("answers").expect("free")
}

fn removal() -> MonthRemoval {
    MonthRemoval {
        month: MONTH.parse().expect("a month"),
        profiles: vec!["server".parse().expect("a profile name")],
        principal: "job:retention".to_owned(),
        at: NOW,
    }
}

async fn tables(connection: &mut PgConnection) -> Vec<String> {
    const SQL: &str =
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relname LIKE 'certificate%2024_05%' ORDER BY 1";
    sqlx::query_scalar(SQL).fetch_all(connection).await.expect("names")
}

async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.expect("a number")
}

/// A removal that has set the month apart and cannot drop it, since somebody reads.
struct HeldUp {
    reader: PgConnection,
    lease: Lease,
    removing: JoinHandle<Result<RemovalOutcome, StoreError>>,
}

impl HeldUp {
    async fn begin(store: &Arc<PostgresStore>, database: &str) -> Self {
        let mut reader = connect(database).await;
        run(&mut reader, "BEGIN").await;
        assert_eq!(number(&mut reader, "SELECT COUNT(*) FROM certificates").await, 21);
        let lease = acquire(store, "retention").await;
        let (remover, held) = (Arc::clone(store), lease.clone());
        let removing = tokio::spawn(async move { remover.remove_month(&held, removal()).await });
        // It asks for all certificates when the rest is done, each time for a moment.
        let mut connection = connect(database).await;
        until(&mut connection, "EXISTS (SELECT FROM waiting WHERE relation = 'certificates'::regclass)").await;
        assert!(!removing.is_finished());
        Self { reader, lease, removing }
    }

    /// The reader lets go.
    async fn let_go(mut self) -> Result<RemovalOutcome, StoreError> {
        run(&mut self.reader, "COMMIT").await;
        self.removing.await.expect("no panic")
    }
}

/// Waits until a condition holds. `waiting` are the locks that somebody waits for, `held` those that keep others from writing into
/// a month.
async fn until(connection: &mut PgConnection, condition: &str) {
    let sql = format!(
        "WITH here AS (
             SELECT l.* FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database WHERE d.datname = current_database()
         ), waiting AS (
             SELECT relation FROM here WHERE mode = 'AccessExclusiveLock' AND NOT granted
         ), held AS (
             SELECT relation FROM here WHERE mode = 'ShareRowExclusiveLock' AND granted
         ) SELECT ({condition})::int::bigint"
    );
    let began = Instant::now();
    while number(connection, &sql).await == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "not true after 30 s: {condition}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn run(connection: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.expect("runs");
}

const BOTH: [&str; 2] = ["certificate_names_2024_05", "certificates_2024_05"];

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_which_something_stays_is_replaced_by_small_tables_and_then_dropped() {
    let (store, database) = store().await;
    let stays = full_month(&store).await;
    let mut connection = connect(&database).await;
    let large = number(&mut connection, "SELECT 'certificates_2024_05'::regclass::oid::bigint").await;
    let lease = acquire(&store, "retention").await;
    let outcome = store.remove_month(&lease, removal()).await;
    assert_eq!(outcome, Ok(RemovalOutcome::Removed { removed: 20, kept: 1 }));
    assert_eq!(tables(&mut connection).await, BOTH);
    assert_ne!(number(&mut connection, "SELECT 'certificates_2024_05'::regclass::oid::bigint").await, large);
    assert_eq!(number(&mut connection, "SELECT COUNT(*) FROM ONLY certificates_2024_05").await, 1);
    // Name and whole subject, and common name, which is the name.
    assert_eq!(number(&mut connection, "SELECT COUNT(*) FROM ONLY certificate_names_2024_05").await, 2);
    assert_eq!(store.certificate(stays.id).await, Ok(Some(stays.clone())));
    let unattached = "SELECT COUNT(*) FROM pg_index AS i JOIN pg_class AS p ON p.oid = i.indrelid
         WHERE p.relname IN ('certificates', 'certificate_names') AND NOT i.indisvalid";
    assert_eq!(number(&mut connection, unattached).await, 0, "every index of the parents covers the new tables");
    let indexes = "SELECT COUNT(*) FROM pg_indexes WHERE tablename = 'certificates_2024_05'";
    assert_eq!(number(&mut connection, indexes).await, 7);
    assert_eq!(number(&mut connection, "SELECT COUNT(*) FROM pg_constraint WHERE conname = 'in_month'").await, 0);

    // It may go too by now: again, and another month's are not touched.
    issue(&store, 30).await.expect("issued");
    settle(&store).await;
    let all = MonthRemoval { profiles: vec!["document".parse().expect("a profile name")], ..removal() };
    let outcome = store.remove_month(&lease, all).await;
    assert_eq!(outcome, Ok(RemovalOutcome::Removed { removed: 1, kept: 0 }));
    assert_eq!(tables(&mut connection).await, [""; 0]);
    assert_eq!(number(&mut connection, "SELECT COUNT(*) FROM certificates").await, 1);
    assert_eq!(number(&mut connection, "SELECT COUNT(*) FROM serials").await, 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_on_to_certificates_is_waited_for_and_nobody_else_waits_long() {
    let (store, database) = store().await;
    full_month(&store).await;
    issue(&store, 100).await.expect("this month's tables are there");
    let mut reader = connect(&database).await;
    let mut open = reader.begin().await.expect("begun");
    assert_eq!(number(&mut open, "SELECT COUNT(*) FROM certificates").await, 22);

    let lease = acquire(&store, "retention").await;
    let remover = Arc::clone(&store);
    let removing = tokio::spawn(async move { remover.remove_month(&lease, removal()).await });
    let (began, mut longest, mut issued) = (Instant::now(), Duration::ZERO, 0);
    while began.elapsed() < Duration::from_secs(4) {
        let asked = Instant::now();
        issue(&store, 101 + issued).await.expect("issued");
        longest = longest.max(asked.elapsed());
        issued += 1;
    }
    assert!(!removing.is_finished(), "somebody reads");
    // The two halves of an issuance may each wait for one attempt of 200 ms.
    assert!(longest < Duration::from_millis(1_500), "{issued} were issued, one of them in {longest:?}");
    assert!(issued > 20, "{issued}");
    assert_eq!(number(&mut open, "SELECT COUNT(*) FROM certificates_2024_05").await, 21);
    open.commit().await.expect("ended");
    let outcome = removing.await.expect("no panic");
    assert_eq!(outcome, Ok(RemovalOutcome::Removed { removed: 20, kept: 1 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_lost_its_lease_in_the_middle_drops_nothing() {
    let (store, database) = store().await;
    full_month(&store).await;
    let held_up = HeldUp::begin(&store, &database).await;
    store.release_lease(&held_up.lease).await.expect("given back");
    let newer = store.acquire_lease("retention", "second", Lifetime::from_seconds(60)).await;
    assert!(newer.expect("answers").is_some());
    assert_eq!(held_up.let_go().await, Err(StoreError::Fenced { lease: "retention".to_owned() }));
    let mut connection = connect(&database).await;
    assert_eq!(tables(&mut connection).await, BOTH);
    assert_eq!(number(&mut connection, "SELECT COUNT(*) FROM certificates").await, 21);
    assert_eq!(store.pending_events(10).await, Ok(vec![]), "and tells of nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cut_off_in_the_middle_leaves_the_month_as_it_was() {
    let (store, database) = store().await;
    let stays = full_month(&store).await;
    let HeldUp { mut reader, lease, removing } = HeldUp::begin(&store, &database).await;
    // As when the process is killed.
    removing.abort();
    assert!(removing.await.is_err());
    run(&mut reader, "COMMIT").await;
    let mut connection = connect(&database).await;
    // The server notices with the next answer that nobody takes.
    until(&mut connection, "NOT EXISTS (SELECT FROM held WHERE relation = 'certificates_2024_05'::regclass)").await;
    assert_eq!(tables(&mut connection).await, BOTH);
    assert_eq!(number(&mut connection, "SELECT COUNT(*) FROM certificates").await, 21);
    assert_eq!(store.pending_events(10).await, Ok(vec![]));
    let outcome = store.remove_month(&lease, removal()).await;
    assert_eq!(outcome, Ok(RemovalOutcome::Removed { removed: 20, kept: 1 }));
    assert_eq!(store.certificate(stays.id).await, Ok(Some(stays)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_to_refer_to_a_certificate_while_its_month_is_set_apart_keeps_it() {
    let (store, database) = store().await;
    full_month(&store).await;
    let first = old(1, "server").id;
    let held_up = HeldUp::begin(&store, &database).await;
    store.append_event(journal(AuditAction::RoleGranted, first).event).await.expect("appended");
    let lease = held_up.lease.clone();
    assert_eq!(held_up.let_go().await, Ok(RemovalOutcome::Busy));
    assert!(store.certificate(first).await.expect("answers").is_some());
    let outcome = store.remove_month(&lease, removal()).await;
    assert_eq!(outcome, Ok(RemovalOutcome::Removed { removed: 19, kept: 2 }));
    assert!(store.certificate(first).await.expect("answers").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_was_given_the_right_removes_and_no_right_to_drop_tables_is_needed() {
    let server = server::shared().await;
    let (owner, database) = store().await;
    full_month(&owner).await;
    let user = format!("user_of_{database}");
    server.run_sql(&database, &format!("CREATE ROLE {user} LOGIN PASSWORD 'of its own'"));
    server
        .run_sql(&database, &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}"));
    let options = PostgresOptions::parse(&server.url_of(&user, "of%20its%20own", &database)).expect("an address");
    let limited = PostgresStore::open(&options, OpenMode::ReadWrite).await.expect("opens");
    let lease = acquire(&limited, "retention").await;
    match limited.remove_month(&lease, removal()).await {
        Err(StoreError::Unavailable { detail }) => {
            assert!(detail.contains("permission denied for function set_month_apart"), "{detail}");
        }
        other => panic!("it has no right to: {other:?}"),
    }
    let mut connection = connect(&database).await;
    assert_eq!(number(&mut connection, "SELECT COUNT(*) FROM certificates").await, 21);
    server.run_sql(&database, &format!("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {user}"));
    let outcome = limited.remove_month(&lease, removal()).await;
    assert_eq!(outcome, Ok(RemovalOutcome::Removed { removed: 20, kept: 1 }));
    // The functions themselves know no month that is young.
    let refused =
        sqlx::query("SELECT set_month_apart(1803859200000, 1806537600000, '{server}')").execute(&mut connection).await;
    assert!(refused.expect_err("2027-03").to_string().contains("ended less than 30 days ago"));
    let refused = sqlx::query("SELECT drop_month(0, 1000, 'retention', 1)").execute(&mut connection).await;
    assert!(refused.expect_err("a second").to_string().contains("is no month"));
    limited.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_waits_while_much_is_on_its_way() {
    let (store, database) = store().await;
    full_month(&store).await;
    let server = server::shared().await;
    let lease = acquire(&store, "retention").await;
    // None of them is about a certificate of the month, and all would be looked through while everybody waits.
    let queue = "INSERT INTO outbox (created_at, topic, payload) SELECT 0, 'certificate.issued', '{}' FROM generate_series(1, 20001)";
    server.run_sql(&database, queue);
    assert_eq!(store.remove_month(&lease, removal()).await, Ok(RemovalOutcome::Busy));
    let mut connection = connect(&database).await;
    assert_eq!(number(&mut connection, "SELECT COUNT(*) FROM certificates").await, 21);
    server.run_sql(&database, "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox LIMIT 1)");
    let outcome = store.remove_month(&lease, removal()).await;
    assert_eq!(outcome, Ok(RemovalOutcome::Removed { removed: 20, kept: 1 }));
}

/// Takes a snapshot, and a while over its beginning.
#[derive(Default)]
struct SlowlyBegun {
    parts: std::collections::VecDeque<SnapshotPart>,
}

impl SnapshotSink for SlowlyBegun {
    fn put(&mut self, part: SnapshotPart) -> io::Result<()> {
        if matches!(part, SnapshotPart::Header(_)) {
            let pause = tokio::time::sleep(Duration::from_secs(3));
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(pause));
        }
        self.parts.push_back(part);
        Ok(())
    }
}

impl SnapshotSource for SlowlyBegun {
    fn next(&mut self) -> io::Result<Option<SnapshotPart>> {
        Ok(self.parts.pop_front())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_has_begun_holds_what_stays_of_a_month_that_is_removed_meanwhile() {
    let (store, database) = store().await;
    let stays = full_month(&store).await;
    let server = server::shared().await;
    let options = server.options(&database);
    let dumping = tokio::spawn(async move {
        let mut parts = SlowlyBegun::default();
        PostgresStore::dump(&options, &mut parts).await.expect("dumped");
        parts
    });
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let lease = acquire(&store, "retention").await;
    let outcome = store.remove_month(&lease, removal()).await;
    assert_eq!(outcome, Ok(RemovalOutcome::Removed { removed: 20, kept: 1 }));
    let mut parts = dumping.await.expect("no panic");
    let other = server.empty_database();
    let setting: (&str, &[u8]) = ("record.restoration", b"pending");
    PostgresStore::load(&server.options(&other), &mut parts, setting).await.expect("loaded");
    let mut connection = connect(&other).await;
    assert_eq!(number(&mut connection, "SELECT COUNT(*) FROM certificates").await, 21, "all of that instant");

    // And one that is made afterwards.
    let mut parts = SlowlyBegun::default();
    PostgresStore::dump(&server.options(&database), &mut parts).await.expect("dumped");
    let later = server.empty_database();
    PostgresStore::load(&server.options(&later), &mut parts, setting).await.expect("loaded");
    let restored = super::fixture::another(&later).await;
    assert_eq!(restored.certificate(stays.id).await, Ok(Some(stays)));
    let gone = old(1, "server").id;
    assert!(restored.removed(gone).await.expect("answers").is_some(), "it is known to have been removed");
}
