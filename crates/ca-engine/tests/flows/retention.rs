//! What has expired leaves the record when the operator says so, and nothing else does.

use ca_core::audit::AuditAction;
use ca_core::ocsp::CertStatus;
use ca_core::principal::{Principal, Role};
use ca_core::revocation::RevocationReason;
use ca_core::time::Lifetime;
use ca_engine::anchor_verdict::AnchorVerdict;
use ca_engine::engine::Engine;
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::fake::FakeClock;
use ca_engine::flow::authenticate::certificate_holder;
use ca_engine::flow::expire::drop_stale_events;
use ca_engine::flow::issue::IssueRequest;
use ca_engine::flow::query::{CertificateName, resolve};
use ca_engine::flow::recover::import;
use ca_engine::flow::retention::{Due, LEASE_NAME, MonthPlan, StayReason, due, remove, review};
use ca_engine::flow::role::grant_role;
use ca_engine::flow::sequence_audit::{sequence_audit, verify_chain};
use ca_engine::port::store::{KeptFor, RemovalOutcome, ShownCertificate, StoredCertificate};
use futures::executor::block_on;

use crate::world::*;

const JOB: Principal = Principal::Job("retention");

fn keeping(days: u64) -> World {
    let mut parts = Parts::default();
    parts.settings.keep_expired = Some(Lifetime::from_days(days));
    World::of(parts)
}

/// What runs by itself: events get their places, and those that nobody takes are dropped.
fn settle(world: &World) {
    world.clock.advance(DAY);
    world.clock.advance(DAY);
    let acquire = |name| block_on(world.store().acquire_lease(name, "test", SECOND)).expect("a record").expect("free");
    block_on(sequence_audit(&world.engine, &acquire("audit-chain"))).expect("chained");
    block_on(drop_stale_events(&world.engine, &acquire("expiry"))).expect("dropped");
}

/// One run of the job: how many certificates went.
fn run(world: &World) -> Result<u64, FlowError> {
    run_by(world, &world.engine)
}

fn run_by(world: &World, engine: &Engine) -> Result<u64, FlowError> {
    let lease = block_on(world.store().acquire_lease(LEASE_NAME, "test", SECOND)).expect("a record").expect("ours");
    let months = match block_on(due(engine, &JOB))? {
        Due::Months(months) => months,
        // The tests leap.
        Due::NotBefore(_) => {
            world.clock.advance(DAY);
            match block_on(due(engine, &JOB))? {
                Due::Months(months) => months,
                Due::NotBefore(from) => panic!("it was watched for a day, and waits until {from}"),
            }
        }
    };
    let mut gone = 0;
    for removal in months {
        if let RemovalOutcome::Removed { removed, .. } = block_on(remove(engine, &lease, removal))? {
            gone += removed;
        }
    }
    Ok(gone)
}

fn document(world: &World) -> StoredCertificate {
    let request = IssueRequest {
        profile: "document".parse().expect("a profile"),
        subject: Some(dn("CN=Ana Souza")),
        names: names(&["email:ana@example.com"]),
        ..server(csr(&key()))
    };
    world.ask(request).expect("a certificate")
}

fn found(world: &World, name: CertificateName) -> Result<StoredCertificate, FlowError> {
    block_on(resolve(&world.engine, &name))
}

fn stays(plans: &[MonthPlan]) -> Vec<(&str, StayReason)> {
    plans.iter().flat_map(|plan| &plan.stays).map(|stay| (stay.profile.as_str(), stay.reason)).collect()
}

#[test]
fn everything_stays_for_ever_by_default() {
    let world = World::new();
    let certificate = world.issue();
    world.clock.advance(Lifetime::from_days(1_500));
    settle(&world);
    assert_eq!(run(&world), Ok(0));
    assert_eq!(world.stored(certificate.id), Some(certificate));
    let plans = block_on(review(&world.engine)).expect("a review");
    assert!(plans.iter().all(|plan| plan.goes == 0));
    assert!(stays(&plans).iter().all(|(_, reason)| *reason == StayReason::Off));
}

#[test]
fn what_ended_longer_ago_than_it_is_kept_goes_and_documents_stay() {
    let world = keeping(400);
    let (server, document) = (world.issue(), document(&world));
    // The server's ends after 90 days, in a month that is over after 31 more; the document's after 1095.
    world.clock.advance(Lifetime::from_days(90 + 400 - 3));
    settle(&world);
    assert_eq!(run(&world), Ok(0), "its time has not come");
    world.clock.advance(Lifetime::from_days(32));
    settle(&world);
    let plans = block_on(review(&world.engine)).expect("a review");
    assert_eq!(plans.iter().map(|plan| plan.goes).sum::<u64>(), 1, "told before it is done");
    assert_eq!(run(&world), Ok(1));
    assert_eq!(world.stored(server.id), None);
    assert_eq!(run(&world), Ok(0));
    world.clock.advance(Lifetime::from_days(1_200));
    settle(&world);
    assert_eq!(run(&world), Ok(0));
    assert_eq!(world.stored(document.id), Some(document));
    let plans = block_on(review(&world.engine)).expect("a review");
    assert!(stays(&plans).contains(&("document", StayReason::Forever)), "{plans:?}");
    assert!(stays(&plans).contains(&("ocsp-responder", StayReason::Forever)), "{plans:?}");

    let removals = world.store.events().into_iter().filter(|event| event.action == AuditAction::CertificatesRemoved);
    let [told] = &removals.collect::<Vec<_>>()[..] else { panic!("one event") };
    assert_eq!((told.principal.as_str(), told.details["removed"].as_str()), ("job:retention", "1"));
    settle(&world);
    block_on(verify_chain(&world.engine, |_| ())).expect("the chain is whole");
}

#[test]
fn what_was_removed_is_told_apart_from_what_never_was() {
    let world = keeping(100);
    let (revoked, certificate) = (world.issue(), world.issue());
    world.revoke(revoked.id, RevocationReason::Superseded).expect("revoked");
    world.clock.advance(Lifetime::from_days(90 + 31 + 100));
    settle(&world);
    assert_eq!(run(&world), Ok(2));
    for name in [
        CertificateName::Id(certificate.id),
        CertificateName::Serial(certificate.authority.clone(), certificate.serial.clone()),
        CertificateName::BareSerial(certificate.serial.clone()),
    ] {
        let error = found(&world, name.clone()).expect_err("removed");
        assert_eq!(error.kind, Kind::Removed, "{name:?}");
        assert!(error.message.contains("was removed from the record after its retention"), "{error}");
    }
    assert_eq!(refused(found(&world, CertificateName::Serial(id("tls"), certificate.serial.clone()))), Kind::Removed);
    assert_eq!(refused(found(&world, CertificateName::Serial(id("root"), certificate.serial.clone()))), Kind::NotFound);
    assert_eq!(refused(world.revoke(certificate.id, RevocationReason::Superseded)), Kind::Removed);
    assert_eq!(refused(world.renew(&Principal::LocalOperator, &certificate)), Kind::Removed);
    // Whoever may not read everything learns nothing.
    let stranger = world.issue();
    let stranger = holder(&stranger, &[]);
    let asked = world.revoke_as(&stranger, certificate.id, RevocationReason::Superseded);
    assert_eq!(refused(asked), Kind::AccessDenied);

    world.renew_responder("tls");
    assert!(matches!(world.status("tls", &revoked.serial), CertStatus::Revoked { .. }), "as before");
    assert_eq!(world.status("tls", &certificate.serial), CertStatus::Good, "issued, and never revoked");
    // It does not come back.
    let imported = block_on(import(&world.engine, &Principal::LocalOperator, &certificate.der));
    assert_eq!(imported.map(|_| ()).expect_err("removed").kind, Kind::Removed);
    let shown = block_on(certificate_holder(&world.engine, &ShownCertificate::from(&certificate), &certificate.der));
    assert_eq!(refused(shown), Kind::InvalidCredential);
}

#[test]
fn what_is_still_needed_stays_and_the_review_says_why() {
    let world = keeping(100);
    let (with_role, told) = (world.issue(), world.issue());
    let unknown = world.issue();
    grant(&world, &with_role);
    world.clock.advance(Lifetime::from_days(90 + 31 + 100));
    settle(&world);
    // Told of at this moment: neither delivered nor in its place.
    world.revoke(told.id, RevocationReason::Superseded).expect("revoked");
    world.store.tables(|record| {
        let issuance = record.issuances.get_mut(&unknown.id).expect("on record");
        issuance.reservation.profile = "abolished".parse().expect("a profile");
    });
    let plans = block_on(review(&world.engine)).expect("a review");
    let of_servers: Vec<_> = stays(&plans).into_iter().filter(|(profile, _)| *profile != "ocsp-responder").collect();
    let expected = [
        ("abolished", StayReason::UnknownProfile),
        ("server", StayReason::Kept(KeptFor::Role)),
        ("server", StayReason::Kept(KeptFor::Message)),
    ];
    assert_eq!(of_servers, expected);
    assert_eq!(run(&world), Ok(0));
    settle(&world);
    assert_eq!(run(&world), Ok(1), "the one that was told of");
    for certificate in [&with_role, &unknown] {
        assert!(world.stored(certificate.id).is_some(), "nobody can say that it may go");
    }
}

fn grant(world: &World, certificate: &StoredCertificate) {
    block_on(grant_role(&world.engine, &Principal::LocalOperator, certificate.id, Role::Administrator))
        .expect("granted");
}

#[test]
fn nothing_goes_by_a_clock_that_is_wrong_or_from_a_record_that_may_be_old() {
    let world = keeping(100);
    let certificate = world.issue();
    let ahead = world.replica(&FakeClock::at(world.now().plus(Lifetime::from_days(500))), &world.keyring);
    assert_eq!(refused(run_by(&world, &ahead)), Kind::SigningSuspended);
    world.clock.advance(Lifetime::from_days(300));
    settle(&world);
    world.engine.set_anchor_verdict(AnchorVerdict::Behind("a test says so".to_owned()));
    assert_eq!(refused(run(&world)), Kind::SigningSuspended);
    assert!(world.stored(certificate.id).is_some());
    world.engine.set_anchor_verdict(AnchorVerdict::Agrees);
    assert_eq!(run(&world), Ok(1));
}

/// A machine whose clock is years ahead when it starts, the database's with it.
#[test]
fn nothing_goes_before_the_clock_has_gone_on_for_a_day_without_a_leap() {
    let world = keeping(100);
    let certificate = world.issue();
    let due_now = || block_on(due(&world.engine, &JOB)).expect("the record answers");
    settle(&world);
    for _ in 0..40 {
        // What it does every day.
        due_now();
        world.clock.advance(DAY);
    }
    assert_eq!(due_now(), Due::Months(vec![]), "nothing has expired");
    world.clock.advance(Lifetime::from_days(3_000));
    let leapt = world.now();
    assert_eq!(due_now(), Due::NotBefore(leapt.plus(DAY)));
    world.clock.advance(HOUR);
    assert_eq!(due_now(), Due::NotBefore(leapt.plus(DAY)), "however often it is asked");
    assert!(world.stored(certificate.id).is_some());
    world.clock.advance(DAY);
    assert!(matches!(due_now(), Due::Months(months) if !months.is_empty()), "by then somebody has looked");
}
