//! Each planted bug, and a seed that finds it: the first from 0 on, so that the number says how hard it is to find.

use crate::planted_bug::PlantedBug;
use crate::simulation::run;

/// Every bug is found by one of so many seeds.
const SEEDS: u64 = 10_000;

/// Which seed finds which bug. A change of what a seed does changes these: `search_anew` prints the table.
const FOUND_BY: [(PlantedBug, u64); 46] = [
    (PlantedBug::SequenceNumberLost, 28),
    (PlantedBug::CompletionAcknowledgedBeforeCommit, 0),
    (PlantedBug::ReservationAcknowledgedBeforeCommit, 0),
    (PlantedBug::SerialReused, 5),
    (PlantedBug::StaleLeaseWritesCrl, 5),
    (PlantedBug::IdempotencyForgotten, 0),
    (PlantedBug::TokenUseNotCounted, 10),
    (PlantedBug::TokenUseNotGivenBack, 45),
    (PlantedBug::WithdrawnTokenAccepted, 296),
    (PlantedBug::SecondSuccessorAccepted, 8),
    (PlantedBug::KeyNotBlocked, 3),
    (PlantedBug::BlockedKeyCompleted, 26),
    (PlantedBug::PredecessorNotLookedAt, 170),
    (PlantedBug::RolesLeftToHeirs, 2175),
    (PlantedBug::AuditEventDropped, 1),
    (PlantedBug::StaleLeaseChains, 65),
    (PlantedBug::LeaseTokenRepeated, 0),
    (PlantedBug::CrlNumberNotRaised, 11),
    (PlantedBug::BatchSkippedOnResume, 176),
    (PlantedBug::HoldEndOverwritesRevocation, 74),
    (PlantedBug::AbandonedReservationCompleted, 82),
    (PlantedBug::StatusFromStaleCopy, 134),
    (PlantedBug::RevokedPageLosesLast, 3),
    (PlantedBug::SequenceBeforeRow, 1),
    (PlantedBug::OlderListPublished, 194),
    (PlantedBug::WrongClockUnseen, 5),
    (PlantedBug::FailOverLosesCommits, 1),
    (PlantedBug::MessageLostForASink, 0),
    (PlantedBug::DeliveryForgottenUntaken, 2),
    (PlantedBug::PendingDeliveryPassed, 78),
    (PlantedBug::AttemptsCountedTwice, 2),
    (PlantedBug::StaleLeaseSettles, 46),
    (PlantedBug::AnswerOutlivesNews, 346),
    (PlantedBug::AnswerLetInAfterNews, 422),
    (PlantedBug::RevokerRemembers, 885),
    (PlantedBug::AnswerOutlivesItself, 22),
    (PlantedBug::FollowingNotLookedAt, 193),
    (PlantedBug::SharedAnswerOfChangedSerial, 45),
    (PlantedBug::SharedAnswerNotVerified, 748),
    (PlantedBug::AnchorForgetsRow, 779),
    (PlantedBug::AnchorNotAsked, 39),
    (PlantedBug::ListNumbersNotRaised, 4079),
    (PlantedBug::PartialNumberNotRaised, 41),
    (PlantedBug::ShardLosesFirst, 0),
    (PlantedBug::LostSerialLeftOut, 2461),
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
