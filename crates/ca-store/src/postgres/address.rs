//! Where a database is and how it is spoken to: `postgres://user:password@host:port/name?parameters`.
//!
//! A connection is direct, or goes through a pooler that gives each transaction any connection it has (PgBouncer in transaction
//! mode, RDS Proxy). Then nothing of a session may be relied on: every query is a transaction of its own, statements are not
//! kept prepared, and settings are made for each transaction.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::open::{Database, OpenError};

/// Where a database is. Holds a password, which nothing shows.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) connect: PgConnectOptions,
    pub(super) route: Route,
    /// The files that the address names, each with its parameter.
    files: Vec<(String, PathBuf)>,
}

/// What lies between this process and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Nothing that matters.
    Direct,
    /// A pooler that hands out connections for one transaction.
    Pooler,
}

impl PostgresOptions {
    /// Reads `postgres://…` or `postgresql://…`.
    ///
    /// Parameters are those of libpq that matter here (`sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `host`, `hostaddr`, `port`,
    /// `dbname`, `user`, `password`, `application_name`, `options`) and `pooler=transaction`. What the address leaves out comes
    /// from libpq's environment and password file. An unknown parameter is an error: it might be a misspelt `sslmode`.
    ///
    /// `sslmode` is `prefer` when absent, as everywhere; over a network it should be `verify-full` with `sslrootcert`, since
    /// anything less lets whoever sits between be the database. What `sslrootcert` names is trusted beside the CAs of the public
    /// web, which sqlx brings.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("postgres" | "postgresql")) {
            return Err(malformed("it does not begin with `postgres://`"));
        }
        let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut route = Route::Direct;
        let (mut kept, mut files) = (Vec::new(), Vec::new());
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "pooler" if value == "transaction" => route = Route::Pooler,
                "pooler" => return Err(malformed("`pooler` can only be `transaction`")),
                name if PARAMETERS.contains(&name) => {
                    kept.push(parameter);
                    // One that is written otherwise than it is named is left to whoever opens it.
                    if FILES.contains(&name) && !value.contains(['%', '+']) {
                        files.push((name.to_owned(), PathBuf::from(value)));
                    }
                }
                // Without its value: it might be a misspelt password.
                name => return Err(malformed(&format!("it has an unknown parameter `{name}`"))),
            }
        }
        let address = format!("{place}?{}", kept.join("&"));
        // What sqlx says of an address holds no part of it but the value of sslmode.
        let connect = PgConnectOptions::from_str(&address).map_err(|error| malformed(&error.to_string()))?;
        Ok(Self { connect: prepared(connect, route), route, files })
    }

    /// The same for connections that say a few statements over and over: each is planned once, for lists of any length. Left to
    /// itself the server plans anew for as long as the lists are short, which takes it twice as long as what is planned.
    pub(super) fn planning_once(&self) -> Self {
        let mut options = self.clone();
        // Through a pooler no plan is kept.
        if self.route == Route::Direct {
            options.connect = options.connect.options([("plan_cache_mode", "force_generic_plan")]);
        }
        options
    }

    /// Refuses an address that names a file which cannot be read: what is said of a connection that fails for it names no file.
    pub(super) fn check_files(&self) -> Result<(), OpenError> {
        for (parameter, path) in &self.files {
            if let Err(error) = std::fs::File::open(path) {
                return Err(malformed(&format!(
                    "`{parameter}` names {}, which cannot be read: {error}",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Which database, as errors name it.
    pub fn database(&self) -> Database {
        let connect = &self.connect;
        let name = connect.get_database().unwrap_or(connect.get_username()).to_owned();
        let address = match connect.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", connect.get_host(), connect.get_port()),
        };
        Database::Server { name, address }
    }

    /// Whether news can be listened for this way: not through a pooler, which gives each transaction another connection.
    pub fn can_listen(&self) -> bool {
        self.route == Route::Direct
    }

    /// Whether the server is on another machine and need not prove that it is the right one.
    pub(super) fn trusts_the_network(&self) -> bool {
        let host = self.connect.get_host();
        let is_local = self.connect.get_socket().is_some()
            || host.starts_with('/')
            || matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]");
        !is_local && !matches!(self.connect.get_ssl_mode(), PgSslMode::VerifyFull)
    }
}

/// Without the password, which the options of sqlx would show.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("database", &self.database())
            .field("user", &self.connect.get_username())
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}

impl FromStr for PostgresOptions {
    type Err = OpenError;

    fn from_str(url: &str) -> Result<Self, OpenError> {
        Self::parse(url)
    }
}

fn malformed(detail: &str) -> OpenError {
    OpenError::Address { detail: detail.to_owned() }
}

fn prepared(connect: PgConnectOptions, route: Route) -> PgConnectOptions {
    // Only poolers that know it let this one through, and nothing here is a floating-point number.
    let connect = connect.extra_float_digits(None);
    let connect = match connect.get_application_name() {
        Some(_) => connect,
        None => connect.application_name("cartorio-ca"),
    };
    match route {
        Route::Direct => connect.options(SETTINGS).statement_cache_capacity(256),
        Route::Pooler => connect.statement_cache_capacity(0),
    }
}

/// What is set for every transaction: with the connection where it is ours alone, else at the beginning of each.
pub(super) const SETTINGS: [(&str, &str); 9] = [
    ("statement_timeout", "10s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "15s"),
    // Every query looks rows up by an index, or walks one in the order it asks for. Without this a plan that was made and kept
    // when a table was empty reads through all of it when it has grown.
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    ("jit", "off"),
];

/// Longer than the server itself allows a statement: who waits longer waits for a server that is gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);

/// Parameters whose value is a file's path.
const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

const PARAMETERS: [&str; 12] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_by_nothing() {
        let secret = "hunter2";
        let options =
            PostgresOptions::parse(&format!("postgres://ca:{secret}@db.example.com:6432/record")).expect("parses");
        let shown = format!("{options:?} {} {:?}", options.database(), options.database());
        assert!(!shown.contains(secret), "{shown}");
        assert!(shown.contains("record") && shown.contains("db.example.com:6432"), "{shown}");
        for url in [
            format!("postgres://ca:{secret}@db.example.com:no/record"),
            format!("postgres://ca:x@h/record?pasword={secret}"),
            format!("mysql://ca:{secret}@h/record"),
            format!("postgres://ca:{secret}@[h/record"),
        ] {
            let error = PostgresOptions::parse(&url).expect_err("malformed");
            assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
        }
    }

    #[test]
    fn a_pooler_is_named_in_the_address() {
        let direct = PostgresOptions::parse("postgres://ca@h/record").expect("parses");
        assert_eq!(direct.route, Route::Direct);
        assert!(direct.connect.get_options().is_some_and(|options| options.contains("statement_timeout=10s")));
        let pooled =
            PostgresOptions::parse("postgres://ca@h/record?sslmode=disable&pooler=transaction").expect("parses");
        assert_eq!(pooled.route, Route::Pooler);
        assert_eq!(pooled.connect.get_options(), None, "a pooler refuses settings in the first message");
        assert!(PostgresOptions::parse("postgres://ca@h/record?pooler=session").is_err());
    }

    #[test]
    fn an_unproved_server_on_another_machine_is_noticed() {
        let trusts = |url| PostgresOptions::parse(url).expect("parses").trusts_the_network();
        assert!(trusts("postgres://ca@db.example.com/record"));
        assert!(trusts("postgres://ca@db.example.com/record?sslmode=require"));
        assert!(!trusts("postgres://ca@db.example.com/record?sslmode=verify-full"));
        assert!(!trusts("postgres://ca@localhost/record"));
        assert!(!trusts("postgres:///record?host=/run/postgresql"));
    }
}
