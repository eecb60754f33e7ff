//! The contract of the store port, kept by PostgreSQL, and kept without reading through large tables.
//!
//! As in `contract.rs`; the server is the tests' own.

mod filters;
mod server;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use ca_engine::fake::contract::store::{StoreUnderTest, check_store};
use ca_engine::port::store::Store;
use ca_store::{OpenMode, PostgresOptions, PostgresStore};
use sqlx::{AssertSqlSafe, PgConnection};
use statements::Statements;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract_of_the_store_port_and_walks_indexes_only() {
    let statements = Statements::write_down();
    check_store(make).await;

    let server = server::shared().await;
    let database = server.database().await;
    let store = PostgresStore::open(&server.options(&database), OpenMode::Create).await.expect("opens");
    filters::list_by_everything(&store).await;
    store.close().await;
    let seen = statements.seen();
    for part in ["INTO serials", "DELETE FROM reservations", "INTO revocations", "FROM blocked_keys", "FROM leases"] {
        assert!(seen.iter().any(|statement| statement.contains(part)), "no statement was seen with {part}");
    }
    let scans = scans(&mut server.connect(&database).await, &seen).await;
    assert!(
        scans.is_empty(),
        "{} of {} statements read through a table:\n{}",
        scans.len(),
        seen.len(),
        scans.join("\n")
    );
}

async fn make() -> StoreUnderTest {
    let server = server::shared().await;
    let database = server.database().await;
    let options = server.options(&database);
    let store: Arc<dyn Store> = Arc::new(open(&options).await);
    StoreUnderTest {
        store,
        another: Arc::new(move || {
            let options = options.clone();
            Box::pin(async move { Arc::new(open(&options).await) as Arc<dyn Store> })
        }),
        pass_time: Arc::new(|lifetime| Box::pin(tokio::time::sleep(Duration::from_secs(lifetime.seconds())))),
    }
}

async fn open(options: &PostgresOptions) -> PostgresStore {
    PostgresStore::open(options, OpenMode::ReadWrite).await.expect("opens")
}

/// The plans that read through a table, without leave. Plans are asked for as the store's own connections make them.
async fn scans(connection: &mut PgConnection, statements: &[String]) -> Vec<String> {
    let settings = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off;
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
        let steps = plan.iter().map(|step| step.trim_start_matches([' ', '-', '>']));
        scans.extend(
            steps
                .filter(|step| is_scan(step) && !LEAVE.iter().any(|(leave, _)| step.starts_with(leave)))
                .map(|step| format!("{step}\n    in: {statement}")),
        );
    }
    scans
}

fn is_scan(step: &str) -> bool {
    step.starts_with("Seq Scan") || step.starts_with("Parallel Seq Scan")
}

/// What may be read from one end to the other, and why.
const LEAVE: &[(&str, &str)] = &[
    ("Seq Scan on pg_class", "a few hundred rows, once at start"),
    ("Seq Scan on pg_depend", "once at start"),
    ("Seq Scan on roles ", "administrators, auditors and registrars are few"),
];
