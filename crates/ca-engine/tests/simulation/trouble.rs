//! What goes wrong: time passes, processes die or stand still, callers leave, the database fails, clocks are set.

use ca_core::time::Lifetime;

use crate::job::Job;
use crate::lock;
use crate::simulation::Simulation;

#[derive(Clone, Copy)]
enum Trouble {
    TimePasses,
    StandsStill,
    Dies,
    CallerLeaves,
    Outage,
    ConnectionBreaks,
    ClockIsSet,
    Starts,
    BackupIsMade,
    RecordIsSetBack,
    OperatorRestores,
}

impl Simulation {
    /// Something goes wrong, or is repaired.
    pub(super) fn trouble(&mut self) {
        let anchored = usize::from(self.surroundings.anchor.is_some());
        let closed = usize::from(self.is_closed());
        let kept = usize::from(self.backup.is_some() && !self.is_closed());
        let trouble = self.random.weighted(&[
            (6, Trouble::TimePasses),
            (5, Trouble::StandsStill),
            (2, Trouble::Dies),
            (2, Trouble::CallerLeaves),
            (1, Trouble::Outage),
            (4, Trouble::ConnectionBreaks),
            (2, Trouble::ClockIsSet),
            (5, Trouble::Starts),
            (2 * anchored, Trouble::BackupIsMade),
            (2 * kept, Trouble::RecordIsSetBack),
            (4 * closed, Trouble::OperatorRestores),
        ]);
        let number = self.random.below(self.replicas.len());
        match trouble {
            Trouble::TimePasses => {
                let seconds = match self.random.below(12) {
                    0..7 => self.random.within(1..10),
                    7..10 => self.random.within(10..600),
                    10 => self.random.within(600..30_000),
                    _ => self.random.within(30_000..40 * 86_400),
                };
                self.note(format!("{seconds} s pass"));
                self.surroundings.truth.advance(Lifetime::from_seconds(seconds));
            }
            Trouble::StandsStill => self.stand_still(number),
            Trouble::Dies => {
                self.note(format!("replica {number} dies"));
                self.replicas[number].die();
                self.executor.drop_replica(number);
            }
            Trouble::CallerLeaves => {
                if self.executor.len() > 0 {
                    let name = self.executor.drop_task(self.random.below(self.executor.len()));
                    self.note(format!("nobody waits any more for {name}"));
                }
            }
            Trouble::Outage => {
                self.outage_until = self.step + self.random.within(5..40);
                self.note(format!("the database is down until {}", self.outage_until));
                if let Some(standby) = self.standby.take() {
                    self.surroundings.store.tables(|record| *record = standby);
                }
            }
            Trouble::ConnectionBreaks => {
                let waiting = self.surroundings.database.len();
                if waiting > 0 && self.surroundings.database.cut_off(self.random.below(waiting)) {
                    self.note("a connection breaks with a change under way".to_owned());
                }
            }
            Trouble::ClockIsSet => self.set_clock(number),
            Trouble::Starts => self.start_those_down(),
            Trouble::BackupIsMade => self.make_backup(),
            Trouble::RecordIsSetBack => self.set_back(),
            Trouble::OperatorRestores => self.begin_restoration(),
        }
    }

    /// A process stands still while its leases end, and another takes over its jobs; then it goes on as if nothing had been.
    fn stand_still(&mut self, number: usize) {
        let number = self.leaseholder().unwrap_or(number);
        let until = self.step + self.random.within(20..150);
        self.note(format!("replica {number} stands still until {until}"));
        for task in self.executor.tasks_mut().iter_mut().filter(|task| task.replica == number) {
            task.asleep_until = until;
        }
        if self.random.one_in(2) {
            let seconds = self.random.within(8..20);
            self.note(format!("{seconds} s pass"));
            self.surroundings.truth.advance(Lifetime::from_seconds(seconds));
            let other = (number + 1) % self.replicas.len();
            let job = self.random.pick(&[Job::Crl, Job::AuditChain, Job::Outbox]);
            self.run_job(other, job);
        }
    }

    /// A process that does what it needs a lease for, every other time there is one.
    fn leaseholder(&mut self) -> Option<usize> {
        let leased = [Job::Crl, Job::AuditChain, Job::Responders, Job::Outbox].map(|job| format!("{job:?}"));
        let tasks = self.executor.tasks_mut().iter();
        let holders: Vec<usize> = tasks.filter(|task| leased.contains(&task.name)).map(|task| task.replica).collect();
        (!holders.is_empty() && self.random.one_in(2)).then(|| self.random.pick(&holders))
    }

    /// A clock is set: right, or some seconds off, or wrong.
    pub(super) fn set_clock(&mut self, number: usize) {
        let reach = self.random.weighted(&[(10, 1), (12, 5_000), (3, 55_000), (2, 900_000), (1, 40 * 86_400_000)]);
        let off = self.random.within(0..reach) as i64;
        let off = if self.random.one_in(2) { off } else { -off };
        self.note(format!("the clock of replica {number} is {off} ms off"));
        self.replicas[number].clock.set_off(off);
        lock(&self.surroundings.auditor).clock_was_set(number);
    }
}
