//! The contract of the store port, kept by PostgreSQL, and kept without reading through large tables.
//!
//! A program of its own, which writes down every statement of its process: `contract_postgres.rs` on the tests' own server,
//! `named/` on one that an operator names.

use std::sync::Arc;

use ca_engine::fake::FakeVault;
use ca_engine::fake::contract::store::{StoreUnderTest, check_store};
use ca_store::{OpenMode, PostgresStore};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};

use super::statements::Statements;
use super::under_test::under_test;
use super::{filters, server};

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract_of_the_store_port_and_walks_indexes_only() {
    let statements = Statements::write_down();
    check_store(make).await;

    let server = server::shared().await;
    let database = server.database().await;
    let store = PostgresStore::open(&server.options(&database), OpenMode::Create).await.expect("opens");
    store.hold_personal_data(Arc::new(FakeVault::new(1))).await.expect("a key");
    filters::list_by_everything(&store).await;
    store.close().await;
    let seen = statements.seen();
    for part in ["INTO serials", "DELETE FROM reservations", "INTO revocations", "FROM blocked_keys", "FROM leases"] {
        assert!(seen.iter().any(|statement| statement.contains(part)), "no statement was seen with {part}");
    }
    let options: PgConnectOptions = server.url(&database).parse().expect("an address");
    let scans = scans(&mut options.connect().await.expect("connects"), &seen).await;
    assert!(
        scans.is_empty(),
        "{} of {} statements read through a table, or may:\n{}",
        scans.len(),
        seen.len(),
        scans.join("\n")
    );
}

async fn make() -> StoreUnderTest {
    let server = server::shared().await;
    let database = server.database().await;
    under_test(server.options(&database)).await
}

/// The plans that read through a table, without leave. Plans are asked for as the store's own connections make them.
async fn scans(connection: &mut PgConnection, statements: &[String]) -> Vec<String> {
    let settings = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;
        SET enable_mergejoin = off; SET enable_material = off; SET jit = off;
        SET plan_cache_mode = force_generic_plan; SELECT ensure_month(1803000000000); SELECT ensure_month(1806000000000)";
    sqlx::raw_sql(settings).execute(&mut *connection).await.expect("set");
    let mut scans = Vec::new();
    for statement in statements {
        let prepare = AssertSqlSafe(format!("PREPARE asked AS {statement}"));
        sqlx::raw_sql(prepare).execute(&mut *connection).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        let parameters: Option<i32> = sqlx::query_scalar(
            "SELECT array_length(parameter_types, 1) FROM pg_prepared_statements WHERE name = 'asked'",
        )
        .fetch_one(&mut *connection)
        .await
        .expect("prepared");
        let nulls = vec!["NULL"; usize::try_from(parameters.unwrap_or(0)).expect("a count")].join(", ");
        let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
        let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE asked{arguments}"));
        let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(&mut *connection).await.expect("a plan");
        sqlx::raw_sql("DEALLOCATE asked").execute(&mut *connection).await.expect("forgotten");
        let steps: Vec<_> = plan.iter().map(|step| step.trim_start_matches([' ', '-', '>'])).collect();
        scans.extend(
            steps
                .iter()
                .enumerate()
                .filter(|(position, step)| is_scan(step, steps.get(position + 1)))
                .filter(|(_, step)| !LEAVE.iter().any(|(leave, _)| step.starts_with(leave)))
                .map(|(_, step)| format!("{step}\n    in: {statement}")),
        );
        if is_page(statement) {
            let joins = steps.iter().filter(|step| step.starts_with("Nested Loop"));
            scans.extend(joins.map(|step| format!("{step}\n    in: {statement}")));
        }
    }
    scans
}

/// Whether a step of a plan reads a table, or an index of it, from one end to the other.
fn is_scan(step: &str, next: Option<&&str>) -> bool {
    let through_index =
        ["Index Scan", "Index Only Scan", "Bitmap Index Scan"].iter().any(|scan| step.starts_with(scan));
    let has_condition = next.is_some_and(|next| next.starts_with("Index Cond:"));
    step.starts_with("Seq Scan") || step.starts_with("Parallel Seq Scan") || (through_index && !has_condition)
}

/// Whether a statement asks for a page of certificates. By the statistics of a large table PostgreSQL would rather make a whole
/// join and sort it than walk down an index to the end of the page: there must be none.
fn is_page(statement: &str) -> bool {
    statement.contains(" AS not_after FROM ") && statement.contains(" DESC LIMIT ")
}

/// What may be read from one end to the other, and why.
const LEAVE: &[(&str, &str)] = &[
    ("Seq Scan on pg_", "the catalogue, once at start"),
    ("Index Scan using pg_", "the catalogue, once at start"),
    ("Index Scan using authorities_pkey", "a handful"),
    ("Index Scan using published_crls_pkey", "one row for each authority"),
    ("Index Scan using published_partial_crls_pkey", "one row for each shard and delta"),
    ("Index Only Scan using outbox_pkey", "its first rows: what goes to no sink yet"),
    ("Index Scan using audit_events_pending", "holds only what waits for its place"),
    ("Index Scan Backward using audit_events_chain", "its last row"),
    (
        "Index Scan Backward using serials_by_certificate on serials s ",
        "from the newest id down, to the end of the page",
    ),
    ("Index Scan Backward using serials_held on serials s ", "from the newest id down, to the end of the page"),
    ("Index Scan Backward using serials_revoked on serials s ", "from the newest id down, to the end of the page"),
    ("Index Only Scan Backward using certificates_20", "from the newest id down, to the end of the page"),
    ("Index Scan Backward using certificates_20", "from the newest id down, to the end of the page"),
    ("Index Scan using personal_data_keys_pkey", "a handful"),
    ("Seq Scan on roles ", "administrators, auditors and registrars are few"),
    ("Index Scan using gateways_pkey on gateways ", "every gateway is asked for at once"),
    ("Index Scan Backward using renewal_window_moves_pkey on renewal_window_moves m ", "a handful"),
    (
        "Index Scan using upstream_issuances_pkey on upstream_issuances u ",
        "what issuers elsewhere were asked for since the last time",
    ),
    ("Seq Scan on upstream_issuances u ", "what issuers elsewhere were asked for since the last time"),
    ("Index Scan using bulk_revocations_running on bulk_revocations r", "holds only what is under way"),
];
