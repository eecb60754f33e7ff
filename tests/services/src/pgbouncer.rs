//! PgBouncer in transaction mode: every transaction gets any of a few connections.

use std::fs;
use std::path::Path;

use anyhow::Context;
use tempfile::TempDir;

use crate::keeper::{Keeper, need, wait_until};
use crate::postgres::{PASSWORD, PostgresServer, USER};

/// Where Debian's package `pgbouncer` puts the program.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// A pooler before a server. Dropping it ends it.
pub struct PgBouncer {
    // Before the folder, so that the pooler is gone when the folder goes.
    _keeper: Keeper,
    folder: TempDir,
}

impl PgBouncer {
    /// A pooler that has at most `connections` connections to each database of a server.
    pub fn start(server: &PostgresServer, connections: u32) -> anyhow::Result<Self> {
        need(Path::new(PROGRAM), "pgbouncer")?;
        let folder = server.owner().folder(&std::env::temp_dir())?;
        let path = folder.path().display().to_string();
        fs::write(folder.path().join("users"), format!("\"{USER}\" \"{PASSWORD}\"\n")).context("the users")?;
        let configuration = format!(
            "[databases]\n* = host={server}\n[pgbouncer]\nlisten_port = {PORT}\nunix_socket_dir = {path}\n\
             auth_type = plain\nauth_file = {path}/users\npool_mode = transaction\ndefault_pool_size = {connections}\n\
             max_client_conn = 2000\nlogfile = {path}/pgbouncer.log\npidfile = {path}/pid\n",
            server = server.socket().display()
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, configuration).context("the configuration")?;
        let file = file.to_str().context("the path of a temporary folder is not UTF-8")?;
        let keeper = Keeper::start(folder.path(), server.owner(), Path::new(PROGRAM), &["-q", file])?;
        let socket = folder.path().join(format!(".s.PGSQL.{PORT}"));
        wait_until(&folder.path().join("log"), || socket.exists())?;
        Ok(Self { _keeper: keeper, folder })
    }

    /// The way to a database through the pooler, as somebody writes it who does not know of it; `&pooler=transaction` tells.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@localhost:{PORT}/{database}?host={}", self.folder.path().display())
    }
}

/// The number in the name of its socket.
const PORT: u16 = 6432;
