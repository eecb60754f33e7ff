//! Reading the record: names of certificates, and who may know what.

use ca_core::id::CertificateId;
use ca_core::principal::{Principal, Role};
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::flow::query::{CertificateName, list, permitted, resolve};
use ca_engine::port::authorizer::Action;
use ca_engine::port::store::CertificateFilter;
use futures::executor::block_on;

use crate::world::*;

#[test]
fn a_certificate_is_named_by_id_by_issuer_and_serial_or_by_a_serial_that_fits_one() {
    let world = World::new();
    let stored = world.issue();
    for name in [
        CertificateName::Id(stored.id),
        CertificateName::Serial(id("tls"), stored.serial.clone()),
        CertificateName::BareSerial(stored.serial.clone()),
    ] {
        assert_eq!(block_on(resolve(&world.engine, &name)), Ok(stored.clone()), "{name:?}");
    }
    let elsewhere = CertificateName::Serial(id("document"), stored.serial.clone());
    assert_eq!(refused(block_on(resolve(&world.engine, &elsewhere))), Kind::NotFound);
}

#[test]
fn a_reservation_is_no_certificate() {
    let world = World::new();
    let serial = world.begin_and_die();
    for name in [CertificateName::BareSerial(serial.clone()), CertificateName::Serial(id("tls"), serial)] {
        assert_eq!(refused(block_on(resolve(&world.engine, &name))), Kind::NotFound);
    }
}

#[test]
fn a_serial_that_fits_several_is_a_conflict_that_names_them() {
    let world = World::new();
    let serial = world.twin_serials();
    let error = block_on(resolve(&world.engine, &CertificateName::BareSerial(serial.clone()))).expect_err("two");
    assert_eq!(error.kind, Kind::AmbiguousSerial);
    let mut candidates = error.candidates;
    candidates.sort();
    assert_eq!(candidates, [format!("document:{serial}"), format!("tls:{serial}")]);
    // Who may not list certificates does not learn of it.
    let reader = holder(&world.issue(), &[]);
    let name = CertificateName::BareSerial(serial);
    let outcome = block_on(permitted(&world.engine, &reader, Action::ReadCertificate, &name));
    assert_eq!(refused(outcome), Kind::AccessDenied);
}

#[test]
fn a_holder_reads_its_own_and_learns_of_no_other() {
    let world = World::new();
    // Ids are ordered by the millisecond they were made in.
    world.clock.advance(SECOND);
    let own = world.issue();
    world.clock.advance(SECOND);
    let other = world.issue();
    let principal = holder(&own, &[]);
    let read = |id: CertificateId| {
        block_on(permitted(&world.engine, &principal, Action::ReadCertificate, &CertificateName::Id(id)))
    };
    assert_eq!(read(own.id), Ok(own.clone()));
    assert_eq!(
        read(other.id).expect_err("not its own"),
        read(CertificateId::from_bytes([7; 16])).expect_err("nobody's")
    );
    assert_eq!(refused(read(other.id)), Kind::AccessDenied);
    let all = CertificateFilter::all(world.now());
    assert_eq!(refused(block_on(list(&world.engine, &principal, &all, None, 10))), Kind::AccessDenied);
    assert_eq!(
        refused(block_on(list(&world.engine, &Principal::Anonymous, &all, None, 10))),
        Kind::AuthenticationRequired
    );
    let page =
        block_on(list(&world.engine, &holder(&own, &[Role::Registrar]), &all, None, 2)).expect("a registrar may");
    assert_eq!(page.items.iter().map(|item| item.id).collect::<Vec<_>>(), [other.id, own.id], "newest first");
    assert!(page.next.is_some());
}
