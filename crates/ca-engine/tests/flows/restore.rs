//! A record that is set back: found out, closed, brought up to its anchor; and what was lost, taken back.

use ca_core::audit::AuditAction;
use ca_core::ocsp::CertStatus;
use ca_core::principal::{Principal, Role};
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::Lifetime;
use ca_engine::anchor_verdict::AnchorVerdict;
use ca_engine::engine::Engine;
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::fake::{FakeClock, MemoryAnchor, MemorySharedAnswers};
use ca_engine::flow::answer_status::{AnswerKind, AnswerOrigin};
use ca_engine::flow::authenticate::certificate_holder;
use ca_engine::flow::follow_anchor::{Anchored, compare, compare_again, follow};
use ca_engine::flow::follow_revocations::follow_revocations;
use ca_engine::flow::publish_crl::is_due;
use ca_engine::flow::recover::{Recovered, import};
use ca_engine::flow::republish::republish;
use ca_engine::flow::restore::{Evidence, GAP, RestoreReport, restore};
use ca_engine::flow::role::grant_role;
use ca_engine::flow::sequence_audit::{sequence_audit, verify_chain};
use ca_engine::flow::token::{TokenRequest, create_token};
use ca_engine::lineage::{RESTORATION, RESTORED};
use ca_engine::port::anchor::Anchor;
use ca_engine::port::store::StoredCertificate;
use futures::executor::block_on;

use crate::world::ask::{answer, cert_id};
use crate::world::*;

/// A world whose record is anchored, and a copy of its tables to go back to.
struct Anchoring {
    world: World,
    anchor: MemoryAnchor,
    anchored: Anchored,
}

impl Anchoring {
    fn new() -> Self {
        Self::with(MemoryAnchor::default())
    }

    fn with(anchor: MemoryAnchor) -> Self {
        Self::of(Parts::default(), anchor)
    }

    fn of(parts: Parts, anchor: MemoryAnchor) -> Self {
        let mut anchoring = Self { world: World::of(parts), anchor, anchored: Anchored::default() };
        assert_eq!(anchoring.compare(), AnchorVerdict::Agrees);
        anchoring.follow();
        anchoring
    }

    fn compare(&self) -> AnchorVerdict {
        block_on(compare(&self.world.engine, &self.anchor)).expect("the record answers")
    }

    fn try_follow(&mut self) -> Result<u64, FlowError> {
        block_on(follow(&self.world.engine, &self.anchor, &mut self.anchored))
    }

    /// What the jobs do within a second.
    fn follow(&mut self) {
        sequence(&self.world);
        self.world.clock.advance(Lifetime::from_seconds(11));
        self.try_follow().expect("follows");
    }

    /// The record as it is now.
    fn backup(&self) -> ca_engine::fake::Record {
        self.world.store.tables(|record| record.clone())
    }

    /// Puts a record in the place of the present one, as it was or as `ca-server restore` does.
    fn set_back(&mut self, backup: ca_engine::fake::Record, by_the_command: bool) {
        self.world.store.tables(|record| *record = backup);
        if by_the_command {
            block_on(self.world.store().set_setting(RESTORATION, None, RESTORED)).expect("set");
        }
        // Leases that the backup has have ended by then.
        self.world.clock.advance(Lifetime::from_seconds(61));
        self.world.engine = self.world.restarted();
        self.anchored = Anchored::default();
    }

    fn restore(&mut self, evidence: Evidence) -> Result<Option<RestoreReport>, FlowError> {
        block_on(restore(&self.world.engine, &Principal::LocalOperator, &self.anchor, evidence))
    }

    fn revoke(&self, certificate: &StoredCertificate, reason: RevocationReason) {
        self.world.revoke(certificate.id, reason).expect("revoked");
    }

    fn present(&self, engine: &Engine, certificate: &StoredCertificate) -> Result<Principal, FlowError> {
        block_on(certificate_holder(engine, &certificate.into(), &certificate.der))
    }
}

/// Gives every event its place in the chain.
fn sequence(world: &World) {
    let lease = block_on(world.store().acquire_lease("audit-chain", "test", SECOND)).expect("a record").expect("free");
    block_on(sequence_audit(&world.engine, &lease)).expect("chained");
}

fn is_behind(verdict: &AnchorVerdict) -> bool {
    matches!(verdict, AnchorVerdict::Behind(_))
}

#[test]
fn a_record_that_was_never_set_back_agrees_whatever_happens() {
    let mut anchoring = Anchoring::new();
    for _ in 0..3 {
        let certificate = anchoring.world.issue();
        anchoring.revoke(&certificate, RevocationReason::Superseded);
        anchoring.world.publish("tls").expect("a list");
        anchoring.follow();
        assert_eq!(anchoring.compare(), AnchorVerdict::Agrees);
        anchoring.world.engine = anchoring.world.restarted();
        assert_eq!(anchoring.compare(), AnchorVerdict::Agrees, "after a restart too");
        anchoring.anchored = Anchored::default();
    }
    assert_eq!(anchoring.restore(Evidence::Anchor), Ok(None), "there is nothing to restore");
}

#[test]
fn a_lost_revocation_a_lost_list_and_lost_events_are_found_out() {
    type Change = fn(&mut Anchoring);
    let changes: [Change; 3] = [
        |anchoring| {
            let certificate = anchoring.world.issue();
            anchoring.revoke(&certificate, RevocationReason::Superseded);
        },
        |anchoring| {
            anchoring.world.publish("tls").expect("a list");
        },
        |anchoring| {
            anchoring.world.issue();
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut anchoring = Anchoring::new();
        let backup = anchoring.backup();
        change(&mut anchoring);
        anchoring.follow();
        anchoring.set_back(backup, false);
        assert!(is_behind(&anchoring.compare()), "change {number}");
        // Not even when it has grown as far again.
        for _ in 0..3 {
            anchoring.world.engine.set_anchor_verdict(AnchorVerdict::NotKept);
            change(&mut anchoring);
        }
        sequence(&anchoring.world);
        assert!(is_behind(&anchoring.compare()), "change {number}, grown");
    }
}

#[test]
fn a_record_that_is_set_back_under_a_running_process_is_found_out_at_once() {
    let mut anchoring = Anchoring::new();
    let backup = anchoring.backup();
    let certificate = anchoring.world.issue();
    anchoring.revoke(&certificate, RevocationReason::Superseded);
    anchoring.follow();
    anchoring.world.store.tables(|record| *record = backup);
    assert_eq!(anchoring.try_follow().expect_err("set back").kind, Kind::SigningSuspended);
    assert!(is_behind(&anchoring.world.engine.anchor_verdict()));
}

#[test]
fn a_list_that_is_gone_under_a_running_process_is_found_out_at_once() {
    let mut anchoring = Anchoring::new();
    let backup = anchoring.backup();
    anchoring.world.publish("tls").expect("a list");
    anchoring.follow();
    anchoring.world.store.tables(|record| *record = backup);
    assert_eq!(anchoring.try_follow().expect_err("set back").kind, Kind::SigningSuspended);
    assert!(is_behind(&anchoring.world.engine.anchor_verdict()));
}

#[test]
fn a_closed_record_signs_and_changes_nothing() {
    let mut anchoring = Anchoring::new();
    let certificate = anchoring.world.issue();
    let backup = anchoring.backup();
    anchoring.set_back(backup, true);
    assert!(is_behind(&anchoring.compare()));
    let before = anchoring.world.store.events().len();
    let world = &anchoring.world;
    assert_eq!(refused(world.ask(server(csr(&key())))), Kind::SigningSuspended);
    assert_eq!(refused(world.revoke(certificate.id, RevocationReason::Superseded)), Kind::SigningSuspended);
    assert_eq!(refused(world.publish("tls")), Kind::SigningSuspended);
    let role = grant_role(&world.engine, &Principal::LocalOperator, certificate.id, Role::Auditor);
    assert_eq!(refused(block_on(role)), Kind::SigningSuspended);
    let calls = world.publisher.calls().len();
    block_on(republish(&world.engine)).expect("nothing to do");
    assert_eq!(world.publisher.calls().len(), calls, "no list is put anywhere");
    let asked = answer(&world.engine, &[cert_id(&world.engine, "tls", &certificate.serial)], None);
    assert_eq!(asked.kind, AnswerKind::TryLater, "never `good`");
    // Whoever shows a certificate may have lost it since.
    assert_eq!(refused(anchoring.present(&world.engine, &certificate)), Kind::SigningSuspended);
    assert_eq!(anchoring.try_follow().expect_err("closed").kind, Kind::SigningSuspended);
    assert_eq!(anchoring.world.store.events().len(), before);
}

#[test]
fn revocations_since_the_backup_are_taken_over_and_numbers_rise_past_a_gap() {
    let mut anchoring = Anchoring::new();
    let old: Vec<_> = (0..3).map(|_| anchoring.world.issue()).collect();
    anchoring.world.publish("tls").expect("a list");
    anchoring.follow();
    let backup = anchoring.backup();
    let new: Vec<_> = (0..3).map(|_| anchoring.world.issue()).collect();
    anchoring.revoke(&old[0], RevocationReason::KeyCompromise);
    anchoring.revoke(&old[1], RevocationReason::CertificateHold);
    let compromised = key();
    let lost = anchoring.world.issue_for(&compromised);
    anchoring.revoke(&lost, RevocationReason::KeyCompromise);
    anchoring.revoke(&new[0], RevocationReason::Superseded);
    let published = anchoring.world.publish("tls").expect("a list");
    let sequence = block_on(anchoring.world.store().revocation_sequence()).expect("a record");
    anchoring.follow();
    anchoring.set_back(backup, true);

    let report = anchoring.restore(Evidence::Anchor).expect("restored").expect("something was missing");
    assert_eq!((report.revoked.len(), report.lost.len(), report.with_anchor), (2, 2, true));
    assert!(report.audit_gap.is_some());
    let world = &anchoring.world;
    for certificate in [&old[0], &old[1], &lost, &new[0]] {
        let status = world.status("tls", &certificate.serial);
        assert!(matches!(status, CertStatus::Revoked { .. }), "{status:?}");
    }
    assert_eq!(world.status("tls", &old[2].serial), CertStatus::Good);
    for certificate in &new[1..] {
        assert_eq!(world.status("tls", &certificate.serial), CertStatus::Unknown, "until it is presented");
    }
    for key in [old[0].spki_sha256, lost.spki_sha256] {
        assert_eq!(block_on(world.store().is_key_blocked(&key)), Ok(true));
    }
    assert_eq!(refused(world.ask(server(csr(&compromised)))), Kind::KeyBlocked);
    assert!(block_on(world.store().revocation_sequence()).expect("a record") > sequence);
    // The list that was published is in place until the next, which is numbered past a gap and holds all of them.
    let in_place = block_on(world.store().published_crl(&id("tls"))).expect("a record").expect("a list");
    assert_eq!(in_place.der, published.der);
    assert!(block_on(is_due(&world.engine, &id("tls"), DAY)).expect("a record"));
    let next = world.publish("tls").expect("a list");
    assert!(next.intent.number > published.intent.number + GAP, "{}", next.intent.number);
    assert!(next.intent.this_update >= published.intent.this_update);
    assert_eq!(next.intent.entries, 4);
    anchoring.follow();
    assert_eq!(anchoring.compare(), AnchorVerdict::Agrees);
    let chain = block_on(verify_chain(&anchoring.world.engine, |_| {})).expect("a record");
    assert_eq!(chain.fault, None, "the chain goes on");
    assert!(anchoring.world.store.events().iter().any(|event| event.action == AuditAction::RecordRestored));
}

#[test]
fn a_restoration_that_is_cut_off_anywhere_is_finished_by_the_next() {
    for calls in 1..200 {
        let mut anchoring = Anchoring::new();
        let old = anchoring.world.issue();
        let backup = anchoring.backup();
        let new = anchoring.world.issue();
        anchoring.revoke(&old, RevocationReason::Superseded);
        anchoring.revoke(&new, RevocationReason::Superseded);
        anchoring.world.publish("tls").expect("a list");
        anchoring.follow();
        anchoring.set_back(backup, false);
        let is_done = {
            let principal = Principal::LocalOperator;
            let mut restoring =
                Box::pin(restore(&anchoring.world.engine, &principal, &anchoring.anchor, Evidence::Anchor));
            // Every call of a fake is one poll: the process dies at one of them.
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            (0..calls).any(|_| restoring.as_mut().poll(&mut context).is_ready())
        };
        anchoring.world.engine = anchoring.world.restarted();
        if anchoring.compare() != AnchorVerdict::Agrees {
            assert!(!is_done, "what is done is open");
            let asked = answer(&anchoring.world.engine, &[cert_id(&anchoring.world.engine, "tls", &old.serial)], None);
            assert_eq!(asked.kind, AnswerKind::TryLater, "{calls} calls");
            anchoring.world.clock.advance(Lifetime::from_seconds(61));
            anchoring.restore(Evidence::Anchor).expect("restored").expect("something was missing");
        }
        let events = anchoring.world.store.events();
        let restored = events.iter().filter(|event| event.action == AuditAction::RecordRestored);
        assert_eq!(restored.count(), 1, "{calls} calls: it is told once");
        for certificate in [&old, &new] {
            let status = anchoring.world.status("tls", &certificate.serial);
            assert!(matches!(status, CertStatus::Revoked { .. }), "{calls} calls: {status:?}");
        }
        if is_done {
            return;
        }
    }
    panic!("a restoration never ends");
}

#[test]
fn without_an_anchor_it_stays_closed_until_the_operator_decides() {
    for is_lost in [true, false] {
        let mut anchoring = Anchoring::new();
        let certificate = anchoring.world.issue();
        let (backup, floor) = (anchoring.backup(), anchoring.world.publish("tls").expect("a list").intent.number);
        anchoring.set_back(backup, true);
        match is_lost {
            true => anchoring.anchor = MemoryAnchor::default(),
            false => anchoring.anchor.break_down("the test took it away"),
        }
        let error = anchoring.restore(Evidence::Anchor).expect_err("no anchor");
        assert_eq!(error.kind, Kind::SigningSuspended);
        assert!(error.message.contains("--accept-without-anchor"), "{}", error.message);
        assert_eq!(refused(anchoring.world.ask(server(csr(&key())))), Kind::SigningSuspended);
        anchoring.anchor.repair();
        if !is_lost {
            anchoring.anchor = MemoryAnchor::default();
        }
        let report = anchoring.restore(Evidence::RecordAlone).expect("restored").expect("something was missing");
        assert!(!report.with_anchor);
        assert_eq!(anchoring.world.status("tls", &certificate.serial), CertStatus::Good, "as the operator decided");
        assert!(anchoring.world.publish("tls").expect("a list").intent.number > floor + GAP / 2);
        anchoring.follow();
        assert_eq!(anchoring.compare(), AnchorVerdict::Agrees);
    }
}

#[test]
fn an_anchor_that_was_lost_closes_the_record_and_a_replica_s_own_empty_one_does_not() {
    let mut anchoring = Anchoring::new();
    anchoring.anchor = MemoryAnchor::default();
    anchoring.world.engine = anchoring.world.restarted();
    assert!(matches!(anchoring.compare(), AnchorVerdict::Unknown(_)));
    let mut anchoring = Anchoring::with(MemoryAnchor::partial());
    anchoring.anchor = MemoryAnchor::partial();
    anchoring.anchored = Anchored::default();
    anchoring.world.engine = anchoring.world.restarted();
    assert_eq!(anchoring.compare(), AnchorVerdict::Agrees);
    let certificate = anchoring.world.issue();
    anchoring.revoke(&certificate, RevocationReason::Superseded);
    anchoring.follow();
    assert_eq!(anchoring.compare(), AnchorVerdict::Agrees, "it is told what there is");
}

#[test]
fn a_replica_that_only_compares_goes_on_while_the_anchor_cannot_be_read_and_stops_when_it_says_more() {
    let mut anchoring = Anchoring::new();
    let again = |anchoring: &Anchoring| {
        block_on(compare_again(&anchoring.world.engine, &anchoring.anchor)).expect("the record answers");
        anchoring.world.engine.check_anchor().map_err(|error| error.kind)
    };
    anchoring.anchor.break_down("the share is away");
    assert_eq!(again(&anchoring), Ok(()));
    anchoring.anchor.repair();
    let backup = anchoring.backup();
    let revoked = anchoring.world.issue();
    anchoring.world.revoke(revoked.id, RevocationReason::Superseded).expect("revoked");
    anchoring.follow();
    anchoring.world.store.tables(|record| *record = backup);
    assert!(again(&anchoring).is_err(), "it was set back");
    anchoring.anchor.break_down("the share is away");
    assert!(again(&anchoring).is_err(), "what was found stays found");
}

#[test]
fn an_anchor_that_cannot_be_read_closes_a_start_and_not_a_running_process() {
    let mut anchoring = Anchoring::new();
    let certificate = anchoring.world.issue();
    anchoring.anchor.break_down("the test took it away");
    anchoring.revoke(&certificate, RevocationReason::Superseded);
    anchoring.world.clock.advance(Lifetime::from_seconds(120));
    anchoring.try_follow().expect_err("it cannot be written");
    assert!(anchoring.world.ask(server(csr(&key()))).is_ok(), "what was found at the start is still so");
    anchoring.world.engine = anchoring.world.restarted();
    assert!(matches!(anchoring.compare(), AnchorVerdict::Unreadable(_)));
    assert_eq!(refused(anchoring.world.ask(server(csr(&key())))), Kind::SigningSuspended);
    anchoring.anchor.repair();
    anchoring.follow();
    assert!(anchoring.world.ask(server(csr(&key()))).is_ok(), "it opens by itself");
}

#[test]
fn what_could_be_used_twice_is_taken_away() {
    let mut anchoring = Anchoring::new();
    let open = anchoring.world.begin_and_die();
    let request = TokenRequest {
        profile: "server".parse().expect("a name"),
        names: names(&["dns:api.example.com"]).expect("names"),
        common_name: None,
        lifetime: DAY,
        uses: 3,
        request_id: None,
    };
    let created = block_on(create_token(&anchoring.world.engine, &Principal::LocalOperator, request));
    let token = created.expect("a token").0.id;
    let backup = anchoring.backup();
    anchoring.world.publish("tls").expect("a list");
    anchoring.follow();
    let tokens = backup.leases.get("crl:tls").map(|lease| lease.token).unwrap_or_default();
    anchoring.set_back(backup, true);
    let report = anchoring.restore(Evidence::Anchor).expect("restored").expect("something was missing");
    assert_eq!((report.abandoned, report.tokens_withdrawn), (1, 1));
    assert!(matches!(anchoring.world.status("tls", &open), CertStatus::Revoked { .. }));
    assert!(block_on(anchoring.world.store().token(token)).expect("a record").expect("known").withdrawn);
    anchoring.world.store.tables(|record| {
        assert!(record.idempotency.is_empty());
        assert!(record.leases["crl:tls"].token > tokens + GAP / 2);
    });
}

#[test]
fn a_hold_that_was_ended_since_holds_on_and_a_final_revocation_outweighs_a_hold() {
    let mut anchoring = Anchoring::new();
    let (released, revoked) = (anchoring.world.issue(), anchoring.world.issue());
    for certificate in [&released, &revoked] {
        anchoring.revoke(certificate, RevocationReason::CertificateHold);
    }
    anchoring.follow();
    let backup = anchoring.backup();
    block_on(ca_engine::flow::revoke::unhold(&anchoring.world.engine, &Principal::LocalOperator, released.id, None))
        .expect("released");
    anchoring.revoke(&revoked, RevocationReason::PrivilegeWithdrawn);
    anchoring.follow();
    anchoring.set_back(backup, true);
    let report = anchoring.restore(Evidence::Anchor).expect("restored").expect("something was missing");
    assert_eq!(report.held_again, [(id("tls"), released.serial.clone())]);
    let reason = |certificate: &StoredCertificate| match anchoring.world.stored(certificate.id).expect("there").standing
    {
        Standing::Revoked(revocation) => Some(revocation.reason),
        Standing::Active => None,
    };
    assert_eq!(reason(&released), Some(RevocationReason::CertificateHold));
    assert_eq!(reason(&revoked), Some(RevocationReason::PrivilegeWithdrawn));
}

#[test]
fn what_only_a_published_list_tells_is_taken_over_too() {
    let mut anchoring = Anchoring::new();
    let (old, backup) = (anchoring.world.issue(), anchoring.backup());
    anchoring.revoke(&old, RevocationReason::Superseded);
    let list = anchoring.world.publish("tls").expect("a list");
    // The log is lost with the backup's generation known; the list was saved.
    let generation = MemoryAnchor::default();
    let service = anchoring.world.engine.hierarchy().roots().next().expect("a root").certificate().fingerprint_sha256();
    for head in block_on(anchoring.anchor.heads(&service)).expect("heads") {
        block_on(generation.begin(&service, head.generation)).expect("begun");
    }
    block_on(generation.put_list(&service, &id("tls"), list.intent.number, &list.der)).expect("put");
    anchoring.anchor = generation;
    let mut backup = backup;
    backup.crls.retain(|(authority, number), _| *authority != id("tls") || *number < list.intent.number);
    // `old` was issued after the last list of the backup: it is on record there.
    anchoring.set_back(backup, true);
    let report = anchoring.restore(Evidence::Anchor).expect("restored").expect("something was missing");
    assert_eq!(report.revoked.len() + report.lost.len(), 1, "{report:?}");
    assert!(matches!(anchoring.world.status("tls", &old.serial), CertStatus::Revoked { .. }));
}

/// A restored world, and certificates that were issued after its backup: one that stands, and one that was revoked.
fn restored(with_anchor: bool) -> (Anchoring, StoredCertificate, StoredCertificate) {
    let mut anchoring = Anchoring::new();
    let backup = anchoring.backup();
    let (good, revoked) = (anchoring.world.issue(), anchoring.world.issue());
    anchoring.revoke(&revoked, RevocationReason::Superseded);
    anchoring.world.publish("tls").expect("a list");
    anchoring.follow();
    anchoring.set_back(backup, true);
    if !with_anchor {
        anchoring.anchor = MemoryAnchor::default();
    }
    let evidence = if with_anchor { Evidence::Anchor } else { Evidence::RecordAlone };
    anchoring.restore(evidence).expect("restored").expect("something was missing");
    (anchoring, good, revoked)
}

#[test]
fn a_certificate_is_taken_back_when_its_holder_presents_it_and_a_revoked_one_is_not() {
    let (anchoring, good, revoked) = restored(true);
    let world = &anchoring.world;
    assert_eq!(world.status("tls", &good.serial), CertStatus::Unknown);
    let principal = anchoring.present(&world.engine, &good).expect("taken back");
    assert_eq!(world.status("tls", &good.serial), CertStatus::Good);
    assert_eq!(anchoring.present(&world.engine, &good).as_ref(), Ok(&principal), "once");
    let events = world.store.events();
    let recovered: Vec<_> = events.iter().filter(|event| event.action == AuditAction::CertificateRecovered).collect();
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0].principal, principal.reference());
    assert_eq!(refused(anchoring.present(&world.engine, &revoked)), Kind::InvalidCredential);
    assert!(matches!(world.status("tls", &revoked.serial), CertStatus::Revoked { .. }));
    let stored = block_on(world.store().certificate_by_serial(&good.authority, &good.serial)).expect("a record");
    let stored = stored.expect("on record");
    assert_eq!((stored.profile.as_str(), stored.der), ("server", good.der.clone()));
}

#[test]
fn without_an_anchor_only_the_operator_takes_certificates_back() {
    let (anchoring, good, _) = restored(false);
    let engine = &anchoring.world.engine;
    assert_eq!(refused(anchoring.present(engine, &good)), Kind::InvalidCredential);
    assert_eq!(anchoring.world.status("tls", &good.serial), CertStatus::Unknown);
    let holder = Principal::Job("test");
    assert_eq!(refused(block_on(import(engine, &holder, &good.der))), Kind::AccessDenied);
    let imported = block_on(import(engine, &Principal::LocalOperator, &good.der)).expect("imported");
    assert!(matches!(imported, Recovered::Taken(_)));
    let again = block_on(import(engine, &Principal::LocalOperator, &good.der)).expect("known");
    assert!(matches!(again, Recovered::Known(_)));
    assert_eq!(anchoring.world.status("tls", &good.serial), CertStatus::Good);
}

#[test]
fn what_was_never_lost_is_not_taken_back() {
    // Another service's, of the same names.
    let (anchoring, _, _) = restored(true);
    let stranger = World::new().issue();
    assert_eq!(refused(anchoring.present(&anchoring.world.engine, &stranger)), Kind::InvalidCredential);
    // Signed by our key, and dated after the restoration: whoever made it, the record would know of it.
    let (anchoring, _, _) = restored(true);
    anchoring.world.clock.advance(DAY);
    let backup = anchoring.backup();
    let forged = anchoring.world.issue();
    anchoring.world.store.tables(|record| *record = backup);
    let error = anchoring.present(&anchoring.world.engine, &forged).expect_err("never on record");
    assert_eq!(error.kind, Kind::InvalidCredential);
    let error = block_on(import(&anchoring.world.engine, &Principal::LocalOperator, &forged.der)).expect_err("never");
    assert!(error.message.contains("never on record"), "{}", error.message);
}

/// It lies where replicas share answers, is well signed and young, and its serial is on no record any more.
#[test]
fn what_was_signed_before_a_restoration_is_not_taken_from_where_answers_are_shared() {
    let place = MemorySharedAnswers::new(FakeClock::default());
    let parts = Parts { shared_answers: Some(place.clone()), ..Parts::default() };
    let mut anchoring = Anchoring::of(parts, MemoryAnchor::default());
    let kept = anchoring.world.issue();
    anchoring.follow();
    let backup = anchoring.backup();
    let lost = anchoring.world.issue();
    let told = |anchoring: &Anchoring, certificate: &StoredCertificate| {
        let engine = &anchoring.world.engine;
        block_on(follow_revocations(engine)).expect("the record answers");
        let answer = answer(engine, &[cert_id(engine, "tls", &certificate.serial)], None);
        (answer.kind, answer.origin)
    };
    let signed = (AnswerKind::Good, AnswerOrigin::Record);
    assert_eq!((told(&anchoring, &kept), told(&anchoring, &lost)), (signed, signed));
    assert_eq!(place.entries().len(), 2);
    anchoring.follow();
    anchoring.set_back(backup, true);
    anchoring.restore(Evidence::Anchor).expect("restored");
    assert_eq!(anchoring.compare(), AnchorVerdict::Agrees);
    assert_eq!(told(&anchoring, &lost), (AnswerKind::Unknown, AnswerOrigin::Record));
    assert_eq!(told(&anchoring, &kept), signed);
    // What is signed long enough after it is shared as before.
    anchoring.world.clock.advance(Lifetime::from_seconds(200));
    let other = anchoring.world.issue();
    assert_eq!(told(&anchoring, &other), signed);
    anchoring.world.engine = anchoring.world.restarted();
    assert_eq!(anchoring.compare(), AnchorVerdict::Agrees);
    assert_eq!(told(&anchoring, &other), (AnswerKind::Good, AnswerOrigin::Shared));
}
