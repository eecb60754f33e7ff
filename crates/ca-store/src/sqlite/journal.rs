//! The event and the messages of a change, stored by the same statements as the change itself.

use ca_engine::port::store::Journal;
use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;

use crate::row::audit::messages;

/// SQL that stores a journal bound by [`bind`]; it takes the parameters $1 to $6, those of the change begin at $7.
///
/// Strings of several statements share one list of parameters. They must be written `$N`: with `?N` a statement that leaves a
/// number out has a parameter without a name, and sqlx then counts wrong and binds NULL to later ones.
macro_rules! journal_sql {
    () => {
        "INSERT INTO audit_events (canonical, action, principal, subject) VALUES ($1, $2, $3, $4);
         INSERT INTO outbox (topic, certificate_id, payload, created_at)
             SELECT value ->> 'topic', unhex(value ->> 'certificate', '-'), value ->> 'payload', $6
             FROM json_each($5) ORDER BY key;"
    };
}
pub(super) use journal_sql;

/// Begins a query whose SQL holds `journal_sql!()`.
pub(super) fn bind<'q>(sql: &'static str, journal: &'q Journal) -> Query<'q, Sqlite, SqliteArguments> {
    bind_to(sqlx::query(sql), journal)
}

/// Binds the parameters of `journal_sql!()`.
pub(super) fn bind_to<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    journal: &'q Journal,
) -> Query<'q, Sqlite, SqliteArguments> {
    let event = &journal.event;
    query
        .bind(event.canonical())
        .bind(event.action.as_str())
        .bind(event.principal.as_str())
        .bind(event.subject.as_str())
        .bind(messages(journal))
        .bind(event.at.unix_millis())
}
