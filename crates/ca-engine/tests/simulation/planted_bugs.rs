//! Each planted bug, and a seed that finds it: the first from 0 on, so that the number says how hard it is to find.

use crate::database::planted::PlantedBug;
use crate::simulation::run;

/// Every bug is found by one of so many seeds.
const SEEDS: u64 = 10_000;

/// Which seed finds which bug. A change of what a seed does changes these: `search_anew` prints the table.
const FOUND_BY: [(PlantedBug, u64); 27] = [
    (PlantedBug::SequenceNumberLost, 113),
    (PlantedBug::CompletionAcknowledgedBeforeCommit, 0),
    (PlantedBug::ReservationAcknowledgedBeforeCommit, 0),
    (PlantedBug::SerialReused, 3),
    (PlantedBug::StaleLeaseWritesCrl, 0),
    (PlantedBug::IdempotencyForgotten, 0),
    (PlantedBug::TokenUseNotCounted, 1),
    (PlantedBug::TokenUseNotGivenBack, 47),
    (PlantedBug::WithdrawnTokenAccepted, 305),
    (PlantedBug::SecondSuccessorAccepted, 13),
    (PlantedBug::KeyNotBlocked, 7),
    (PlantedBug::BlockedKeyCompleted, 100),
    (PlantedBug::PredecessorNotLookedAt, 15),
    (PlantedBug::RolesLeftToHeirs, 52),
    (PlantedBug::AuditEventDropped, 0),
    (PlantedBug::StaleLeaseChains, 1),
    (PlantedBug::LeaseTokenRepeated, 0),
    (PlantedBug::CrlNumberNotRaised, 144),
    (PlantedBug::HoldEndOverwritesRevocation, 114),
    (PlantedBug::AbandonedReservationCompleted, 184),
    (PlantedBug::StatusFromStaleCopy, 562),
    (PlantedBug::RevokedPageLosesLast, 3),
    (PlantedBug::SequenceBeforeRow, 0),
    (PlantedBug::OlderListPublished, 305),
    (PlantedBug::WrongClockUnseen, 5),
    (PlantedBug::FailOverLosesCommits, 0),
    (PlantedBug::OtherOctetsSigned, 0),
];

#[test]
fn finds_each_planted_bug() {
    for bug in PlantedBug::ALL {
        let seed = FOUND_BY.iter().find(|(planted, _)| *planted == bug).map(|(_, seed)| *seed);
        let seed = seed.unwrap_or_else(|| panic!("no seed is known to find {bug:?}"));
        assert!(seed < SEEDS, "{bug:?} is too hard to find");
        assert!(run(seed, Some(bug)).is_err(), "seed {seed} finds {bug:?} no more; `search_anew` looks for another");
        if let Err(failure) = run(seed, None) {
            panic!("without {bug:?}: {failure}");
        }
    }
}

#[test]
#[ignore = "prints the table anew after a change of what a seed does"]
fn search_anew() {
    for bug in PlantedBug::ALL {
        let found = (0..SEEDS).find_map(|seed| Some((seed, run(seed, Some(bug)).err()?)));
        match found {
            Some((seed, failure)) => println!("    (PlantedBug::{bug:?}, {seed}),\n        // {}", failure.what),
            None => println!("    // {bug:?} is not found"),
        }
    }
}
