//! Delivers the messages of the outbox to the sinks: at least once, in the order of commits for each certificate.
//!
//! First each message is assigned to every sink there is, then each sink is served by itself: one that fails holds up no other.
//! What is done is taken away; no number is remembered, since a lower one may be committed later.

use ca_core::id::{DeliveryId, SinkName};
use ca_core::time::Lifetime;
use futures::future::join_all;
use serde_json::{Map, Value};

use super::watch_clock::dependable_now;
use crate::engine::{Engine, OutboxSettings};
use crate::error::FlowError;
use crate::port::sink::{SinkError, SinkEvent};
use crate::port::store::{Assignment, Delivery, Lease, Settlement, Verdict};

/// The lease under which messages are assigned to sinks.
pub const LEASE_NAME: &str = "outbox";

/// The lease under which a sink is served: one server at a time.
pub fn lease_name(sink: &SinkName) -> String {
    format!("{LEASE_NAME}:{sink}")
}

/// How many messages are assigned in one change.
const BATCH: u32 = 500;

/// Assigns every message to every sink there is; returns how many messages. Without a sink they are left where they are.
pub async fn assign_messages(engine: &Engine, lease: &Lease) -> Result<u64, FlowError> {
    let mut assigned = 0;
    while !engine.sinks().is_empty() {
        let messages = engine.store().unassigned_messages(BATCH).await?;
        if messages.is_empty() {
            break;
        }
        // A delivery is named after its beginning, and dropped by its age: a clock that is wrong would have it dropped at once.
        let now = dependable_now(engine).await?;
        let mut assignments = Vec::with_capacity(messages.len() * engine.sinks().len());
        for sequence in &messages {
            for sink in engine.sinks().keys() {
                let id = DeliveryId::new(now, engine.random()?);
                assignments.push(Assignment { sequence: *sequence, sink: sink.clone(), id });
            }
        }
        engine.store().assign_messages(lease, assignments).await?;
        assigned += messages.len() as u64;
    }
    Ok(assigned)
}

/// One attempt and its end, for logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The number of its message.
    pub sequence: u64,
    /// What it tells of.
    pub topic: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Whether the sink as a whole is not available, so that others would fare no better.
    pub sink_unavailable: bool,
}

/// Tries what is due for `sink`, at most `limit` at once, each of another certificate. Returns what was tried; nothing when
/// nothing is due. A sink that is not known here is left alone.
///
/// Under a `lease` that must outlast the attempts: whoever lost it delivers twice at worst, and records nothing.
pub async fn deliver_due(
    engine: &Engine,
    lease: &Lease,
    sink: &SinkName,
    limit: u32,
) -> Result<Vec<Attempt>, FlowError> {
    let Some(port) = engine.sinks().get(sink) else { return Ok(Vec::new()) };
    // 1. What is due; of each certificate the oldest that is pending, so that all of these may go side by side.
    let due = engine.store().due_deliveries(sink, limit).await?;
    // 2. The attempts.
    let ended = join_all(due.iter().map(|delivery| async {
        match event_of(delivery) {
            Some(event) => port.deliver(&event).await,
            None => Err(SinkError::Gone { detail: "its payload in the database is no JSON object".to_owned() }),
        }
    }));
    let ended = ended.await;
    // 3. What became of them, in one change. Should it not be made, they are tried again: at least once, never less.
    let attempts: Vec<Attempt> = due
        .iter()
        .zip(ended)
        .map(|(delivery, ended)| Attempt {
            delivery: delivery.id,
            sequence: delivery.sequence,
            topic: delivery.topic.clone(),
            sink_unavailable: matches!(ended, Err(SinkError::Unavailable { .. })),
            verdict: verdict(engine, delivery, ended),
        })
        .collect();
    let settlements: Vec<Settlement> =
        attempts.iter().map(|attempt| Settlement { id: attempt.delivery, verdict: attempt.verdict.clone() }).collect();
    if !settlements.is_empty() {
        engine.store().settle_deliveries(lease, settlements).await?;
    }
    Ok(attempts)
}

/// A sink that was not available has taken an event: what waits because it was away is due at once. Returns how many.
pub async fn welcome_back(engine: &Engine, lease: &Lease, sink: &SinkName) -> Result<u64, FlowError> {
    Ok(engine.store().hasten_deliveries(lease, sink).await?)
}

/// What a sink is told: the fields of the payload, and with them topic, time and number. `None` when the payload is no object.
pub fn event_of(delivery: &Delivery) -> Option<SinkEvent> {
    let mut body: Map<String, Value> = serde_json::from_str(&delivery.payload).ok()?;
    body.insert("sequence".to_owned(), delivery.sequence.into());
    body.insert("time".to_owned(), delivery.created_at.to_rfc3339().into());
    body.insert("topic".to_owned(), delivery.topic.clone().into());
    Some(SinkEvent {
        id: delivery.id,
        topic: delivery.topic.clone(),
        certificate: delivery.certificate,
        body: Value::Object(body).to_string(),
    })
}

fn verdict(engine: &Engine, delivery: &Delivery, ended: Result<(), SinkError>) -> Verdict {
    let settings = &engine.settings().outbox;
    let (error, retry_after) = match ended {
        Ok(()) => return Verdict::Delivered,
        Err(SinkError::Gone { detail }) => return Verdict::Dead { error: detail },
        Err(SinkError::Refused { detail }) => (detail, None),
        Err(SinkError::Unavailable { detail, retry_after }) => (detail, retry_after),
    };
    let attempts = delivery.attempts.saturating_add(1);
    if attempts >= settings.max_attempts {
        return Verdict::Dead { error };
    }
    // Without randomness all come back at once: no reason not to come back.
    let random = engine.random::<4>().map_or(u32::MAX, u32::from_be_bytes);
    let wanted = millis(retry_after.unwrap_or(Lifetime::ZERO)).min(millis(settings.longest_retry));
    Verdict::Retry { after_millis: pause(settings, attempts, random).max(wanted), error }
}

/// How long to wait after so many failed attempts, in milliseconds: between half of a length that triples each time and all of
/// it, as `random` says.
fn pause(settings: &OutboxSettings, attempts: u32, random: u32) -> u64 {
    let factor = 3_u64.saturating_pow(attempts.saturating_sub(1));
    let longest = millis(settings.first_retry).saturating_mul(factor).min(millis(settings.longest_retry));
    let half = longest / 2;
    let share = u128::from(longest - half) * u128::from(random) / u128::from(u32::MAX);
    // Not above `longest - half`, which is a u64.
    half + u64::try_from(share).unwrap_or(longest - half)
}

fn millis(lifetime: Lifetime) -> u64 {
    lifetime.seconds().saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_triple_between_half_and_all_of_their_length_up_to_the_longest() {
        let settings = OutboxSettings::default();
        assert_eq!((pause(&settings, 1, 0), pause(&settings, 1, u32::MAX)), (2_500, 5_000));
        assert_eq!((pause(&settings, 2, 0), pause(&settings, 2, u32::MAX)), (7_500, 15_000));
        let longest = 12 * 3_600 * 1_000;
        for attempts in [9, 30, u32::MAX] {
            let (least, most) = (pause(&settings, attempts, 0), pause(&settings, attempts, u32::MAX));
            assert!(least * 2 >= most && most <= longest, "{attempts}: {least} to {most}");
        }
        assert_eq!(pause(&settings, 30, u32::MAX), longest);
        let all: u64 = (1..settings.max_attempts).map(|attempts| pause(&settings, attempts, u32::MAX)).sum();
        assert!((70 * 3_600_000..80 * 3_600_000).contains(&all), "some three days, not {all} ms");
    }
}
