//! Which version of the tables a file has, and bringing it to ours.
//!
//! Migrations are embedded, append-only and remembered in the file with a digest each; `migrations/sqlite/README.md` has the
//! rules.

use std::path::Path;

use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};
use sqlx::{Connection, SqliteConnection};

use super::error::{is_full, of_connecting};
use super::pool;
use crate::open::{Database, OpenError};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// The version of the newest migration of this build.
pub(super) fn newest_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Refuses a file whose tables are not exactly those of this build.
pub(super) async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let found = version(connection, path).await?;
    let known = newest_version();
    if found < known {
        return Err(OpenError::Older { found, known });
    }
    Ok(())
}

/// The version of the tables of a file; 0 when there are none.
pub(super) async fn version_of(path: &Path) -> Result<i64, OpenError> {
    let mut connection = pool::connect_writer(path).await?;
    let found = version(&mut connection, path).await?;
    connection.close().await.map_err(|error| of_connecting(path, error))?;
    Ok(found)
}

/// Runs the migrations that the file has not seen; returns the versions before and after.
pub(super) async fn migrate(path: &Path) -> Result<(i64, i64), OpenError> {
    let mut connection = pool::connect_writer(path).await?;
    let found = version(&mut connection, path).await?;
    let known = newest_version();
    if found < known {
        MIGRATOR.run_direct(None, &mut connection, false).await.map_err(|error| of_migrating(path, error))?;
        tracing::info!(from = found, to = known, "database tables migrated");
    }
    connection.close().await.map_err(|error| of_connecting(path, error))?;
    Ok((found, known))
}

/// The version of the tables: 0 when there are none. Every migration that ran must be one of ours, unchanged.
async fn version(connection: &mut SqliteConnection, path: &Path) -> Result<i64, OpenError> {
    let unreadable = |error| of_connecting(path, error);
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await
        .map_err(unreadable)?;
    if tables.is_empty() {
        return Ok(0);
    }
    if !tables.iter().any(|table| *table == *MIGRATOR.table_name) {
        return Err(OpenError::Foreign { database: Database::file(path) });
    }
    let applied =
        connection.list_applied_migrations(&MIGRATOR.table_name).await.map_err(|error| of_migrating(path, error))?;
    let application: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await.map_err(unreadable)?;
    if !applied.is_empty() && application != APPLICATION_ID {
        return Err(OpenError::Foreign { database: Database::file(path) });
    }
    let unfinished = connection.dirty_version(&MIGRATOR.table_name).await.map_err(|error| of_migrating(path, error))?;
    match unfinished {
        Some(version) => Err(OpenError::Unfinished { version }),
        None => check_applied(&applied),
    }
}

fn check_applied(applied: &[AppliedMigration]) -> Result<i64, OpenError> {
    let mut newest = 0;
    for migration in applied {
        match MIGRATOR.iter().find(|ours| ours.version == migration.version) {
            None => {
                let found = applied.iter().map(|migration| migration.version).max().unwrap_or(migration.version);
                return Err(OpenError::Newer { found, known: newest_version() });
            }
            Some(ours) if ours.checksum != migration.checksum => {
                return Err(OpenError::Changed { version: migration.version });
            }
            Some(_) => newest = newest.max(migration.version),
        }
    }
    Ok(newest)
}

fn of_migrating(path: &Path, error: MigrateError) -> OpenError {
    match error {
        MigrateError::Dirty(version) => OpenError::Unfinished { version },
        MigrateError::VersionMismatch(version) => OpenError::Changed { version },
        MigrateError::ExecuteMigration(error, _) if is_full(&error) => of_connecting(path, error),
        MigrateError::ExecuteMigration(error, version) => OpenError::Migration { version, detail: error.to_string() },
        MigrateError::Execute(error) => of_connecting(path, error),
        other => OpenError::Unreadable { database: Database::file(path), detail: other.to_string() },
    }
}

/// What the first migration sets as `application_id`.
const APPLICATION_ID: i64 = 0x4361_4341;
