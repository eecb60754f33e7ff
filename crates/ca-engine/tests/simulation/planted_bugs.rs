//! Each planted bug, and a seed that finds it: the first from 0 on, so that the number says how hard it is to find.

use crate::planted_bug::PlantedBug;
use crate::simulation::run;

/// Every bug is found by one of so many seeds.
const SEEDS: u64 = 10_000;

/// Which seed finds which bug. A change of what a seed does changes these: `search_anew` prints the table.
const FOUND_BY: [(PlantedBug, u64); 45] = [
    (PlantedBug::SequenceNumberLost, 69),
    (PlantedBug::CompletionAcknowledgedBeforeCommit, 0),
    (PlantedBug::ReservationAcknowledgedBeforeCommit, 0),
    (PlantedBug::SerialReused, 16),
    (PlantedBug::StaleLeaseWritesCrl, 0),
    (PlantedBug::IdempotencyForgotten, 0),
    (PlantedBug::TokenUseNotCounted, 8),
    (PlantedBug::TokenUseNotGivenBack, 8),
    (PlantedBug::WithdrawnTokenAccepted, 9),
    (PlantedBug::SecondSuccessorAccepted, 19),
    (PlantedBug::KeyNotBlocked, 12),
    (PlantedBug::BlockedKeyCompleted, 366),
    (PlantedBug::PredecessorNotLookedAt, 138),
    (PlantedBug::RolesLeftToHeirs, 1302),
    (PlantedBug::AuditEventDropped, 1),
    (PlantedBug::StaleLeaseChains, 66),
    (PlantedBug::LeaseTokenRepeated, 0),
    (PlantedBug::CrlNumberNotRaised, 131),
    (PlantedBug::HoldEndOverwritesRevocation, 69),
    (PlantedBug::AbandonedReservationCompleted, 106),
    (PlantedBug::StatusFromStaleCopy, 66),
    (PlantedBug::RevokedPageLosesLast, 3),
    (PlantedBug::SequenceBeforeRow, 1),
    (PlantedBug::OlderListPublished, 195),
    (PlantedBug::WrongClockUnseen, 5),
    (PlantedBug::FailOverLosesCommits, 1),
    (PlantedBug::MessageLostForASink, 0),
    (PlantedBug::DeliveryForgottenUntaken, 0),
    (PlantedBug::PendingDeliveryPassed, 141),
    (PlantedBug::AttemptsCountedTwice, 0),
    (PlantedBug::StaleLeaseSettles, 92),
    (PlantedBug::AnswerOutlivesNews, 193),
    (PlantedBug::AnswerLetInAfterNews, 6506),
    (PlantedBug::RevokerRemembers, 854),
    (PlantedBug::AnswerOutlivesItself, 56),
    (PlantedBug::FollowingNotLookedAt, 193),
    (PlantedBug::SharedAnswerOfChangedSerial, 86),
    (PlantedBug::SharedAnswerNotVerified, 361),
    (PlantedBug::AnchorForgetsRow, 1830),
    (PlantedBug::AnchorNotAsked, 49),
    (PlantedBug::ListNumbersNotRaised, 280),
    (PlantedBug::PartialNumberNotRaised, 0),
    (PlantedBug::ShardLosesFirst, 0),
    (PlantedBug::LostSerialLeftOut, 1830),
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
