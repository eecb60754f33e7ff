//! A PostgreSQL server of the tests' own: in a temporary folder, behind a socket, with fsync, gone with the process that
//! started it.
//!
//! PostgreSQL refuses to run as root: then it runs as the user `postgres` that its package makes.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ca_store::{PostgresOptions, PostgresStore};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// Where Debian's package `postgresql-15` puts the programs.
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

/// A running server, and the folder it lives in.
pub(crate) struct Server {
    pub(crate) folder: TempDir,
    /// User and group that it runs as, unless they are ours.
    pub(crate) owner: Option<(u32, u32)>,
    /// The shell that ends the server when its input ends.
    keeper: Option<Child>,
    databases: AtomicU64,
    template: OnceCell<String>,
}

/// The server that the cases of one test program share.
pub(crate) async fn shared() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(Server::start).await
}

impl Server {
    /// A new server with an empty cluster. Its superuser is `ca`.
    pub(crate) async fn start() -> Self {
        let initdb = Path::new(PROGRAMS).join("initdb");
        assert!(
            initdb.exists(),
            "the tests need PostgreSQL 15, and {} is not there: apt-get install postgresql-15",
            initdb.display()
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let owner = unprivileged();
        if let Some((user, group)) = owner {
            chown(folder.path(), Some(user), Some(group)).expect("the folder is handed over");
        }
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
        let password = folder.path().join("password");
        let mut file = std::fs::File::create(&password).expect("a file");
        file.write_all(PASSWORD.as_bytes()).expect("written");
        let mut command = as_owner(Command::new(initdb), owner);
        command.args(["--username=ca", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--pwfile"]);
        let made = command.arg(&password).arg("-D").arg(folder.path().join("data")).output().expect("initdb starts");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { folder, owner, keeper: None, databases: AtomicU64::new(0), template: OnceCell::new() };
        server.run().await;
        server
    }

    /// Starts the server, and waits until it answers.
    pub(crate) async fn run(&mut self) {
        // Ends with this process however that ends: the pipe to its input does.
        const KEEPER: &str = r#"
            "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=400 -c fsync=on \
                -c shared_buffers=128MB -c max_wal_size=2GB -c deadlock_timeout=200ms >>"$2/log" 2>&1 &
            echo $! >"$2/pid"
            read -r how
            kill -"${how:-INT}" $!
            wait $!
            [ -n "$how" ] || rm -rf "$2""#;
        let mut command = as_owner(Command::new("/bin/sh"), self.owner);
        command.args(["-c", KEEPER, "sh", PROGRAMS]).arg(self.folder.path()).stdin(Stdio::piped());
        // So that an interrupt from the keyboard does not end the keeper before the server.
        self.keeper = Some(command.process_group(0).spawn().expect("a shell starts"));
        for _ in 0..600 {
            if self.try_connect("postgres").await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("the server does not answer:\n{log}");
    }

    /// Ends the server by a signal, `KILL` or `QUIT`, and waits until it is gone.
    pub(crate) fn end(&mut self, signal: &str) {
        let Some(mut keeper) = self.keeper.take() else { return };
        // KILL leaves the server's children to notice that it is gone, as a crash does.
        let mut input = keeper.stdin.take().expect("piped");
        input.write_all(format!("{signal}\n").as_bytes()).expect("told");
        keeper.wait().expect("ended");
        // As after a crash of the machine: nobody is left who could refuse the next start.
        let _gone = std::fs::remove_file(self.folder.path().join("data/postmaster.pid"));
    }

    /// The address of a database, for the superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        self.url_of("ca", PASSWORD, database)
    }

    /// The address of a database, for a user.
    pub(crate) fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@localhost/{database}?host={}", self.folder.path().display())
    }

    pub(crate) fn options(&self, database: &str) -> PostgresOptions {
        PostgresOptions::parse(&self.url(database)).expect("an address")
    }

    async fn try_connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options: sqlx::postgres::PgConnectOptions = self.url(database).parse().expect("an address");
        options.connect().await
    }

    /// A connection of the tests' own.
    pub(crate) async fn connect(&self, database: &str) -> PgConnection {
        self.try_connect(database).await.expect("connects")
    }

    /// Runs SQL behind the store's back.
    pub(crate) async fn run_sql(&self, database: &str, sql: &str) {
        let mut connection = self.connect(database).await;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("runs");
        connection.close().await.expect("closes");
    }

    /// A name for a new database.
    fn new_name(&self) -> String {
        format!("case_{}", self.databases.fetch_add(1, Ordering::SeqCst))
    }

    /// A new database without tables.
    pub(crate) async fn empty_database(&self) -> String {
        let name = self.new_name();
        self.run_sql("postgres", &format!("CREATE DATABASE {name}")).await;
        name
    }

    /// A new database with our tables.
    pub(crate) async fn database(&self) -> String {
        let make_template = || async {
            let name = self.empty_database().await;
            PostgresStore::migrate(&self.options(&name)).await.expect("migrates");
            name
        };
        let template = self.template.get_or_init(make_template).await;
        let name = self.new_name();
        self.run_sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        name
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end("INT");
    }
}

/// Of the superuser.
pub(crate) const PASSWORD: &str = "a-password-of-the-tests";

/// User and group that the server runs as, unless it can run as ours.
fn unprivileged() -> Option<(u32, u32)> {
    let id = |flag: &str, of: &[&str]| {
        let output = Command::new("id").arg(flag).args(of).output().expect("id starts");
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    if id("-u", &[]) != Some(0) {
        return None;
    }
    let user = id("-u", &["postgres"]).expect("a user `postgres`, which the package postgresql-15 makes");
    let group = id("-g", &["postgres"]).expect("a group `postgres`, which the package postgresql-15 makes");
    Some((user, group))
}

/// The command, run by that user and group.
pub(crate) fn as_owner(mut command: Command, owner: Option<(u32, u32)>) -> Command {
    if let Some((user, group)) = owner {
        command.uid(user).gid(group);
    }
    // Where it was started from may be a folder that the user must not enter.
    command.current_dir("/");
    command
}
