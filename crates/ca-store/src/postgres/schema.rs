//! Which version of the tables a database has, whether it can be relied on, and bringing it to ours.
//!
//! Migrations are embedded, append-only and remembered in the database with a digest each; `migrations/postgres/README.md` has
//! the rules. Every look here is one transaction, so that it works through a pooler.

use sqlx::migrate::{Migrate, MigrateError, Migration, Migrator};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use super::address::PostgresOptions;
use super::error::of_opening;
use super::pool::CONNECT_PATIENCE;
use crate::open::{Database, OpenError, OpenMode};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/postgres");

/// The version of the newest migration of this build.
pub(super) fn newest_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Refuses a database whose tables are not exactly those of this build, that loses what it has acknowledged, or in which the user
/// may not do what `mode` needs.
pub(super) async fn check(options: &PostgresOptions, mode: OpenMode) -> Result<(), OpenError> {
    let mut look = Look::begin(options, "BEGIN READ ONLY").await?;
    let found = look.version().await?;
    let known = newest_version();
    if found < known {
        return Err(OpenError::Older { found, known });
    }
    look.check_rights(mode).await?;
    if mode != OpenMode::ReadOnly {
        look.check_durability().await?;
    }
    look.end("COMMIT").await
}

/// Runs the migrations that the database has not seen, all or none; returns the versions before and after. Who comes at the same
/// time waits, and finds it done.
pub(super) async fn migrate(options: &PostgresOptions) -> Result<(i64, i64), OpenError> {
    let mut look = Look::begin(options, BEGIN_MIGRATING).await?;
    let known = newest_version();
    let found = look.migrate_to(known).await?;
    if found < known {
        tracing::info!(from = found, to = known, "database tables migrated");
    }
    look.end("COMMIT").await?;
    Ok((found, known))
}

/// Begins a transaction that makes tables. A migration takes as long as it takes; the wait for another's does not.
pub(super) const BEGIN_MIGRATING: &str = "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s';
     SELECT pg_advisory_xact_lock(1128350529, 0)";

/// A connection in a transaction, and the name of its database for errors.
pub(super) struct Look {
    pub(super) connection: PgConnection,
    pub(super) database: Database,
}

impl Look {
    pub(super) async fn begin(options: &PostgresOptions, sql: &'static str) -> Result<Self, OpenError> {
        let database = options.database();
        options.check_files()?;
        let connection = match timeout(CONNECT_PATIENCE, options.connect.connect()).await {
            Ok(connected) => connected.map_err(|error| of_opening(&database, error))?,
            Err(_) => return Err(OpenError::Unreachable { database, detail: "nobody answers there".to_owned() }),
        };
        let mut look = Self { connection, database };
        look.require_server()?;
        look.run(sql).await?;
        Ok(look)
    }

    pub(super) async fn end(mut self, sql: &'static str) -> Result<(), OpenError> {
        self.run(sql).await?;
        let Self { connection, database } = self;
        connection.close().await.map_err(|error| of_opening(&database, error))
    }

    pub(super) async fn run(&mut self, sql: &'static str) -> Result<(), OpenError> {
        let ran = sqlx::raw_sql(sql).execute(&mut self.connection).await;
        ran.map(|_| ()).map_err(|error| of_opening(&self.database, error))
    }

    fn require_server(&self) -> Result<(), OpenError> {
        match self.connection.server_version_num() {
            Some(version) if version < OLDEST_SERVER => {
                let detail = format!("PostgreSQL 15 or later is needed, this is {}", version / 10_000);
                Err(OpenError::Unreadable { database: self.database.clone(), detail })
            }
            _ => Ok(()),
        }
    }

    /// The first column of the rows of a query without parameters.
    pub(super) async fn texts(&mut self, sql: &'static str) -> Result<Vec<String>, OpenError> {
        let query = sqlx::query_scalar(sql).persistent(false);
        query.fetch_all(&mut self.connection).await.map_err(|error| of_opening(&self.database, error))
    }

    /// The version of the tables: 0 when there are none. Every migration that ran must be one of ours, unchanged.
    pub(super) async fn version(&mut self) -> Result<i64, OpenError> {
        // Tables of extensions are nobody's.
        const TABLES: &str = "SELECT relname::text FROM pg_class AS c
             WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT EXISTS
                 (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";
        const MARK: &str = "SELECT COALESCE(obj_description(to_regclass('counters'), 'pg_class'), '')";
        let tables = self.texts(TABLES).await?;
        if tables.is_empty() {
            return Ok(0);
        }
        let mark = self.texts(MARK).await?;
        if !tables.iter().any(|table| *table == *MIGRATOR.table_name) || mark != [OUR_MARK] {
            return Err(OpenError::Foreign { database: self.database.clone() });
        }
        let applied: Vec<(i64, Vec<u8>, bool)> =
            sqlx::query_as("SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version")
                .persistent(false)
                .fetch_all(&mut self.connection)
                .await
                .map_err(|error| of_opening(&self.database, error))?;
        newest_applied(&applied)
    }

    /// Runs the migrations up to a version that the database has not seen; returns the version that it had.
    pub(super) async fn migrate_to(&mut self, version: i64) -> Result<i64, OpenError> {
        let found = self.version().await?;
        if found >= version {
            return Ok(found);
        }
        let table = self.connection.ensure_migrations_table(&MIGRATOR.table_name).await;
        table.map_err(|error| self.of_migrating(found + 1, error))?;
        for migration in MIGRATOR.iter().filter(|migration| (found + 1..=version).contains(&migration.version)) {
            self.apply(migration).await?;
        }
        Ok(found)
    }

    async fn apply(&mut self, migration: &Migration) -> Result<(), OpenError> {
        let version = migration.version;
        let applied = async {
            sqlx::raw_sql(migration.sql.clone()).execute(&mut self.connection).await?;
            let remember = format!(
                "INSERT INTO {} (version, description, success, checksum, execution_time) VALUES ($1, $2, TRUE, $3, 0)",
                MIGRATOR.table_name
            );
            sqlx::query(AssertSqlSafe(remember))
                .persistent(false)
                .bind(version)
                .bind(&*migration.description)
                .bind(&*migration.checksum)
                .execute(&mut self.connection)
                .await
        };
        match applied.await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.of_migrating(version, error.into())),
        }
    }

    fn of_migrating(&self, version: i64, error: MigrateError) -> OpenError {
        let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
            return OpenError::Migration { version, detail: error.to_string() };
        };
        match of_opening(&self.database, error) {
            OpenError::Unreadable { detail, .. } => OpenError::Migration { version, detail },
            other => other,
        }
    }

    async fn check_rights(&mut self, mode: OpenMode) -> Result<(), OpenError> {
        const READING: &str = "SELECT relname || ' (SELECT)' FROM pg_class
             WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
                 AND NOT has_table_privilege(oid, 'SELECT') ORDER BY relname";
        const WRITING: &str = "SELECT relname || ' (' || privilege || ')' FROM pg_class,
                 UNNEST(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
             WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
                 AND (relname <> '_sqlx_migrations' OR privilege = 'SELECT')
                 AND (privilege <> 'DELETE' OR relname IN ('reservations', 'idempotency_keys', 'roles', 'outbox', 'deliveries',
                     'certificate_names', 'personal_data_keys'))
                 AND NOT has_table_privilege(oid, privilege)
             UNION ALL
             SELECT 'the database (TEMPORARY)' WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
             ORDER BY 1";
        let missing = self.texts(if mode == OpenMode::ReadOnly { READING } else { WRITING }).await?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(OpenError::Rights { database: self.database.clone(), detail: missing.join(", ") })
    }

    async fn check_durability(&mut self) -> Result<(), OpenError> {
        const SETTINGS: &str = "SELECT name || ' = off' FROM pg_settings
             WHERE name IN ('fsync', 'synchronous_commit') AND setting = 'off' ORDER BY name";
        let off = self.texts(SETTINGS).await?;
        if off.is_empty() {
            return Ok(());
        }
        Err(OpenError::NotDurable { database: self.database.clone(), detail: off.join(", ") })
    }
}

fn newest_applied(applied: &[(i64, Vec<u8>, bool)]) -> Result<i64, OpenError> {
    let mut newest = 0;
    for (version, checksum, is_finished) in applied {
        match MIGRATOR.iter().find(|ours| ours.version == *version) {
            None => {
                let found = applied.iter().map(|(version, _, _)| *version).max().unwrap_or(*version);
                return Err(OpenError::Newer { found, known: newest_version() });
            }
            Some(ours) if *ours.checksum != **checksum => return Err(OpenError::Changed { version: *version }),
            Some(_) if !is_finished => return Err(OpenError::Unfinished { version: *version }),
            Some(_) => newest = newest.max(*version),
        }
    }
    Ok(newest)
}

/// What the first migration writes beside the table `counters`.
const OUR_MARK: &str = "record of a certificate authority";

/// As `server_version_num` gives it.
const OLDEST_SERVER: u32 = 150_000;
