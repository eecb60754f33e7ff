//! The record is set back: a backup is made, and later the record is as it was then, by the command `restore` or behind the back of
//! running processes; until the operator has brought it up to its anchor.

use std::collections::BTreeSet;
use std::sync::Arc;

use ca_core::principal::Principal;
use ca_engine::fake::Record;
use ca_engine::flow::restore::{Evidence, restore};
use ca_engine::lineage::{LINEAGE, RESTORATION, RESTORED};

use crate::auditor::Process;
use crate::lock;
use crate::simulation::Simulation;

impl Simulation {
    /// The record as it stands is kept.
    pub(super) fn make_backup(&mut self) {
        if self.surroundings.anchor.is_none() || self.is_closed() {
            return;
        }
        let record = self.surroundings.store.tables(|record| record.clone());
        // Before that the anchor knows nothing of it.
        if record.settings.contains_key(LINEAGE) {
            self.note("a backup is made".to_owned());
            self.backup = Some(record);
        }
    }

    /// The record is set back to the backup.
    pub(super) fn set_back(&mut self) {
        let Some(mut record) = self.backup.clone().filter(|_| !self.is_closed()) else { return };
        let by_command = self.random.one_in(2);
        if by_command {
            record.settings.insert(RESTORATION.to_owned(), RESTORED.to_vec());
        } else if !self.can_be_found_out(&record) {
            return;
        }
        self.note(format!("the record is set back{}", if by_command { " by the command" } else { "" }));
        lock(&self.surroundings.auditor).record_falls();
        // A database that is set back was down: what was under way is lost.
        self.executor.drop_all();
        self.surroundings.database.forget_all();
        if by_command {
            self.replicas.iter_mut().for_each(|replica| replica.die());
        }
        self.surroundings.store.tables(|present| *present = record);
        let running = self.replicas.iter().filter(|replica| replica.engine().is_some());
        let survivors: BTreeSet<Process> = running.map(|replica| replica.process()).collect();
        lock(&self.surroundings.auditor).record_fell(survivors);
    }

    /// Whether the anchor has what a record lacks. What nobody anchored before it was lost, nobody can find out.
    fn can_be_found_out(&self, record: &Record) -> bool {
        let newest = lock(&self.surroundings.auditor).newest_anchored();
        newest.is_some_and(|newest| newest > record.revocation_sequence())
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.surroundings.auditor).is_closed()
    }

    /// The operator stops every process, and brings the record up to its anchor; what is cut off is begun anew some other time.
    pub(super) fn begin_restoration(&mut self) {
        let number = self.operator.number;
        let busy = self.executor.tasks_mut().iter().any(|task| task.replica == number);
        if busy || !self.is_closed() {
            return;
        }
        self.note("the operator restores".to_owned());
        self.executor.drop_all();
        self.surroundings.database.forget_all();
        self.replicas.iter_mut().for_each(|replica| replica.die());
        let Some(anchor) = self.surroundings.anchor.clone() else { return };
        let starting = self.operator.start(&self.surroundings, &mut self.random);
        let client = self.client.clone();
        self.executor.spawn(number, "the restoration".to_owned(), async move {
            let restored = async {
                let engine = Arc::new(starting.await?);
                restore(&engine, &Principal::LocalOperator, &anchor, Evidence::Anchor).await
            };
            let outcome = restored.await.map(drop);
            client.note(&format_args!("the restoration"), &outcome);
        });
    }
}
