//! PostgreSQL 15, with fsync.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::keeper::{Keeper, Owner, need, wait_until};

/// The superuser of every server.
pub const USER: &str = "ca";

/// Its password.
pub const PASSWORD: &str = "a-password-of-the-tests";

/// Where Debian's package `postgresql-15` puts the programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// What every server is started with; the socket in its folder is the only way in.
const SETTINGS: [&str; 14] = [
    "-c",
    "listen_addresses=",
    "-c",
    "max_connections=400",
    "-c",
    "fsync=on",
    "-c",
    "shared_buffers=128MB",
    "-c",
    "max_wal_size=2GB",
    "-c",
    "deadlock_timeout=200ms",
    "-c",
    "wal_level=replica",
];

/// A server with a cluster of its own. Dropping it ends it and removes the cluster.
pub struct PostgresServer {
    // Before the folder, so that the server is gone when the folder goes.
    keeper: Option<Keeper>,
    folder: TempDir,
    owner: Owner,
    databases: AtomicU64,
}

impl PostgresServer {
    /// A new server with an empty cluster.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_in(&std::env::temp_dir())
    }

    /// A new server whose cluster lies in a folder of its own below `parent`: where there is room for much.
    pub fn start_in(parent: &Path) -> anyhow::Result<Self> {
        need(&program("initdb"), "postgresql-15")?;
        let owner = Owner::find()?;
        let folder = owner.folder(parent)?;
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).context("the password cannot be written")?;
        let made = owner
            .command(program("initdb"))
            .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--username", USER, "--pwfile"])
            .arg(&password)
            .arg("-D")
            .arg(folder.path().join("data"))
            .output()
            .context("initdb cannot be started")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { keeper: None, folder, owner, databases: AtomicU64::new(0) };
        server.run()?;
        Ok(server)
    }

    /// Starts the server, after [`Self::end`], and waits until it answers.
    pub fn run(&mut self) -> anyhow::Result<()> {
        let (data, socket) = (self.path("data"), self.socket().to_owned());
        let (data, socket) = (text(&data)?, text(&socket)?);
        let arguments: Vec<&str> = ["-D", data, "-k", socket].into_iter().chain(SETTINGS).collect();
        self.keeper = Some(Keeper::start(self.socket(), self.owner, &program("postgres"), &arguments)?);
        wait_until(&self.path("log"), || self.run_sql("postgres", "SELECT 1").is_ok())
    }

    /// Ends the server by a signal: `KILL` and `QUIT` as a crash does, `INT` in order. The cluster stays.
    pub fn end(&mut self, signal: &str) -> anyhow::Result<()> {
        let Some(keeper) = self.keeper.take() else { return Ok(()) };
        keeper.end(signal)?;
        // As after a crash of the machine: nobody is left who could refuse the next start.
        let _gone = fs::remove_file(self.path("data/postmaster.pid"));
        Ok(())
    }

    /// The folder of its socket.
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// The address of a database, for the superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_of(USER, PASSWORD, database)
    }

    /// The address of a database, for another user.
    pub fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@localhost/{database}?host={}", self.socket().display())
    }

    /// Runs SQL as the superuser, by `psql`, and gives what it prints: a row a line, columns apart by `|`.
    pub fn run_sql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let ran = self
            .owner
            .command(program("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database, "-c", sql, "-h"])
            .arg(self.socket())
            .env("PGPASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .output()
            .context("psql cannot be started")?;
        ensure!(ran.status.success(), "psql: {}", String::from_utf8_lossy(&ran.stderr).trim());
        Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
    }

    /// A dump of a database as SQL, by `pg_dump`.
    pub fn dump(&self, database: &str) -> anyhow::Result<Vec<u8>> {
        let dumped = self
            .owner
            .command(program("pg_dump"))
            .args(["-U", USER, "-d", database, "-h"])
            .arg(self.socket())
            .env("PGPASSWORD", PASSWORD)
            .output()
            .context("pg_dump cannot be started")?;
        ensure!(dumped.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dumped.stderr).trim());
        Ok(dumped.stdout)
    }

    /// A name that no database of this server has.
    pub fn new_name(&self) -> String {
        format!("case_{}", self.databases.fetch_add(1, Ordering::SeqCst))
    }

    /// A new database without tables.
    pub fn empty_database(&self) -> anyhow::Result<String> {
        let name = self.new_name();
        self.run_sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(name)
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn program(name: &str) -> PathBuf {
    Path::new(PROGRAMS).join(name)
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the path of a temporary folder is not UTF-8")
}
