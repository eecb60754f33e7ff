//! The contract of the store port, kept by SQLite, and kept without reading through large tables.
//!
//! The suite is the engine's, the same for every store. While it runs, every statement it makes SQLite run is written down;
//! then SQLite is asked how it would answer each.

mod filters;
mod statements;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ca_engine::fake::FakeVault;
use ca_engine::fake::contract::store::{StoreUnderTest, check_store};
use ca_engine::port::store::Store;
use ca_store::{OpenMode, SqliteStore};
use statements::Statements;

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract_of_the_store_port_and_walks_indexes_only() {
    let statements = Statements::write_down();
    check_store(make).await;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ca.db");
    let store = SqliteStore::open(&path, OpenMode::Create).await.expect("opens");
    store.hold_personal_data(Arc::new(FakeVault::new(1))).await.expect("a key");
    filters::list_by_everything(&store).await;
    store.close().await;
    let seen = statements.seen();
    for part in ["INTO serials", "DELETE FROM reservations", "INTO revocations", "FROM blocked_keys", "FROM leases"] {
        assert!(seen.iter().any(|statement| statement.contains(part)), "no statement was seen with {part}");
    }
    let scans = scans(&path, &seen).await;
    assert!(
        scans.is_empty(),
        "{} of {} statements read through a table:\n{}",
        scans.len(),
        seen.len(),
        scans.join("\n")
    );
}

async fn make() -> StoreUnderTest {
    let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("ca.db");
    let store = SqliteStore::open(&path, OpenMode::Create).await.expect("opens");
    store.hold_personal_data(Arc::new(FakeVault::new(1))).await.expect("a key");
    StoreUnderTest {
        store: Arc::new(store),
        another: Arc::new(move || {
            let folder = folder.clone();
            Box::pin(async move {
                let path = folder.path().join("ca.db");
                let another = SqliteStore::open(&path, OpenMode::ReadWrite).await.expect("opens again");
                another.hold_personal_data(Arc::new(FakeVault::new(1))).await.expect("a key");
                Arc::new(another) as Arc<dyn Store>
            })
        }),
        pass_time: Arc::new(|lifetime| Box::pin(tokio::time::sleep(Duration::from_secs(lifetime.seconds())))),
    }
}

/// The plans that read through a table or a whole index, without leave.
async fn scans(path: &Path, statements: &[String]) -> Vec<String> {
    use sqlx::{AssertSqlSafe, ConnectOptions, Row};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).disable_statement_logging();
    let mut connection = options.connect().await.expect("connects");
    let mut scans = Vec::new();
    for statement in statements {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let plan = sqlx::query(explain).fetch_all(&mut connection).await;
        let plan = plan.unwrap_or_else(|error| panic!("{statement}: {error}"));
        let steps = plan.iter().map(|row| row.get::<String, _>("detail"));
        scans.extend(
            steps
                .filter(|step| step.starts_with("SCAN") && !LEAVE.iter().any(|(leave, _)| step.starts_with(leave)))
                .map(|step| format!("{step}\n    in: {statement}")),
        );
    }
    scans
}

/// What may be read from one end to the other, and why.
const LEAVE: &[(&str, &str)] = &[
    ("SCAN CONSTANT ROW", "one row that is no table"),
    ("SCAN (subquery", "one row that is no table"),
    ("SCAN heirs", "the descendants of one certificate, found by an index"),
    ("SCAN json_each", "what the statement was given"),
    ("SCAN link VIRTUAL TABLE", "what the statement was given"),
    ("SCAN name VIRTUAL TABLE", "what the statement was given"),
    ("SCAN sqlite_schema", "a few dozen rows, once at start"),
    ("SCAN authorities", "a handful"),
    ("SCAN given VIRTUAL TABLE", "what the statement was given"),
    ("SCAN outbox", "its first rows: what goes to no sink yet"),
    ("SCAN personal_data_keys", "a handful"),
    ("SCAN published_crls", "one row for each authority"),
    ("SCAN published_partial_crls", "one row for each shard and delta"),
    ("SCAN responders", "a few for each authority and week, once for some hundred certificates that are removed"),
    ("SCAN reservations USING INDEX reservations_open", "holds only what is under way"),
    ("SCAN deliveries", "what is on its way, once for some hundred certificates that are removed"),
    ("SCAN roles", "administrators, auditors and registrars are few"),
    ("SCAN gateways", "every gateway is asked for at once"),
    ("SCAN renewal_window_moves", "a handful"),
    ("SCAN upstream_issuances", "what issuers elsewhere were asked for since the last time"),
    ("SCAN bulk_revocations USING INDEX bulk_revocations_running", "holds only what is under way"),
    ("SCAN c USING INDEX sqlite_autoindex_certificates_1", "from the newest id down, to the end of the page"),
    ("SCAN audit_events USING INDEX audit_events_pending", "holds only what waits for its place"),
    ("SCAN audit_events USING INDEX audit_events_chain", "its last row"),
];
