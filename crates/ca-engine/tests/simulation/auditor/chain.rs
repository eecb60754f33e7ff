//! Audit events: one for each change, none lost, each in its place of an unbroken chain.

use ca_engine::fake::Record;

use super::{Auditor, Change, Finding};

impl Auditor {
    /// The events of a commit are those of its changes, one each.
    pub(super) fn check_events(&mut self, record: &Record, changes: &[Change]) -> Finding {
        let Some(new) = record.events.get(self.events..) else {
            return Err("an audit event is gone".to_owned());
        };
        let mut expected: Vec<&Change> = changes.iter().collect();
        for row in new {
            let told =
                |change: &&Change| change.actions.contains(&row.event.action) && change.subject == row.event.subject;
            match expected.iter().position(told) {
                Some(place) => drop(expected.remove(place)),
                None => return Err(format!("{:?} of {} tells of no change", row.event.action, row.event.subject)),
            }
        }
        if let Some(change) = expected.first() {
            return Err(format!("no audit event tells of the change of {}", change.subject));
        }
        self.events = record.events.len();
        Ok(())
    }

    /// New places continue the chain; earlier ones stay.
    pub(super) fn check_chain(&mut self, record: &Record) -> Finding {
        let (end, hash) = self.verifier.head();
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        if record.chain.len() < end || (end > 0 && record.chain[end - 1].1 != hash) {
            return Err("the audit chain was changed".to_owned());
        }
        for (sequence, (index, hash)) in (1..).zip(&record.chain).skip(end) {
            let canonical = record.events.get(*index).map(|row| row.event.canonical()).unwrap_or_default();
            self.verifier.next(sequence, &canonical, hash).map_err(|fault| format!("the audit chain: {fault:?}"))?;
        }
        Ok(())
    }

    /// Every committed event has its place.
    pub(crate) fn check_all_chained(&self) -> Finding {
        let (events, mut chained) = self
            .store
            .tables(|record| (record.events.len(), record.chain.iter().map(|(index, _)| *index).collect::<Vec<_>>()));
        chained.sort_unstable();
        chained.dedup();
        if chained.len() == events { Ok(()) } else { Err(format!("{} of {events} events are chained", chained.len())) }
    }
}
