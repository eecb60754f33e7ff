//! A deterministic simulation of the service over its ports: several replicas over one record, in one thread, in an order drawn
//! from a seed; processes die, answers are lost, clocks go wrong, leases end in the middle. After every commit the record is held
//! against what must always be true, and every answer against the record ([`auditor`]).
//!
//! The same seed gives the same run. Nothing here reads a real clock or the machine's randomness, and no hash map is walked.

mod auditor;
mod careless_memory;
mod choice;
mod database;
mod executor;
mod foundation;
mod issuer_elsewhere;
mod job;
mod keyring;
mod operation;
mod planted_bug;
mod planted_bugs;
mod publisher;
mod random;
mod replica;
mod rollback;
mod rollover;
mod settling;
mod shared_anchor;
mod shared_place;
mod simulation;
mod sink;
mod trace;
mod trouble;
mod weak_entropy;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::simulation::{Summary, run, run_telling};

/// A lock that a failed test does not spoil.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number from the environment.
#[expect(clippy::disallowed_methods, reason = "whoever runs the tests chooses which seeds run")]
fn chosen(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs the seeds from `CA_SIMULATION_FROM` or 0 on, `CA_SIMULATION_SEEDS` of them or `count`; or only `CA_SIMULATION_SEED`, and prints
/// all that happens.
fn run_seeds(count: u64) {
    let one = chosen("CA_SIMULATION_SEED");
    let from = chosen("CA_SIMULATION_FROM").unwrap_or(0);
    let count = chosen("CA_SIMULATION_SEEDS").unwrap_or(count);
    let seeds = one.map_or(from..from + count, |seed| seed..seed + 1);
    let mut total = Total::default();
    for seed in seeds.clone() {
        total.add(run_telling(seed, None, one.is_some()).unwrap_or_else(|failure| panic!("{failure}")));
        if seed % 10_000 == 9_999 {
            println!("{} seeds kept every promise", seed + 1);
        }
    }
    let count = seeds.end - seeds.start;
    println!("{count} seeds: {total:?}");
    // A simulation in which nothing goes wrong proves nothing.
    let often = [total.refused, total.late, total.delivered, total.remembered];
    let goes_wrong = often.iter().all(|often| *often > count / 10)
        && total.restored.min(total.shared).min(total.elsewhere).min(total.generations) > count / 100;
    assert!(count < 1_000 || goes_wrong, "{total:?}");
}

/// What some runs did.
#[derive(Debug, Default)]
struct Total {
    steps: u64,
    certificates: usize,
    refused: u64,
    late: u64,
    delivered: u64,
    remembered: u64,
    shared: u64,
    restored: u64,
    elsewhere: u64,
    generations: u64,
}

impl Total {
    fn add(&mut self, summary: Summary) {
        self.steps += summary.steps;
        self.certificates += summary.certificates;
        self.refused += summary.refused;
        self.late += summary.late;
        self.delivered += summary.delivered;
        self.remembered += summary.remembered;
        self.shared += summary.shared;
        self.restored += summary.restored;
        self.elsewhere += summary.elsewhere;
        self.generations += summary.generations;
    }
}

#[test]
fn every_promise_is_kept_in_a_thousand_seeds() {
    run_seeds(1_000);
}

#[test]
#[ignore = "takes hours: make soak"]
fn every_promise_is_kept_in_a_million_seeds() {
    run_seeds(1_000_000);
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let outcome = |seed| run(seed, None).unwrap_or_else(|failure| panic!("{failure}"));
    for seed in 0..20 {
        assert_eq!(outcome(seed), outcome(seed), "seed {seed}");
    }
}
