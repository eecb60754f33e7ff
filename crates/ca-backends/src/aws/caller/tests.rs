//! What is tried again and what is not, what is left alone, and what is turned away. Nothing here depends on how fast it goes.

use std::sync::Mutex;

use super::*;

const PATIENCE: Patience = Patience {
    attempts: 4,
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(2),
    within: Duration::from_secs(600),
    first_rest: Duration::from_secs(600),
};
const SIGN: Call = Call { operation: "Sign", micro_dollars: 15 };

fn caller(patience: Patience) -> Caller {
    Caller::new(1_000, Duration::from_secs(600), patience, Arc::default())
}

fn refusal(code: &str) -> Refusal {
    Refusal { status: 400, code: code.to_owned(), ..Refusal::default() }
}

fn throttled() -> Failure {
    Failure::Throttled(refusal("ThrottlingException"))
}

fn passing() -> Failure {
    Failure::Passing("500".to_owned())
}

/// Makes a call whose attempts end as told, and says how it ended and how many of the ends were left over.
async fn call(caller: &Caller, ends: Vec<Result<u32, Failure>>) -> (Result<u32, CallError>, usize) {
    let ends = Mutex::new(ends);
    let answer = caller.call(SIGN, || std::future::ready(ends.lock().expect("a lock").remove(0))).await;
    let left = ends.lock().expect("a lock").len();
    (answer, left)
}

fn counted(caller: &Caller, wanted: CallOutcome) -> u64 {
    caller.tally.counts().iter().filter(|count| count.outcome == wanted).map(|count| count.calls).sum()
}

#[tokio::test]
async fn tries_again_what_may_help_and_nothing_else() {
    let caller = caller(PATIENCE);
    assert_eq!(call(&caller, vec![Err(throttled()), Err(passing()), Ok(7)]).await, (Ok(7), 0));
    for failure in [Failure::Refused(refusal("DisabledException")), Failure::NotSent("no credentials".to_owned())] {
        let (answer, left) = call(&caller, vec![Err(failure), Ok(7)]).await;
        assert!(answer.is_err());
        assert_eq!(left, 1);
    }
    let (answer, left) = call(&caller, vec![Err(throttled()); 5]).await;
    assert!(matches!(answer, Err(CallError::Busy { ref detail, .. }) if detail.contains("4 times")), "{answer:?}");
    assert_eq!(left, 1);
    let (answer, _) = call(&caller, vec![Err(passing()); 5]).await;
    assert!(matches!(answer, Err(CallError::Unavailable { .. })), "{answer:?}");
    assert_eq!(counted(&caller, CallOutcome::Answered), 1);
    assert_eq!(counted(&caller, CallOutcome::Throttled), 5);
    assert_eq!(counted(&caller, CallOutcome::Failed), 6);
    assert_eq!(counted(&caller, CallOutcome::Refused), 1);
    assert_eq!(caller.tally.counts().iter().map(|count| count.micro_dollars).sum::<u64>(), 15);
}

#[tokio::test]
async fn no_attempt_begins_when_the_time_is_over() {
    let caller = caller(Patience { within: Duration::ZERO, ..PATIENCE });
    let (answer, left) = call(&caller, vec![Err(passing()), Ok(7)]).await;
    assert!(answer.is_err());
    assert_eq!(left, 1);
}

#[tokio::test]
async fn what_fails_for_all_is_left_alone() {
    let caller = caller(PATIENCE);
    for _ in 0..2 {
        assert!(call(&caller, vec![Err(passing()); 4]).await.0.is_err());
    }
    // Eight failures in a row.
    let (answer, left) = call(&caller, vec![Ok(7)]).await;
    assert!(
        matches!(answer, Err(CallError::Unavailable { ref detail }) if detail.contains("was not tried")),
        "{answer:?}"
    );
    assert_eq!(left, 1);
    assert_eq!(counted(&caller, CallOutcome::Resting), 1);
}

#[tokio::test]
async fn one_that_is_answered_after_the_rest_opens_the_way_for_all() {
    let caller = caller(Patience { first_rest: Duration::ZERO, ..PATIENCE });
    for _ in 0..2 {
        assert!(call(&caller, vec![Err(passing()); 4]).await.0.is_err());
    }
    for answer in 0..3 {
        assert_eq!(call(&caller, vec![Ok(answer)]).await.0, Ok(answer));
    }
}

#[tokio::test]
async fn what_finds_no_turn_in_time_is_told_when_to_ask_again() {
    let caller = Caller::new(1, Duration::ZERO, PATIENCE, Arc::default());
    let calls = (0..60).map(|_| async { caller.call(SIGN, || std::future::ready(Ok(()))).await });
    let ends = futures::future::join_all(calls).await;
    assert!(ends.iter().any(Result::is_ok));
    let turned_away = ends.iter().filter_map(|end| end.as_ref().err()).map(|error| match error {
        CallError::Busy { retry_after, .. } => *retry_after,
        error => panic!("{error:?}"),
    });
    let turned_away: Vec<Duration> = turned_away.collect();
    assert!(!turned_away.is_empty());
    assert!(turned_away.iter().all(|after| !after.is_zero() && *after <= Duration::from_secs(1)), "{turned_away:?}");
    assert_eq!(counted(&caller, CallOutcome::QueueFull), turned_away.len() as u64);
}

#[tokio::test]
async fn what_is_counted_apart_has_turns_of_its_own_and_the_same_rest() {
    let caller = Caller::new(1, Duration::ZERO, PATIENCE, Arc::default());
    let apart = caller.counted_apart(1_000, Duration::from_secs(600));
    let calls = (0..60).map(|_| async { caller.call(SIGN, || std::future::ready(Ok(()))).await });
    let ends = futures::future::join_all(calls).await;
    assert!(ends.iter().any(Result::is_err), "more than a second has turns for");
    for answer in 0..60 {
        assert_eq!(call(&apart, vec![Ok(answer)]).await.0, Ok(answer));
    }
    assert_eq!(counted(&apart, CallOutcome::Answered), counted(&caller, CallOutcome::Answered), "one tally");
    // Who fails again and again is left alone by both: it is the same endpoint.
    for _ in 0..2 {
        assert!(call(&apart, vec![Err(passing()); 4]).await.0.is_err());
    }
    assert!(matches!(call(&caller, vec![Ok(0)]).await.0, Err(CallError::Unavailable { .. })));
    assert_eq!(counted(&caller, CallOutcome::Resting), 1);
}
