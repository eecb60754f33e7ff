//! The end of a run: everything is repaired, and what takes time must come true.

use std::sync::{Arc, Mutex};

use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::fake::Record;
use ca_engine::port::store::BulkRevocationState;

use crate::foundation::{ELSEWHERE, FOUNDATION, ONLINE, authority};
use crate::job::{Job, PATIENCE};
use crate::lock;
use crate::operation::Operation;
use crate::simulation::Simulation;
use crate::sink::Receiver;

impl Simulation {
    /// Everything is repaired; then every promise that takes time must be kept.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.settling = true;
        self.outage_until = 0;
        self.surroundings.receivers.values().for_each(Receiver::repair);
        if let Some(issuer) = &self.surroundings.issuer {
            issuer.repair();
        }
        for number in 0..self.replicas.len() {
            self.replicas[number].clock.set_off(0);
        }
        self.live()?;
        self.restore_at_last()?;
        // One that has run all the time must have followed the record as well as one that starts.
        self.start_those_down();
        self.live()?;
        let engine = self.replicas[0].engine().ok_or("a replica does not start over a sound record")?;
        self.repeat(Job::Anchor)?;
        self.issue_at_last()?;
        self.revoke_at_last()?;
        self.surroundings.truth.advance(PATIENCE.max(Lifetime::from_seconds(400)));
        for job in
            [Job::Clock, Job::Reservations, Job::Responders, Job::Crl, Job::Follow, Job::Revocations, Job::AuditChain]
        {
            self.repeat(job)?;
        }
        self.settle_elsewhere()?;
        self.settle_generations()?;
        self.ask_everybody(&engine)?;
        self.deliver_everything()?;
        let auditor = self.surroundings.auditor.clone();
        let auditor = lock(&auditor);
        auditor.check_no_reservation_is_open()?;
        auditor.check_issuer_at_last()?;
        auditor.check_no_bulk_revocation_is_running()?;
        for id in ONLINE {
            auditor.check_list_is_whole(&authority(id))?;
        }
        auditor.check_partial_lists_are_whole(&authority("tls"))?;
        auditor.check_all_chained()
    }

    /// What was ordered elsewhere is settled, and its issuer knows of every revocation and has a list of them.
    fn settle_elsewhere(&mut self) -> Result<(), String> {
        if self.surroundings.issuer.is_none() {
            return Ok(());
        }
        for job in [Job::Elsewhere, Job::Reservations, Job::PassOn, Job::IssuerLists, Job::Revocations, Job::AuditChain]
        {
            self.repeat(job)?;
        }
        let auditor = self.surroundings.auditor.clone();
        // What its list revoked, it knows; and a list that has it was published.
        lock(&auditor).check_list_of_issuer(&authority(ELSEWHERE))
    }

    /// Runs a job until it does its work; keys and folders may fail a few times.
    pub(super) fn repeat(&mut self, job: Job) -> Result<(), String> {
        let mut last = None;
        for _ in 0..8 {
            let engine = self.replicas[0].engine().ok_or("the replica is gone")?;
            let (outcome, holder) = (Arc::new(Mutex::new(None)), self.replicas[0].holder());
            let (told, habits) = (outcome.clone(), self.replicas[0].habits.clone());
            self.executor.spawn(0, format!("{job:?} at last"), async move {
                let done = job.run(engine, holder, habits).await;
                *lock(&told) = Some(done);
            });
            self.live()?;
            // Leases of the dead end.
            self.surroundings.truth.advance(Lifetime::from_seconds(9));
            match lock(&outcome).take() {
                Some(Ok(())) => return Ok(()),
                Some(Err(error)) => last = Some(error),
                None => {}
            }
        }
        Err(format!("job {job:?} does not do its work though all is repaired: {last:?}"))
    }

    /// A record that was set back is brought up to its anchor; whoever runs finds that it is open again.
    fn restore_at_last(&mut self) -> Result<(), String> {
        for _ in 0..12 {
            if !self.is_closed() {
                break;
            }
            self.begin_restoration();
            self.live()?;
            // Whoever held a lease on the lists has lost it by then.
            self.surroundings.truth.advance(Lifetime::from_seconds(61));
        }
        if self.is_closed() {
            return Err("the record is not brought up to its anchor though all is repaired".to_owned());
        }
        Ok(())
    }

    /// A certificate is issued, after a few attempts at the most, as keys may fail.
    fn issue_at_last(&mut self) -> Result<(), String> {
        let before = lock(&self.client.population).certificates.len();
        for _ in 0..8 {
            let subscriber = self.random.below(FOUNDATION.requests.len());
            self.ask_later(0, Operation::Issue { profile: "document", subscriber, days: 1, idempotency: None }, 0);
            self.live()?;
            if lock(&self.client.population).certificates.len() > before {
                return Ok(());
            }
            // A comparison of the clock counts so long, also one that a standstill has spoiled.
            self.surroundings.truth.advance(Lifetime::from_seconds(11));
        }
        Err("no certificate is issued though all is repaired".to_owned())
    }

    /// Every bulk revocation comes to its end.
    fn revoke_at_last(&mut self) -> Result<(), String> {
        let are_running = |simulation: &Self| {
            let rows = |record: &mut Record| {
                let mut rows = record.bulk_revocations.values();
                rows.any(|row| row.operation.state == BulkRevocationState::Running)
            };
            simulation.surroundings.store.tables(rows)
        };
        for _ in 0..400 {
            if !are_running(self) {
                return Ok(());
            }
            self.repeat(Job::BulkRevocation)?;
        }
        Err("a bulk revocation comes to no end though all is repaired".to_owned())
    }

    /// Every event reaches its sinks, or was given up before.
    fn deliver_everything(&mut self) -> Result<(), String> {
        let mut delivered = Ok(());
        for _ in 0..12 {
            self.repeat(Job::Outbox)?;
            delivered = lock(&self.surroundings.auditor).check_all_delivered();
            if delivered.is_ok() {
                break;
            }
            // What failed waits for its next attempt.
            self.surroundings.truth.advance(Lifetime::from_seconds(60));
        }
        delivered
    }

    /// Of every certificate that clients know, OCSP says how it stands.
    fn ask_everybody(&mut self, engine: &Arc<Engine>) -> Result<(), String> {
        let (client, engine) = (self.client_of(0), engine.clone());
        let known = lock(&self.client.population).certificates.clone();
        self.executor.spawn(0, "every question".to_owned(), async move {
            for known in known {
                let outcome = client.ask_status(&engine, &known).await;
                client.note(&known, &outcome);
            }
        });
        self.live()
    }
}
