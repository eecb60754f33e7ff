//! Where the services of the tests have their record: each in its folder, or in PostgreSQL, when the whole suite is run once more
//! with that.

use std::sync::OnceLock;

use anyhow::{Context, bail};
use ca_test_services::PostgresServer;

/// Says where, by `postgres` or `embedded`, which is the default.
const VARIABLE: &str = "CA_E2E_RECORD";

/// The address of a new, empty database on the server that all share; `None` when records are embedded.
pub fn new_database() -> anyhow::Result<Option<String>> {
    #[expect(clippy::disallowed_methods, reason = "how a suite is run is the environment's business; read here alone")]
    let chosen = std::env::var(VARIABLE);
    match chosen.as_deref() {
        Err(_) | Ok("embedded") => Ok(None),
        Ok("postgres") => {
            let server = server()?;
            Ok(Some(server.url(&server.empty_database()?)))
        }
        Ok(other) => bail!("{VARIABLE} is `postgres` or `embedded`, not `{other}`"),
    }
}

/// A dump of all tables of a database that [`new_database`] made.
pub fn dump(url: &str) -> anyhow::Result<Vec<u8>> {
    let database = url.split('?').next().and_then(|place| place.rsplit('/').next());
    server()?.dump(database.context("the address names no database")?)
}

/// The server, started when it is first needed; it ends with this process.
pub fn server() -> anyhow::Result<&'static PostgresServer> {
    static SERVER: OnceLock<Result<PostgresServer, String>> = OnceLock::new();
    let started = SERVER.get_or_init(|| PostgresServer::start().map_err(|error| format!("{error:#}")));
    started.as_ref().map_err(|error| anyhow::anyhow!("{error}")).context("PostgreSQL does not start")
}
