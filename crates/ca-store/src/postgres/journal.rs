//! The events and messages of changes, stored in their transaction.

use ca_engine::port::store::Journal;

use super::error::Failure;
use super::transaction::Transaction;
use crate::row::audit::messages;

/// Stores journals, in their order. Nothing is locked: events get their places later, from one sequencer.
pub(super) async fn store(journals: &[&Journal], transaction: &mut Transaction) -> Result<(), Failure> {
    const SQL: &str = "
        WITH given AS MATERIALIZED (
            SELECT * FROM UNNEST($1::bytea[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[]) WITH ORDINALITY
                AS g (canonical, action, principal, subject, at, messages, place)
        ), told AS (
            INSERT INTO audit_events (canonical, action, principal, subject)
                SELECT canonical, action, principal, subject FROM given ORDER BY place
        )
        INSERT INTO outbox (topic, certificate_id, payload, created_at)
            SELECT m.topic, m.certificate, m.payload, g.at
            FROM given AS g, ROWS FROM (
                jsonb_to_recordset(g.messages::jsonb) AS (topic text, certificate uuid, payload text)
            ) WITH ORDINALITY AS m (topic, certificate, payload, place)
            ORDER BY g.place, m.place";
    if journals.is_empty() {
        return Ok(());
    }
    let events = || journals.iter().map(|journal| &journal.event);
    let query = sqlx::query(SQL)
        .bind(events().map(|event| event.canonical()).collect::<Vec<_>>())
        .bind(events().map(|event| event.action.as_str()).collect::<Vec<_>>())
        .bind(events().map(|event| event.principal.as_str()).collect::<Vec<_>>())
        .bind(events().map(|event| event.subject.as_str()).collect::<Vec<_>>())
        .bind(events().map(|event| event.at.unix_millis()).collect::<Vec<_>>())
        .bind(journals.iter().map(|journal| messages(journal)).collect::<Vec<_>>());
    transaction.execute(query).await.map(|_| ())
}
