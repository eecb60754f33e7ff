//! The events and messages of changes, stored in their transaction.

use ca_engine::port::store::Journal;

use super::column;
use super::error::Failure;
use super::transaction::Transaction;

/// Stores journals, in their order. Nothing is locked: events get their places later, from one sequencer.
///
/// Messages are a list of their own beside the events: as one column of each event, which was taken apart again, they cost the
/// database a sixth more.
pub(super) async fn store(journals: &[&Journal], transaction: &mut Transaction) -> Result<(), Failure> {
    const SQL: &str = "
        WITH told AS (
            INSERT INTO audit_events (canonical, action, principal, subject)
                SELECT canonical, action, principal, subject
                FROM UNNEST($1::bytea[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
                    AS g (canonical, action, principal, subject, place)
                ORDER BY place
        )
        INSERT INTO outbox (topic, certificate_id, payload, created_at)
            SELECT topic, certificate, payload, at
            FROM UNNEST($5::text[], $6::uuid[], $7::text[], $8::bigint[]) WITH ORDINALITY
                AS m (topic, certificate, payload, at, place)
            ORDER BY place";
    if journals.is_empty() {
        return Ok(());
    }
    let events = || journals.iter().map(|journal| &journal.event);
    let messages = || journals.iter().flat_map(|journal| &journal.messages);
    let told_at = |journal: &&Journal| std::iter::repeat_n(journal.event.at.unix_millis(), journal.messages.len());
    let query = sqlx::query(SQL)
        .bind(events().map(|event| event.canonical()).collect::<Vec<_>>())
        .bind(events().map(|event| event.action.as_str()).collect::<Vec<_>>())
        .bind(events().map(|event| event.principal.as_str()).collect::<Vec<_>>())
        .bind(events().map(|event| event.subject.as_str()).collect::<Vec<_>>())
        .bind(messages().map(|message| message.topic).collect::<Vec<_>>())
        .bind(messages().map(|message| message.certificate.map(column::certificate)).collect::<Vec<_>>())
        .bind(messages().map(|message| message.payload.as_str()).collect::<Vec<_>>())
        .bind(journals.iter().flat_map(told_at).collect::<Vec<_>>());
    transaction.execute(query).await.map(|_| ())
}
