//! A record in PostgreSQL as the rows of its tables: read in one transaction that sees one instant, loaded in one transaction.
//!
//! Tables and columns are what the catalogue says, so that a migration that adds some needs nothing here. Rows travel as
//! `COPY … (FORMAT binary)` gives them. Both work through a pooler: each is one transaction.

use futures::StreamExt;
use sqlx::AssertSqlSafe;

use super::PostgresStore;
use super::address::PostgresOptions;
use super::error::of_opening;
use super::schema::{self, Look};
use crate::open::OpenError;
use crate::snapshot::{
    SnapshotError, SnapshotHeader, SnapshotKind, SnapshotPart, SnapshotSink, SnapshotSource, header, malformed,
};

/// Every time limit off, for this transaction alone: copying takes as long as it takes, and plans for one row at a time are not
/// made for whole tables.
const UNLIMITED: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
     SET LOCAL enable_seqscan = on";

/// Begins anew, at the instant that is copied. The lock comes before the first look, which fixes the instant: a month that retention
/// replaces after it would be there without a row, since its new table was filled later. So retention waits for the copy.
const INSTANT: &str = "COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
     LOCK TABLE ONLY certificates, ONLY certificate_names IN ACCESS SHARE MODE";

/// The tables of the record, those before the others that these refer to.
const TABLES: &str = "
    WITH RECURSIVE ours AS (
        SELECT c.oid, c.relname::text AS name FROM pg_class AS c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND c.relname <> '_sqlx_migrations'
    ), place (oid, depth) AS (
        SELECT oid, 0 FROM ours
        UNION ALL
        SELECT k.conrelid, p.depth + 1 FROM place AS p JOIN pg_constraint AS k
            ON k.confrelid = p.oid AND k.contype = 'f' AND k.conrelid <> k.confrelid WHERE p.depth < 10
    )
    SELECT o.name FROM ours AS o JOIN place AS p ON p.oid = o.oid GROUP BY o.name ORDER BY MAX(p.depth), o.name";

const COLUMNS: &str = "SELECT attname::text FROM pg_attribute
     WHERE attrelid = to_regclass(quote_ident($1)) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum";

const MONTHS: &str = "SELECT right(c.relname::text, 7) FROM pg_class AS c JOIN pg_inherits AS i ON i.inhrelid = c.oid
     WHERE i.inhparent = to_regclass('certificates') ORDER BY 1";

impl PostgresStore {
    /// Gives the record as it stands to `sink`. Servers may be at work on it; they are not kept waiting.
    pub async fn dump(options: &PostgresOptions, sink: &mut dyn SnapshotSink) -> Result<(), SnapshotError> {
        let mut look = Look::begin(options, "BEGIN READ ONLY").await?;
        let (found, known) = (look.version().await?, schema::newest_version());
        if found < known {
            return Err(OpenError::Older { found, known }.into());
        }
        look.run(INSTANT).await?;
        look.run(UNLIMITED).await?;
        let months = look.texts(MONTHS).await?;
        sink.put(SnapshotPart::Header(SnapshotHeader { kind: SnapshotKind::Postgres, schema_version: known, months }))?;
        for table in look.texts(TABLES).await? {
            let columns = look.columns(&table).await?;
            let sql = format!("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT binary)", list(&columns), quoted(&table));
            sink.put(SnapshotPart::Table { name: table, columns })?;
            let database = look.database.clone();
            let mut rows = look.connection.copy_out_raw(&sql).await.map_err(|error| of_opening(&database, error))?;
            while let Some(octets) = rows.next().await {
                let octets = octets.map_err(|error| of_opening(&database, error))?;
                sink.put(SnapshotPart::Octets(octets.to_vec()))?;
            }
        }
        Ok(look.end("COMMIT").await?)
    }

    /// Loads a snapshot into a database without tables, brings them to the version of this build, and sets a value of the record:
    /// all of it in one transaction.
    pub async fn load(
        options: &PostgresOptions,
        source: &mut dyn SnapshotSource,
        (name, value): (&str, &[u8]),
    ) -> Result<(), SnapshotError> {
        let header = header(source, SnapshotKind::Postgres, schema::newest_version())?;
        let mut look = Look::begin(options, schema::BEGIN_MIGRATING).await?;
        look.run(UNLIMITED).await?;
        look.require_empty().await?;
        look.migrate_to(header.schema_version).await?;
        for month in &header.months {
            look.make_month(month).await?;
        }
        let tables = look.texts(TABLES).await?;
        load_tables(&mut look, source, &tables).await?;
        look.migrate_to(schema::newest_version()).await?;
        let setting = sqlx::query(
            "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        );
        let set = setting.persistent(false).bind(name).bind(value).execute(&mut look.connection).await;
        set.map_err(|error| of_opening(&look.database, error))?;
        Ok(look.end("COMMIT").await?)
    }

    /// Refuses a database that has tables.
    pub async fn check_empty(options: &PostgresOptions) -> Result<(), SnapshotError> {
        let mut look = Look::begin(options, "BEGIN READ ONLY").await?;
        look.require_empty().await?;
        Ok(look.end("COMMIT").await?)
    }
}

async fn load_tables(look: &mut Look, source: &mut dyn SnapshotSource, tables: &[String]) -> Result<(), SnapshotError> {
    let mut part = source.next()?;
    while let Some(SnapshotPart::Table { name, columns }) = part {
        if !tables.contains(&name) {
            return Err(malformed(format!("its tables of that version have none named `{}`", name.escape_default())));
        }
        look.empty(&name).await?;
        let sql = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", quoted(&name), list(&columns));
        let database = look.database.clone();
        let failed = |error| SnapshotError::from(of_opening(&database, error));
        if columns != look.columns(&name).await? {
            return Err(malformed(format!("the columns of `{name}` are not those of its version")));
        }
        let mut copy = look.connection.copy_in_raw(&sql).await.map_err(failed)?;
        part = loop {
            match source.next() {
                Ok(Some(SnapshotPart::Octets(octets))) => {
                    copy.send(octets).await.map_err(failed)?;
                }
                Ok(next) => break next,
                Err(error) => {
                    let _given_up = copy.abort("the backup cannot be read").await;
                    return Err(error.into());
                }
            }
        };
        copy.finish().await.map_err(failed)?;
        look.follow_numbers(&name).await?;
    }
    match part {
        None => Ok(()),
        Some(_) => Err(malformed("something that is no table")),
    }
}

impl Look {
    async fn require_empty(&mut self) -> Result<(), SnapshotError> {
        match self.version().await? {
            0 => Ok(()),
            _ => Err(SnapshotError::NotEmpty {
                database: self.database.clone(),
                advice: "name a new one in `database.url`, and keep the old one until all is well",
            }),
        }
    }

    async fn columns(&mut self, table: &str) -> Result<Vec<String>, OpenError> {
        let query = sqlx::query_scalar(COLUMNS).persistent(false).bind(table);
        query.fetch_all(&mut self.connection).await.map_err(|error| of_opening(&self.database, error))
    }

    /// Makes the tables of a month that is written `2027_03`.
    async fn make_month(&mut self, month: &str) -> Result<(), SnapshotError> {
        const SQL: &str = "SELECT ensure_month((extract(epoch FROM to_date($1, 'YYYY_MM')) * 1000)::bigint)";
        if month.len() != 7 || !month.bytes().all(|octet| octet.is_ascii_digit() || octet == b'_') {
            return Err(malformed("a month that is none"));
        }
        let made = sqlx::query(SQL).persistent(false).bind(month).execute(&mut self.connection).await;
        Ok(made.map(|_| ()).map_err(|error| of_opening(&self.database, error))?)
    }

    /// Removes what migrations have put into a table. Where there is nothing, nothing is said either: some tables refuse it.
    async fn empty(&mut self, table: &str) -> Result<(), OpenError> {
        let table = quoted(table);
        let has_rows = self.number(&format!("SELECT count(*) FROM (SELECT FROM {table} LIMIT 1) AS found")).await? > 0;
        if has_rows {
            self.run_owned(format!("DELETE FROM {table}")).await?;
        }
        Ok(())
    }

    /// Lets the numbers that a table gives to its rows go on behind those that were loaded.
    async fn follow_numbers(&mut self, table: &str) -> Result<(), OpenError> {
        const IDENTITY: &str = "SELECT attname::text FROM pg_attribute
             WHERE attrelid = to_regclass(quote_ident($1)) AND attidentity <> '' AND NOT attisdropped";
        let query = sqlx::query_scalar(IDENTITY).persistent(false).bind(table);
        let columns: Vec<String> =
            query.fetch_all(&mut self.connection).await.map_err(|error| of_opening(&self.database, error))?;
        for column in columns {
            let newest = self
                .number(&format!("SELECT COALESCE(MAX({}), 0)::bigint FROM {}", quoted(&column), quoted(table)))
                .await?;
            let set = sqlx::query("SELECT setval(pg_get_serial_sequence(quote_ident($1), $2), $3, FALSE)");
            let set = set.persistent(false).bind(table).bind(&column).bind(newest.saturating_add(1));
            set.execute(&mut self.connection).await.map_err(|error| of_opening(&self.database, error))?;
        }
        Ok(())
    }

    async fn number(&mut self, sql: &str) -> Result<i64, OpenError> {
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).persistent(false);
        query.fetch_one(&mut self.connection).await.map_err(|error| of_opening(&self.database, error))
    }

    async fn run_owned(&mut self, sql: String) -> Result<(), OpenError> {
        let ran = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await;
        ran.map(|_| ()).map_err(|error| of_opening(&self.database, error))
    }
}

/// A name as SQL writes it, whatever it holds.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn list(columns: &[String]) -> String {
    columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_quotes() {
        assert_eq!(quoted("serials"), "\"serials\"");
        assert_eq!(list(&["a".to_owned(), "b\" FROM c; --".to_owned()]), "\"a\", \"b\"\" FROM c; --\"");
    }
}
