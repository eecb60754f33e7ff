//! What each process must know by itself: what it has followed, and what it has told its callers.

use std::collections::BTreeMap;

use ca_core::id::CertificateId;

use super::Auditor;

/// A process from its start to its death: the number of its replica, and the how manieth start.
pub(crate) type Process = (usize, u64);

/// What is known of the processes.
#[derive(Default)]
pub(super) struct Processes {
    all: BTreeMap<Process, Known>,
    /// The last step at which the clock of a replica was set, which shows it less time than passed, or more.
    clocks: BTreeMap<usize, u64>,
}

/// What a process has to know.
#[derive(Default)]
struct Known {
    /// The step at which its last look at the sequence of revocations began, of those that came to a good end; its start, before.
    followed: u64,
    /// The step at which what it acknowledged to its callers was so on record, by certificate.
    acknowledged: BTreeMap<CertificateId, u64>,
}

impl Auditor {
    /// A process began at the step `since`, with nothing in memory.
    pub(crate) fn process_started(&mut self, process: Process, since: u64) {
        self.processes.all.insert(process, Known { followed: since, ..Known::default() });
    }

    /// A process has followed the sequence of revocations, with a look that began at the step `since`.
    pub(crate) fn followed(&mut self, process: Process, since: u64) {
        let known = self.processes.all.entry(process).or_default();
        known.followed = known.followed.max(since);
    }

    /// A process acknowledged how a certificate stands, which became so at a step.
    pub(super) fn acknowledged(&mut self, process: Process, id: CertificateId, step: u64) {
        let known = self.processes.all.entry(process).or_default();
        let latest = known.acknowledged.entry(id).or_default();
        *latest = step.max(*latest);
    }

    /// The clock of a replica was set.
    pub(crate) fn clock_was_set(&mut self, replica: usize) {
        self.processes.clocks.insert(replica, self.step);
    }

    /// Before which step nothing may have been so that a process says of a certificate from now on: by then it has looked at the
    /// sequence, or told a caller of a change itself.
    pub(super) fn known_since(&self, process: Process, id: Option<CertificateId>) -> u64 {
        let Some(known) = self.processes.all.get(&process) else { return 0 };
        let told = id.and_then(|id| known.acknowledged.get(&id)).copied().unwrap_or(0);
        known.followed.max(told)
    }

    /// Whether the clock of a process counts the time from one step on as it passes: it was not set since.
    pub(super) fn counts_time_since(&self, process: Process, step: u64) -> bool {
        let (replica, _) = process;
        self.processes.clocks.get(&replica).is_none_or(|set| *set < step)
    }

    /// Whether a process looked at the sequence after its clock was set last, so that it counts from there.
    pub(super) fn followed_by_its_clock(&self, process: Process) -> bool {
        self.processes.all.get(&process).is_some_and(|known| self.counts_time_since(process, known.followed))
    }
}
