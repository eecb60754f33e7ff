//! The databases behind the engine's [`Store`](ca_engine::port::store::Store) port, and the only SQL of the service.
//!
//! [`SqliteStore`] is the embedded default: one file, one writer, commits shared by concurrent callers. [`PostgresStore`] is
//! one database for many replicas. Both turn columns into values in one place, `row`, and keep encrypted what is personal data, by `personal_data`. Nothing here decides: whether a
//! certificate may be issued, renewed or revoked is the flows' business.
#![warn(missing_docs)]

mod inconsistency;
mod open;
mod personal_data;
mod postgres;
mod row;
mod snapshot;
mod sqlite;

pub use open::{Database, OpenError, OpenMode};
pub use postgres::{PostgresHints, PostgresOptions, PostgresStore};
pub use snapshot::{SnapshotError, SnapshotHeader, SnapshotKind, SnapshotPart, SnapshotSink, SnapshotSource};
pub use sqlite::SqliteStore;
