//! Opening a record: how, and why it can fail. The same words for every database.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// How a record is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Makes what is missing (the file; the tables), and brings tables to the version of this build.
    Create,
    /// The database must be there, with tables of exactly this build's version.
    ReadWrite,
    /// As `ReadWrite`, but every change is refused with `StoreError::ReadOnly`.
    ReadOnly,
}

/// Which database, as errors name it: never with credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// An SQLite file.
    File(PathBuf),
    /// A database of a PostgreSQL server.
    Server {
        /// Its name.
        name: String,
        /// Host and port, or the path of a socket.
        address: String,
    },
}

impl Database {
    pub(crate) fn file(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server { name, address } => write!(f, "`{name}` at {address}"),
        }
    }
}

/// Why a record cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The address of the database makes no sense.
    #[error("`database.url` cannot be used: {detail}")]
    Address {
        /// What is wrong with it, without credentials.
        detail: String,
    },
    /// The file could not be made.
    #[error("the database {database} cannot be made: {detail}")]
    Create {
        /// Which database.
        database: Database,
        /// What the system said.
        detail: String,
    },
    /// The disk has no room for the file or what SQLite lays beside it.
    #[error("there is no room on the disk of the database {database} ({detail}); make room there")]
    Full {
        /// Which database.
        database: Database,
        /// What the system or SQLite said.
        detail: String,
    },
    /// There is no such database.
    #[error("there is no database {database}; {}", how_made(database))]
    Missing {
        /// Which database.
        database: Database,
    },
    /// Nobody answers at its address; a retry may help.
    #[error("the database {database} cannot be reached: {detail}")]
    Unreachable {
        /// Which database.
        database: Database,
        /// What went wrong.
        detail: String,
    },
    /// The server is not known to be the right one, or cannot be asked for a proof.
    #[error(
        "the server of the database {database} does not prove that it is the right one ({detail}): `sslrootcert` in \
         `database.url` names the CA that issued its certificate, and the host must be a name in that certificate"
    )]
    Unproved {
        /// Which database.
        database: Database,
        /// What is wrong with its certificate, or that it has none.
        detail: String,
    },
    /// The server does not let this user in.
    #[error(
        "the database {database} refuses the connection ({detail}); look at user, password and `sslmode` in `database.url`"
    )]
    Refused {
        /// Which database.
        database: Database,
        /// What the server said.
        detail: String,
    },
    /// The user lacks rights that the service needs.
    #[error("the user of the database {database} lacks rights: {detail}; see migrations/postgres/README.md")]
    Rights {
        /// Which database.
        database: Database,
        /// Which rights, or what the server said.
        detail: String,
    },
    /// The database would lose what it has acknowledged.
    #[error("the database {database} does not keep what it acknowledges: {detail}")]
    NotDurable {
        /// Which database.
        database: Database,
        /// Which setting is to be changed.
        detail: String,
    },
    /// The database cannot be read or locked.
    #[error("the database {database} cannot be opened: {detail}")]
    Unreadable {
        /// Which database.
        database: Database,
        /// What the system or the database said.
        detail: String,
    },
    /// No database of this service: another program's, or no database at all.
    #[error("{database} is not a database of this service; name the right one in `database.url`")]
    Foreign {
        /// Which database.
        database: Database,
    },
    /// The file is an SQLite database that lost octets.
    #[error("the database {database} is damaged ({detail}); restore it from a backup")]
    Damaged {
        /// Which database.
        database: Database,
        /// What SQLite said.
        detail: String,
    },
    /// The database has tables that this build does not know.
    #[error(
        "the database was made by a newer version of this service (its tables have version {found}, this build knows \
         {known}): install that version or a later one"
    )]
    Newer {
        /// The version in the database.
        found: i64,
        /// The newest version this build knows.
        known: i64,
    },
    /// The database lacks tables that this build needs.
    #[error("{}", how_brought_up_to_date(*found, *known))]
    Older {
        /// The version in the database; 0 when it has no tables.
        found: i64,
        /// The version this build needs.
        known: i64,
    },
    /// A migration that ran on the database is not the one of this build.
    #[error(
        "migration {version} was changed after it ran on this database: this build is not from a release, or the database \
         was changed"
    )]
    Changed {
        /// The version of the migration.
        version: i64,
    },
    /// A migration was begun by something that does not do all of it or nothing.
    #[error(
        "migration {version} was begun and not finished on this database, and not by this service: restore the database from \
         a backup"
    )]
    Unfinished {
        /// The version of the migration.
        version: i64,
    },
    /// A migration failed; the tables are as before it.
    #[error("migration {version} failed, the tables are as before it: {detail}")]
    Migration {
        /// The version of the migration.
        version: i64,
        /// What the database said.
        detail: String,
    },
}

/// What to do about tables that are too old, or not there at all.
fn how_brought_up_to_date(found: i64, known: i64) -> String {
    match found {
        0 => "the database has no tables yet; `ca-server init` makes them".to_owned(),
        _ => format!(
            "the tables of the database have version {found}, this build needs {known}: run `ca-server migrate`"
        ),
    }
}

/// How a database that is missing comes to be.
fn how_made(database: &Database) -> &'static str {
    match database {
        Database::File(_) => "`ca-server init` makes one",
        Database::Server { .. } => "make it on the server, empty",
    }
}
