//! How a suite runs its cases.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::future::{self, BoxFuture};
use futures::{FutureExt, StreamExt, stream};

/// A rule and the function that tries to catch an adapter `A` breaking it.
pub(super) struct Case<A> {
    pub(super) rule: &'static str,
    pub(super) run: fn(A) -> BoxFuture<'static, ()>,
}

/// Makes [`Case`]s of functions, named after them.
macro_rules! cases {
    ($($function:ident),+ $(,)?) => {
        vec![$($crate::fake::contract::case::Case {
            rule: stringify!($function),
            run: |adapter| futures::FutureExt::boxed($function(adapter)),
        }),+]
    };
}
pub(super) use cases;

/// Runs every case on an adapter of its own, one after the other, and panics with every rule that was broken.
pub(super) async fn run_cases<A, F, Fut>(port: &str, cases: Vec<Case<A>>, make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = A>,
{
    run_some_at_a_time(1, port, cases, make).await;
}

/// The same with so many cases at a time, where adapters have nothing in common and wait most of their time: for a disk, for another process.
pub(super) async fn run_some_at_a_time<A, F, Fut>(at_a_time: usize, port: &str, cases: Vec<Case<A>>, make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = A>,
{
    let count = cases.len();
    let make = &make;
    let judged = stream::iter(cases).map(|case| async move {
        let adapter = make().await;
        let panic = AssertUnwindSafe((case.run)(adapter)).catch_unwind().await.err()?;
        Some(format!("{}: {}", case.rule, message(panic.as_ref())))
    });
    let broken: Vec<_> = judged.buffered(at_a_time).filter_map(future::ready).collect().await;
    let list = broken.join("\n");
    assert!(broken.is_empty(), "this {port} breaks {} of {count} rules:\n{list}", broken.len());
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".to_owned())
}
