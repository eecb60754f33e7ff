//! When something is to be done for a managed certificate, and whether that is a rotation.

use ca_core::managed::definition::{Deliverer, ManagedDefinition};
use ca_core::managed::{self, Urgency};
use ca_core::principal::Principal;
use ca_core::revocation::Standing;
use ca_core::time::{Lifetime, Timestamp};

use crate::engine::Engine;
use crate::error::FlowError;
use crate::port::store::{ManagedCertificate, StoredCertificate};
use crate::settings::ManagedSettings;

/// Who rotates.
pub const JOB: Principal = Principal::Job("expiry-check");

/// The name of the lease under which the service rotates.
pub const LEASE_NAME: &str = "expiry-check";

/// How long after a look at a server the next one is.
pub const PROBE_PAUSE: Lifetime = Lifetime::from_seconds(15);

/// How long after a revocation that failed it is tried again.
const REVOCATION_PAUSE: Lifetime = Lifetime::from_seconds(60);

/// How long a first delivery may fail before that is critical.
const FIRST_DELIVERY: Lifetime = Lifetime::from_seconds(3_600);

/// A managed certificate with what its record means.
pub struct Subject {
    /// As it is on record.
    pub managed: ManagedCertificate,
    /// What is wanted.
    pub definition: ManagedDefinition,
    /// What is current, as long as it is on record.
    pub current: Option<StoredCertificate>,
}

impl Subject {
    /// Reads what the record says of it. A definition that cannot be read is one of a later version, or was changed by hand.
    pub async fn read(engine: &Engine, managed: ManagedCertificate) -> Result<Result<Self, Unreadable>, FlowError> {
        let definition = match serde_json::from_str(&managed.definition) {
            Ok(definition) => definition,
            Err(error) => return Ok(Err(Unreadable { managed, detail: error.to_string() })),
        };
        let current = match managed.course.current {
            Some(current) => engine.store().certificate(current.certificate).await?,
            None => None,
        };
        Ok(Ok(Self { managed, definition, current }))
    }

    /// From when on it is due to be rotated: at once where nothing is in place, or what is was revoked.
    pub fn due_at(&self) -> Timestamp {
        match &self.current {
            Some(current) if current.standing == Standing::Active => {
                managed::due_at(self.managed.id, current.validity, self.definition.renew_before)
            }
            _ => self.managed.created_at,
        }
    }

    /// How urgent it is that nothing newer is in place.
    pub fn urgency_at(&self, now: Timestamp) -> Urgency {
        match self.managed.course.current {
            Some(current) => Urgency::at(now, self.due_at(), current.not_after),
            None if now.since(self.managed.created_at) < FIRST_DELIVERY => Urgency::Notice,
            None => Urgency::Critical,
        }
    }

    /// What is left of what is in place.
    pub fn left_at(&self, now: Timestamp) -> Lifetime {
        self.managed.course.current.map_or(Lifetime::ZERO, |current| current.not_after.since(now))
    }

    /// When it is rotated next, or tried again.
    pub fn rotation_at(&self, settings: &ManagedSettings, now: Timestamp) -> Timestamp {
        let course = &self.managed.course;
        if let Some(failure) = &course.last_failure {
            let left = course.current.map_or(Lifetime::ZERO, |current| current.not_after.since(failure.at));
            return failure.at.plus(managed::retry_after(self.managed.id, course.failures, left));
        }
        if course.asked {
            return now;
        }
        let Some(current) = course.current.filter(|_| course.rotation.is_none()) else { return now };
        let due = self.due_at();
        // A worker comes when it can.
        if self.managed.delivered_by == Deliverer::Worker {
            return due;
        }
        // What has a short life, or is due long before the next time, does not wait for it.
        let scheduled = settings.schedule.at_or_after(due);
        let waits = |at: &Timestamp| Urgency::at(*at, due, current.not_after) == Urgency::Notice;
        scheduled.filter(waits).unwrap_or(due)
    }

    /// Whether it is to be rotated, or gone on with, at `now`.
    pub fn is_to_be_rotated(&self, settings: &ManagedSettings, now: Timestamp) -> bool {
        self.managed.course.asked || self.rotation_at(settings, now) <= now
    }

    /// Writes down when something is to be done next.
    pub fn rest(&mut self, settings: &ManagedSettings, now: Timestamp) {
        let rotation_at = self.rotation_at(settings, now);
        let chores_at = self.chores_at(now);
        let (next_at, watch_at) = match self.managed.delivered_by {
            Deliverer::Service => (chores_at.map_or(rotation_at, |at| at.min(rotation_at)), None),
            Deliverer::Worker => (rotation_at, [chores_at, self.more_urgent_at(now)].into_iter().flatten().min()),
        };
        (self.managed.course.next_at, self.managed.course.watch_at) = (next_at, watch_at);
    }

    /// When what comes between rotations is to be done.
    fn chores_at(&self, now: Timestamp) -> Option<Timestamp> {
        let course = &self.managed.course;
        let revocation = course.superseded.map(|superseded| match superseded.revoke_at <= now {
            true => now.plus(REVOCATION_PAUSE),
            false => superseded.revoke_at,
        });
        let probe =
            course.probe_until.map(|until| now.plus(PROBE_PAUSE).min(until.max(now.plus(Lifetime::from_seconds(1)))));
        [revocation, probe].into_iter().flatten().min()
    }

    /// When it becomes more urgent that no worker came.
    fn more_urgent_at(&self, now: Timestamp) -> Option<Timestamp> {
        let Some(current) = self.managed.course.current else {
            let at = self.managed.created_at.plus(FIRST_DELIVERY);
            return Some(at).filter(|at| *at > now);
        };
        let due = self.due_at();
        let begins = Urgency::ALL.into_iter().filter(|urgency| *urgency > Urgency::Notice);
        begins.map(|urgency| urgency.begins_at(due, current.not_after)).find(|at| *at > now)
    }
}

/// A managed certificate whose definition cannot be read.
pub struct Unreadable {
    /// As it is on record.
    pub managed: ManagedCertificate,
    /// What the reader met.
    pub detail: String,
}
