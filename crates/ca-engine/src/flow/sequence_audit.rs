//! Puts committed audit events in order and into the hash chain; run by one leased sequencer.

use ca_core::audit::{ChainFault, ChainVerifier, link};

use crate::engine::Engine;
use crate::error::FlowError;
use crate::port::store::{ChainLink, EventFilter, Lease};

/// The lease under which events are chained: one sequencer at a time, whatever process it is in.
pub const LEASE_NAME: &str = "audit-chain";

/// How many events are chained in one change.
const BATCH: u32 = 1_000;

/// Chains every pending event; returns how many.
pub async fn sequence_audit(engine: &Engine, lease: &Lease) -> Result<u64, FlowError> {
    let mut chained = 0;
    loop {
        let pending = engine.store().pending_events(BATCH).await?;
        if pending.is_empty() {
            return Ok(chained);
        }
        let head = engine.store().chain_head().await?;
        let mut previous = head.hash;
        let links: Vec<ChainLink> = pending
            .iter()
            .zip(head.sequence + 1..)
            .map(|(event, sequence)| {
                previous = link(&previous, sequence, &event.canonical);
                ChainLink { row: event.row, sequence, hash: previous }
            })
            .collect();
        chained += links.len() as u64;
        engine.store().chain_events(lease, &head, links).await?;
    }
}

/// What a verification of the chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// How many events are chained.
    pub events: u64,
    /// How many committed events wait for a place; of very many, the first thousand are counted.
    pub pending: u64,
    /// Where the chain is not whole.
    pub fault: Option<ChainFault>,
}

/// Follows the whole chain; `progress` is told the number of events followed, now and then.
pub async fn verify_chain(engine: &Engine, mut progress: impl FnMut(u64)) -> Result<ChainReport, FlowError> {
    let mut verifier = ChainVerifier::default();
    // Read before the events: links that are added while we follow lie behind it.
    let end = engine.store().chain_head().await?;
    loop {
        let (sequence, _) = verifier.head();
        let events = engine.store().events_after(sequence, &EventFilter::default(), BATCH).await?;
        let pending = if events.is_empty() { engine.store().pending_events(BATCH).await?.len() as u64 } else { 0 };
        if events.is_empty() {
            // Events that were cut off at the end leave no gap behind.
            let fault =
                (sequence < end.sequence).then_some(ChainFault::Gap { expected: sequence + 1, found: end.sequence });
            return Ok(ChainReport { events: sequence, pending, fault });
        }
        for event in events {
            if let Err(fault) = verifier.next(event.sequence, &event.canonical, &event.hash) {
                return Ok(ChainReport { events: verifier.head().0, pending, fault: Some(fault) });
            }
        }
        progress(verifier.head().0);
    }
}
