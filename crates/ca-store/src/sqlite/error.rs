//! What went wrong, in the words of the port: SQLite's result codes become [`StoreError`]s, and what keeps a file from being
//! opened becomes an [`OpenError`].
//!
//! Outcomes that a caller must tell apart (a serial that is taken) are looked at before they happen, in the same transaction;
//! a constraint that still fails is the last guard and becomes a conflict.

use std::path::Path;

use ca_engine::port::store::StoreError;
use sqlx::error::ErrorKind;

use crate::open::{Database, OpenError};

/// What went wrong when the file at `path` was connected to or its tables were looked at.
pub(super) fn of_connecting(path: &Path, error: sqlx::Error) -> OpenError {
    let database = Database::file(path);
    match result_code(&error) {
        _ if is_full(&error) => OpenError::Full { database, detail: error.to_string() },
        Some(NOT_A_DATABASE) => OpenError::Foreign { database },
        Some(CORRUPT) => OpenError::Damaged { database, detail: error.to_string() },
        _ => OpenError::Unreadable { database, detail: error.to_string() },
    }
}

/// A [`StoreError`] on its way out of this adapter: what `?` turns SQLite's errors into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure(StoreError);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let detail = error.to_string();
        Self(match (result_code(&error), &error) {
            _ if is_full(&error) => StoreError::Full { detail },
            (Some(CONSTRAINT), sqlx::Error::Database(database)) => {
                if database.is_unique_violation() || database.is_foreign_key_violation() {
                    StoreError::Conflict { detail }
                } else {
                    StoreError::Inconsistent { detail }
                }
            }
            (Some(CORRUPT | NOT_A_DATABASE | MISMATCH), _) => StoreError::Inconsistent { detail },
            (
                None,
                sqlx::Error::RowNotFound
                | sqlx::Error::ColumnNotFound(_)
                | sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Decode(_)
                | sqlx::Error::TypeNotFound { .. },
            ) => StoreError::Inconsistent { detail },
            _ => StoreError::Unavailable { detail },
        })
    }
}

/// What a failed COMMIT means: whether it is on the disk is not known when the disk itself failed or the thread that was told
/// to commit died; otherwise nothing was changed.
pub(super) fn of_commit(error: sqlx::Error) -> StoreError {
    match result_code(&error) {
        Some(IO) | None => StoreError::Unknown { detail: error.to_string() },
        _ => Failure::from(error).into(),
    }
}

/// Whether a statement was refused because `column` (`table.column`) must not be NULL: how a guard stops a string of
/// statements.
pub(super) fn is_null_in(error: &sqlx::Error, column: &str) -> bool {
    // SQLite: "NOT NULL constraint failed: table.column".
    error.as_database_error().is_some_and(|database| {
        matches!(database.kind(), ErrorKind::NotNullViolation) && database.message().ends_with(column)
    })
}

/// Whether the disk has no room. SQLite says so of the file and its log; of the index beside them, which it makes at the first
/// use, it says that it could not be enlarged.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    extended_result_code(error).is_some_and(|code| code & 0xff == FULL || code == IO_SHM_SIZE)
}

/// The primary result code of SQLite (<https://www.sqlite.org/rescode.html>), where the error came from it: the low octet of the
/// extended one.
fn result_code(error: &sqlx::Error) -> Option<u32> {
    extended_result_code(error).map(|code| code & 0xff)
}

/// The extended result code, which sqlx gives.
fn extended_result_code(error: &sqlx::Error) -> Option<u32> {
    let sqlx::Error::Database(database) = error else { return None };
    database.code()?.parse().ok()
}

const IO: u32 = 10;
/// `SQLITE_IOERR_SHMSIZE`
const IO_SHM_SIZE: u32 = 10 | (19 << 8);
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CONSTRAINT: u32 = 19;
const MISMATCH: u32 = 20;
const NOT_A_DATABASE: u32 = 26;
