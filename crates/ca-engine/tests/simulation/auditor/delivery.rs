//! Events on their way to the sinks: every change is told to each at least once, of one certificate in the order of its changes,
//! and given up only when the policy says so.

use std::collections::{BTreeMap, BTreeSet};

use ca_core::audit::AuditAction;
use ca_core::id::{CertificateId, DeliveryId, SinkName};
use ca_core::time::Timestamp;
use ca_engine::engine::OutboxSettings;
use ca_engine::fake::{Record, StoreMethod};
use ca_engine::port::clock::Clock;
use ca_engine::port::store::{Delivery, DeliveryState};

use super::{AHEAD, Auditor, Change, Finding};
use crate::foundation::SINKS;

/// What is known of the messages and their deliveries.
pub(super) struct Deliveries {
    /// The policy.
    settings: OutboxSettings,
    /// When each message was stored, by the true time.
    stored: Vec<Timestamp>,
    unassigned: BTreeSet<u64>,
    all: BTreeMap<DeliveryId, Course>,
}

/// What became of a message on its way to a sink.
struct Course {
    sink: SinkName,
    sequence: u64,
    certificate: Option<CertificateId>,
    /// When its message was stored. Whoever begins a delivery may have looked at the clock at any time since.
    stored: Timestamp,
    /// How many attempts the sink says have failed.
    failures: u32,
    /// Whether the sink has it.
    taken: bool,
    refused_for_good: bool,
    dead: bool,
    /// Whether it holds up no later one: the sink has it, or it was given up once.
    lets_pass: bool,
    /// Whether it is not on record any more.
    gone: bool,
}

impl Deliveries {
    pub(super) fn new(settings: OutboxSettings) -> Self {
        Self { settings, stored: Vec::new(), unassigned: BTreeSet::new(), all: BTreeMap::new() }
    }
}

impl Course {
    fn of(delivery: &Delivery, stored: Timestamp) -> Self {
        let dead = delivery.state == DeliveryState::Dead;
        Self {
            sink: delivery.sink.clone(),
            sequence: delivery.sequence,
            certificate: delivery.certificate,
            stored,
            failures: delivery.attempts,
            taken: false,
            refused_for_good: false,
            dead,
            lets_pass: dead,
            gone: false,
        }
    }
}

/// The events that sinks are told of.
const TOLD: [AuditAction; 10] = [
    AuditAction::CertificateIssued,
    AuditAction::CertificateRenewed,
    AuditAction::CertificateRecovered,
    AuditAction::RenewalRepeated,
    AuditAction::CertificateRevoked,
    AuditAction::CertificateReleased,
    AuditAction::CrlPublished,
    AuditAction::AuthorityAnnounced,
    AuditAction::AuthorityRetiring,
    AuditAction::AuthorityRetired,
];

impl Auditor {
    pub(super) fn remember_deliveries(&mut self, record: &Record) {
        let now = self.truth.now();
        // Of a record that was set back, those that it has are the same as before.
        self.deliveries.stored.resize(record.outbox().len(), now);
        self.deliveries.unassigned = record.unassigned.keys().copied().collect();
        let stored_at = |delivery: &Delivery| self.stored_at(delivery);
        let courses = record.deliveries.iter();
        self.deliveries.all = courses.map(|(id, delivery)| (*id, Course::of(delivery, stored_at(delivery)))).collect();
    }

    fn stored_at(&self, delivery: &Delivery) -> Timestamp {
        let index = usize::try_from(delivery.sequence).unwrap_or(0).saturating_sub(1);
        self.deliveries.stored.get(index).copied().unwrap_or(self.truth.now())
    }

    /// Every change that sinks are to be told of brings one message, and waits for its sinks.
    pub(super) fn check_messages(&mut self, record: &Record, method: StoreMethod, changes: &[Change]) -> Finding {
        let told = changes.iter().filter(|change| change.actions.iter().any(|action| TOLD.contains(action))).count();
        // Nobody was told of a certificate that is not on record.
        let expected = if method == StoreMethod::RecordLostSerial { 0 } else { told };
        let before = self.deliveries.stored.len();
        if record.outbox().len() != before + expected {
            let count = record.outbox().len() as i64 - before as i64;
            return Err(format!("{expected} changes brought {count} messages"));
        }
        self.deliveries.stored.resize(record.outbox().len(), self.truth.now());
        for number in (before + 1..=record.outbox().len()).map(|number| number as u64) {
            if !record.unassigned.contains_key(&number) {
                return Err(format!("message {number} waits for nobody"));
            }
            self.deliveries.unassigned.insert(number);
        }
        Ok(())
    }

    /// What may become of messages and deliveries by a change of this method.
    pub(super) fn check_deliveries(
        &mut self,
        record: &Record,
        method: StoreMethod,
        changes: &mut Vec<Change>,
    ) -> Finding {
        let begun = self.check_assigned(record, method)?;
        for (id, delivery) in &record.deliveries {
            let stored = self.stored_at(delivery);
            let Some(course) = self.deliveries.all.get_mut(id) else {
                if !begun.contains(&delivery.sequence) {
                    return Err(format!("delivery {id} of message {} began twice", delivery.sequence));
                }
                self.deliveries.all.insert(*id, Course::of(delivery, stored));
                continue;
            };
            let dead = delivery.state == DeliveryState::Dead;
            if delivery.attempts > course.failures {
                return Err(format!(
                    "delivery {id} counts {} attempts; its sink knows of {}",
                    delivery.attempts, course.failures
                ));
            }
            if dead && !course.dead {
                let given_up = course.refused_for_good || course.failures >= self.deliveries.settings.max_attempts;
                if method != StoreMethod::SettleDeliveries || !given_up {
                    return Err(format!("delivery {id} became a dead letter after {} attempts", course.failures));
                }
            }
            course.dead = dead;
            course.lets_pass |= dead;
        }
        self.check_forgotten(record, method)?;
        if method == StoreMethod::ReplayDelivery {
            changes.extend(replayed(record, self.events));
        }
        Ok(())
    }

    /// Messages that were assigned: each to every sink, and none before an earlier one about the same certificate.
    fn check_assigned(&mut self, record: &Record, method: StoreMethod) -> Result<BTreeSet<u64>, String> {
        let gone = |number: &u64| !record.unassigned.contains_key(number);
        let left: BTreeSet<u64> = self.deliveries.unassigned.iter().copied().filter(gone).collect();
        for number in &left {
            if method != StoreMethod::AssignMessages {
                return Err(format!("message {number} was dropped"));
            }
            for sink in SINKS {
                let of = |delivery: &&Delivery| delivery.sequence == *number && delivery.sink.as_str() == sink;
                let count = record.deliveries.values().filter(of).count();
                if count != 1 {
                    return Err(format!("message {number} goes to {sink} {count} times"));
                }
            }
            let certificate = record.outbox().get(*number as usize - 1).and_then(|message| message.certificate);
            let mut earlier = record.unassigned.range(..*number);
            let same = |message: Option<CertificateId>| message.is_some() && message == certificate;
            if let Some((earlier, _)) = earlier.find(|(_, queued)| same(queued.message.certificate)) {
                return Err(format!("message {number} goes out before {earlier} about the same certificate"));
            }
            self.deliveries.unassigned.remove(number);
        }
        Ok(left)
    }

    /// Deliveries that are not on record any more: taken, or older than they are kept.
    fn check_forgotten(&mut self, record: &Record, method: StoreMethod) -> Finding {
        let now = self.truth.now();
        let kept = self.deliveries.settings.keep_undelivered;
        for (id, course) in &mut self.deliveries.all {
            if course.gone || record.deliveries.contains_key(id) {
                continue;
            }
            // Who began it may have had a clock that was behind as far as one may be.
            let was_kept = now.since(course.stored).seconds() + AHEAD.seconds() >= kept.seconds();
            let allowed = match method {
                StoreMethod::SettleDeliveries => course.taken,
                StoreMethod::DropDeliveries => was_kept,
                _ => false,
            };
            if !allowed {
                let age = now.since(course.stored);
                return Err(format!(
                    "delivery {id} of message {} to {} was forgotten after {age}, and its sink does not have it",
                    course.sequence, course.sink
                ));
            }
            course.gone = true;
            course.lets_pass = true;
        }
        Ok(())
    }

    /// A sink has taken an event, at whichever attempt.
    pub(crate) fn event_taken(&mut self, sink: &SinkName, id: DeliveryId) {
        let Some(course) = self.deliveries.all.get_mut(&id).filter(|course| course.sink == *sink) else {
            self.violated(format!("{sink} was told of delivery {id}, which never was"));
            return;
        };
        let first = !std::mem::replace(&mut course.taken, true);
        course.lets_pass = true;
        self.tally.delivered += 1;
        let (sequence, certificate) = (course.sequence, course.certificate);
        if !first || certificate.is_none() {
            return;
        }
        let held_up = |other: &&Course| {
            other.certificate == certificate && other.sequence < sequence && other.sink == *sink && !other.lets_pass
        };
        if let Some(earlier) = self.deliveries.all.values().find(held_up).map(|earlier| earlier.sequence) {
            self.violated(format!(
                "{sink} was told of message {sequence} before {earlier}, both about {certificate:?}"
            ));
        }
    }

    /// An attempt failed, as far as its sender is told; the sink may have said that it never takes it.
    pub(crate) fn attempt_failed(&mut self, id: DeliveryId, for_good: bool) {
        if let Some(course) = self.deliveries.all.get_mut(&id) {
            course.failures += 1;
            course.refused_for_good |= for_good;
        }
    }

    /// A delivery that was given up and is still there.
    pub(crate) fn dead_letter(&self, place: usize) -> Option<DeliveryId> {
        let dead = self.deliveries.all.iter().filter(|(_, course)| course.dead && !course.gone);
        let dead: Vec<DeliveryId> = dead.map(|(id, _)| *id).collect();
        (!dead.is_empty()).then(|| dead[place % dead.len()])
    }

    /// Every message was taken by its sinks, or given up.
    pub(crate) fn check_all_delivered(&self) -> Finding {
        if let Some(number) = self.deliveries.unassigned.first() {
            return Err(format!("message {number} goes to no sink"));
        }
        match self.deliveries.all.values().find(|course| !course.gone && !course.dead) {
            Some(course) => Err(format!("message {} does not reach {}", course.sequence, course.sink)),
            None => Ok(()),
        }
    }
}

/// The replay that the newest event tells of: its delivery is due, as if it had never been tried.
fn replayed(record: &Record, known: usize) -> Option<Change> {
    let subject = &record.events.get(known)?.event.subject;
    let id: DeliveryId = subject.strip_prefix("delivery:")?.parse().ok()?;
    let delivery = record.deliveries.get(&id)?;
    let is_due = delivery.attempts == 0 && delivery.state != DeliveryState::Dead;
    is_due.then(|| Change { actions: &[AuditAction::DeliveryReplayed], subject: subject.clone() })
}
