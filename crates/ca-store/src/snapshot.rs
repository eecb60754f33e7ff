//! A whole record as a stream: what a backup is made of and a restoration reads. Where the stream goes, and how it is protected,
//! is the caller's business.
//!
//! A record in SQLite travels as one database file, one in PostgreSQL as the rows of its tables in `COPY … (FORMAT binary)`. Each
//! is one instant of the record, made while others work on it, and goes back into a database of its own kind only.

use std::io;

use thiserror::Error;

use crate::open::OpenError;

/// What a snapshot begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// Which kind of database it is from.
    pub kind: SnapshotKind,
    /// The version of its tables.
    pub schema_version: i64,
    /// Months (`2027_03`) that certificates are spread over; of PostgreSQL only.
    pub months: Vec<String>,
}

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl SnapshotKind {
    /// The name in files and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// A piece of a snapshot, in the order of the stream: the header, then for each table its name and its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotPart {
    /// What it begins with.
    Header(SnapshotHeader),
    /// The octets that follow, up to the next table, are those of this one.
    Table {
        /// Its name; `ca.db` for a whole file.
        name: String,
        /// Its columns, in the order of the octets; none for a whole file.
        columns: Vec<String>,
    },
    /// Some octets of the table.
    Octets(Vec<u8>),
}

/// Takes a snapshot as it is made.
pub trait SnapshotSink: Send {
    /// Takes the next part. After an error the snapshot is given up.
    fn put(&mut self, part: SnapshotPart) -> io::Result<()>;
}

/// Gives a snapshot as it was made.
pub trait SnapshotSource: Send {
    /// The next part; `None` at the end, when all of it was given.
    fn next(&mut self) -> io::Result<Option<SnapshotPart>>;
}

/// Why a snapshot was not made, or not loaded; then nothing is left of it in the database.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The database.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// Where the stream goes to or comes from.
    #[error("{0}")]
    Stream(#[from] io::Error),
    /// There is something already where the record is to be loaded into.
    #[error(
        "{database} is not empty: a backup is restored into an empty database only, so that nothing is lost; {advice}; \
         if a restoration was cut off here, `ca-server restore --reconcile` goes on with it"
    )]
    NotEmpty {
        /// Which database.
        database: crate::open::Database,
        /// What would be right.
        advice: &'static str,
    },
    /// A backup of the other kind of database.
    #[error("the backup is of a record in {found}, and the configuration names one in {configured} (`database.url`)")]
    OtherKind {
        /// What it is from.
        found: &'static str,
        /// What it was to be loaded into.
        configured: &'static str,
    },
    /// Made by a newer version.
    #[error(
        "the backup was made by a newer version of this service (its tables have version {found}, this build knows {known}): \
         install that version or a later one"
    )]
    Newer {
        /// The version of its tables.
        found: i64,
        /// The newest version this build knows.
        known: i64,
    },
    /// The stream is none that a snapshot gives.
    #[error("the backup does not hold what a record needs: {detail}")]
    Malformed {
        /// What is wrong.
        detail: String,
    },
}

/// The header, which must be the first part and of this kind.
pub(crate) fn header(
    source: &mut dyn SnapshotSource,
    kind: SnapshotKind,
    known: i64,
) -> Result<SnapshotHeader, SnapshotError> {
    let Some(SnapshotPart::Header(header)) = source.next()? else {
        return Err(malformed("it does not begin with a header"));
    };
    if header.kind != kind {
        return Err(SnapshotError::OtherKind { found: header.kind.as_str(), configured: kind.as_str() });
    }
    if header.schema_version > known {
        return Err(SnapshotError::Newer { found: header.schema_version, known });
    }
    Ok(header)
}

pub(crate) fn malformed(detail: impl Into<String>) -> SnapshotError {
    SnapshotError::Malformed { detail: detail.into() }
}
