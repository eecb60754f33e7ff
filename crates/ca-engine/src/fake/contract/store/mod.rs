//! The contract of [`crate::port::store`], sentence by sentence.

mod abandon;
mod audit;
mod authority;
mod bulk_revocation;
mod complete;
mod crl;
mod fixture;
mod gateway;
mod idempotency;
mod kept;
mod lease;
mod list;
mod managed;
mod notice;
mod outbox;
mod partial_crl;
mod personal_data;
mod renewal;
mod reserve;
mod restore;
mod retention;
mod revocation;
mod role;
mod status;
mod successor;
mod token;
mod upstream;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use ca_core::time::Lifetime;
use futures::future::BoxFuture;

use super::case::{cases, run_some_at_a_time};
use crate::port::store::Store;

use self::fixture::Fixture;

/// A store under test and what the suite needs around it.
#[derive(Clone)]
pub struct StoreUnderTest {
    /// The store, with an empty record and a key of personal data, as each of its other handles has the same.
    pub store: Arc<dyn Store>,
    /// Another handle on the same record, as a second replica or a restarted process has. The closures may own what must
    /// outlive the case, such as a temporary folder.
    pub another: Arc<dyn Fn() -> BoxFuture<'static, Arc<dyn Store>> + Send + Sync>,
    /// Lets so much of the database's time pass: moves a fake clock, or sleeps. The suite asks for 2 s at a time.
    pub pass_time: Arc<dyn Fn(Lifetime) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl fmt::Debug for StoreUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreUnderTest").finish_non_exhaustive()
    }
}

/// Checks that a store keeps its contract. `make` makes a new, empty one for each of some hundred cases.
///
/// Panics with the names of the broken rules.
pub async fn check_store<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = StoreUnderTest>,
{
    let mut cases = cases![the_clock_of_the_database_answers, what_was_acknowledged_is_seen_through_another_handle];
    cases.extend(reserve::cases());
    cases.extend(idempotency::cases());
    cases.extend(token::cases());
    cases.extend(successor::cases());
    cases.extend(complete::cases());
    cases.extend(abandon::cases());
    cases.extend(upstream::cases());
    cases.extend(list::cases());
    cases.extend(personal_data::cases());
    cases.extend(status::cases());
    cases.extend(revocation::cases());
    cases.extend(bulk_revocation::cases());
    cases.extend(crl::cases());
    cases.extend(partial_crl::cases());
    cases.extend(authority::cases());
    cases.extend(audit::cases());
    cases.extend(role::cases());
    cases.extend(gateway::cases());
    cases.extend(renewal::cases());
    cases.extend(managed::cases());
    cases.extend(notice::cases());
    cases.extend(lease::cases());
    cases.extend(restore::cases());
    cases.extend(retention::cases());
    cases.extend(kept::cases());
    cases.extend(outbox::cases());
    run_some_at_a_time(4, "store", cases, || async { Fixture::new(make().await) }).await;
}

async fn the_clock_of_the_database_answers(fixture: Fixture) {
    let before = fixture.store.database_time().await.expect("answers");
    fixture.pass_time(Lifetime::from_seconds(2)).await;
    let after = fixture.store.database_time().await.expect("answers");
    assert!(after > before, "time passes: {before}, then {after}");
}

async fn what_was_acknowledged_is_seen_through_another_handle(fixture: Fixture) {
    let certificate = fixture.issued().await;
    let sequence = fixture.revoke(&certificate).await;
    let open = fixture.reserved().await;
    let another = fixture.another().await;
    let seen = another.certificate(certificate.id).await.expect("answers").expect("on record");
    assert_eq!(seen.der, certificate.der);
    assert_eq!(another.revocation_sequence().await, Ok(sequence));
    assert_eq!(another.status(&open.authority, &open.serial).await.map(|status| status.is_some()), Ok(true));
}
