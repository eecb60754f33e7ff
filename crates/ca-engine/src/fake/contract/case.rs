//! How a suite runs its cases.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use futures::future::BoxFuture;

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

/// Runs every case on an adapter of its own and panics with every rule that was broken.
pub(super) async fn run_cases<A, F, Fut>(port: &str, cases: Vec<Case<A>>, make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = A>,
{
    let count = cases.len();
    let mut broken = Vec::new();
    for case in cases {
        let adapter = make().await;
        if let Err(panic) = AssertUnwindSafe((case.run)(adapter)).catch_unwind().await {
            broken.push(format!("{}: {}", case.rule, message(panic.as_ref())));
        }
    }
    let list = broken.join("\n");
    assert!(broken.is_empty(), "this {port} breaks {} of {count} rules:\n{list}", broken.len());
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".to_owned())
}
