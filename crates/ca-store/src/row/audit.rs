//! Audit events, as their columns give them, and the order of their chain.

use ca_core::audit::GENESIS;
use ca_engine::port::store::{ChainHead, ChainLink, ChainedEvent, Journal, StoreError};
use serde_json::json;
use sqlx::FromRow;

/// The end of the chain from the columns of its last event, if there is one.
pub(crate) fn chain_head(row: Option<(i64, Vec<u8>)>) -> Result<ChainHead, StoreError> {
    let Some((sequence, hash)) = row else { return Ok(ChainHead { sequence: 0, hash: GENESIS }) };
    let place = format!("audit_events {sequence}");
    Ok(ChainHead { sequence: super::unsigned(&place, sequence)?, hash: super::octets(&place, hash)? })
}

/// Fails unless the chain still ends at `expected`, and `links` follow it without gaps.
pub(crate) fn check_links(found: &ChainHead, expected: &ChainHead, links: &[ChainLink]) -> Result<(), StoreError> {
    if found != expected {
        let detail = format!("the chain ends at event {}, not {}", found.sequence, expected.sequence);
        return Err(StoreError::Conflict { detail });
    }
    for (next, link) in (expected.sequence + 1..).zip(links) {
        if link.sequence != next {
            let detail = format!("event {next} comes next in the chain, not {}", link.sequence);
            return Err(StoreError::Conflict { detail });
        }
    }
    Ok(())
}

/// Fails unless every one of `links` found its event without a place.
pub(crate) fn check_placed(placed: u64, links: &[ChainLink]) -> Result<(), StoreError> {
    if placed != links.len() as u64 {
        let detail = format!("of {} events only {placed} were without a place", links.len());
        return Err(StoreError::Conflict { detail });
    }
    Ok(())
}

/// The messages of a journal as one JSON array, so that one prepared statement stores any number of them.
pub(crate) fn messages(journal: &Journal) -> String {
    let messages = journal.messages.iter().map(|message| {
        json!({
            "topic": message.topic,
            "certificate": message.certificate.map(|id| id.to_string()),
            "payload": message.payload,
        })
    });
    serde_json::Value::Array(messages.collect()).to_string()
}

#[derive(FromRow)]
pub(crate) struct EventRow {
    pub(crate) sequence: i64,
    pub(crate) canonical: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

impl TryFrom<EventRow> for ChainedEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let place = format!("audit_events {}", row.sequence);
        Ok(Self {
            sequence: super::unsigned(&place, row.sequence)?,
            canonical: row.canonical,
            hash: super::octets(&place, row.hash)?,
        })
    }
}
