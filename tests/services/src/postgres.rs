//! PostgreSQL 15, with fsync.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
    /// What it is started with beside [`SETTINGS`].
    settings: Vec<String>,
    environment: Vec<(String, String)>,
}

impl PostgresServer {
    /// A new server with an empty cluster.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_in(&std::env::temp_dir())
    }

    /// A new server that runs with these variables of the environment.
    pub fn start_with(environment: Vec<(String, String)>) -> anyhow::Result<Self> {
        let mut server = Self::made_in(&std::env::temp_dir())?;
        server.environment = environment;
        server.run()?;
        Ok(server)
    }

    /// Ends the server in order, and starts it with other variables.
    pub fn restart_with(&mut self, environment: Vec<(String, String)>) -> anyhow::Result<()> {
        self.end("INT")?;
        self.environment = environment;
        self.run()
    }

    /// A new server whose cluster lies in a folder of its own below `parent`: where there is room for much.
    pub fn start_in(parent: &Path) -> anyhow::Result<Self> {
        let mut server = Self::made_in(parent)?;
        server.run()?;
        Ok(server)
    }

    fn made_in(parent: &Path) -> anyhow::Result<Self> {
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
        let databases = AtomicU64::new(0);
        Ok(Self { keeper: None, folder, owner, databases, settings: Vec::new(), environment: Vec::new() })
    }

    /// Lets clients in on a port of the loopback interface, by TLS alone, and shows them a certificate (PEM, the leaf first) with
    /// its key. Restarts the server.
    pub fn serve_tls(&mut self, port: u16, certificate: &str, key: &str) -> anyhow::Result<()> {
        let (certificate_file, key_file) = (self.path("server.crt"), self.path("server.key"));
        fs::write(&certificate_file, certificate).context("the certificate")?;
        fs::write(&key_file, key).context("the key")?;
        // The server refuses a key that others may read.
        fs::set_permissions(&key_file, PermissionsExt::from_mode(0o600)).context("permissions")?;
        self.owner.hand_over(&key_file)?;
        let rules = "local all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(self.path("data/pg_hba.conf"), rules).context("who may connect")?;
        self.settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", certificate_file.display()),
            format!("ssl_key_file={}", key_file.display()),
        ];
        self.end("INT")?;
        self.run()
    }

    /// Starts the server, after [`Self::end`], and waits until it answers.
    pub fn run(&mut self) -> anyhow::Result<()> {
        let (data, socket) = (self.path("data"), self.socket().to_owned());
        let (data, socket) = (text(&data)?, text(&socket)?);
        let more = self.settings.iter().flat_map(|setting| ["-c", setting]);
        let arguments: Vec<&str> = ["-D", data, "-k", socket].into_iter().chain(SETTINGS).chain(more).collect();
        let server = program("postgres");
        self.keeper = Some(Keeper::start_in(&self.environment, self.socket(), self.owner, &server, &arguments)?);
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

    /// A hot standby that streams from this server, made from a copy of its cluster. It goes on when this server ends.
    pub fn standby(&self) -> anyhow::Result<Self> {
        let folder = self.owner.folder(self.socket().parent().context("a folder has a parent")?)?;
        let copied = self
            .owner
            .command(program("pg_basebackup"))
            .args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "-U", USER, "-D"])
            .arg(folder.path().join("data"))
            .arg("-h")
            .arg(self.socket())
            .env("PGPASSWORD", PASSWORD)
            .output()
            .context("pg_basebackup cannot be started")?;
        ensure!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        // Names of databases that come later differ from those that were copied.
        let databases = AtomicU64::new(self.databases.load(Ordering::SeqCst) + 1_000);
        let (settings, environment) = (Vec::new(), Vec::new());
        let mut standby = Self { keeper: None, folder, owner: self.owner, databases, settings, environment };
        standby.run()?;
        Ok(standby)
    }

    /// Lets no change count before its standby has it: sets `synchronous_standby_names`, and waits until the standby streams as a
    /// synchronous one.
    pub fn wait_for_standby(&self) -> anyhow::Result<()> {
        self.run_sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'walreceiver'")?;
        self.run_sql("postgres", "SELECT pg_reload_conf()")?;
        wait_until(&self.path("log"), || self.has_synchronous_standby())
    }

    /// Whether a standby streams without whose word no change counts.
    pub fn has_synchronous_standby(&self) -> bool {
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'";
        self.run_sql("postgres", sql).is_ok_and(|count| count.trim() == "1")
    }

    /// Ends every connection of clients, as an administrator or a machine in between does, and gives how many there were.
    pub fn cut_connections(&self) -> anyhow::Result<u32> {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        self.run_sql("postgres", sql)?.trim().parse().context("not a count")
    }

    /// Makes a standby the primary, and waits until it is.
    pub fn promote(&self) -> anyhow::Result<()> {
        let promoted = self.run_sql("postgres", "SELECT pg_promote()")?;
        ensure!(promoted.trim() == "t", "it was not promoted: {promoted}");
        Ok(())
    }

    /// Lets every process of the server stand still, as a machine does that hangs: it accepts connections and says nothing.
    pub fn stand_still(&self) -> anyhow::Result<()> {
        self.signal("STOP")
    }

    /// Ends [`Self::stand_still`].
    pub fn go_on(&self) -> anyhow::Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let file = fs::read_to_string(self.path("data/postmaster.pid")).context("the server does not run")?;
        let postmaster = file.lines().next().context("an empty postmaster.pid")?.to_owned();
        // The parent first, so that no child comes to be that is not stopped.
        send_signal(signal, std::slice::from_ref(&postmaster))?;
        let children = Command::new("pgrep").args(["-P", &postmaster]).output().context("pgrep cannot be started")?;
        let children: Vec<String> =
            String::from_utf8_lossy(&children.stdout).split_whitespace().map(str::to_owned).collect();
        send_signal(signal, &children)
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
            .env("PGPORT", self.port())
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

    /// The number in the name of its socket.
    fn port(&self) -> &str {
        self.settings.iter().find_map(|setting| setting.strip_prefix("port=")).unwrap_or("5432")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Runs SQL at an address, by `psql`, and gives what it prints, as [`PostgresServer::run_sql`] does.
pub fn run_sql_at(url: &str, sql: &str) -> anyhow::Result<String> {
    let ran = Command::new(program("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, "-d", url])
        .stdin(Stdio::null())
        .output()
        .context("psql cannot be started")?;
    ensure!(ran.status.success(), "psql: {}", String::from_utf8_lossy(&ran.stderr).trim());
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}

fn send_signal(signal: &str, processes: &[String]) -> anyhow::Result<()> {
    // One that has just ended is no loss; the server itself is asked for by whoever waits for its silence.
    let _sent = Command::new("kill").args(["-s", signal]).args(processes).output().context("kill cannot be started")?;
    Ok(())
}

fn program(name: &str) -> PathBuf {
    Path::new(PROGRAMS).join(name)
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the path of a temporary folder is not UTF-8")
}
