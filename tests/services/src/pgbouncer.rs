//! PgBouncer in transaction mode: every transaction gets any of a few connections.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::keeper::{Keeper, Owner, need, wait_until};
use crate::postgres::{PASSWORD, PostgresServer, USER, run_sql_at};

/// Where Debian's package `pgbouncer` puts the program.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// A pooler before a server. Dropping it ends it.
pub struct PgBouncer {
    // Before the folder, so that the pooler is gone when the folder goes.
    keeper: Option<Keeper>,
    folder: TempDir,
    owner: Owner,
    connections: u32,
}

impl PgBouncer {
    /// A pooler that has at most `connections` connections to each database of a server.
    pub fn start(server: &PostgresServer, connections: u32) -> anyhow::Result<Self> {
        need(Path::new(PROGRAM), "pgbouncer")?;
        let owner = server.owner();
        let folder = owner.folder(&std::env::temp_dir())?;
        fs::write(folder.path().join("users"), format!("\"{USER}\" \"{PASSWORD}\"\n")).context("the users")?;
        let mut pooler = Self { keeper: None, folder, owner, connections };
        pooler.configure(server)?;
        pooler.run()?;
        Ok(pooler)
    }

    /// Starts it, after [`Self::kill`], and waits until it listens.
    pub fn run(&mut self) -> anyhow::Result<()> {
        // What a killed one left.
        for left in [self.socket(), self.folder.path().join("pid")] {
            let _absent = fs::remove_file(left);
        }
        let file = self.configuration();
        let file = file.to_str().context("the path of a temporary folder is not UTF-8")?;
        self.keeper = Some(Keeper::start(self.folder.path(), self.owner, Path::new(PROGRAM), &["-q", file])?);
        let socket = self.socket();
        wait_until(&self.folder.path().join("log"), || socket.exists())
    }

    /// Ends it at once, and every connection with it.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.keeper.take().map_or(Ok(()), |keeper| keeper.end("KILL"))
    }

    /// Sends every database to another server from now on, as an operator does: by its configuration and `RELOAD`.
    pub fn point_at(&self, server: &PostgresServer) -> anyhow::Result<()> {
        self.configure(server)?;
        let said = run_sql_at(&self.url("pgbouncer"), "RELOAD")?;
        ensure!(said.trim().is_empty() || said.trim() == "RELOAD", "RELOAD: {said}");
        Ok(())
    }

    fn configure(&self, server: &PostgresServer) -> anyhow::Result<()> {
        let path = self.folder.path().display();
        // `server_login_retry`: how long nobody is let to a server after it was not there.
        let text = format!(
            "[databases]\n* = host={server}\n[pgbouncer]\nlisten_port = {PORT}\nunix_socket_dir = {path}\n\
             auth_type = plain\nauth_file = {path}/users\nadmin_users = {USER}\npool_mode = transaction\n\
             default_pool_size = {connections}\nmax_client_conn = 2000\nserver_login_retry = 1\n\
             logfile = {path}/pgbouncer.log\npidfile = {path}/pid\n",
            server = server.socket().display(),
            connections = self.connections,
        );
        fs::write(self.configuration(), text).context("the configuration")
    }

    /// The way to a database through the pooler, as somebody writes it who does not know of it; `&pooler=transaction` tells.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@localhost:{PORT}/{database}?host={}", self.folder.path().display())
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("pgbouncer.ini")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{PORT}"))
    }
}

/// The number in the name of its socket.
const PORT: u16 = 6432;
