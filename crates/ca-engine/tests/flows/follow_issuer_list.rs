//! The list of an authority whose certificates another makes: taken from its issuer, never a step back, and how far it is behind.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::crl::ParsedCrl;
use ca_core::ocsp::CertStatus;
use ca_core::principal::Principal;
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::Lifetime;
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::fake::{IssuerCall, IssuerFault, ScriptedIssuer, ScriptedSigner};
use ca_engine::flow::follow_issuer_list::{
    FollowedList, ListLag, ListSource, follow_issuer_list, issuer_list_lag, list_source,
};
use ca_engine::flow::publish_crl::lease_name;
use ca_engine::port::store::{Lease, SerialState, StoredCertificate};
use futures::executor::block_on;

use crate::world::elsewhere::*;
use crate::world::*;

const LISTS: Principal = Principal::Job("issuer-lists");
const LIFE: Lifetime = Lifetime::from_days(7);

impl Elsewhere {
    fn lease(&self) -> Lease {
        let name = lease_name(&id("tls-2"));
        let lease = block_on(self.world.store().acquire_lease(&name, "test", HOUR));
        lease.expect("a record").expect("free, or held by the same")
    }

    fn follow(&self, seen: Option<&str>) -> Result<FollowedList, FlowError> {
        let lease = self.lease();
        block_on(follow_issuer_list(&self.engine, &LISTS, &id("tls-2"), &lease, seen))
    }

    fn taken(&self) -> (u64, Option<String>) {
        match self.follow(None).expect("followed") {
            FollowedList::Taken { list, version, .. } => (list.intent.number, version),
            other => panic!("it is not taken: {other:?}"),
        }
    }

    fn published(&self) -> Option<ParsedCrl> {
        let list = block_on(self.world.store().published_crl(&id("tls-2"))).expect("answers")?;
        Some(ParsedCrl::from_der(list.der.to_vec().expect("read")).expect("a list"))
    }

    fn lag(&self) -> ListLag {
        block_on(issuer_list_lag(&self.engine, &id("tls-2"))).expect("answers")
    }

    fn source(&self) -> ListSource {
        block_on(list_source(self.world.store(), &id("tls-2"))).expect("answers")
    }

    fn superseded(&self) -> StoredCertificate {
        let certificate = self.issued();
        self.revoke(&certificate, RevocationReason::Superseded).expect("revoked");
        certificate
    }

    /// Refused, and what is published stays.
    fn refuses(&self, der: Vec<u8>, because: &str) {
        let before = self.published();
        self.issuer.put_list(der);
        let error = self.follow(None).expect_err("refused");
        assert_eq!(error.kind, Kind::InvalidCredential);
        assert!(error.message.contains(because), "{}", error.message);
        assert_eq!(self.published(), before);
    }
}

#[test]
fn what_its_issuer_publishes_is_published_here() {
    let elsewhere = Elsewhere::new();
    let (revoked, good) = (elsewhere.superseded(), elsewhere.issued());
    elsewhere.pass_on().expect("told");
    let der = elsewhere.issuer.make_list(1_700_000_000_123, LIFE);
    let (number, version) = elsewhere.taken();
    assert_eq!(number, 1_700_000_000_123);
    let list = elsewhere.published().expect("published");
    assert_eq!(list.as_der(), der, "octet for octet");
    assert!(list.find(&revoked.serial).is_some() && list.find(&good.serial).is_none());
    assert_eq!(
        elsewhere.world.publisher.published(&id("tls-2")).map(|(number, _)| number),
        Some(number),
        "in place, where gateways fetch it"
    );
    let event = elsewhere.world.store.events().pop().expect("an event");
    assert_eq!((event.action, event.details["origin"].as_str()), (AuditAction::CrlPublished, "issuer"));
    // The next look finds that it is the same, with its version and without.
    for seen in [version.as_deref(), None] {
        let Ok(FollowedList::Unchanged { version: again }) = elsewhere.follow(seen) else { panic!("unchanged") };
        assert_eq!(again, version);
    }
    assert_eq!((elsewhere.source(), elsewhere.lag()), (ListSource::Published, ListLag::default()));
}

#[test]
fn an_issuer_without_a_list_has_none_here_and_it_is_known() {
    let elsewhere = Elsewhere::new();
    let revoked = elsewhere.superseded();
    assert_eq!(elsewhere.source(), ListSource::Unknown);
    assert!(matches!(elsewhere.follow(None), Ok(FollowedList::None(ListSource::NotPublished))));
    assert_eq!(elsewhere.source(), ListSource::NotPublished);
    elsewhere.issuer.publish_lists();
    assert!(matches!(elsewhere.follow(None), Ok(FollowedList::None(ListSource::NotMadeYet))));
    assert_eq!((elsewhere.source(), elsewhere.published()), (ListSource::NotMadeYet, None));
    let Standing::Revoked(revocation) =
        block_on(elsewhere.world.store().certificate(revoked.id)).expect("answers").expect("there").standing
    else {
        panic!("it is revoked")
    };
    assert_eq!(elsewhere.lag(), ListLag { revocations: 1, since: Some(revocation.revoked_at) });
    elsewhere.issuer.script(IssuerCall::List, IssuerFault::Before(unavailable()));
    assert_eq!(refused(elsewhere.follow(None)), Kind::Unavailable);
    assert_eq!(elsewhere.source(), ListSource::NotMadeYet, "what was known stays");
}

#[test]
fn a_list_comes_late_and_it_is_told_by_how_much() {
    let elsewhere = Elsewhere::new();
    let first = elsewhere.superseded();
    elsewhere.pass_on().expect("told");
    elsewhere.issuer.make_list(1, LIFE);
    elsewhere.world.clock.advance(HOUR);
    let second = elsewhere.superseded();
    let third = elsewhere.superseded();
    elsewhere.taken();
    let sequence = |elsewhere: &Elsewhere| {
        let list = block_on(elsewhere.world.store().published_crl(&id("tls-2"))).expect("answers").expect("there");
        list.intent.revocation_sequence
    };
    assert_eq!((elsewhere.lag().revocations, sequence(&elsewhere)), (2, 1), "whoever waits for the others waits on");
    assert!(elsewhere.published().expect("there").find(&first.serial).is_some());
    // It is told of one, makes a list, and is told of the other.
    elsewhere.issuer.script(IssuerCall::Revoke, IssuerFault::Before(unavailable()));
    assert_eq!(refused(elsewhere.pass_on()), Kind::Unavailable);
    elsewhere.pass_on().expect("told");
    let all = elsewhere.issuer.revoked();
    let partial = elsewhere.issuer.list_of(2, elsewhere.world.now(), LIFE, &all[..2]);
    elsewhere.issuer.put_list(partial);
    elsewhere.taken();
    assert_eq!((elsewhere.lag().revocations, sequence(&elsewhere)), (1, 2));
    assert!(elsewhere.published().expect("there").find(&second.serial).is_some());
    elsewhere.issuer.make_list(3, LIFE);
    elsewhere.taken();
    assert_eq!((elsewhere.lag(), sequence(&elsewhere)), (ListLag::default(), 3));
    assert!(elsewhere.published().expect("there").find(&third.serial).is_some());
}

#[test]
fn no_list_takes_the_place_of_a_newer_one_or_is_believed_without_its_signature() {
    let elsewhere = Elsewhere::new();
    let revoked = elsewhere.superseded();
    elsewhere.pass_on().expect("told");
    let entries = elsewhere.issuer.revoked();
    let now = elsewhere.world.now();
    elsewhere.issuer.make_list(10, LIFE);
    elsewhere.taken();
    let of = |number, at, life, entries: &[_]| elsewhere.issuer.list_of(number, at, life, entries);
    elsewhere.refuses(of(9, now, LIFE, &entries), "numbers must rise");
    elsewhere.refuses(of(10, now, DAY, &entries), "numbers must rise");
    elsewhere.refuses(of(11, now.minus(HOUR), LIFE, &entries), "before the one on record");
    elsewhere.refuses(of(11, now.minus(LIFE), DAY, &entries), "it ended at");
    elsewhere.refuses(of(11, now.plus(DAY), LIFE, &entries), "it begins at");
    elsewhere.refuses(of(11, now, LIFE, &[]), "is on the list before it");
    elsewhere.refuses(b"<html>".to_vec(), "not a CRL");
    let key = ScriptedSigner::generate(ca_core::key::KeyType::P256);
    let stranger = ScriptedIssuer::new(key, elsewhere.world.clock.clone());
    stranger.learn_name_from(&elsewhere.issuer);
    elsewhere.refuses(stranger.list_of(11, now, LIFE, &entries), "signature");
    // When its certificate has ended, an entry may go.
    let end = revoked.validity.not_after;
    elsewhere.world.clock.set(end.plus(DAY));
    elsewhere.issuer.put_list(of(12, end.plus(DAY), LIFE, &[]));
    assert_eq!(elsewhere.taken().0, 12);
}

#[test]
fn what_an_issuer_revoked_by_itself_is_revoked_on_record() {
    let elsewhere = Elsewhere::new();
    let certificate = elsewhere.issued();
    let told = [(certificate.serial.clone(), RevocationReason::Unspecified)];
    elsewhere.issuer.put_list(elsewhere.issuer.list_of(1, elsewhere.world.now(), LIFE, &told));
    let Ok(FollowedList::Taken { revoked, list, .. }) = elsewhere.follow(None) else { panic!("taken") };
    assert_eq!((revoked, list.intent.revocation_sequence), (vec![certificate.serial.clone()], 1));
    assert!(matches!(elsewhere.standing()[..], [Some(SerialState::Issued(Standing::Revoked(_)))]));
    let events = elsewhere.world.store.events();
    let event = events.iter().find(|event| event.action == AuditAction::CertificateRevoked).expect("an event");
    assert_eq!(event.principal, "job:issuer-lists");
    assert_eq!(elsewhere.lag(), ListLag::default());
}

#[test]
fn wherever_a_process_dies_the_next_publishes_the_list_once() {
    for polls in 0.. {
        let mut elsewhere = Elsewhere::new();
        elsewhere.superseded();
        let by_issuer = elsewhere.issued();
        elsewhere.pass_on().expect("told");
        let mut entries = elsewhere.issuer.revoked();
        entries.push((by_issuer.serial.clone(), RevocationReason::Unspecified));
        elsewhere.issuer.put_list(elsewhere.issuer.list_of(7, elsewhere.world.now(), LIFE, &entries));
        let (lease, authority) = (elsewhere.lease(), id("tls-2"));
        let following = follow_issuer_list(&elsewhere.engine, &LISTS, &authority, &lease, None);
        let done = cut_off(Box::pin(following), polls).is_some();
        elsewhere.restart();
        elsewhere.follow(None).expect("followed");
        assert_eq!(elsewhere.published().and_then(|list| list.number()), Some(7), "{polls}");
        let events = elsewhere.world.store.events();
        let of_list =
            |event: &&AuditEvent| event.action == AuditAction::CrlPublished && event.details.contains_key("origin");
        assert_eq!(events.iter().filter(of_list).count(), 1, "{polls}");
        let revocations = events.iter().filter(|event| event.action == AuditAction::CertificateRevoked).count();
        assert_eq!((revocations, elsewhere.lag().revocations), (2, 0), "{polls}");
        if done {
            assert!(polls > 8, "every step was cut off");
            break;
        }
    }
}

#[test]
fn a_lease_that_moved_on_publishes_nothing() {
    let elsewhere = Elsewhere::new();
    elsewhere.superseded();
    elsewhere.pass_on().expect("told");
    elsewhere.issuer.make_list(1, LIFE);
    let name = lease_name(&id("tls-2"));
    let lease = |holder| block_on(elsewhere.world.store().acquire_lease(&name, holder, SECOND));
    let stale = lease("slow").expect("a record").expect("free");
    elsewhere.world.clock.advance(HOUR);
    lease("quick").expect("a record").expect("expired");
    let outcome = block_on(follow_issuer_list(&elsewhere.engine, &LISTS, &id("tls-2"), &stale, None));
    assert_eq!((refused(outcome), elsewhere.published()), (Kind::Overloaded, None));
}

#[test]
fn lists_that_are_made_here_are_not_followed() {
    let elsewhere = Elsewhere::of("document");
    let lease = block_on(elsewhere.world.store().acquire_lease("crl:tls", "test", HOUR)).expect("a record");
    let lease = lease.expect("free");
    let outcome = block_on(follow_issuer_list(&elsewhere.engine, &LISTS, &id("tls"), &lease, None));
    assert!(matches!(outcome, Ok(FollowedList::MadeHere)));
    assert_eq!(elsewhere.issuer.calls(), []);
    let here = elsewhere.world.issue();
    assert_eq!(ask::status(&elsewhere.engine, "tls", &here.serial), CertStatus::Good);
}
