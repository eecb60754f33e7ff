//! Faults at every step of an issuance, crashes at every step, and flows that interleave in every way: afterwards the record is
//! sound, and whoever asks again with the same idempotency key has the same certificate, or a clean new one.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_engine::engine::Engine;
use ca_engine::error::FlowError;
use ca_engine::fake::{SigningStep, StoreFault, StoreMethod};
use ca_engine::flow::issue::{IssueRequest, issue};
use ca_engine::flow::publish_crl::publish_crl;
use ca_engine::flow::query::CertificateName;
use ca_engine::flow::renew::{RenewRequest, renew};
use ca_engine::flow::revoke::{RevokeRequest, revoke, unhold};
use ca_engine::port::store::{StoreError, StoredCertificate};
use futures::executor::block_on;

use crate::world::*;

const LOCAL: Principal = Principal::LocalOperator;

/// A flow under test, asked with the same idempotency key each time.
struct Case {
    name: &'static str,
    world: World,
    issue: IssueRequest,
    renew: Option<RenewRequest>,
}

impl Case {
    fn issuing() -> Self {
        let world = World::new();
        let issue = IssueRequest { idempotency_key: Some("once".to_owned()), ..server(csr(&key())) };
        Self { name: "issue", world, issue, renew: None }
    }

    fn renewing() -> Self {
        let world = World::new();
        let predecessor = world.issue();
        let renew = RenewRequest {
            certificate: CertificateName::Id(predecessor.id),
            csr: Some(csr(&key())),
            validity: None,
            idempotency_key: Some("once".to_owned()),
            request_id: None,
        };
        Self { name: "renew", issue: server(csr(&key())), renew: Some(renew), world }
    }

    async fn ask(&self, engine: &Engine) -> Result<StoredCertificate, FlowError> {
        let issued = match &self.renew {
            Some(request) => renew(engine, &LOCAL, request.clone()).await?,
            None => issue(engine, &LOCAL, self.issue.clone()).await?,
        };
        Ok(issued.certificate)
    }

    /// Whatever came of the first time: the record is sound before and after the next start, asking again gives one
    /// certificate, the very one that was given before, and from then on always that.
    fn settle(&self, first: Option<Result<StoredCertificate, FlowError>>, circumstances: &str) {
        let circumstances = format!("{} with {circumstances}", self.name);
        self.world.assert_sound(&circumstances);
        let restarted = self.world.restarted();
        self.world.reconcile();
        let again = block_on(self.ask(&restarted)).unwrap_or_else(|error| panic!("{circumstances}: {error:?}"));
        if let Some(Ok(first)) = first {
            assert_eq!(again.id, first.id, "{circumstances}: the same certificate");
        }
        assert_eq!(block_on(self.ask(&restarted)).map(|stored| stored.id), Ok(again.id), "{circumstances}");
        let of_key = self.world.all_of("tls").into_iter().filter(|stored| stored.spki_sha256 == again.spki_sha256);
        assert_eq!(of_key.count(), 1, "{circumstances}: one certificate for one request");
        self.world.assert_sound(&circumstances);
    }
}

const CASES: [fn() -> Case; 2] = [Case::issuing, Case::renewing];

/// The calls of the record that a flow makes when nothing fails, each with which one of its method it is.
fn calls(case: &Case) -> Vec<(StoreMethod, u32)> {
    let before = case.world.store.calls().len();
    block_on(case.ask(&case.world.engine)).expect("nothing fails");
    let calls = case.world.store.calls()[before..].to_vec();
    let nth = |index: usize| calls[..=index].iter().filter(|method| **method == calls[index]).count();
    calls.iter().enumerate().map(|(index, method)| (*method, u32::try_from(nth(index)).expect("few"))).collect()
}

fn store_faults() -> Vec<StoreFault> {
    let detail = || "test".to_owned();
    vec![
        StoreFault::BeforeCommit(StoreError::Unavailable { detail: detail() }),
        StoreFault::BeforeCommit(StoreError::Full { detail: detail() }),
        StoreFault::BeforeCommit(StoreError::Conflict { detail: detail() }),
        StoreFault::AcknowledgementLost,
    ]
}

#[test]
fn a_call_of_the_record_that_fails_leaves_nothing_open_or_good() {
    for new in CASES {
        let calls = calls(&new());
        assert!(calls.contains(&(StoreMethod::Reserve, 1)) && calls.contains(&(StoreMethod::Complete, 1)), "{calls:?}");
        for ((method, nth), fault) in
            calls.iter().flat_map(|call| store_faults().into_iter().map(move |fault| (call, fault)))
        {
            let case = new();
            case.world.store.fail_nth(*method, *nth, fault.clone());
            let first = block_on(case.ask(&case.world.engine));
            assert_eq!(case.world.open_reservations(), 0, "{method:?} {fault:?}: closed at once");
            case.settle(Some(first), &format!("{fault:?} at {method:?} {nth}"));
        }
    }
}

/// The first completion and whatever is tried after it: a record that goes silent at the worst moment.
#[test]
fn a_record_that_goes_silent_is_reconciled_later() {
    for new in CASES {
        for (first_fault, second_fault) in
            store_faults().into_iter().flat_map(|one| store_faults().into_iter().map(move |two| (one.clone(), two)))
        {
            for abandon_fails in [false, true] {
                let case = new();
                case.world.store.fail_nth(StoreMethod::Complete, 1, first_fault.clone());
                case.world.store.fail_nth(StoreMethod::Complete, 2, second_fault.clone());
                if abandon_fails {
                    case.world.store.fail_next(StoreMethod::Abandon, store_faults().remove(0));
                    // The look at the record that comes last; a renewal has looked at its predecessor before.
                    let looks = if case.renew.is_some() { 2 } else { 1 };
                    case.world.store.fail_nth(StoreMethod::Certificate, looks, store_faults().remove(0));
                }
                let first = block_on(case.ask(&case.world.engine));
                case.settle(Some(first), &format!("{first_fault:?}, {second_fault:?}, abandon fails: {abandon_fails}"));
            }
        }
    }
}

#[test]
fn a_key_that_fails_or_signs_something_else_leaves_nothing_open_or_good() {
    for new in CASES {
        for step in [
            SigningStep::Busy { retry_after: None },
            SigningStep::Unavailable,
            SigningStep::Refused,
            SigningStep::Garbage,
            SigningStep::AnotherMessage,
        ] {
            let case = new();
            case.world.signer("tls").script([step]);
            let first = block_on(case.ask(&case.world.engine));
            assert!(first.is_err(), "{step:?}");
            assert_eq!(case.world.open_reservations(), 0, "{step:?}: closed at once");
            case.settle(Some(first), &format!("{step:?}"));
        }
    }
}

/// A process that dies between any two steps, the last of which nobody heard of.
#[test]
fn a_process_that_dies_anywhere_is_reconciled_by_the_next() {
    for new in CASES {
        for polls in 1.. {
            let case = new();
            let mut asking = Box::pin(case.ask(&case.world.engine));
            let mut context = Context::from_waker(Waker::noop());
            let outcome = (0..polls).find_map(|_| match asking.as_mut().poll(&mut context) {
                Poll::Ready(outcome) => Some(outcome),
                Poll::Pending => None,
            });
            drop(asking);
            let came_to_its_end = outcome.is_some();
            case.settle(outcome, &format!("death after {polls} steps"));
            if came_to_its_end {
                assert!(polls > 3, "reserve, sign and complete are steps");
                break;
            }
        }
    }
}

/// Starts a flow some steps after the other.
pub(crate) async fn after<T>(steps: usize, flow: impl Future<Output = T>) -> T {
    for _ in 0..steps {
        let mut yielded = false;
        std::future::poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }
    flow.await
}

/// Runs two futures turn by turn: the fakes wake nobody, so each round polls both.
pub(crate) fn interleave<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    let mut both = Box::pin(futures::future::join(one, other));
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(outcomes) = both.as_mut().poll(&mut context) {
            return outcomes;
        }
    }
}

const STEPS: std::ops::Range<usize> = 0..8;

#[test]
fn the_same_request_at_once_makes_one_certificate_however_it_interleaves() {
    for new in CASES {
        for steps in STEPS {
            let case = new();
            let replica = case.world.restarted();
            let (first, second) = interleave(case.ask(&case.world.engine), after(steps, case.ask(&replica)));
            let first = first.expect("the first");
            if let Ok(second) = second {
                assert_eq!(second.id, first.id);
            }
            case.settle(Some(Ok(first)), &format!("itself {steps} steps later"));
        }
    }
}

#[test]
fn a_certificate_revoked_while_it_is_renewed_has_no_successor_or_had_it_before() {
    for steps in STEPS {
        let case = Case::renewing();
        let world = &case.world;
        let CertificateName::Id(certificate) = case.renew.as_ref().expect("a renewal").certificate else {
            panic!("named by id");
        };
        let request = RevokeRequest {
            certificate,
            reason: RevocationReason::Superseded,
            invalidity_date: None,
            request_id: None,
        };
        let (renewed, revoked) =
            interleave(case.ask(&world.engine), after(steps, revoke(&world.engine, &LOCAL, &request)));
        revoked.expect("revoked");
        let successor = block_on(world.store().successor(certificate)).expect("a record");
        assert_eq!(successor, renewed.ok().map(|stored| stored.id), "{steps}");
        assert_eq!(world.open_reservations(), 0);
        world.assert_sound(&format!("revoked {steps} steps later"));
    }
}

#[test]
fn a_key_compromised_while_it_is_certified_is_certified_before_or_never() {
    for steps in STEPS {
        let world = World::new();
        let key = key();
        let stored = world.issue_for(&key);
        let request = RevokeRequest {
            certificate: stored.id,
            reason: RevocationReason::KeyCompromise,
            invalidity_date: None,
            request_id: None,
        };
        let (revoked, issued) = interleave(
            revoke(&world.engine, &LOCAL, &request),
            after(steps, issue(&world.engine, &LOCAL, server(csr(&key)))),
        );
        revoked.expect("revoked");
        let of_key = world.all_of("tls").into_iter().filter(|other| other.spki_sha256 == stored.spki_sha256).count();
        assert_eq!(of_key, 1 + usize::from(issued.is_ok()), "{steps}");
        assert!(world.ask(server(csr(&key))).is_err(), "from then on it is blocked");
        assert_eq!(world.open_reservations(), 0);
        world.assert_sound(&format!("issued {steps} steps later"));
    }
}

#[test]
fn release_and_revocation_at_once_end_as_one_after_the_other() {
    for steps in STEPS {
        let world = World::new();
        let stored = world.issue();
        world.revoke(stored.id, RevocationReason::CertificateHold).expect("held");
        let request = RevokeRequest {
            certificate: stored.id,
            reason: RevocationReason::Superseded,
            invalidity_date: None,
            request_id: None,
        };
        let (_, revoked) = interleave(
            unhold(&world.engine, &LOCAL, stored.id, None),
            after(steps, revoke(&world.engine, &LOCAL, &request)),
        );
        // Whichever came first, the revocation is what lasts: it is legal from both.
        assert_eq!(world.stored(stored.id), Some(revoked.expect("revoked").certificate), "{steps}");
        world.assert_sound(&format!("revoked {steps} steps later"));
    }
}

#[test]
fn a_list_made_while_something_is_revoked_holds_all_it_claims() {
    for steps in STEPS {
        let world = World::new();
        let stored = world.issue();
        let lease = world.crl_lease("tls", "test");
        let (job, authority) = (Principal::Job("crl"), id("tls"));
        let request = RevokeRequest {
            certificate: stored.id,
            reason: RevocationReason::Superseded,
            invalidity_date: None,
            request_id: None,
        };
        let (list, revoked) = interleave(
            publish_crl(&world.engine, &job, &authority, &lease),
            after(steps, revoke(&world.engine, &LOCAL, &request)),
        );
        revoked.expect("revoked");
        let list = list.expect("a list");
        let at = list.intent.revocation_sequence;
        let parsed = world.read_list("tls", &list.der);
        let later = block_on(world.store().revocations_after(at, 10)).expect("a record");
        let listed = parsed.find(&stored.serial).is_some();
        assert!(listed || !later.is_empty(), "{steps}: what it claims to hold it holds");
        let due = block_on(ca_engine::flow::publish_crl::is_due(&world.engine, &authority, DAY)).expect("a record");
        assert!(listed || due, "{steps}: what it does not hold makes the next one due");
    }
}

#[test]
fn a_job_that_made_a_list_elsewhere_meanwhile_is_a_conflict_and_no_number_twice() {
    for steps in STEPS {
        let world = World::new();
        // One lease for both, as a holder that was restarted within it.
        let lease = world.crl_lease("tls", "test");
        let (job, authority) = (Principal::Job("crl"), id("tls"));
        let (one, other) = interleave(
            publish_crl(&world.engine, &job, &authority, &lease),
            after(steps, publish_crl(&world.engine, &job, &authority, &lease)),
        );
        let made: Vec<u64> = [one, other].into_iter().flatten().map(|list| list.intent.number).collect();
        let mut distinct = made.clone();
        distinct.dedup();
        assert!(!made.is_empty() && made == distinct, "{steps}: {made:?}");
        assert_eq!(world.publisher.published(&authority).map(|(number, _)| number), made.iter().max().copied());
    }
}
