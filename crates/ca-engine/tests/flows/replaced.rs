//! Another record comes into the place of the one that a running process followed: a standby without the last commits, a snapshot.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use ca_core::revocation::RevocationReason;
use ca_engine::anchor_verdict::AnchorVerdict;
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::fake::MemoryAnchor;
use ca_engine::flow::answer_status::AnswerKind;
use ca_engine::flow::follow_anchor::{Anchored, compare, compare_again, follow};
use ca_engine::flow::follow_revocations::follow_revocations;
use ca_engine::port::store::StoredCertificate;
use futures::executor::block_on;

use crate::world::ask::{answer, cert_id};
use crate::world::*;

/// A process that follows its record, and the anchor that it keeps.
struct Following {
    world: World,
    anchor: MemoryAnchor,
    anchored: Anchored,
}

impl Following {
    fn new() -> Self {
        let mut following =
            Self { world: World::new(), anchor: MemoryAnchor::default(), anchored: Anchored::default() };
        let verdict = block_on(compare(&following.world.engine, &following.anchor)).expect("the record answers");
        assert_eq!(verdict, AnchorVerdict::Agrees);
        following.revoke(&following.world.issue());
        following.anchor().expect("it can be written");
        following
    }

    fn revoke(&self, certificate: &StoredCertificate) {
        self.world.revoke(certificate.id, RevocationReason::Superseded).expect("revoked");
        self.look();
    }

    /// What the follower of revocations does each second.
    fn look(&self) {
        block_on(follow_revocations(&self.world.engine)).expect("the record answers");
    }

    /// What the anchor's job does each half second.
    fn anchor(&mut self) -> Result<u64, Kind> {
        block_on(follow(&self.world.engine, &self.anchor, &mut self.anchored)).map_err(|error| error.kind)
    }

    fn told(&self, certificate: &StoredCertificate) -> AnswerKind {
        let engine = &self.world.engine;
        answer(engine, &[cert_id(engine, "tls", &certificate.serial)], None).kind
    }
}

#[test]
fn nothing_is_called_good_or_changed_by_a_record_that_was_not_compared_yet() {
    let mut following = Following::new();
    let certificate = following.world.issue();
    let older = following.world.store.tables(|record| record.clone());
    following.revoke(&certificate);
    following.anchor().expect("it can be written");
    assert_eq!(following.told(&certificate), AnswerKind::Revoked);
    following.world.store.tables(|record| *record = older);
    // The follower is the first to see it: the anchor's job rests longer after an outage.
    following.look();
    assert_eq!(following.told(&certificate), AnswerKind::TryLater, "never `good`");
    assert_eq!(refused(following.world.ask(server(csr(&key())))), Kind::SigningSuspended);
    assert_eq!(following.anchor(), Err(Kind::SigningSuspended));
    assert!(matches!(*following.world.engine.anchor_verdict(), AnchorVerdict::Behind(_)), "and says what is missing");
    assert_eq!(following.told(&certificate), AnswerKind::TryLater);
}

#[test]
fn a_comparison_that_began_before_does_not_open_it() {
    for polls in 1..30 {
        let following = Following::new();
        let certificate = following.world.issue();
        let older = following.world.store.tables(|record| record.clone());
        following.revoke(&certificate);
        let mut comparison = pin!(compare_again(&following.world.engine, &following.anchor));
        let mut context = Context::from_waker(Waker::noop());
        // Every call of the record is a point at which another may come in between.
        let is_done = (0..polls).any(|_| comparison.as_mut().poll(&mut context).is_ready());
        following.world.store.tables(|record| *record = older);
        following.look();
        if !is_done {
            block_on(comparison).expect("the record answers");
        }
        assert_eq!(following.told(&certificate), AnswerKind::TryLater, "after {polls} polls");
        if is_done {
            assert!(polls > 3, "the comparison asks the record");
            return;
        }
    }
    panic!("the comparison does not end");
}

#[test]
fn a_record_that_has_all_that_was_published_is_opened_by_the_next_comparison() {
    let mut following = Following::new();
    let certificate = following.world.issue();
    let same = following.world.store.tables(|record| record.clone());
    // What was never published is no loss: the anchor has not heard of it.
    following.revoke(&certificate);
    following.world.store.tables(|record| *record = same);
    following.look();
    assert_eq!(following.told(&certificate), AnswerKind::TryLater);
    following.anchor().expect("nothing that was published is missing");
    assert_eq!(*following.world.engine.anchor_verdict(), AnchorVerdict::Agrees);
    assert_eq!(following.told(&certificate), AnswerKind::Good);
}
