//! The PostgreSQL server that the cases of one test program share, and databases on it, empty or with our tables.

use std::ops::{Deref, DerefMut};

use ca_store::{PostgresOptions, PostgresStore};
use ca_test_services::PostgresServer;
use tokio::sync::OnceCell;

/// A running server.
pub(crate) struct Server {
    server: PostgresServer,
    template: OnceCell<String>,
}

/// The server that the cases of one test program share.
pub(crate) async fn shared() -> &'static Server {
    static SHARED: OnceCell<Server> = OnceCell::const_new();
    SHARED.get_or_init(|| async { Server::start() }).await
}

impl Server {
    /// A new server with an empty cluster.
    pub(crate) fn start() -> Self {
        Self { server: PostgresServer::start().expect("a server"), template: OnceCell::new() }
    }

    pub(crate) fn options(&self, database: &str) -> PostgresOptions {
        PostgresOptions::parse(&self.url(database)).expect("an address")
    }

    /// Runs SQL behind the store's back.
    pub(crate) fn run_sql(&self, database: &str, sql: &str) {
        self.server.run_sql(database, sql).expect("runs");
    }

    /// A new database without tables.
    pub(crate) fn empty_database(&self) -> String {
        self.server.empty_database().expect("a database")
    }

    /// A new database with our tables.
    pub(crate) async fn database(&self) -> String {
        let make_template = || async {
            let name = self.empty_database();
            PostgresStore::migrate(&self.options(&name)).await.expect("migrates");
            name
        };
        let template = self.template.get_or_init(make_template).await;
        let name = self.new_name();
        self.run_sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template}"));
        name
    }
}

impl Deref for Server {
    type Target = PostgresServer;

    fn deref(&self) -> &PostgresServer {
        &self.server
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut PostgresServer {
        &mut self.server
    }
}
