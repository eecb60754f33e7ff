//! Authorities that others certified, their lists and responders: taken on record whole, whatever is cut off meanwhile.

use ca_core::audit::AuditAction;
use ca_core::crl::ParsedCrl;
use ca_core::ocsp::CertStatus;
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_engine::engine::Engine;
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::fake::{StoreFault, StoreMethod};
use ca_engine::flow::adopt::{Adoption, adopt_authorities};
use ca_engine::flow::import_crl::{ImportedCrl, import_crl, issuer_of};
use ca_engine::flow::import_responder::import_responder;
use ca_engine::flow::reconcile::abandon_reservations_before;
use ca_engine::flow::watch_clock::watch_clock;
use ca_engine::port::keyring::{KeyRoom, SealedKey};
use ca_engine::port::store::{KeyHome, StoreError};
use futures::executor::block_on;

use crate::world::ask::status;
use crate::world::*;

const LOCAL: Principal = Principal::LocalOperator;

/// Others, who hold a root, and a service whose `tls` they certified.
struct Two {
    others: World,
    ours: World,
    engine: Engine,
}

impl Two {
    fn new() -> Self {
        let (others, ours) = (World::new(), World::empty(Parts::default()));
        // The key of `tls` was made here; that the others' world made it is the harness's secret.
        let engine = ours.replica(&ours.clock, &others.keyring);
        block_on(watch_clock(&engine)).expect("compared");
        let key = sealed(&others, &others.engine.authority(&id("tls")).expect("tls").record().key_home);
        block_on(ours.store().add_key(key)).expect("on record");
        Self { others, ours, engine }
    }

    fn adoptions(&self) -> Vec<Adoption> {
        let adoption = |authority: &str, key_home| {
            let authority = self.others.engine.authority(&id(authority)).expect("an authority");
            let (parent, certificate) = (authority.record().parent.clone(), authority.certificate().clone());
            Adoption { id: authority.id().clone(), certificate, parent, key_home }
        };
        let tls = self.others.engine.authority(&id("tls")).expect("tls").record().key_home.clone();
        vec![adoption("root", KeyHome::File), adoption("tls", tls)]
    }

    fn adopt(&self) -> Result<(), FlowError> {
        block_on(adopt_authorities(&self.engine, &LOCAL, &self.adoptions()))
    }

    /// The next list of the others' root.
    fn next_list(&self) -> ParsedCrl {
        self.others.lend_root();
        self.others.clock.advance(SECOND);
        self.ours.clock.advance(SECOND);
        let list = self.others.publish("root").expect("a list");
        ParsedCrl::from_der(list.der.to_vec().expect("octets")).expect("a list")
    }

    fn import(&self, list: &ParsedCrl) -> Result<ImportedCrl, FlowError> {
        let (_, name) = issuer_of(&self.engine, list)?;
        let lease = block_on(self.ours.store().acquire_lease(&name, "test", HOUR)).expect("a record").expect("free");
        block_on(import_crl(&self.engine, &LOCAL, list, &lease))
    }
}

fn sealed(world: &World, home: &KeyHome) -> SealedKey {
    let KeyHome::Sealed(key_id) = home else { panic!("a sealed key") };
    block_on(world.store().key(key_id)).expect("a record").expect("a key")
}

#[test]
fn what_others_certified_is_on_record_and_issues() {
    let two = Two::new();
    two.adopt().expect("adopted");
    let (root, tls) =
        (two.engine.authority(&id("root")).expect("root"), two.engine.authority(&id("tls")).expect("tls"));
    assert!(root.is_external() && !root.can_sign());
    assert!(!tls.is_external() && tls.can_sign() && tls.is_active());
    assert!(root.signer().err().expect("no key").message.contains("others hold its key"));
    assert_eq!(tls.ancestors(), [root.certificate().der()]);
    assert!(two.ours.publisher.published(&id("tls")).is_some() && two.ours.publisher.published(&id("root")).is_none());
    let adopted = two.ours.store.events().into_iter().filter(|event| event.action == AuditAction::AuthorityAdopted);
    assert_eq!(adopted.count(), 2);
    // Harmless to repeat.
    let events = two.ours.store.events().len();
    two.adopt().expect("there already");
    assert_eq!(two.ours.store.events().len(), events);
    // Another certificate does not take an id.
    let mut other = two.adoptions();
    other[0].certificate = two.others.engine.authority(&id("document")).expect("document").certificate().clone();
    assert_eq!(refused(block_on(adopt_authorities(&two.engine, &LOCAL, &other))), Kind::AuthorityExists);
    let job = Principal::Job("crl");
    assert_eq!(refused(block_on(adopt_authorities(&two.engine, &job, &two.adoptions()))), Kind::AccessDenied);
}

#[test]
fn an_adoption_that_was_cut_off_is_gone_on_with_whatever_was_cut_off() {
    let unavailable = StoreFault::BeforeCommit(StoreError::Unavailable { detail: "test".to_owned() });
    for fault in [unavailable, StoreFault::AcknowledgementLost] {
        for method in [
            StoreMethod::Reserve,
            StoreMethod::Complete,
            StoreMethod::AddAuthority,
            StoreMethod::AddResponder,
            StoreMethod::PublishCrl,
        ] {
            let two = Two::new();
            two.ours.store.fail_next(method, fault.clone());
            let _ = two.adopt();
            two.adopt().unwrap_or_else(|error| panic!("{method:?} {fault:?}: {error:?}"));
            assert_eq!(two.ours.open_reservations(), 0, "{method:?} {fault:?}");
            assert!(two.engine.authority(&id("tls")).expect("tls").can_sign());
        }
    }
}

#[test]
fn no_authority_is_there_before_every_certificate_is() {
    let two = Two::new();
    // A certificate's completion, and its repetition.
    let unavailable = StoreFault::BeforeCommit(StoreError::Unavailable { detail: "test".to_owned() });
    two.ours.store.fail_nth(StoreMethod::Complete, 1, unavailable.clone());
    two.ours.store.fail_nth(StoreMethod::Complete, 2, unavailable);
    assert_eq!(refused(two.adopt()), Kind::Unavailable);
    assert!(two.engine.hierarchy().authorities().is_empty());
    // A reservation that somebody gave up is gone for good, and this says so.
    two.ours.clock.advance(SECOND);
    block_on(abandon_reservations_before(&two.engine, &LOCAL, two.ours.now())).expect("given up");
    let error = two.adopt().expect_err("given up");
    assert!(error.message.contains("issued anew"), "{error:?}");
}

#[test]
fn a_list_is_taken_when_its_number_rises_and_nothing_becomes_valid_by_it() {
    let two = Two::new();
    two.adopt().expect("adopted");
    let (first, second) = (two.next_list(), two.next_list());
    // Cut off before it was published: gone on with.
    let unavailable = StoreFault::BeforeCommit(StoreError::Unavailable { detail: "test".to_owned() });
    two.ours.store.fail_next(StoreMethod::PublishCrl, unavailable);
    assert_eq!(two.import(&second).map(|_| ()).expect_err("not recorded").kind, Kind::Unavailable);
    let imported = two.import(&second).expect("imported");
    assert_eq!(imported.list.intent.number, second.number().expect("a number"));
    assert_eq!(two.ours.publisher.published(&id("root")).expect("in place").1, second.as_der());
    assert!(two.import(&second).expect("again").was_known);
    assert!(two.import(&first).expect_err("older").message.contains("must rise"));
    // What the others revoke is revoked here.
    let tls = two.others.engine.authority(&id("tls")).expect("tls");
    two.others.revoke(tls.record().certificate, RevocationReason::CaCompromise).expect("revoked");
    let third = two.next_list();
    let imported = two.import(&third).expect("imported");
    assert_eq!(imported.revoked, [tls.certificate().serial().clone()]);
    assert_eq!(two.engine.authority(&id("tls")).expect("tls").revoked(), Some(RevocationReason::CaCompromise));
    assert!(!two.engine.authority(&id("tls")).expect("tls").is_active());
    // Of a root that forgot it, nothing is taken.
    let forgetful = World::new();
    assert!(issuer_of(&two.engine, &forgetful_list(&forgetful)).is_err());
    // Nor what this service makes itself.
    let own = two.ours.publisher.published(&id("tls")).expect("a list").1;
    let own = ParsedCrl::from_der(own).expect("a list");
    assert!(issuer_of(&two.engine, &own).err().expect("ours").message.contains("made by this service"));
}

fn forgetful_list(world: &World) -> ParsedCrl {
    ParsedCrl::from_der(world.publisher.published(&id("root")).expect("a list").1).expect("a list")
}

#[test]
fn a_responder_of_the_others_answers_and_without_one_nobody_does() {
    let two = Two::new();
    two.adopt().expect("adopted");
    let tls = two.engine.authority(&id("tls")).expect("tls").certificate().serial().clone();
    let records = block_on(two.others.store().responders()).expect("a record");
    let record = records.iter().find(|record| record.authority == id("root")).expect("a responder");
    let key = sealed(&two.others, &KeyHome::Sealed(record.key_id.clone()));
    let certificate = ca_core::certificate::Certificate::from_der(&record.certificate_der).expect("a certificate");
    let of_tls = sealed(&two.others, &two.others.engine.authority(&id("tls")).expect("tls").record().key_home);
    let wrong = block_on(import_responder(&two.engine, &LOCAL, &certificate, of_tls));
    assert!(wrong.expect_err("another key").message.contains("not that of its certificate"));
    let no_responder = two.others.engine.authority(&id("document")).expect("document").certificate().clone();
    let wrong =
        SealedKey { room: KeyRoom::Responders, spki: no_responder.public_key().spki_der().to_vec(), ..key.clone() };
    let wrong = block_on(import_responder(&two.engine, &LOCAL, &no_responder, wrong));
    assert!(wrong.expect_err("an authority").message.contains("OCSPSigning"));
    for _ in 0..2 {
        let authority = block_on(import_responder(&two.engine, &LOCAL, &certificate, key.clone())).expect("imported");
        assert_eq!(authority, id("root"));
    }
    assert_eq!(status(&two.engine, "root", &tls), CertStatus::Good);
}
