//! Which files are opened, and how.

use std::os::unix::fs::PermissionsExt;

use ca_engine::port::store::{Access, AuditStore, CertificateStore, Store, StoreError};

use super::fixture::{Folder, issue, reservation, tamper};
use crate::{Database, OpenError, OpenMode, SqliteStore};

async fn refusal(folder: &Folder, mode: OpenMode) -> OpenError {
    match SqliteStore::open(&folder.database(), mode).await {
        Err(error) => error,
        Ok(_) => panic!("must be refused"),
    }
}

#[tokio::test]
async fn a_new_database_and_its_log_can_be_read_by_their_owner_only() {
    let folder = Folder::new();
    let store = folder.store().await;
    issue(&store, 1).await.expect("issued");
    for suffix in ["", "-wal", "-shm"] {
        let mut path = folder.database().into_os_string();
        path.push(suffix);
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path:?}");
    }
}

#[tokio::test]
async fn what_was_written_is_found_again_in_every_mode() {
    let folder = Folder::new();
    let store = folder.store().await;
    let issued = issue(&store, 1).await.expect("issued");
    store.close().await;
    for mode in [OpenMode::Create, OpenMode::ReadWrite, OpenMode::ReadOnly] {
        let store = SqliteStore::open(&folder.database(), mode).await.expect("opens");
        assert_eq!(store.certificate(issued.id).await, Ok(Some(issued.clone())), "{mode:?}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_read_only_store_reads_beside_a_writer_and_refuses_changes() {
    let folder = Folder::new();
    let writer = folder.store().await;
    let reader = SqliteStore::open(&folder.database(), OpenMode::ReadOnly).await.expect("opens");
    let issued = issue(&writer, 1).await.expect("issued");
    assert_eq!(reader.certificate(issued.id).await, Ok(Some(issued)));
    assert_eq!(reader.pending_events(10).await.expect("events").len(), 1);
    let refused = reader.reserve(reservation(2)).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly { .. })), "{refused:?}");
    assert_eq!(reader.access().await, Ok(Access::ReadOnly));
    assert_eq!(writer.access().await, Ok(Access::ReadWrite));
}

#[tokio::test]
async fn a_missing_file_is_made_only_when_asked() {
    let folder = Folder::new();
    for mode in [OpenMode::ReadWrite, OpenMode::ReadOnly] {
        assert_eq!(refusal(&folder, mode).await, OpenError::Missing { database: Database::file(&folder.database()) });
    }
    assert!(!folder.database().exists());
    folder.store().await.database_time().await.expect("answers");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told() {
    let folder = Folder::new();
    let path = folder.database().join("ca.db");
    let refused = SqliteStore::open(&path, OpenMode::Create).await.err();
    assert!(matches!(&refused, Some(OpenError::Create { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let folder = Folder::new();
    folder.store().await.close().await;
    tamper(
        &folder,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'of the future', TRUE, x'00', 0)",
    )
    .await;
    let known = SqliteStore::schema_version();
    for mode in [OpenMode::Create, OpenMode::ReadWrite, OpenMode::ReadOnly] {
        let refused = refusal(&folder, mode).await;
        assert_eq!(refused, OpenError::Newer { found: 9999, known }, "{mode:?}");
        assert!(refused.to_string().contains("newer version"), "{refused}");
    }
    assert_eq!(SqliteStore::migrate(&folder.database()).await, Err(OpenError::Newer { found: 9999, known }));
}

#[tokio::test]
async fn a_database_without_our_tables_waits_for_its_migration() {
    let folder = Folder::new();
    std::fs::write(folder.database(), b"").expect("an empty file is an empty database");
    let known = SqliteStore::schema_version();
    assert_eq!(refusal(&folder, OpenMode::ReadWrite).await, OpenError::Older { found: 0, known });
    assert_eq!(SqliteStore::migrate(&folder.database()).await, Ok((0, known)));
    assert_eq!(SqliteStore::migrate(&folder.database()).await, Ok((known, known)), "twice is harmless");
    let store = SqliteStore::open(&folder.database(), OpenMode::ReadWrite).await.expect("opens");
    issue(&store, 1).await.expect("issued");
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_ran_is_refused() {
    let folder = Folder::new();
    folder.store().await.close().await;
    tamper(&folder, "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1").await;
    assert_eq!(refusal(&folder, OpenMode::ReadWrite).await, OpenError::Changed { version: 1 });
    assert_eq!(refusal(&folder, OpenMode::Create).await, OpenError::Changed { version: 1 });
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    let folder = Folder::new();
    let foreign = OpenError::Foreign { database: Database::file(&folder.database()) };
    std::fs::write(
        folder.database(),
        b"certainly no database, but long enough to have a header of 100 octets ".repeat(9),
    )
    .expect("written");
    assert_eq!(refusal(&folder, OpenMode::Create).await, foreign);
    std::fs::remove_file(folder.database()).expect("removed");
    std::fs::write(folder.database(), b"").expect("written");
    tamper(&folder, "CREATE TABLE accounts (balance INTEGER)").await;
    assert_eq!(refusal(&folder, OpenMode::Create).await, foreign);
    assert_eq!(SqliteStore::migrate(&folder.database()).await, Err(foreign));
}
