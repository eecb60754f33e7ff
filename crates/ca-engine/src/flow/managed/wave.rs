//! Those that are due, the most urgent first, in waves: so many of one issuer at once, and the next when these have ended.

use std::collections::BTreeMap;

use ca_core::id::{AuthorityId, ManagedCertificateId};
use ca_core::managed::Urgency;
use ca_core::managed::definition::Deliverer;
use futures::future::join_all;

use super::rotate::{Turn, rotate_one};
use crate::engine::Engine;
use crate::error::FlowError;
use crate::port::store::{Lease, ManagedCertificate};

/// How many of those that are due are looked at together.
const LOOK: u32 = 2_000;

/// Some of one issuer, to be rotated side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wave {
    /// The line of authorities that issues them; `None` of those whose profile names none.
    pub issuer: Option<AuthorityId>,
    /// Which.
    pub managed: Vec<ManagedCertificate>,
}

/// What a wave did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaveReport {
    /// How many have a new certificate.
    pub rotated: u64,
    /// How many needed something else, and got it.
    pub rested: u64,
    /// How many failed, by how urgent that is.
    pub failed: BTreeMap<Urgency, u64>,
    /// Those that another changed meanwhile.
    pub overtaken: Vec<ManagedCertificateId>,
}

impl WaveReport {
    /// How many things were done.
    pub fn done(&self) -> u64 {
        self.rotated + self.rested
    }

    /// How many failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Takes another's counts in.
    pub fn add(&mut self, other: Self) {
        self.rotated += other.rotated;
        self.rested += other.rested;
        for (urgency, count) in other.failed {
            *self.failed.entry(urgency).or_default() += count;
        }
        self.overtaken.extend(other.overtaken);
    }
}

/// The next wave of each issuer that has something due, the most urgent first.
pub async fn next_waves(engine: &Engine) -> Result<Vec<Wave>, FlowError> {
    let now = engine.now();
    let mut due = engine.store().due_managed(Deliverer::Service, now, LOOK).await?;
    // What ends first is first; nothing in place at all is as urgent as can be.
    due.sort_by_key(|managed| (managed.course.current.map(|current| current.not_after), managed.course.next_at));
    let mut by_issuer: BTreeMap<Option<AuthorityId>, Vec<ManagedCertificate>> = BTreeMap::new();
    let wave = engine.settings().managed.wave.max(1) as usize;
    for managed in due {
        let issuer = engine.profiles().get(&managed.profile).and_then(|profile| profile.authority().cloned());
        let of_issuer = by_issuer.entry(issuer).or_default();
        if of_issuer.len() < wave {
            of_issuer.push(managed);
        }
    }
    Ok(by_issuer.into_iter().map(|(issuer, managed)| Wave { issuer, managed }).collect())
}

/// Rotates a wave. What fails with one holds up no other; an error is one of the record, after all have had their turn.
pub async fn rotate_wave(engine: &Engine, lease: &Lease, wave: Wave) -> Result<WaveReport, FlowError> {
    let turns = wave.managed.into_iter().map(|managed| async move {
        let id = managed.id;
        (id, rotate_one(engine, Some(lease), managed).await)
    });
    let (mut report, mut fault) = (WaveReport::default(), None);
    for (id, turn) in join_all(turns).await {
        match turn {
            Ok(Turn::Rotated) => report.rotated += 1,
            Ok(Turn::Rested) => report.rested += 1,
            Ok(Turn::Failed(urgency)) => *report.failed.entry(urgency).or_default() += 1,
            Ok(Turn::Overtaken) => report.overtaken.push(id),
            Err(error) => fault = Some(error),
        }
    }
    match fault {
        Some(error) => Err(error),
        None => Ok(report),
    }
}
