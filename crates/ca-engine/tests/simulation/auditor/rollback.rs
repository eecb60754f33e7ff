//! What must be so though the record was set back to an earlier state (invariant 5): what was given out once is not given out again,
//! what was revoked and anchored stays so, and no process that could know better goes on.

use std::collections::{BTreeMap, BTreeSet};

use ca_core::audit::AuditAction;
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::revocation::Standing;
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::fake::{Record, StoreMethod};
use ca_engine::lineage::{RESTORATION, RESTORED, SETTLED};
use ca_engine::port::anchor::AnchoredRevocation;
use ca_engine::port::clock::Clock;
use ca_engine::port::store::CrlIntent;

use super::issuance::Phase;
use super::{Auditor, Change, Finding, Process};

/// The memory that outlives the record.
#[derive(Default)]
pub(super) struct Past {
    /// What was to be signed under each serial number.
    serials: BTreeMap<(AuthorityId, Serial), Vec<u8>>,
    /// The digest of what was signed under each number of a list.
    lists: BTreeMap<(AuthorityId, u64), [u8; 32]>,
    /// Every serial that was revoked.
    revoked: BTreeSet<(AuthorityId, Serial)>,
    /// The last that the anchor was told of each serial.
    anchored: BTreeMap<(AuthorityId, Serial), Standing>,
    /// The highest number of the sequence that the anchor was told.
    newest: Option<u64>,
    /// Issuances whose idempotency keys a restoration has dropped.
    pub(super) without_key: BTreeSet<CertificateId>,
    /// While the record is one that was set back.
    closed: Option<Closed>,
}

/// A record that was set back, and was not brought up to its anchor yet.
#[derive(Default)]
struct Closed {
    /// Processes that ran when it was set back: they go on until their next comparison.
    survivors: BTreeSet<Process>,
    /// The step at which a survivor found it out.
    found_out: BTreeMap<Process, u64>,
    /// When a survivor looked at the anchor last, since then, by the true time.
    looked: BTreeMap<Process, Timestamp>,
    /// Whether the restoration has begun.
    restoring: bool,
}

/// How often a running process compares, and a second for a clock that counts whole ones.
const COMPARISON: Lifetime = Lifetime::from_seconds(61);

impl Auditor {
    /// The anchor has taken revocations.
    pub(crate) fn anchored(&mut self, rows: &[AnchoredRevocation]) {
        for AnchoredRevocation { row, .. } in rows {
            self.past.newest = self.past.newest.max(Some(row.sequence));
            self.past.anchored.insert((row.authority.clone(), row.serial.clone()), row.standing);
        }
    }

    /// The highest number of the sequence of revocations that the anchor was told.
    pub(crate) fn newest_anchored(&self) -> Option<u64> {
        self.past.newest
    }

    /// The record is about to be set back: what it holds was given out.
    pub(crate) fn record_falls(&mut self) {
        let store = self.store.clone();
        store.tables(|record| {
            for issuance in record.issuances.values() {
                let reservation = &issuance.reservation;
                let number = (reservation.authority.clone(), reservation.serial.clone());
                self.past.serials.entry(number).or_insert_with(|| reservation.to_be_signed.clone());
            }
            for (key, row) in record.crls.iter().filter(|(_, row)| row.der.is_some()) {
                self.past.lists.entry(key.clone()).or_insert(row.intent.to_be_signed_sha256);
            }
            let revoked = record.revocations.iter().filter(|row| row.standing != Standing::Active);
            self.past.revoked.extend(revoked.map(|row| (row.authority.clone(), row.serial.clone())));
        });
    }

    /// The record was set back while `survivors` ran. What it holds now is taken for granted.
    pub(crate) fn record_fell(&mut self, survivors: BTreeSet<Process>) {
        self.past.closed = Some(Closed { survivors, ..Closed::default() });
        self.answers.clear();
        let store = self.store.clone();
        store.tables(|record| self.remember(record));
    }

    /// Whether the record is one that was set back, and was not brought up to its anchor yet.
    pub(crate) fn is_closed(&self) -> bool {
        self.past.closed.is_some()
    }

    /// Whether a restoration is at work.
    pub(super) fn is_restoring(&self) -> bool {
        self.past.closed.as_ref().is_some_and(|closed| closed.restoring)
    }

    /// A process signs. Over a record that was set back only those do that have had no time to find it out.
    pub(crate) fn signs(&mut self, process: Process) {
        if self.past.closed.as_ref().is_some_and(|closed| !closed.survivors.contains(&process)) {
            self.violated(format!("process {process:?} signed over a record that was set back"));
        }
    }

    /// Whether what a process says from step `since` on is not judged: it runs on over a record that was set back. Where it must
    /// know that, or began over it, it may say nothing.
    pub(super) fn is_excused(&self, process: Process, since: u64) -> Result<bool, String> {
        let Some(closed) = &self.past.closed else { return Ok(false) };
        let found_out = closed.found_out.get(&process).is_some_and(|step| *step <= since);
        if closed.survivors.contains(&process) && !found_out {
            return Ok(true);
        }
        Err(format!("process {process:?} answers over a record that was set back"))
    }

    /// A process has followed the record with the anchor, or compared them, which began at `began`. `is_open` says whether it goes on;
    /// `in_vain`, that it may not have compared anything.
    pub(crate) fn anchor_looked_at(&mut self, process: Process, began: Timestamp, is_open: bool, in_vain: bool) {
        let (step, now) = (self.step, self.truth.now());
        let Some(closed) = &mut self.past.closed else { return };
        if !closed.survivors.contains(&process) {
            if is_open {
                self.violated(format!("process {process:?} takes a record that was set back for the newest"));
            }
            return;
        }
        if !is_open {
            closed.found_out.entry(process).or_insert(step);
            return;
        }
        let before = closed.looked.insert(process, now);
        let compared = before.is_some_and(|before| !in_vain && began.since(before) >= COMPARISON);
        if compared && self.counts_time_since(process, self.step_at(before)) {
            self.violated(format!("process {process:?} goes on over a record that was set back"));
        }
    }

    /// The step that was under way at an instant.
    fn step_at(&self, instant: Option<Timestamp>) -> u64 {
        let instant = instant.unwrap_or(self.truth.now());
        self.begun.partition_point(|begun| *begun <= instant).saturating_sub(1) as u64
    }

    /// A serial number that was given out before the record was set back is that of the same certificate.
    pub(super) fn check_past_serial(&self, number: &(AuthorityId, Serial), to_be_signed: &[u8]) -> Finding {
        match self.past.serials.get(number) {
            Some(before) if before != to_be_signed => {
                Err(format!("the serial number {} was given out before the record was set back", number.1))
            }
            _ => Ok(()),
        }
    }

    /// A number of a list that was given out before the record was set back is that of the same list.
    pub(super) fn check_past_list(&self, intent: &CrlIntent) -> Finding {
        let before = self.past.lists.get(&(intent.authority.clone(), intent.number));
        if before.is_none_or(|before| *before == intent.to_be_signed_sha256) {
            return Ok(());
        }
        self.excuse_past(format!(
            "CRL {} of {} was given out before the record was set back, and was another",
            intent.number, intent.authority
        ))
    }

    /// Whether a complete list was published under a number, before a record was set back.
    pub(super) fn was_complete_list(&self, authority: &AuthorityId, number: u64) -> bool {
        self.past.lists.contains_key(&(authority.clone(), number))
    }

    /// A finding, unless who writes has had no time to find out that the record was set back.
    pub(super) fn excuse_past(&self, finding: String) -> Finding {
        let writes = |process: &Process| self.lease_holder.as_deref() == Some(&holder(*process));
        let survives = self.past.closed.as_ref().is_some_and(|closed| closed.survivors.iter().any(writes));
        if survives { Ok(()) } else { Err(finding) }
    }

    /// Whether a serial was revoked at any time.
    pub(super) fn was_revoked(&self, number: &(AuthorityId, Serial)) -> bool {
        self.past.revoked.contains(number)
    }

    /// The steps of a restoration that nothing else makes.
    pub(super) fn check_restoration(
        &mut self,
        record: &Record,
        method: StoreMethod,
        changes: &mut Vec<Change>,
    ) -> Finding {
        if method == StoreMethod::LeaveGaps {
            changes.push(Change { actions: &[AuditAction::RecordRestored], subject: "service".to_owned() });
        } else if record.sequence_floor != self.sequence_floor {
            return Err("the sequence of revocations has a gap that no restoration left".to_owned());
        }
        self.sequence_floor = record.sequence_floor;
        let Some(closed) = &mut self.past.closed else { return Ok(()) };
        let restoration = record.settings.get(RESTORATION).map(Vec::as_slice);
        closed.restoring |= restoration == Some(RESTORED);
        if !closed.restoring || restoration != Some(SETTLED) {
            return Ok(());
        }
        self.past.closed = None;
        self.tally.restored += 1;
        self.answers.clear();
        self.past.without_key = record.issuances.keys().copied().collect();
        self.check_anchored(record)
    }

    /// What the anchor knows as revoked is revoked.
    fn check_anchored(&self, record: &Record) -> Finding {
        for (number, standing) in &self.past.anchored {
            let issuance = record.serials.get(number).and_then(|id| record.issuances.get(id));
            let stands = issuance.map(Phase::of);
            let revoked = stands.is_some_and(|phase| !matches!(phase, Phase::Reserved) && !phase.is_good());
            if *standing != Standing::Active && !revoked {
                return Err(format!(
                    "{} was revoked and anchored, and after the restoration it is {stands:?}",
                    number.1
                ));
            }
        }
        Ok(())
    }
}

/// The name under which a process holds leases.
pub(crate) fn holder((replica, start): Process) -> String {
    format!("replica-{replica}.{start}")
}
