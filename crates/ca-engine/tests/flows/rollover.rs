//! Rollover: the next generation is whole before it is announced, known before it issues, and the one before it answers until the last
//! of its certificates has ended.

use ca_core::audit::AuditAction;
use ca_core::certificate::Certificate;
use ca_core::csr::ParsedCsr;
use ca_core::key::{KeyType, PublicKey};
use ca_core::lint::{self, LintContext};
use ca_core::name::DistinguishedName;
use ca_core::ocsp::CertStatus;
use ca_core::policy::{self, AuthorityConstraints, CertificateRequest, Origin, Surroundings};
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::tbs;
use ca_core::template::{self, Endpoints, Issuer, SerialChoice};
use ca_core::time::Lifetime;
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::fake::{ScriptedSigner, StoreFault, StoreMethod};
use ca_engine::flow::answer_status::AnswerKind;
use ca_engine::flow::issue::issue;
use ca_engine::flow::respond::make_responder;
use ca_engine::flow::retire::{SETTLING, Step, Watch, destroy_key, retire};
use ca_engine::flow::rollover::{Announced, GenerationKey, LEAST_NOTICE, RolloverPlan, roll_over};
use ca_engine::flow::rollover_elsewhere::{import_certificate, request_certificate};
use ca_engine::port::signer::Signer;
use ca_engine::port::store::{AuthorityState, KeyHome, Lease, NOT_ANNOUNCED, StoreError};
use futures::executor::block_on;

use crate::world::ask::{answer, cert_id, verified_chain};
use crate::world::*;

fn plan_of(line: &str, notice: Lifetime) -> RolloverPlan {
    let first = plan(line, Some("root"), KeyHome::File);
    RolloverPlan {
        below: None,
        line: id(line),
        subject: first.subject,
        validity: None,
        constraints: first.constraints,
        key: GenerationKey::Make(KeyType::P256),
        taken: Vec::new(),
        notice,
    }
}

/// Rolls a line over, as the command does: with the root's key, which is given back.
fn try_roll(world: &World, plan: RolloverPlan) -> Result<Announced, FlowError> {
    world.lend_root();
    let lease = block_on(world.store().acquire_lease("rollover", "test", HOUR)).expect("a record").expect("it is free");
    let rolled = block_on(roll_over(&world.engine, &Principal::LocalOperator, plan, &lease));
    block_on(world.store().release_lease(&lease)).expect("given back");
    block_on(world.engine.return_signer(&id("root"))).expect("the root's key is put away");
    rolled
}

fn roll(world: &World, notice: Lifetime) -> Announced {
    try_roll(world, plan_of("tls", notice)).expect("a generation")
}

fn retired(world: &World) -> Vec<(String, AuthorityState)> {
    let mut watch = Watch::default();
    let steps = block_on(retire(&world.engine, &Principal::Job("rollover"), &mut watch)).expect("a record");
    steps.into_iter().map(|Step { authority, state }| (authority.to_string(), state)).collect()
}

fn state(world: &World, authority: &str) -> AuthorityState {
    world.engine.authority(&id(authority)).expect("an authority").record().state
}

/// What the jobs do while time passes: responders, retirement.
fn pass(world: &World, time: Lifetime) {
    world.clock.advance(time);
    for authority in ["tls", "tls-2"] {
        let able = world.engine.authority(&id(authority)).is_ok_and(|authority| authority.can_sign());
        if able {
            world.renew_responder(authority);
            world.publish(authority).expect("a list");
        }
    }
}

#[test]
fn a_generation_is_known_everywhere_before_it_issues_and_issues_from_that_instant_on() {
    let world = World::new();
    let other = world.restarted();
    let old = world.issue();
    let announced = roll(&world, HOUR);
    let expected = Announced { id: id("tls-2"), before: id("tls"), issues_from: world.now().plus(HOUR) };
    assert_eq!(announced, expected);
    // Whole: a chain, a list, a responder, an own name and an own key.
    let [first, second] = ["tls", "tls-2"].map(|authority| world.engine.authority(&id(authority)).expect("there"));
    assert_eq!(second.certificate().subject().to_rfc4514(), "CN=Test tls G2");
    assert_ne!(first.certificate().public_key(), second.certificate().public_key());
    assert_eq!(second.ancestors(), first.ancestors());
    assert_eq!(world.list("tls-2").entry_count(), 0);
    assert!(world.engine.hierarchy().responder(&id("tls-2"), world.now()).is_some());
    assert_eq!(world.status("root", second.certificate().serial()), CertStatus::Good);
    // Until the instant, everybody issues from the first.
    assert_eq!(world.issue().authority, id("tls"));
    world.clock.advance(Lifetime::from_seconds(HOUR.seconds() - 1));
    assert_eq!(world.issue().authority, id("tls"));
    world.clock.advance(SECOND);
    let new = world.issue();
    assert_eq!(new.authority, id("tls-2"));
    verified_chain(&world, &new);
    // A process that has not heard of it for an hour asks before it issues.
    let by_other = block_on(issue(&other, &Principal::LocalOperator, server(csr(&key())))).expect("a certificate");
    assert_eq!(by_other.certificate.authority, id("tls-2"));
    // A renewal goes to the generation that issues.
    let renewed = world.renew(&Principal::LocalOperator, &old).expect("renewed");
    assert_eq!(renewed.authority, id("tls-2"));
    for certificate in [&old, &new, &renewed] {
        assert_eq!(world.status(certificate.authority.as_str(), &certificate.serial), CertStatus::Good);
    }
    // Both are revoked, each on its own list.
    for certificate in [&old, &new] {
        world.revoke(certificate.id, RevocationReason::Superseded).expect("revoked");
        let authority = certificate.authority.as_str();
        assert!(matches!(world.status(authority, &certificate.serial), CertStatus::Revoked { .. }));
        let list = world.list(authority);
        let listed: Vec<_> = list.entries().map(|entry| entry.serial).collect();
        assert_eq!(listed, std::slice::from_ref(&certificate.serial));
    }
}

#[test]
fn a_rollover_needs_the_root_s_key_time_and_the_host() {
    let world = World::new();
    let before = world.store.events().len();
    let keys = || block_on(world.store().keys(ca_engine::port::keyring::KeyRoom::Authorities)).expect("keys").len();
    let had = keys();
    let lease = block_on(world.store().acquire_lease("rollover", "test", HOUR)).expect("a record").expect("it is free");
    let ask = |principal: &Principal, plan| block_on(roll_over(&world.engine, principal, plan, &lease));
    let local = Principal::LocalOperator;
    assert_eq!(refused(ask(&local, plan_of("tls", HOUR))), Kind::AuthorityCannotSign);
    assert_eq!(refused(ask(&local, plan_of("nobody", HOUR))), Kind::NotFound);
    let short = Lifetime::from_seconds(LEAST_NOTICE.seconds() - 1);
    assert_eq!(refused(ask(&local, plan_of("tls", short))), Kind::InvalidRequest);
    let root = RolloverPlan { line: id("root"), ..plan_of("tls", HOUR) };
    assert_eq!(refused(ask(&local, root)), Kind::AuthorityCannotSign);
    world.lend_root();
    for principal in [Principal::Anonymous, Principal::Job("rollover")] {
        assert_eq!(refused(ask(&principal, plan_of("tls", HOUR))), Kind::AccessDenied);
    }
    assert_eq!((world.store.events().len(), keys()), (before, had), "nothing was made");
}

#[test]
fn one_rollover_comes_after_the_other() {
    let world = World::new();
    roll(&world, HOUR);
    assert_eq!(refused(try_roll(&world, plan_of("tls", HOUR))), Kind::AuthorityExists);
    world.clock.advance(HOUR);
    // By any generation's id; and one that the record has lost keeps its number.
    let plan = RolloverPlan { taken: vec![id("tls-3"), id("document-9")], ..plan_of("tls", HOUR) };
    let third = try_roll(&world, RolloverPlan { line: id("tls-2"), ..plan }).expect("a generation");
    assert_eq!((third.id, third.before), (id("tls-4"), id("tls-2")));
    let subject = world.engine.authority(&id("tls-4")).expect("there").certificate().subject().to_rfc4514();
    assert_eq!(subject, "CN=Test tls G4");
    world.clock.advance(HOUR);
    assert_eq!(world.issue().authority, id("tls-4"));
}

#[test]
fn a_subject_that_another_authority_has_is_refused() {
    let world = World::new();
    let plan = RolloverPlan { subject: dn("CN=Test document"), ..plan_of("tls", HOUR) };
    try_roll(&world, plan).expect("`Test document G2` is nobody's");
    let plan = RolloverPlan { subject: dn("CN=Test document"), line: id("document"), ..plan_of("document", HOUR) };
    assert_eq!(refused(try_roll(&world, plan)), Kind::InvalidRequest);
}

/// Whatever call fails: nothing is announced by halves, nothing issues that was not announced, and the next attempt ends it.
#[test]
fn an_interrupted_rollover_is_gone_on_with_and_never_half_there() {
    let methods = calls_of_a_rollover();
    assert!(methods.contains(&StoreMethod::ChangeAuthority) && methods.contains(&StoreMethod::AddAuthority));
    let down = || StoreFault::BeforeCommit(StoreError::Unavailable { detail: "test".to_owned() });
    for fault in [down(), StoreFault::AcknowledgementLost] {
        for method in &methods {
            let world = World::new();
            world.store.fail_next(*method, fault.clone());
            let first = try_roll_if_possible(&world);
            let about = format!("{method:?} {fault:?}: {first:?}");
            block_on(world.engine.reload_hierarchy()).expect("the record is readable");
            if let Ok(begun) = world.engine.authority(&id("tls-2")) {
                let announced = begun.record().issues_from != NOT_ANNOUNCED;
                let has_list = world.publisher.published(&id("tls-2")).is_some();
                let has_responder = world.engine.hierarchy().responder(&id("tls-2"), world.now()).is_some();
                assert!(!announced || (has_list && has_responder), "{about}");
            }
            world.clock.advance(HOUR);
            close_open(&world);
            let second = try_roll(&world, plan_of("tls", HOUR));
            let is_announced = matches!(&second, Ok(announced) if announced.id == id("tls-2"))
                || first.as_ref().is_ok_and(|announced| announced.id == id("tls-2"));
            assert!(is_announced, "{about} {second:?}");
            world.clock.advance(HOUR);
            let issued = world.issue();
            verified_chain(&world, &issued);
            assert!(issued.authority == id("tls-2") || issued.authority == id("tls-3"), "{about}");
            assert_eq!(world.open_reservations(), 0, "{about}");
        }
    }
}

fn try_roll_if_possible(world: &World) -> Result<Announced, FlowError> {
    block_on(world.engine.lend_signer(id("root"), world.root_signer()))?;
    let lease = block_on(world.store().acquire_lease("rollover", "test", HOUR))?;
    let lease = lease.expect("it is free");
    let rolled = block_on(roll_over(&world.engine, &Principal::LocalOperator, plan_of("tls", HOUR), &lease));
    let _ = block_on(world.store().release_lease(&lease));
    let _ = block_on(world.engine.return_signer(&id("root")));
    rolled
}

fn close_open(world: &World) {
    let local = Principal::LocalOperator;
    block_on(ca_engine::flow::reconcile::abandon_reservations_before(&world.engine, &local, world.now()))
        .expect("reconciled");
}

fn calls_of_a_rollover() -> Vec<StoreMethod> {
    let world = World::new();
    let before = world.store.calls().len();
    roll(&world, HOUR);
    let mut methods = world.store.calls().split_off(before);
    methods.sort();
    methods.dedup();
    // A lease that was acquired and not acknowledged is another's for an hour.
    methods.retain(|method| !matches!(method, StoreMethod::AcquireLease | StoreMethod::ReleaseLease));
    methods
}

#[test]
fn the_key_that_an_interrupted_rollover_made_is_used_by_the_next_one() {
    let world = World::new();
    world.root.script([ca_engine::fake::SigningStep::Unavailable]);
    try_roll(&world, plan_of("tls", HOUR)).expect_err("the root's key does not sign");
    let keys = || block_on(world.store().keys(ca_engine::port::keyring::KeyRoom::Authorities)).expect("keys").len();
    let made = keys();
    roll(&world, HOUR);
    assert_eq!(keys(), made);
    // The next rollover has a key of its own.
    world.clock.advance(HOUR);
    roll(&world, HOUR);
    assert_eq!(keys(), made + 1);
}

#[test]
fn a_generation_retires_when_its_successor_has_issued_for_a_while_and_ends_with_its_last_certificate() {
    let world = World::new();
    let old = world.issue();
    world.revoke(old.id, RevocationReason::Superseded).expect("revoked");
    let last = world.issue();
    roll(&world, HOUR);
    world.clock.advance(HOUR);
    assert_eq!(retired(&world), [], "a replica whose clock is behind still issues from it");
    world.clock.advance(SETTLING);
    assert_eq!(retired(&world), [("tls".to_owned(), AuthorityState::Retiring)]);
    assert_eq!(retired(&world), [], "once");
    // It issues nothing, and answers as before.
    assert_eq!(world.issue().authority, id("tls-2"));
    pass(&world, DAY);
    assert_eq!(world.status("tls", &last.serial), CertStatus::Good);
    let listed: Vec<_> = world.list("tls").entries().map(|entry| entry.serial).collect();
    assert_eq!(listed, std::slice::from_ref(&old.serial));
    assert_eq!(retired(&world), []);
    // In the last second of its last certificate it is not done yet.
    let left = last.validity.not_after.since(world.now());
    pass(&world, left);
    assert_eq!(retired(&world), []);
    // Whoever made the list of a moment ago holds its lease for a minute.
    world.clock.advance(Lifetime::from_seconds(61));
    assert_eq!(retired(&world), [("tls".to_owned(), AuthorityState::Retired)]);
    // Its last list lasts as long as itself, and has what was revoked before its end.
    let (_, der) = world.publisher.published(&id("tls")).expect("a list");
    let list = world.read_list("tls", &der.into());
    let tls = world.engine.authority(&id("tls")).expect("tls");
    assert_eq!(list.next_update(), Some(tls.certificate().validity().not_after));
    assert!(list.this_update() > last.validity.not_after);
    assert!(!tls.can_sign());
    assert_eq!(refused(world.publish("tls")), Kind::AuthorityCannotSign);
    // It answers while it has a responder, and after that says that it does not (no later try would help).
    let asked = [cert_id(&world.engine, "tls", &last.serial)];
    let kind = |world: &World| answer(&world.engine, &asked, None).kind;
    assert_eq!(kind(&world), AnswerKind::Good);
    let made = block_on(make_responder(&world.engine, &Principal::Job("responders"), &id("tls"), None));
    assert_eq!(refused(made), Kind::AuthorityCannotSign);
    world.clock.advance(Lifetime::from_days(8));
    block_on(world.engine.reload_hierarchy()).expect("a record");
    assert_eq!(kind(&world), AnswerKind::Unauthorized);
    assert_eq!(retired(&world), []);
    let told: Vec<_> = world.store.events().into_iter().map(|event| event.action).collect();
    for action in [AuditAction::AuthorityAnnounced, AuditAction::AuthorityRetiring, AuditAction::AuthorityRetired] {
        assert_eq!(told.iter().filter(|told| **told == action).count(), 1, "{action:?}");
    }
}

#[test]
fn an_authority_whose_certificates_are_evidence_answers_until_its_own_end() {
    let world = World::new();
    let plan = plan_of("document", HOUR);
    try_roll(&world, plan).expect("a generation");
    world.clock.advance(HOUR);
    world.clock.advance(SETTLING);
    assert_eq!(retired(&world), [("document".to_owned(), AuthorityState::Retiring)]);
    let end = world.engine.authority(&id("document")).expect("there").certificate().validity().not_after;
    world.clock.advance(Lifetime::from_seconds(end.since(world.now()).seconds() - 1));
    assert_eq!(state(&world, "document"), AuthorityState::Retiring);
    assert_eq!(retired(&world), []);
    world.clock.advance(SECOND);
    assert!(retired(&world).contains(&("document".to_owned(), AuthorityState::Retired)));
}

#[test]
fn a_key_is_destroyed_when_its_authority_is_retired_and_who_asks_has_looked() {
    let world = World::new();
    let local = Principal::LocalOperator;
    let fingerprint = |world: &World, authority: &str| {
        let authority = world.engine.authority(&id(authority)).expect("there");
        hex::encode(authority.certificate().fingerprint_sha256())
    };
    let of_tls = fingerprint(&world, "tls");
    let destroy =
        |principal: &Principal, confirm: &str| block_on(destroy_key(&world.engine, principal, &id("tls"), confirm));
    assert_eq!(refused(destroy(&local, &of_tls)), Kind::AuthorityCannotSign, "it issues");
    roll(&world, HOUR);
    world.clock.advance(HOUR);
    world.clock.advance(SETTLING);
    retired(&world);
    assert_eq!(refused(destroy(&local, &of_tls)), Kind::AuthorityCannotSign, "it answers");
    // Nothing was ever issued by it but a responder: nothing to wait for.
    assert_eq!(retired(&world), [("tls".to_owned(), AuthorityState::Retired)]);
    assert_eq!(refused(destroy(&Principal::Job("rollover"), &of_tls)), Kind::AccessDenied);
    assert_eq!(refused(destroy(&local, &fingerprint(&world, "tls-2"))), Kind::InvalidRequest);
    assert_eq!(refused(destroy(&local, "")), Kind::InvalidRequest);
    let colons: Vec<String> =
        of_tls.to_uppercase().as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect();
    assert!(destroy(&local, &colons.join(":")).expect("destroyed"));
    assert!(!destroy(&local, &of_tls).expect("asked again"), "nothing is left");
    let events = world.store.events();
    assert_eq!(events.iter().filter(|event| event.action == AuditAction::AuthorityKeyDestroyed).count(), 1);
    // The service goes on, also after a start.
    let restarted = world.restarted();
    let issued = block_on(issue(&restarted, &local, server(csr(&key())))).expect("a certificate").certificate;
    assert_eq!(issued.authority, id("tls-2"));
    Certificate::from_der(&issued.der).expect("a certificate");
}

#[test]
fn a_list_of_another_generation_is_none_of_its_own() {
    let world = World::new();
    roll(&world, HOUR);
    world.clock.advance(HOUR);
    let [first, second] = ["tls", "tls-2"].map(|authority| world.engine.authority(&id(authority)).expect("there"));
    let list = world.list("tls-2");
    list.verify(second.certificate().subject(), second.certificate().public_key()).expect("its own");
    assert!(list.verify(first.certificate().subject(), first.certificate().public_key()).is_err());
    assert_ne!(first.certificate().subject(), second.certificate().subject());
}

/// What whoever holds the root's key does with a request; `change` is what that person does otherwise than asked.
fn sign_elsewhere(world: &World, request: &str, change: impl FnOnce(&mut Wanted)) -> Certificate {
    let csr = ParsedCsr::from_pem(request).expect("a request that proves possession");
    let mut wanted = Wanted {
        subject: csr.subject().clone(),
        purposes: plan("tls", Some("root"), KeyHome::File).constraints,
        validity: Some(Lifetime::from_days(1_000)),
        signer: world.root.clone(),
        public_key: csr.public_key().clone(),
    };
    change(&mut wanted);
    let profile = world.engine.profiles().get(&"subordinate".parse().expect("a name")).expect("shipped").clone();
    let asked = CertificateRequest {
        public_key: &wanted.public_key,
        csr: None,
        subject: Some(&wanted.subject),
        names: None,
        validity: wanted.validity,
        constraints: Some(&wanted.purposes),
    };
    let surroundings = Surroundings { origin: Origin::Service, reserved_names: &[] };
    let granted = policy::evaluate(&profile, &asked, &surroundings).expect("granted");
    let root = world.engine.authority(&id("root")).expect("root");
    let endpoints = Endpoints {
        crl: Some("http://pki.example.org/crl/root.crl".to_owned()),
        ca_issuers: Some("http://pki.example.org/ca/root.crt".to_owned()),
        ocsp: Some("http://pki.example.org/ocsp".to_owned()),
    };
    let issuer = Issuer::Authority(root.facts());
    let serial = SerialChoice::Ours(Serial::from_random([0x5a; 16]));
    let template = template::build(granted, issuer, &endpoints, serial, world.now()).expect("a template");
    let context = LintContext { issuer, public_key: template.public_key(), profile: &profile };
    let linted = lint::check(tbs::encode(&template).expect("encoded"), &context).expect("faultless");
    let signature = block_on(wanted.signer.sign(&linted)).expect("signed");
    let der = linted.into_certificate(&signature, wanted.signer.public_key()).expect("a certificate");
    Certificate::from_der(der.as_bytes()).expect("a certificate")
}

struct Wanted {
    subject: DistinguishedName,
    purposes: AuthorityConstraints,
    validity: Option<Lifetime>,
    signer: ScriptedSigner,
    public_key: PublicKey,
}

/// What somebody does otherwise than asked.
type Change<'a> = &'a dyn Fn(&mut Wanted);

fn with_lease<T>(world: &World, work: impl FnOnce(&Lease) -> T) -> T {
    let lease = block_on(world.store().acquire_lease("rollover", "test", HOUR)).expect("a record").expect("it is free");
    let done = work(&lease);
    block_on(world.store().release_lease(&lease)).expect("given back");
    done
}

fn ask(world: &World) -> String {
    let asked = with_lease(world, |lease| {
        block_on(request_certificate(&world.engine, &Principal::LocalOperator, plan_of("tls", HOUR), lease))
    });
    let (authority, pem) = asked.expect("a request");
    assert_eq!(authority, id("tls-2"));
    pem
}

fn import(world: &World, certificate: &Certificate) -> Result<Announced, FlowError> {
    with_lease(world, |lease| {
        let (local, plan) = (Principal::LocalOperator, plan_of("tls", HOUR));
        block_on(import_certificate(&world.engine, &local, plan, certificate, lease))
    })
}

#[test]
fn a_generation_is_certified_elsewhere_by_a_request_that_says_what_it_is_to_be() {
    let world = World::new();
    let request = ask(&world);
    let csr = ParsedCsr::from_pem(&request).expect("a request that proves possession");
    assert_eq!(csr.subject().to_rfc4514(), "CN=Test tls G2");
    assert_eq!(csr.public_key(), ParsedCsr::from_pem(&ask(&world)).expect("asked again").public_key(), "the same key");
    assert!(world.engine.hierarchy().authority(&id("tls-2")).is_none(), "nothing is there before its certificate");
    let certificate = sign_elsewhere(&world, &request, |_| {});
    // What the request asks for is what the certificate has.
    assert_eq!(csr.requested_extensions().len(), 8, "{:?}", csr.requested_extensions());
    let announced = import(&world, &certificate).expect("taken");
    assert_eq!((announced.id, announced.before), (id("tls-2"), id("tls")));
    let made = world.engine.authority(&id("tls-2")).expect("there");
    assert_eq!(made.certificate(), &certificate);
    assert_eq!(world.status("root", certificate.serial()), CertStatus::Good);
    world.clock.advance(HOUR);
    let issued = world.issue();
    assert_eq!(issued.authority, id("tls-2"));
    verified_chain(&world, &issued);
    assert_eq!(refused(import(&world, &certificate)), Kind::InvalidRequest, "the next one is another");
}

#[test]
fn a_certificate_that_is_not_what_was_asked_for_is_not_taken() {
    let world = World::new();
    let request = ask(&world);
    let stranger = ScriptedSigner::generate(KeyType::P256);
    let changes: [(&str, Change<'_>); 4] = [
        ("subject", &|wanted| wanted.subject = dn("CN=Test tls")),
        ("extended key usage", &|wanted| wanted.purposes = plan("document", Some("root"), KeyHome::File).constraints),
        ("not of the key", &|wanted| wanted.public_key = stranger.public_key().clone()),
        ("not signed by", &|wanted| wanted.signer = stranger.clone()),
    ];
    for (why, change) in changes {
        let error = import(&world, &sign_elsewhere(&world, &request, change)).expect_err(why);
        assert_eq!(error.kind, Kind::InvalidRequest, "{why}");
        assert!(error.message.contains(why), "{why}: {}", error.message);
    }
    let certificate = sign_elsewhere(&world, &request, |wanted| wanted.validity = Some(DAY));
    world.clock.advance(DAY);
    world.clock.advance(SECOND);
    assert_eq!(refused(import(&world, &certificate)), Kind::InvalidRequest, "it has ended");
    assert!(world.engine.hierarchy().authority(&id("tls-2")).is_none());
    let good = sign_elsewhere(&world, &request, |_| {});
    import(&world, &good).expect("taken");
}

#[test]
fn an_import_that_was_cut_off_is_gone_on_with() {
    for method in
        [StoreMethod::Complete, StoreMethod::AddAuthority, StoreMethod::IntendCrl, StoreMethod::ChangeAuthority]
    {
        let world = World::new();
        let certificate = sign_elsewhere(&world, &ask(&world), |_| {});
        world.store.fail_next(method, StoreFault::AcknowledgementLost);
        let first = import(&world, &certificate);
        let second = import(&world, &certificate);
        assert!(first.is_ok() || second.is_ok(), "{method:?}: {first:?} {second:?}");
        let made = world.engine.authority(&id("tls-2")).expect("there");
        assert_ne!(made.record().issues_from, NOT_ANNOUNCED, "{method:?}");
        world.clock.advance(HOUR);
        assert_eq!(world.issue().authority, id("tls-2"), "{method:?}");
    }
}
