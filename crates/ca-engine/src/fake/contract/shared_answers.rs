//! The contract of [`crate::port::shared_answers`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use ca_core::time::Lifetime;
use futures::future::BoxFuture;

use super::case::{cases, run_cases};
use crate::port::shared_answers::{Lookup, SharedAnswers};

/// A place under test.
#[derive(Clone)]
pub struct SharedAnswersUnderTest {
    /// One process's way to the place, with nothing in it.
    pub answers: Arc<dyn SharedAnswers>,
    /// Another process's way to the same place.
    pub another: Arc<dyn SharedAnswers>,
    /// Waits until what was put there is there.
    pub settle: Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
    /// Lets so much time pass at the place.
    pub pass_time: Arc<dyn Fn(Lifetime) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl fmt::Debug for SharedAnswersUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAnswersUnderTest").finish_non_exhaustive()
    }
}

/// Checks that a place keeps the contract while it answers.
///
/// Panics with the names of the broken rules.
pub async fn check_shared_answers<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = SharedAnswersUnderTest>,
{
    let cases = cases![
        what_is_put_there_is_found_by_others_octet_for_octet,
        the_later_takes_the_place,
        nothing_is_found_under_another_key,
        what_has_ended_is_gone,
    ];
    run_cases("shared answers", cases, make).await;
}

const LONG: Lifetime = Lifetime::from_seconds(300);

async fn put(bench: &SharedAnswersUnderTest, key: &str, der: &[u8], lifetime: Lifetime) {
    bench.answers.put(key.to_owned(), der.into(), lifetime);
    (bench.settle)().await;
}

async fn what_is_put_there_is_found_by_others_octet_for_octet(bench: SharedAnswersUnderTest) {
    let octets: Vec<u8> = (0..2_000_u32).map(|number| (number % 256) as u8).collect();
    assert_eq!(bench.another.get("a").await, Lookup::Absent);
    put(&bench, "a", &octets, LONG).await;
    assert_eq!(bench.another.get("a").await, Lookup::Found(octets.clone()));
    assert_eq!(bench.answers.get("a").await, Lookup::Found(octets));
    assert!(bench.answers.condition().answers);
}

async fn the_later_takes_the_place(bench: SharedAnswersUnderTest) {
    put(&bench, "a", b"a longer one", LONG).await;
    put(&bench, "a", b"later", LONG).await;
    assert_eq!(bench.another.get("a").await, Lookup::Found(b"later".to_vec()));
}

async fn nothing_is_found_under_another_key(bench: SharedAnswersUnderTest) {
    put(&bench, "a:1", b"one", LONG).await;
    assert_eq!(bench.answers.get("a:11").await, Lookup::Absent);
    assert_eq!(bench.answers.get("a").await, Lookup::Absent);
}

async fn what_has_ended_is_gone(bench: SharedAnswersUnderTest) {
    put(&bench, "short", b"short", Lifetime::from_seconds(1)).await;
    put(&bench, "long", b"long", LONG).await;
    (bench.pass_time)(Lifetime::from_seconds(2)).await;
    assert_eq!(bench.answers.get("short").await, Lookup::Absent);
    assert_eq!(bench.answers.get("long").await, Lookup::Found(b"long".to_vec()));
}
