//! What is tried again and what is not, in a time that passes only when everything waits.

use std::sync::Mutex;

use super::*;

const PATIENCE: Patience = Patience {
    attempts: 4,
    first_pause: Duration::from_millis(25),
    longest_pause: Duration::from_millis(400),
    within: Duration::from_secs(3),
};
const SIGN: Call = Call { operation: "Sign", micro_dollars: 15 };

fn caller(per_second: u32) -> Caller {
    Caller::new(per_second, Duration::from_secs(1), PATIENCE, Arc::default())
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

/// Makes a call whose attempts end as told, and says how it ended and how many attempts were left over.
async fn call(caller: &Caller, ends: Vec<Result<u32, Failure>>) -> (Result<u32, CallError>, usize) {
    let ends = Mutex::new(ends);
    let answer = caller.call(SIGN, || std::future::ready(ends.lock().expect("a lock").remove(0))).await;
    let left = ends.lock().expect("a lock").len();
    (answer, left)
}

#[tokio::test(start_paused = true)]
async fn tries_again_what_may_help_and_nothing_else() {
    let caller = caller(1_000);
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
    let counted = |wanted| {
        caller.tally.counts().iter().filter(|count| count.outcome == wanted).map(|count| count.calls).sum::<u64>()
    };
    assert_eq!(counted(CallOutcome::Answered), 1);
    assert_eq!(counted(CallOutcome::Throttled), 5);
    assert_eq!(counted(CallOutcome::Failed), 6);
    assert_eq!(counted(CallOutcome::Refused), 1);
    assert_eq!(caller.tally.counts().iter().map(|count| count.micro_dollars).sum::<u64>(), 15);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_when_the_time_is_over() {
    let caller = caller(1_000);
    let begun = Instant::now();
    let answer: Result<(), _> = caller
        .call(SIGN, || async {
            tokio::time::sleep(Duration::from_millis(1_600)).await;
            Err(passing())
        })
        .await;
    assert!(answer.is_err());
    // Two attempts of 1.6 s and a pause; a third would begin after 3 s.
    assert!((3_200..3_300).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_all_is_left_alone_and_tried_by_one_call() {
    let caller = caller(1_000);
    for _ in 0..2 {
        assert!(call(&caller, vec![Err(passing()); 4]).await.0.is_err());
    }
    // Eight failures in a row.
    let (answer, left) = call(&caller, vec![Ok(7)]).await;
    assert!(matches!(answer, Err(CallError::Unavailable { ref detail }) if detail.contains("was not tried")), "{answer:?}");
    assert_eq!(left, 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(call(&caller, vec![Ok(7)]).await.0, Ok(7));
    assert_eq!(call(&caller, vec![Ok(8)]).await.0, Ok(8));
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_and_its_order_is_that_of_arrival() {
    let caller = caller(10);
    let order = Mutex::new(Vec::new());
    let calls = (0..30).map(|number| {
        let (caller, order) = (&caller, &order);
        async move {
            let done = caller
                .call(SIGN, || async move {
                    order.lock().expect("a lock").push(number);
                    Ok(())
                })
                .await;
            done.map_err(|error| match error {
                CallError::Busy { retry_after, .. } => retry_after,
                error => panic!("{error:?}"),
            })
        }
    });
    let ends = futures::future::join_all(calls).await;
    let done = ends.iter().filter(|end| end.is_ok()).count();
    // Two that were saved, one that is due, ten in the second that may be waited for.
    assert!((11..=13).contains(&done), "{done}");
    assert!(ends.iter().flat_map(|end| end.err()).all(|after| after > Duration::from_secs(1)));
    let order = order.into_inner().expect("a lock");
    assert!(order.is_sorted(), "{order:?}");
}
