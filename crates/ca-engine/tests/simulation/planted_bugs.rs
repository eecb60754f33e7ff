//! Each planted bug, and a seed that finds it: the first from 0 on, so that the number says how hard it is to find.

use crate::planted_bug::PlantedBug;
use crate::simulation::run;

/// Every bug is found by one of so many seeds.
const SEEDS: u64 = 10_000;

/// Which seed finds which bug. A change of what a seed does changes these: `search_anew` prints the table.
const FOUND_BY: [(PlantedBug, u64); 41] = [
    (PlantedBug::SequenceNumberLost, 11),
    (PlantedBug::CompletionAcknowledgedBeforeCommit, 0),
    (PlantedBug::ReservationAcknowledgedBeforeCommit, 0),
    (PlantedBug::SerialReused, 5),
    (PlantedBug::StaleLeaseWritesCrl, 5),
    (PlantedBug::IdempotencyForgotten, 0),
    (PlantedBug::TokenUseNotCounted, 4),
    (PlantedBug::TokenUseNotGivenBack, 82),
    (PlantedBug::WithdrawnTokenAccepted, 32),
    (PlantedBug::SecondSuccessorAccepted, 44),
    (PlantedBug::KeyNotBlocked, 0),
    (PlantedBug::BlockedKeyCompleted, 208),
    (PlantedBug::PredecessorNotLookedAt, 146),
    (PlantedBug::RolesLeftToHeirs, 990),
    (PlantedBug::AuditEventDropped, 0),
    (PlantedBug::StaleLeaseChains, 20),
    (PlantedBug::LeaseTokenRepeated, 0),
    (PlantedBug::CrlNumberNotRaised, 235),
    (PlantedBug::HoldEndOverwritesRevocation, 11),
    (PlantedBug::AbandonedReservationCompleted, 101),
    (PlantedBug::StatusFromStaleCopy, 52),
    (PlantedBug::RevokedPageLosesLast, 3),
    (PlantedBug::SequenceBeforeRow, 0),
    (PlantedBug::OlderListPublished, 427),
    (PlantedBug::WrongClockUnseen, 5),
    (PlantedBug::FailOverLosesCommits, 0),
    (PlantedBug::MessageLostForASink, 0),
    (PlantedBug::DeliveryForgottenUntaken, 0),
    (PlantedBug::PendingDeliveryPassed, 256),
    (PlantedBug::AttemptsCountedTwice, 0),
    (PlantedBug::StaleLeaseSettles, 15),
    (PlantedBug::AnswerOutlivesNews, 1493),
    (PlantedBug::AnswerLetInAfterNews, 1493),
    (PlantedBug::RevokerRemembers, 343),
    (PlantedBug::AnswerOutlivesItself, 18),
    (PlantedBug::FollowingNotLookedAt, 52),
    (PlantedBug::AnchorForgetsRow, 1280),
    (PlantedBug::AnchorNotAsked, 31),
    (PlantedBug::ListNumbersNotRaised, 819),
    (PlantedBug::LostSerialLeftOut, 1726),
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
        // A seed that still finds it is tried first.
        let known = FOUND_BY.iter().find(|(planted, _)| *planted == bug).map(|(_, seed)| *seed);
        let found = known.into_iter().chain(0..SEEDS).find_map(|seed| {
            let failure = run(seed, Some(bug)).err()?;
            // Else it is no planted bug that was found.
            run(seed, None).is_ok().then_some((seed, failure))
        });
        match found {
            Some((seed, failure)) => println!("    (PlantedBug::{bug:?}, {seed}),\n        // {}", failure.what),
            None => println!("    // {bug:?} is not found"),
        }
    }
}
