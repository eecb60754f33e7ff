//! Several roots beside each other: what is taken as one, and that none is over because another came. What a cross-certificate is good
//! for, others' programs judge (`tests/tests/it/anchors.rs`).

use ca_core::certificate::Certificate;
use ca_core::key::KeyType;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::fake::{StoreFault, StoreMethod};
use ca_engine::flow::anchors::{add_anchor, add_cross_certificate, chain_to_anchor};
use ca_engine::flow::on_host::SCHEDULED;
use ca_engine::flow::retire::{Watch, retire};
use ca_engine::flow::rollover::{GenerationKey, RolloverPlan, roll_over};
use ca_engine::flow::rollover_elsewhere::request_certificate;
use ca_engine::port::store::{AuthorityState, KeyHome};
use futures::executor::block_on;

use crate::world::*;

const LOCAL: Principal = Principal::LocalOperator;

/// A root of others, with a key and a name of its own.
fn another_root() -> Certificate {
    let other = World::new();
    other.establish("other", None);
    other.engine.authority(&id("other")).expect("a root").certificate().clone()
}

fn plan_below(line: &str, below: &str) -> RolloverPlan {
    let first = plan(line, Some("root"), KeyHome::File);
    RolloverPlan {
        below: Some(id(below)),
        line: id(line),
        subject: first.subject,
        validity: None,
        constraints: first.constraints,
        key: GenerationKey::Make(KeyType::P256),
        taken: Vec::new(),
        notice: HOUR,
    }
}

#[test]
fn another_root_stands_beside_the_first_and_neither_is_over() {
    let world = World::new();
    let root = another_root();
    let add =
        |principal: &Principal, certificate: &Certificate| block_on(add_anchor(&world.engine, principal, certificate));
    assert_eq!(refused(add(&Principal::Job("rollover"), &root)), Kind::AccessDenied);
    let tls = world.engine.authority(&id("tls")).expect("there").certificate().clone();
    assert_eq!(refused(add(&LOCAL, &tls)), Kind::InvalidRequest, "it is no root");
    let twin = World::new().engine.authority(&id("root")).expect("there").certificate().clone();
    assert_eq!(refused(add(&LOCAL, &twin)), Kind::InvalidRequest, "clients would take one for the other");
    for _ in 0..2 {
        assert_eq!(add(&LOCAL, &root).expect("taken"), id("root-2"));
    }
    let own = world.engine.authority(&id("root")).expect("there").certificate().clone();
    assert_eq!(add(&LOCAL, &own).expect("known"), id("root"));
    assert_eq!(world.engine.hierarchy().roots().count(), 2);
    world.clock.advance(Lifetime::from_days(2));
    let steps = block_on(retire(&world.engine, &Principal::Job("rollover"), &mut Watch::default())).expect("a record");
    assert_eq!(steps, [], "no root follows another");
    for root in ["root", "root-2"] {
        let state = world.engine.authority(&id(root)).expect("there").record().state;
        assert_eq!(state, AuthorityState::Active, "{root}");
    }
}

#[test]
fn a_root_whose_import_was_cut_off_is_taken_when_it_is_asked_for_again() {
    for method in [StoreMethod::Complete, StoreMethod::AddAuthority] {
        let world = World::new();
        let root = another_root();
        world.store.fail_next(method, StoreFault::AcknowledgementLost);
        let first = block_on(add_anchor(&world.engine, &LOCAL, &root));
        let second = block_on(add_anchor(&world.engine, &LOCAL, &root)).expect("taken");
        assert_eq!(second, id("root-2"), "{method:?}: {first:?}");
        assert_eq!(world.engine.hierarchy().roots().count(), 2, "{method:?}");
    }
}

#[test]
fn a_generation_goes_below_another_root_and_below_nothing_else() {
    let world = World::new();
    block_on(add_anchor(&world.engine, &LOCAL, &another_root())).expect("taken");
    let lease = block_on(world.store().acquire_lease("rollover", "test", HOUR)).expect("a record").expect("it is free");
    let ask = |plan| block_on(request_certificate(&world.engine, &LOCAL, plan, &lease));
    assert_eq!(refused(ask(plan_below("tls", "document"))), Kind::InvalidRequest);
    assert_eq!(refused(ask(plan_below("tls", "nobody"))), Kind::NotFound);
    let made = block_on(roll_over(&world.engine, &LOCAL, plan_below("tls", "root-2"), &lease));
    assert_eq!(refused(made), Kind::AuthorityCannotSign, "its key is elsewhere");
    let (generation, request) = ask(plan_below("tls", "root-2")).expect("a request");
    assert_eq!(generation, id("tls-2"));
    assert!(request.contains("CERTIFICATE REQUEST"));
    // Below its own root it is made here, and by the job that the configuration asks for.
    world.lend_root();
    let plan = RolloverPlan { below: None, ..plan_below("document", "root") };
    let made = block_on(roll_over(&world.engine, &Principal::Job(SCHEDULED), plan, &lease)).expect("made");
    assert_eq!(made.id, id("document-2"));
    let told = world.store.events();
    let announced =
        told.iter().find(|event| event.subject == "authority:document-2" && event.principal.contains(SCHEDULED));
    assert!(announced.is_some(), "the record says who did it");
}

#[test]
fn what_is_no_cross_certificate_is_refused_and_leads_nowhere() {
    let world = World::new();
    let root = another_root();
    let cross = |certificate: &Certificate| block_on(add_cross_certificate(&world.engine, &LOCAL, certificate));
    assert_eq!(refused(cross(&root)), Kind::InvalidRequest, "that root is not on record");
    block_on(add_anchor(&world.engine, &LOCAL, &root)).expect("taken");
    assert_eq!(refused(cross(&root)), Kind::InvalidRequest, "no other root signed it");
    let tls = world.engine.authority(&id("tls")).expect("there").certificate().clone();
    assert_eq!(refused(cross(&tls)), Kind::InvalidRequest, "it has the key of no root");
    let lead = |authority: &str, anchor: &str| block_on(chain_to_anchor(&world.engine, &id(authority), &id(anchor)));
    assert_eq!(lead("tls", "root").expect("its own root"), [tls.der().to_vec()]);
    assert_eq!(lead("root", "root").expect("itself"), Vec::<Vec<u8>>::new());
    for (authority, anchor) in [("tls", "root-2"), ("root", "root-2"), ("tls", "tls"), ("nobody", "root")] {
        assert_eq!(refused(lead(authority, anchor)), Kind::NotFound, "{authority} from {anchor}");
    }
}
