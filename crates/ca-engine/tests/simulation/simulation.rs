//! One run: replicas over one record, everything they do in an order drawn from the seed, and everything that may go wrong.

use std::fmt;
use std::sync::{Arc, Mutex};

use ca_engine::fake::Record;
use ca_engine::port::store::StoreError;

use crate::database::Fate;
use crate::executor::{Executor, naps};
use crate::job::Job;
use crate::lock;
use crate::operation::{Client, Operation, Population};
use crate::planted_bug::PlantedBug;
use crate::random::Random;
use crate::replica::{Replica, Surroundings, surroundings};
use crate::trace::Trace;

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) steps: u64,
    pub(crate) certificates: usize,
    /// How many writes were refused, most of them because their lease had moved on.
    pub(crate) refused: u64,
    /// How many changes committed after their callers had left.
    pub(crate) late: u64,
    /// How often a sink took an event.
    pub(crate) delivered: u64,
    /// How often an answer came from memory.
    pub(crate) remembered: u64,
    /// How often an answer came from where processes share them.
    pub(crate) shared: u64,
    /// How often a restoration opened a record that had been set back.
    pub(crate) restored: u64,
    /// How many certificates an issuer elsewhere made.
    pub(crate) elsewhere: u64,
    /// How many generations were announced.
    pub(crate) generations: u64,
    /// The same for two runs in which the same happened.
    pub(crate) digest: u64,
}

/// A promise that was broken, and how to see it again.
pub(crate) struct Failure {
    seed: u64,
    step: u64,
    pub(crate) what: String,
    trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {} breaks a promise at step {}: {}\nthe last events:\n{}\nCA_SIMULATION_SEED={} shows it again",
            self.seed, self.step, self.what, self.trace, self.seed
        )
    }
}

/// A run under way.
pub(crate) struct Simulation {
    pub(super) random: Random,
    pub(super) surroundings: Surroundings,
    pub(super) replicas: Vec<Replica>,
    pub(super) executor: Executor,
    pub(super) client: Client,
    pub(super) step: u64,
    /// How many operations are still to begin.
    left: usize,
    /// The step until which the database cannot be reached.
    pub(super) outage_until: u64,
    refused: u64,
    late: u64,
    /// The record as it stood some commits ago.
    pub(super) standby: Option<Record>,
    /// The record as it was when somebody kept it.
    pub(super) backup: Option<Record>,
    /// The process that brings a record up to its anchor.
    pub(super) operator: Replica,
    /// Whether everything works and nothing new begins.
    pub(super) settling: bool,
}

/// After so many steps nothing more is expected of a run.
const MOST_STEPS: u64 = 20_000;

/// How many tasks are under way at once, at the most.
const AT_ONCE: usize = 9;

/// Runs a seed to its end.
pub(crate) fn run(seed: u64, bug: Option<PlantedBug>) -> Result<Summary, Box<Failure>> {
    run_telling(seed, bug, false)
}

/// Runs a seed to its end and prints all that happens, when it is to be read `aloud`.
pub(crate) fn run_telling(seed: u64, bug: Option<PlantedBug>, aloud: bool) -> Result<Summary, Box<Failure>> {
    let mut simulation = Simulation::new(seed, bug, aloud);
    let outcome = simulation.live().and_then(|()| {
        simulation.settling = false;
        simulation.left = 20 + simulation.random.below(25);
        simulation.live()?;
        simulation.settle()
    });
    outcome.map(|()| simulation.summary()).map_err(|what| {
        let trace = lock(&simulation.client.trace).text();
        Box::new(Failure { seed, step: simulation.step, what, trace })
    })
}

impl Simulation {
    fn new(seed: u64, bug: Option<PlantedBug>, aloud: bool) -> Self {
        let mut random = Random::new(seed);
        let surroundings = surroundings(random.next(), bug);
        let count = random.weighted(&[(5, 2), (3, 3), (1, 4)]);
        // The first can do everything; others may have the responders' keys only.
        let replicas: Vec<Replica> = (0..count)
            .map(|number| Replica::new(number, &surroundings.truth, number > 0 && random.one_in(6)))
            .collect();
        let operator = Replica::new(replicas.len(), &surroundings.truth, false);
        let client = Client {
            auditor: surroundings.auditor.clone(),
            population: Arc::new(Mutex::new(Population::default())),
            trace: Arc::new(Mutex::new(Trace::new(aloud))),
            process: (0, 0),
            careless: None,
        };
        let mut simulation = Self {
            left: 0,
            random,
            surroundings,
            replicas,
            executor: Executor::default(),
            client,
            step: 0,
            outage_until: 0,
            refused: 0,
            late: 0,
            standby: None,
            backup: None,
            operator,
            settling: true,
        };
        for number in 0..simulation.replicas.len() {
            simulation.set_clock(number);
            simulation.start(number);
        }
        simulation
    }

    fn summary(&self) -> Summary {
        let tally = lock(&self.surroundings.auditor).tally;
        Summary {
            steps: self.step,
            certificates: lock(&self.client.population).certificates.len(),
            refused: self.refused,
            late: self.late,
            delivered: tally.delivered,
            remembered: tally.remembered,
            shared: tally.shared,
            restored: tally.restored,
            elsewhere: self.surroundings.issuer.as_ref().map_or(0, |there| there.issuer.made().len() as u64),
            generations: tally.generations,
            digest: lock(&self.client.trace).digest(),
        }
    }

    pub(super) fn note(&self, event: String) {
        lock(&self.client.trace).note(self.step, event);
    }

    /// Everything that happens until every operation has come to an end.
    pub(super) fn live(&mut self) -> Result<(), String> {
        while self.left > 0 || self.executor.len() > 0 || self.surroundings.database.len() > 0 {
            self.take_step()?;
        }
        Ok(())
    }

    /// One thing happens: a task goes on, a transaction comes to its end, an operation begins, or something goes wrong.
    fn take_step(&mut self) -> Result<(), String> {
        self.step += 1;
        self.surroundings.truth.advance_millis(self.random.within(0..120));
        lock(&self.surroundings.auditor).begin_step(self.step);
        let ready = self.executor.ready(self.step);
        let waiting = self.surroundings.database.len();
        let begin = usize::from(self.left > 0 && self.executor.len() < AT_ONCE) * 2;
        let total = ready.len() * 2 + waiting * 2 + begin;
        if !self.settling && self.left > 0 && self.random.one_in(16) {
            self.trouble();
        } else if total == 0 {
            // Whoever sleeps is woken; there is nothing else to do.
            self.executor.wake_all();
            self.outage_until = 0;
        } else {
            let mut place = self.random.below(total);
            if place < ready.len() * 2 {
                self.executor.poll(ready[place / 2]);
            } else {
                place -= ready.len() * 2;
                if place < waiting * 2 {
                    self.transact(place / 2);
                } else {
                    self.begin();
                }
            }
        }
        match lock(&self.surroundings.auditor).violation() {
            Some(what) => Err(what.to_owned()),
            None if self.step > MOST_STEPS => Err("it comes to no end".to_owned()),
            None => Ok(()),
        }
    }

    /// A transaction comes to its end.
    fn transact(&mut self, index: usize) {
        let transaction = self.surroundings.database.take(index);
        if transaction.orphaned && self.random.one_in(3) {
            return;
        }
        let (method, replica, write) = (transaction.method, transaction.replica, transaction.is_write());
        let fate = self.fate(write);
        let told = match &fate {
            Fate::Commit => "",
            Fate::Fail(_) => " fails",
            Fate::LoseAnswer => " unacknowledged",
        };
        let late = transaction.orphaned;
        let orphaned = if late { " of the dead" } else { "" };
        self.note(format!("replica {replica}: {method:?}{orphaned}{told}"));
        let lease = transaction.lease.clone();
        let failed = matches!(fate, Fate::Fail(_));
        let done = transaction.run(fate);
        self.refused += u64::from(write && !failed && !done);
        self.late += u64::from(write && late && done);
        if self.surroundings.bug == Some(PlantedBug::FailOverLosesCommits)
            && (self.standby.is_none() || self.random.one_in(9))
        {
            self.standby = Some(self.surroundings.store.tables(|record| record.clone()));
        }
        if write && !failed {
            lock(&self.surroundings.auditor).after_commit(method, lease.as_ref(), done);
        }
    }

    fn fate(&mut self, write: bool) -> Fate {
        let unavailable = || Fate::Fail(StoreError::Unavailable { detail: "the database is down".to_owned() });
        if self.settling {
            return Fate::Commit;
        }
        if self.step < self.outage_until {
            return if write && self.random.one_in(3) { Fate::LoseAnswer } else { unavailable() };
        }
        match self.random.below(50) {
            0 if write => Fate::Fail(StoreError::Conflict { detail: "could not serialize access".to_owned() }),
            0 => unavailable(),
            1 | 2 if write => Fate::LoseAnswer,
            _ => Fate::Commit,
        }
    }

    /// An operation or a job begins in a replica that runs; now and then the same at once in another.
    fn begin(&mut self) {
        let running: Vec<usize> =
            self.replicas.iter().filter(|replica| replica.engine().is_some()).map(|replica| replica.number).collect();
        if running.is_empty() {
            self.start_those_down();
            return;
        }
        self.left -= 1;
        let number = running[self.random.below(running.len())];
        if self.surroundings.issuer.is_some() && self.random.one_in(3) {
            self.begin_elsewhere(number, &running);
            return;
        }
        if self.surroundings.rolls && self.random.one_in(4) {
            self.begin_generation(number, &running);
            return;
        }
        if self.random.one_in(3) {
            let job = self.random.weighted(&[
                (12, Job::Crl),
                (6, Job::AuditChain),
                (2, Job::Responders),
                (5, Job::Reservations),
                (2, Job::Follow),
                (8, Job::Revocations),
                (3, Job::SignAhead),
                (2, Job::Clock),
                (1, Job::Expiry),
                (7, Job::Outbox),
                (9, Job::BulkRevocation),
                (if self.surroundings.anchor.is_some() { 24 } else { 0 }, Job::Anchor),
            ]);
            self.run_job(number, job);
            return;
        }
        if self.random.one_in(12) {
            self.rush(&running);
            return;
        }
        if self.surroundings.shared_place.is_some() && self.random.one_in(5) {
            self.ask_around(&running);
            return;
        }
        let operation = self.operation();
        if self.random.one_in(3) {
            let other = running[self.random.below(running.len())];
            self.ask(other, operation.clone());
        }
        self.ask(number, operation);
    }

    /// One who asks the process that runs in a replica.
    pub(super) fn client_of(&self, number: usize) -> Client {
        let replica = &self.replicas[number];
        Client { process: replica.process(), careless: replica.careless.clone(), ..self.client.clone() }
    }

    fn ask(&mut self, number: usize, operation: Operation) {
        self.ask_later(number, operation, 0);
    }

    /// A client asks a process, some polls later.
    pub(super) fn ask_later(&mut self, number: usize, operation: Operation, polls: usize) {
        let Some(engine) = self.replicas[number].engine() else { return };
        self.note(format!("replica {number} is asked: {operation:?}"));
        let client = self.client_of(number);
        self.executor.spawn(number, format!("{operation:?}"), async move {
            naps(polls).await;
            client.ask(engine, operation).await;
        });
    }

    pub(super) fn run_job(&mut self, number: usize, job: Job) {
        self.run_job_later(number, job, 0);
    }

    /// A process runs a job, some polls later.
    pub(super) fn run_job_later(&mut self, number: usize, job: Job, polls: usize) {
        let Some(engine) = self.replicas[number].engine() else { return };
        self.note(format!("replica {number} begins its job {job:?}"));
        let (client, holder) = (self.client_of(number), self.replicas[number].holder());
        let habits = self.replicas[number].habits.clone();
        self.executor.spawn(number, format!("{job:?}"), async move {
            naps(polls).await;
            let (since, began) = lock(&client.auditor).moment();
            let failures = habits.anchor_failures();
            let outcome = job.run(engine.clone(), holder, habits.clone()).await;
            if job == Job::Anchor {
                let in_vain = outcome.is_err() || habits.anchor_failures() > failures;
                let is_open = engine.check_anchor().is_ok();
                lock(&client.auditor).anchor_looked_at(client.process, began, is_open, in_vain);
            }
            if job == Job::Revocations && outcome.is_ok() {
                client.followed(since);
            }
            client.note(&format_args!("replica {number}: job {job:?}"), &outcome);
        });
    }

    /// A process starts over the record.
    pub(super) fn start(&mut self, number: usize) {
        let starting = self.replicas[number].start(&self.surroundings, &mut self.random);
        let running = self.replicas[number].engine.clone();
        let client = self.client_of(number);
        self.executor.spawn(number, format!("the start of replica {number}"), async move {
            let since = lock(&client.auditor).step;
            lock(&client.auditor).process_started(client.process, since);
            let started = starting.await;
            let outcome = started.map(|engine| *lock(&running) = Some(Arc::new(engine)));
            client.note(&format_args!("replica {number} starts"), &outcome);
        });
    }

    /// Whoever is down, and not starting yet, starts.
    pub(super) fn start_those_down(&mut self) {
        for number in 0..self.replicas.len() {
            let busy = self.executor.tasks_mut().iter().any(|task| task.replica == number);
            if self.replicas[number].engine().is_none() && !busy {
                self.start(number);
            }
        }
    }
}
