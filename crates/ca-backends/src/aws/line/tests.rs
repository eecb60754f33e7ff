//! A hundred callers in one line, at a clock that the test sets; and the same through [`Caller`], whatever the machine's speed.

use std::sync::Mutex;

use super::*;
use crate::aws::caller::{Call, Caller, Patience};
use crate::aws::failure::{Failure, Refusal};

const CALLERS: usize = 100;

/// A service that takes so many calls a second, as a bucket of as many tokens that is refilled.
struct Service {
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Service {
    fn new(per_second: f64, at: Instant) -> Self {
        Self { per_second, tokens: per_second, at }
    }

    fn takes(&mut self, now: Instant) -> bool {
        let refilled = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + refilled).min(self.per_second);
        self.at = now;
        let takes = self.tokens >= 1.0;
        if takes {
            self.tokens -= 1.0;
        }
        takes
    }
}

/// Who was served, when, and when calls went out, at a clock that jumps from turn to turn.
struct Told {
    served: Vec<(Place, Duration)>,
    calls: Vec<Duration>,
}

/// A hundred callers that come at once to a line of this pace before a service of that one.
fn queue_up(line: u32, service: f64) -> Told {
    let start = Instant::now();
    let mut now = start;
    let mut queue = Queue::new(line, Duration::from_secs(600), start);
    let mut service = Service::new(service, start);
    for _ in 0..CALLERS {
        let place = queue.join(now).expect("a place");
        queue.waiting.insert(place, Arc::default());
    }
    let mut told = Told { served: Vec::new(), calls: Vec::new() };
    while let Some(first) = queue.waiting.first_key_value().map(|(place, _)| *place) {
        assert!(told.calls.len() < 10_000, "it ends");
        match queue.take(first, now) {
            Turn::At(next) => now = next,
            Turn::Now => {
                told.calls.push(now - start);
                if service.takes(now) {
                    queue.waiting.remove(&first);
                    told.served.push((first, now - start));
                } else {
                    queue.too_fast(now);
                }
            }
            Turn::Behind => panic!("the first is the first"),
        }
    }
    told
}

/// No second, wherever it begins, has more calls than the pace.
fn check_pace(calls: &[Duration], per_second: usize) {
    for window in calls.windows(per_second + 1) {
        // Rounding to nanoseconds.
        assert!(window[per_second] - window[0] >= Duration::from_micros(999_990), "{window:?}");
    }
}

#[test]
fn a_hundred_at_five_a_second_are_served_in_order_and_no_second_has_more_than_five() {
    let told = queue_up(5, f64::INFINITY);
    assert_eq!(told.served.len(), CALLERS);
    assert!(told.served.is_sorted());
    check_pace(&told.calls, 5);
    let last = told.served[CALLERS - 1].1;
    assert!((Duration::from_millis(19_799)..Duration::from_millis(19_801)).contains(&last), "{last:?}");
}

#[test]
fn none_starves_while_aws_takes_five_a_second_of_twenty_five() {
    let told = queue_up(25, 5.0);
    assert_eq!(told.served.len(), CALLERS);
    assert!(told.served.is_sorted(), "who is refused comes first again");
    check_pace(&told.calls, 25);
    // The line finds the pace that AWS takes: few calls are refused, and no time is lost that AWS would have used.
    assert!(told.calls.len() <= CALLERS * 3 / 2, "{} calls", told.calls.len());
    assert!(told.served[CALLERS - 1].1 < Duration::from_secs(40), "{:?}", told.served[CALLERS - 1].1);
    let longest = told.served.windows(2).map(|pair| pair[1].1 - pair[0].1).max().expect("pairs");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

#[test]
fn the_pace_recovers_and_never_beyond_what_is_configured() {
    let start = Instant::now();
    let mut queue = Queue::new(25, Duration::from_secs(1), start);
    for _ in 0..10 {
        queue.too_fast(start);
    }
    assert!((queue.pace - 12.5).abs() < 1e-9, "halved once: {}", queue.pace);
    let later = start + Duration::from_secs(3_600);
    queue.recover(later);
    assert!((queue.pace - 25.0).abs() < 1e-9, "{}", queue.pace);
    for second in 1..60 {
        queue.too_fast(later + Duration::from_secs(second));
    }
    assert!((queue.pace - SLOWEST).abs() < 1e-9, "{}", queue.pace);
}

#[test]
fn who_would_wait_too_long_is_told_when_to_come_again() {
    let start = Instant::now();
    let mut queue = Queue::new(5, Duration::from_secs(20), start);
    let mut joined = 0;
    let refused = loop {
        match queue.join(start) {
            Ok(place) => drop(queue.waiting.insert(place, Arc::default())),
            Err(full) => break full,
        }
        joined += 1;
    };
    assert_eq!(joined, 101, "twenty seconds of five, and the one whose turn is now");
    assert_eq!(refused.retry_after, Duration::from_millis(20_200));
}

#[tokio::test]
async fn who_goes_away_leaves_its_place_to_the_next() {
    let line = Line::new(1_000, Duration::from_secs(60));
    let (first, second) = (line.join().expect("a place"), line.join().expect("a place"));
    line.lock().next = Instant::now() + Duration::from_secs(3_600);
    let mut waits = Box::pin(line.turn(first));
    let mut behind = Box::pin(line.turn(second));
    assert!(futures::poll!(&mut waits).is_pending() && futures::poll!(&mut behind).is_pending());
    drop(waits);
    line.lock().next = Instant::now();
    behind.await;
    assert!(line.lock().waiting.is_empty());
}

#[tokio::test]
async fn a_hundred_calls_are_answered_in_the_order_in_which_they_came() {
    let patience = Patience {
        attempts: 1_000,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(1),
        within: Duration::from_secs(600),
        first_rest: Duration::from_secs(600),
    };
    let caller = Caller::in_line(1_000, Duration::from_secs(600), patience, Arc::default());
    let call = Call { operation: "IssueCertificate", micro_dollars: 750_000 };
    // Each third attempt is throttled.
    let (attempts, served) = (Mutex::new(0_u32), Mutex::new(Vec::new()));
    let calls = (0..CALLERS).map(|number| {
        let (caller, attempts, served) = (&caller, &attempts, &served);
        async move {
            let attempt = || {
                let mut attempts = attempts.lock().expect("a lock");
                *attempts += 1;
                let throttled = Refusal { status: 400, code: "ThrottlingException".to_owned(), ..Refusal::default() };
                std::future::ready(if *attempts % 3 == 0 { Err(Failure::Throttled(throttled)) } else { Ok(()) })
            };
            caller.call(call, attempt).await.expect("answered");
            served.lock().expect("a lock").push(number);
        }
    });
    futures::future::join_all(calls).await;
    assert_eq!(*served.lock().expect("a lock"), (0..CALLERS).collect::<Vec<_>>());
}
