//! A PgBouncer of the tests' own before a server of theirs, in transaction mode: every transaction gets any of a few connections.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ca_store::PostgresOptions;
use tempfile::TempDir;

use crate::server::{PASSWORD, Server, as_owner};

/// Where Debian's package `pgbouncer` puts the program.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// A running pooler.
pub(crate) struct Pooler {
    folder: TempDir,
    /// The shell that ends the pooler when its input ends.
    keeper: Child,
}

impl Pooler {
    pub(crate) async fn start(server: &Server) -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "the tests need PgBouncer, and {PROGRAM} is not there: apt-get install pgbouncer"
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().display().to_string();
        let users = format!("\"ca\" \"{PASSWORD}\"\n");
        std::fs::write(folder.path().join("users"), users).expect("written");
        // Two connections for each database: fewer than the store has, so that they go from hand to hand.
        let configuration = format!(
            "[databases]\n* = host={server}\n[pgbouncer]\nlisten_port = 6432\nunix_socket_dir = {path}\n\
             auth_type = plain\nauth_file = {path}/users\npool_mode = transaction\ndefault_pool_size = 2\n\
             max_client_conn = 2000\nlogfile = {path}/log\npidfile = {path}/pid\n",
            server = server.folder.path().display()
        );
        std::fs::write(folder.path().join("pgbouncer.ini"), configuration).expect("written");
        if let Some((user, group)) = server.owner {
            chown(folder.path(), Some(user), Some(group)).expect("the folder is handed over");
        }
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
        const KEEPER: &str = r#""$1" -q "$2/pgbouncer.ini" & read -r how; kill -INT $!; kill -TERM $!; wait $!"#;
        let mut command = as_owner(Command::new("/bin/sh"), server.owner);
        command.args(["-c", KEEPER, "sh", PROGRAM]).arg(folder.path()).stdin(Stdio::piped());
        let keeper = command.spawn().expect("a shell starts");
        let pooler = Self { folder, keeper };
        let socket = pooler.folder.path().join(".s.PGSQL.6432");
        for _ in 0..200 {
            if socket.exists() {
                return pooler;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(pooler.folder.path().join("log")).unwrap_or_default();
        panic!("the pooler does not answer:\n{log}");
    }

    /// The way to a database through the pooler.
    pub(crate) fn options(&self, database: &str) -> PostgresOptions {
        let folder = self.folder.path().display();
        let url = format!("postgres://ca:{PASSWORD}@localhost:6432/{database}?host={folder}&pooler=transaction");
        PostgresOptions::parse(&url).expect("an address")
    }

    /// The same, by somebody who forgot to say that there is a pooler.
    pub(crate) fn options_unaware(&self, database: &str) -> PostgresOptions {
        let folder = self.folder.path().display();
        let url = format!("postgres://ca:{PASSWORD}@localhost:6432/{database}?host={folder}");
        PostgresOptions::parse(&url).expect("an address")
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ended = self.keeper.wait();
    }
}
