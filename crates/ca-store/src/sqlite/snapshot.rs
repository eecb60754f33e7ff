//! A record in SQLite as one file: made by `VACUUM INTO` while a server writes, loaded whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sqlx::{Connection, SqliteConnection};

use super::SqliteStore;
use super::error::of_connecting;
use super::{pool, schema};
use crate::open::{Database, OpenError};
use crate::snapshot::{
    SnapshotError, SnapshotHeader, SnapshotKind, SnapshotPart, SnapshotSink, SnapshotSource, header, malformed,
};

/// The name of the one table of such a snapshot.
const FILE: &str = "ca.db";

/// How many octets are handed over at a time.
const PIECE: usize = 1 << 20;

impl SqliteStore {
    /// Gives the record at `path` as it stands to `sink`. Servers may be at work on it; they are not kept waiting. A copy of the
    /// file lies beside it meanwhile (mode 0600), so the disk needs room for it.
    pub async fn dump(path: &Path, sink: &mut dyn SnapshotSink) -> Result<(), SnapshotError> {
        let mut connection = pool::connect_snapshot(path).await?;
        schema::check(&mut connection, path).await?;
        let copy = Temporary::beside(path)?;
        let name = copy.0.to_str().ok_or_else(|| malformed("the path of the database is not UTF-8"))?.to_owned();
        let vacuum = sqlx::query("VACUUM INTO $1").bind(name).execute(&mut connection).await;
        vacuum.map_err(|error| of_connecting(path, error))?;
        connection.close().await.map_err(|error| of_connecting(path, error))?;
        let schema_version = schema::newest_version();
        sink.put(SnapshotPart::Header(SnapshotHeader {
            kind: SnapshotKind::Sqlite,
            schema_version,
            months: Vec::new(),
        }))?;
        sink.put(SnapshotPart::Table { name: FILE.to_owned(), columns: Vec::new() })?;
        let file = File::open(&copy.0)?;
        loop {
            let mut octets = Vec::with_capacity(PIECE);
            if (&file).take(PIECE as u64).read_to_end(&mut octets)? == 0 {
                return Ok(());
            }
            sink.put(SnapshotPart::Octets(octets))?;
        }
    }

    /// Loads a snapshot into a new file at `path`, brings its tables to the version of this build, and sets a value of the record:
    /// the file appears with all of that done, or not at all.
    pub async fn load(
        path: &Path,
        source: &mut dyn SnapshotSource,
        setting: (&str, &[u8]),
    ) -> Result<(), SnapshotError> {
        Self::check_empty(path)?;
        let header = header(source, SnapshotKind::Sqlite, schema::newest_version())?;
        match source.next()? {
            Some(SnapshotPart::Table { name, .. }) if name == FILE => {}
            _ => return Err(malformed("the file of the database is missing")),
        }
        let copy = Temporary::beside(path)?;
        let mut file = OpenOptions::new().write(true).open(&copy.0)?;
        while let Some(part) = source.next()? {
            let SnapshotPart::Octets(octets) = part else { return Err(malformed("something follows the file")) };
            file.write_all(&octets)?;
        }
        file.sync_all()?;
        drop(file);
        // An empty file would become an empty record.
        if schema::version_of(&copy.0).await? != header.schema_version {
            return Err(malformed("its file has tables of another version than it says"));
        }
        schema::migrate(&copy.0).await?;
        let mut connection = pool::connect_writer(&copy.0).await?;
        prepare(&mut connection, setting).await.map_err(|error| of_connecting(&copy.0, error))??;
        // Folds the log into the file, which is then all there is.
        connection.close().await.map_err(|error| of_connecting(&copy.0, error))?;
        File::open(&copy.0)?.sync_all()?;
        fs::hard_link(&copy.0, path)?;
        Ok(File::open(folder_of(path))?.sync_all()?)
    }

    /// Refuses where there is a database, or what is left of one.
    pub fn check_empty(path: &Path) -> Result<(), SnapshotError> {
        let log = PathBuf::from(format!("{}-wal", path.display()));
        for path in [path, &log] {
            if path.symlink_metadata().is_ok() {
                let advice = "move the old file away, with its -wal and -shm";
                return Err(SnapshotError::NotEmpty { database: Database::file(path), advice });
            }
        }
        Ok(())
    }
}

async fn prepare(
    connection: &mut SqliteConnection,
    (name, value): (&str, &[u8]),
) -> Result<Result<(), SnapshotError>, sqlx::Error> {
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut *connection).await?;
    if verdict != "ok" {
        return Ok(Err(malformed(format!("SQLite finds the file damaged ({verdict})"))));
    }
    sqlx::query(
        "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(&mut *connection)
    .await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await?;
    Ok(Ok(()))
}

/// A file beside the database that is removed when it is dropped, with what SQLite lays beside it.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(path: &Path) -> Result<Self, SnapshotError> {
        let temporary = Self(folder_of(path).join(format!(".new-snapshot-{}", std::process::id())));
        let mut options = OpenOptions::new();
        let made = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary.0);
        made.and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
            .map_err(|error| OpenError::Create { database: Database::file(&temporary.0), detail: error.to_string() })?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            // What was never there cannot be removed.
            let _absent = fs::remove_file(format!("{}{suffix}", self.0.display()));
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
