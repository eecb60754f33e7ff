//! Rotations that a worker makes, and everything that may come between its steps.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::Certificate;
use ca_core::csr::ParsedCsr;
use ca_core::id::{CertificateId, ManagedCertificateId, RotationId};
use ca_core::key::KeyType;
use ca_core::managed::definition::{Deliverer, ManagedDefinition};
use ca_core::managed::{RenewBefore, RotationStep};
use ca_core::name::DistinguishedName;
use ca_core::principal::{Principal, Role};
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use ca_engine::error::{FlowError, FlowErrorKind};
use ca_engine::fake::{MemoryManagedPorts, MemoryTarget};
use ca_engine::flow::managed::certify::roots;
use ca_engine::flow::managed::delivery::{self, Expected, Wanted};
use ca_engine::flow::managed::outcome::Failure;
use ca_engine::flow::managed::rotate::rotate_one;
use ca_engine::flow::managed::worker::{
    HOLD, Remedy, Underway, advance_rotation, begin_rotation, certify_rotation, due_for_workers, fail_rotation,
};
use ca_engine::port::certificate_target::{CertificateTarget, PrivateKeyOctets, StagedKey, TargetPlace};
use ca_engine::port::clock::Clock;
use ca_engine::port::store::{
    CertificateFilter, CertificateStore, Journal, ManagedAddition, ManagedCertificate, ManagedCourse, ManagedStore,
    StoredCertificate,
};
use futures::executor::block_on;
use zeroize::Zeroizing;

use crate::world::{DAY, Parts, World, key, name, spki_request};

const ID: ManagedCertificateId = ManagedCertificateId::from_bytes([7; 16]);

fn definition(by: Deliverer, more: &str) -> ManagedDefinition {
    let text = format!(
        r#"{{"subject_alternative_names": ["dns:web.example.com"], "target": {{"kind": "directory", "path": "/srv/web"}},
            "delivered_by": "{}"{more}}}"#,
        by.as_str()
    );
    serde_json::from_str(&text).expect("a definition")
}

/// The holder of some certificate.
fn worker(roles: &[Role]) -> Principal {
    Principal::Certificate {
        id: CertificateId::from_bytes([9; 16]),
        authority: "tls".parse().expect("an authority id"),
        serial: Serial::from_random([9; 16]),
        roles: roles.to_vec(),
    }
}

/// A service with a managed certificate that workers bring, and the certificate of a worker.
struct Case {
    world: World,
    ports: MemoryManagedPorts,
    worker: Principal,
}

impl Case {
    fn new() -> Self {
        Self::of(definition(Deliverer::Worker, ""))
    }

    fn of(definition: ManagedDefinition) -> Self {
        let ports = MemoryManagedPorts::default();
        let world = World::of(Parts { managed: ports.clone(), ..Parts::default() });
        let now = world.clock.now();
        let managed = ManagedCertificate {
            id: ID,
            name: "web".to_owned(),
            owner: "local".to_owned(),
            profile: "server".parse().expect("a profile name"),
            delivered_by: definition.delivered_by,
            definition: serde_json::to_string(&definition).expect("JSON"),
            paused: false,
            revision: 1,
            created_at: now,
            created_by: "local".to_owned(),
            course: ManagedCourse::begin(now),
        };
        let event = AuditEvent::new(now, AuditAction::ManagedCertificateAdded, "local", "managed-certificate:web");
        let added = block_on(world.store.add_managed(managed, Journal::of(event)));
        assert_eq!(added, Ok(ManagedAddition::Added));
        Self { worker: worker(&[Role::Worker]), world, ports }
    }

    fn managed(&self) -> ManagedCertificate {
        block_on(self.world.store.managed(ID)).expect("the record answers").expect("it is on record")
    }

    fn target(&self) -> MemoryTarget {
        self.ports.targets.target(&definition(Deliverer::Worker, "").target)
    }

    fn begin(&self) -> Result<Underway, FlowError> {
        block_on(begin_rotation(&self.world.engine, &self.worker, &ID.to_string()))
    }

    fn stage(&self, at: &Underway) -> ParsedCsr {
        let wanted = Wanted {
            rotation: at.rotation.id,
            subject: DistinguishedName::empty(),
            key_type: KeyType::P256,
            keep_key: at.keep_key,
        };
        block_on(delivery::stage(&self.target(), &self.ports.keys, &wanted)).expect("staged")
    }

    fn certify(&self, at: &Underway, csr: ParsedCsr) -> Result<Underway, FlowError> {
        block_on(certify_rotation(&self.world.engine, &self.worker, &ID.to_string(), at.rotation.id, csr))
    }

    fn advance(&self, at: &Underway, step: RotationStep) -> Result<Underway, FlowError> {
        block_on(advance_rotation(&self.world.engine, &self.worker, &ID.to_string(), at.rotation.id, step))
    }

    fn fail(&self, at: &Underway, remedy: Remedy) -> Result<Underway, FlowError> {
        let failure = Failure { detail: "the target refuses: make it".to_owned(), may_pass: false };
        block_on(fail_rotation(&self.world.engine, &self.worker, &ID.to_string(), at.rotation.id, failure, remedy))
    }

    /// Works at the target and with the service, so many calls of each kind as a worker makes; `None` when it dies before the end.
    fn work(&self, mut calls: usize) -> Option<Underway> {
        let mut go_on = || {
            calls = calls.checked_sub(1)?;
            Some(())
        };
        go_on()?;
        let mut at = self.begin().expect("begun");
        let (target, roots) = (self.target(), roots(&self.world.engine));
        let names = [name("dns:web.example.com")];
        loop {
            go_on()?;
            let Some(made) = at.certified.clone() else {
                let csr = self.stage(&at);
                go_on()?;
                at = self.certify(&at, csr).expect("certified");
                continue;
            };
            let certificate = made.certificate.der.as_slice();
            let expected = Expected { rotation: at.rotation.id, certificate, roots: &roots, names: &names };
            let now = self.world.clock.now();
            let step = match at.rotation.step {
                RotationStep::Begun | RotationStep::Issued => {
                    block_on(delivery::deliver(&target, at.rotation.id, certificate, &made.chain)).expect("delivered");
                    RotationStep::Delivered
                }
                RotationStep::Delivered => {
                    block_on(delivery::verify(&target, TargetPlace::Pending, &expected, now)).expect("verified");
                    RotationStep::Verified
                }
                RotationStep::Verified => {
                    block_on(delivery::promote(&target, &expected, now)).expect("promoted");
                    RotationStep::Promoted
                }
                RotationStep::Promoted => return Some(at),
            };
            go_on()?;
            at = self.advance(&at, step).expect("on record");
        }
    }

    fn wait(&self, time: Lifetime) {
        self.world.clock.advance(time);
    }

    /// Every certificate of the name, oldest first.
    fn issued(&self) -> Vec<StoredCertificate> {
        let filter = CertificateFilter::all(self.world.clock.now());
        let page = block_on(self.world.store.list(&filter, None, 100)).expect("the record answers");
        let is_its = |certificate: &StoredCertificate| {
            let parsed = Certificate::from_der(&certificate.der).expect("a certificate");
            parsed.names().contains(&name("dns:web.example.com"))
        };
        let mut found: Vec<_> = page.items.into_iter().filter(is_its).collect();
        found.reverse();
        found
    }

    /// That what is on record as current is what the target has.
    fn check_in_place(&self) -> StoredCertificate {
        let current = self.managed().course.current.expect("something is current");
        let held = block_on(self.target().look(TargetPlace::Current)).expect("a look").expect("it is there");
        let certificate = self.issued().into_iter().find(|certificate| certificate.id == current.certificate);
        let certificate = certificate.expect("it is on record");
        assert_eq!((held.certificate, held.rotation), (certificate.der.clone(), current.rotation));
        assert_eq!(held.key_spki_sha256, certificate.spki_sha256, "a pair");
        certificate
    }
}

fn kind<T: std::fmt::Debug>(done: Result<T, FlowError>) -> FlowErrorKind {
    done.expect_err("refused").kind
}

#[test]
fn a_worker_brings_a_certificate_to_its_target_and_the_record_knows_each_step() {
    let case = Case::new();
    let due = block_on(due_for_workers(&case.world.engine, &case.worker, 10)).expect("what is due");
    assert_eq!(due.iter().map(|due| due.managed.id).collect::<Vec<_>>(), [ID]);
    let over = case.work(usize::MAX).expect("the end");
    assert_eq!(over.rotation.step, RotationStep::Promoted);
    let certificate = case.check_in_place();
    assert_eq!((case.issued().len(), certificate.owner.as_str()), (1, "local"), "its owner's, not the worker's");
    let course = case.managed().course;
    assert_eq!((course.rotation, course.failures), (None, 0));
    // It is left alone until it is due, and then brought again.
    assert_eq!(block_on(due_for_workers(&case.world.engine, &case.worker, 10)), Ok(Vec::new()));
    assert_eq!(kind(case.begin()), FlowErrorKind::ManagedChanged);
    case.wait(course.next_at.since(case.world.clock.now()));
    case.work(usize::MAX).expect("the end");
    let second = case.check_in_place();
    assert_ne!(second.spki_sha256, certificate.spki_sha256, "a new key each time");
    assert_eq!(case.issued().len(), 2);
}

#[test]
fn a_worker_that_dies_at_any_step_is_gone_on_with_and_one_certificate_is_made() {
    for calls in 1.. {
        let case = Case::new();
        if case.work(calls).is_some() {
            assert!(calls > 9, "every step was cut off: {calls}");
            break;
        }
        // For a while nobody else is told of it.
        if case.managed().course.rotation.is_some() {
            assert_eq!(kind(case.begin()), FlowErrorKind::ManagedChanged, "{calls}");
            case.wait(HOLD);
        }
        if case.managed().course.current.is_none() {
            case.work(usize::MAX).expect("another goes on");
        }
        case.check_in_place();
        assert_eq!(case.issued().len(), 1, "{calls}: nothing is issued twice");
        assert_eq!(case.ports.keys.made(), 1, "{calls}: one key");
    }
}

#[test]
fn two_workers_at_once_have_one_key_and_one_certificate() {
    let case = Case::new();
    let one = case.begin().expect("begun");
    // The first stands still for longer than it is left alone.
    case.wait(HOLD);
    let two = case.begin().expect("gone on with");
    assert_eq!(one.rotation, two.rotation);
    let (of_one, of_two) = (case.stage(&one), case.stage(&two));
    assert_eq!(of_one.der(), of_two.der());
    let (one, two) = (case.certify(&one, of_one).expect("certified"), case.certify(&two, of_two).expect("the same"));
    assert_eq!(one.certified, two.certified);
    case.wait(HOLD);
    case.work(usize::MAX).expect("one of them ends it");
    // The other says what it did when it wakes up, and harms nothing.
    for step in [RotationStep::Delivered, RotationStep::Verified, RotationStep::Promoted] {
        assert_eq!(case.advance(&one, step).expect("over").rotation.step, RotationStep::Promoted);
    }
    assert_eq!(kind(case.fail(&one, Remedy::Begin)), FlowErrorKind::ManagedChanged);
    case.check_in_place();
    assert_eq!((case.issued().len(), case.managed().course.failures), (1, 0));
}

#[test]
fn what_is_certified_is_what_was_defined_whatever_the_request_asks_for() {
    let case = Case::new();
    let at = case.begin().expect("begun");
    let csr = spki_request(&key(), "stolen.example.com", &["stolen.example.com"]);
    let made = case.certify(&at, csr).expect("certified").certified.expect("a certificate").certificate;
    let certificate = Certificate::from_der(&made.der).expect("a certificate");
    assert_eq!(certificate.names(), [name("dns:web.example.com")]);
    assert!(!certificate.subject().to_string().contains("stolen"), "{}", certificate.subject());
    // And a second key is not certified for the same rotation.
    let another = spki_request(&key(), "x", &[]);
    assert_eq!(kind(case.certify(&at, another)), FlowErrorKind::InvalidRequest);
    assert_eq!(case.issued().len(), 1);
}

#[test]
fn a_failure_is_on_record_and_tried_again_later() {
    let case = Case::new();
    let at = case.begin().expect("begun");
    case.fail(&at, Remedy::Retry).expect("on record");
    let course = case.managed().course;
    assert_eq!(course.failures, 1);
    assert_eq!(course.last_failure.expect("told").error, "the target refuses: make it");
    let pause = course.next_at.since(case.world.clock.now());
    assert!(pause >= Lifetime::from_seconds(30), "{pause}");
    assert_eq!(kind(case.begin()), FlowErrorKind::ManagedChanged, "it waits");
    case.wait(pause);
    assert_eq!(case.begin().expect("gone on with").rotation.id, at.rotation.id);
    case.wait(HOLD);
    case.work(usize::MAX).expect("the end");
    assert_eq!(case.managed().course.failures, 0);
    case.check_in_place();
}

#[test]
fn a_key_that_is_lost_ends_its_rotation_and_its_certificate_is_revoked() {
    let case = Case::new();
    assert!(case.work(3).is_none(), "it dies once the certificate is made");
    let lost = case.issued().pop().expect("issued");
    let another = StagedKey { rotation: RotationId::from_bytes([1; 16]), request: Vec::new() };
    let key = PrivateKeyOctets::new(Zeroizing::new(Vec::new()));
    block_on(case.target().stage(&another, &key)).expect("somebody else put another key there");
    case.wait(HOLD);
    let at = case.begin().expect("gone on with");
    assert_eq!(at.rotation.step, RotationStep::Issued);
    let certified = at.certified.clone().expect("its certificate");
    let target = case.target();
    let delivered = delivery::deliver(&target, at.rotation.id, &certified.certificate.der, &certified.chain);
    assert_eq!(block_on(delivered), Err(delivery::DeliveryError::KeyGone));
    case.fail(&at, Remedy::Begin).expect("on record");
    assert_eq!(case.managed().course.rotation, None);
    // The service looks after what is left of it.
    block_on(rotate_one(&case.world.engine, None, case.managed())).expect("looked after");
    let standing = block_on(case.world.store.certificate(lost.id)).expect("answers").expect("on record").standing;
    assert_ne!(standing, Standing::Active, "nobody has its key");
    case.wait(DAY);
    case.work(usize::MAX).expect("another rotation");
    assert_ne!(case.check_in_place().id, lost.id);
}

#[test]
fn a_certificate_that_is_revoked_on_its_way_is_not_put_in_place() {
    let case = Case::new();
    assert!(case.work(5).is_none());
    let made = case.issued().pop().expect("issued");
    case.world.revoke(made.id, RevocationReason::Superseded).expect("revoked");
    case.wait(HOLD);
    let at = case.begin().expect("gone on with");
    let next = at.rotation.step.next().expect("a step");
    assert_eq!(kind(case.advance(&at, next)), FlowErrorKind::ManagedChanged);
    assert_eq!(case.managed().course.rotation, None, "another is begun");
    assert_eq!(case.managed().course.current, None);
}

#[test]
fn steps_are_made_in_their_order() {
    let case = Case::new();
    let at = case.begin().expect("begun");
    for step in [RotationStep::Issued, RotationStep::Delivered, RotationStep::Promoted] {
        assert_eq!(kind(case.advance(&at, step)), FlowErrorKind::InvalidRequest, "{step:?}");
    }
    let at = case.certify(&at, case.stage(&at)).expect("certified");
    assert_eq!(kind(case.advance(&at, RotationStep::Promoted)), FlowErrorKind::InvalidRequest);
    // Begun and issued are the service's to say, and said already.
    assert_eq!(case.advance(&at, RotationStep::Issued).expect("harmless").rotation.step, RotationStep::Issued);
}

#[test]
fn nobody_delivers_without_the_role_nor_what_the_service_delivers_nor_what_is_paused() {
    let mut case = Case::new();
    for roles in [&[][..], &[Role::Auditor], &[Role::Registrar]] {
        case.worker = worker(roles);
        assert_eq!(kind(case.begin()), FlowErrorKind::AccessDenied, "{roles:?}");
        let due = block_on(due_for_workers(&case.world.engine, &case.worker, 10));
        assert_eq!(kind(due), FlowErrorKind::AccessDenied, "{roles:?}");
    }
    let of_service = Case::of(definition(Deliverer::Service, ""));
    assert_eq!(kind(of_service.begin()), FlowErrorKind::NotFound);
    assert_eq!(block_on(due_for_workers(&of_service.world.engine, &of_service.worker, 10)), Ok(Vec::new()));
    let paused = Case::new();
    let managed = ManagedCertificate { paused: true, ..paused.managed() };
    block_on(paused.world.store.change_managed(None, managed, None)).expect("paused");
    assert_eq!(kind(paused.begin()), FlowErrorKind::ManagedPaused);
}

#[test]
fn what_the_profile_does_not_allow_is_refused_and_on_record() {
    let case = Case::of(definition(Deliverer::Worker, r#", "validity": "9000d""#));
    let at = case.begin().expect("begun");
    let refused = case.certify(&at, case.stage(&at));
    assert_eq!(kind(refused), FlowErrorKind::ProfileViolation);
    let course = case.managed().course;
    assert_eq!((course.failures, case.issued().len()), (1, 0));
    assert!(course.next_at > case.world.clock.now());
}

#[test]
fn the_service_itself_does_not_rotate_what_a_worker_brings() {
    let case = Case::new();
    block_on(rotate_one(&case.world.engine, None, case.managed())).expect("looked after");
    assert_eq!((case.managed().course.rotation, case.issued().len()), (None, 0));
    // Only of this kind is what is due told to workers.
    assert_eq!(RenewBefore::default(), definition(Deliverer::Worker, "").renew_before);
}
