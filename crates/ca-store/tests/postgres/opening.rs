//! Which databases are opened, and what is said of the others.

use ca_engine::port::store::{AuditStore, CertificateStore, Store, StoreError};
use ca_store::{Database, OpenError, OpenMode, PostgresOptions, PostgresStore};

use super::fixture::{another, issue, reservation, store};
use super::server;

async fn refusal(options: &PostgresOptions, mode: OpenMode) -> OpenError {
    match PostgresStore::open(options, mode).await {
        Err(error) => {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("a-password-of-the-tests") && !shown.contains("wrong"), "{shown}");
            error
        }
        Ok(_) => panic!("must be refused"),
    }
}

fn named(options: &PostgresOptions) -> Database {
    options.database()
}

#[tokio::test]
async fn what_was_written_is_found_again_in_every_mode() {
    let (store, database) = store().await;
    let issued = issue(&store, 1).await.expect("issued");
    store.close().await;
    let options = server::shared().await.options(&database);
    for mode in [OpenMode::Create, OpenMode::ReadWrite, OpenMode::ReadOnly] {
        let store = PostgresStore::open(&options, mode).await.expect("opens");
        assert_eq!(store.certificate(issued.id).await, Ok(Some(issued.clone())), "{mode:?}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_read_only_store_reads_beside_a_writer_and_refuses_changes() {
    let (writer, database) = store().await;
    let options = server::shared().await.options(&database);
    let reader = PostgresStore::open(&options, OpenMode::ReadOnly).await.expect("opens");
    let issued = issue(&writer, 1).await.expect("issued");
    assert_eq!(reader.certificate(issued.id).await, Ok(Some(issued)));
    assert_eq!(reader.pending_events(10).await.expect("events").len(), 1);
    let refused = reader.reserve(reservation(2)).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_closed_store_refuses_changes() {
    let (store, _) = store().await;
    issue(&store, 1).await.expect("issued");
    store.close().await;
    assert!(matches!(store.reserve(reservation(2)).await, Err(StoreError::Unavailable { .. })));
    assert!(matches!(store.database_time().await, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_repeated() {
    let server = server::shared().await;
    let database = server.database().await;
    let options = PostgresOptions::parse(&server.url_of("ca", "wrong", &database)).expect("an address");
    let refused = refusal(&options, OpenMode::ReadWrite).await;
    assert!(matches!(&refused, OpenError::Refused { database, .. } if *database == named(&options)), "{refused}");
    let options = PostgresOptions::parse(&server.url_of("nobody", "wrong", &database)).expect("an address");
    assert!(matches!(refusal(&options, OpenMode::ReadWrite).await, OpenError::Refused { .. }));
}

#[tokio::test]
async fn a_missing_database_is_told_in_every_mode() {
    let options = server::shared().await.options("no_such_database");
    for mode in [OpenMode::Create, OpenMode::ReadWrite, OpenMode::ReadOnly] {
        assert_eq!(refusal(&options, mode).await, OpenError::Missing { database: named(&options) });
    }
}

#[tokio::test]
async fn a_server_that_nobody_runs_is_unreachable() {
    let options = PostgresOptions::parse("postgres://ca@localhost/ca?host=/no-such-folder").expect("an address");
    let refused = refusal(&options, OpenMode::ReadWrite).await;
    assert!(matches!(refused, OpenError::Unreachable { .. }), "{refused}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let server = server::shared().await;
    let database = server.database().await;
    server.run_sql(
        &database,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of the future', TRUE, '\\x00', 0)",
    );
    let known = PostgresStore::schema_version();
    let options = server.options(&database);
    for mode in [OpenMode::Create, OpenMode::ReadWrite, OpenMode::ReadOnly] {
        assert_eq!(refusal(&options, mode).await, OpenError::Newer { found: 9999, known }, "{mode:?}");
    }
    assert_eq!(PostgresStore::migrate(&options).await, Err(OpenError::Newer { found: 9999, known }));
}

#[tokio::test]
async fn an_empty_database_waits_for_its_migration() {
    let server = server::shared().await;
    let database = server.empty_database();
    let options = server.options(&database);
    let known = PostgresStore::schema_version();
    assert_eq!(refusal(&options, OpenMode::ReadWrite).await, OpenError::Older { found: 0, known });
    assert_eq!(PostgresStore::migrate(&options).await, Ok((0, known)));
    assert_eq!(PostgresStore::migrate(&options).await, Ok((known, known)), "twice is harmless");
    issue(&*another(&database).await, 1).await.expect("issued");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_together_on_an_empty_database_do_not_collide() {
    let server = server::shared().await;
    let database = server.empty_database();
    let mut replicas = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let options = server.options(&database);
        replicas.spawn(async move { PostgresStore::open(&options, OpenMode::Create).await.map(|_| ()) });
    }
    for opened in replicas.join_all().await {
        assert_eq!(opened, Ok(()));
    }
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_ran_is_refused() {
    let server = server::shared().await;
    let database = server.database().await;
    server.run_sql(&database, "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1");
    let options = server.options(&database);
    assert_eq!(refusal(&options, OpenMode::ReadWrite).await, OpenError::Changed { version: 1 });
    assert_eq!(refusal(&options, OpenMode::Create).await, OpenError::Changed { version: 1 });
}

#[tokio::test]
async fn databases_of_others_are_left_alone() {
    let server = server::shared().await;
    let database = server.empty_database();
    server.run_sql(&database, "CREATE TABLE accounts (balance BIGINT)");
    let options = server.options(&database);
    for mode in [OpenMode::Create, OpenMode::ReadWrite] {
        assert_eq!(refusal(&options, mode).await, OpenError::Foreign { database: named(&options) });
    }
    assert_eq!(PostgresStore::migrate(&options).await, Err(OpenError::Foreign { database: named(&options) }));
}

#[tokio::test]
async fn missing_rights_are_named() {
    let server = server::shared().await;
    let database = server.database().await;
    let user = format!("user_of_{database}");
    server.run_sql(&database, &format!("CREATE ROLE {user} LOGIN PASSWORD 'of its own'"));
    let options = PostgresOptions::parse(&server.url_of(&user, "of%20its%20own", &database)).expect("an address");
    assert!(matches!(refusal(&options, OpenMode::ReadWrite).await, OpenError::Rights { .. }));
    server.run_sql(&database, &format!("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {user}"));
    match refusal(&options, OpenMode::ReadWrite).await {
        OpenError::Rights { detail, .. } => assert!(detail.contains("reservations (DELETE)"), "{detail}"),
        other => panic!("rights are missing: {other}"),
    }
    PostgresStore::open(&options, OpenMode::ReadOnly).await.expect("reading needs no more");
    server.run_sql(&database, &format!("GRANT DELETE ON ALL TABLES IN SCHEMA public TO {user}"));
    server.run_sql(&database, &format!("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"));
    match refusal(&options, OpenMode::ReadWrite).await {
        OpenError::Rights { detail, .. } => assert_eq!(detail, "the database (TEMPORARY)"),
        other => panic!("a right is missing: {other}"),
    }
    server.run_sql(&database, &format!("GRANT TEMPORARY ON DATABASE {database} TO {user}"));
    // A service with a role of its own issues, in months that it has no right to make tables for.
    let store = PostgresStore::open(&options, OpenMode::ReadWrite).await.expect("opens");
    issue(&store, 1).await.expect("issued");
}

#[tokio::test]
async fn a_database_that_forgets_what_it_acknowledged_is_refused() {
    let server = server::shared().await;
    let database = server.database().await;
    server.run_sql("postgres", &format!("ALTER DATABASE {database} SET synchronous_commit = off"));
    let options = server.options(&database);
    let refused = refusal(&options, OpenMode::ReadWrite).await;
    assert!(matches!(refused, OpenError::NotDurable { .. }), "{refused}");
    PostgresStore::open(&options, OpenMode::ReadOnly).await.expect("who only reads does not mind");
}

#[tokio::test]
async fn the_database_itself_keeps_what_must_not_go() {
    use sqlx::{AssertSqlSafe, Connection};
    let (store, database) = store().await;
    issue(&store, 1).await.expect("issued");
    let mut connection = super::fixture::connect(&database).await;
    for sql in [
        "DELETE FROM serials",
        "TRUNCATE serials",
        "DELETE FROM revocations",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE audit_events SET canonical = '\\x00'",
        "UPDATE audit_events SET subject = ''",
    ] {
        let refused = sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await;
        assert!(refused.is_err(), "{sql}");
    }
    connection.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_without_a_session_of_its_own() {
    let server = server::shared().await;
    let database = server.database().await;
    let url = format!("{}&pooler=transaction", server.url(&database));
    let options = PostgresOptions::parse(&url).expect("an address");
    let store = PostgresStore::open(&options, OpenMode::Create).await.expect("opens");
    for number in 0..20 {
        let issued = issue(&store, number).await.expect("issued");
        assert_eq!(store.certificate(issued.id).await, Ok(Some(issued)));
    }
    store.close().await;
    // Nothing was left prepared: a pooler would give it to somebody else.
    let store = PostgresStore::open(&options, OpenMode::ReadWrite).await.expect("opens again");
    store.database_time().await.expect("answers");
}
