//! Ends that come near: in order, without what somebody has seen to, and told of once for each time before the end.

use ca_core::audit::AuditAction;
use ca_core::id::{CertificateId, ManagedCertificateId, RotationId};
use ca_core::managed::definition::Deliverer;
use ca_core::revocation::Standing;
use ca_core::time::{Lifetime, Timestamp, Validity};
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, HELD, NOW, event, profile};
use crate::port::store::{
    ExpiryNotice, Journal, ManagedCertificate, ManagedCourse, ManagedCurrent, ManagedStanding, Reservation,
    StoredCertificate,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        those_in_force_that_nobody_renewed_come_in_the_order_of_their_ends,
        a_walk_goes_on_where_a_page_ended,
        one_that_is_managed_says_how_that_fares,
        a_notice_is_noted_once_and_again_only_nearer_to_the_end,
        a_notice_without_a_journal_tells_nobody,
        of_many_that_note_one_notice_at_once_one_tells,
        notices_of_ends_that_have_come_are_dropped,
    ]
}

const NOBODY: CertificateId = CertificateId::from_bytes([0; 16]);

fn days(count: u64) -> Timestamp {
    NOW.plus(Lifetime::from_days(count))
}

async fn ending(fixture: &Fixture, count: u64) -> StoredCertificate {
    let validity = Validity { not_before: NOW, not_after: days(count) };
    fixture.issue(Reservation { validity, ..fixture.reservation() }).await
}

async fn found(fixture: &Fixture, before: Timestamp) -> Vec<CertificateId> {
    let found = fixture.store.ending_certificates((NOW, NOBODY), before, 100).await.expect("answers");
    found.into_iter().map(|ending| ending.id).collect()
}

async fn those_in_force_that_nobody_renewed_come_in_the_order_of_their_ends(fixture: Fixture) {
    let (later, sooner) = (ending(&fixture, 20).await, ending(&fixture, 10).await);
    let far = ending(&fixture, 90).await;
    let renewed = ending(&fixture, 5).await;
    let successor = fixture.successor_of(&renewed);
    let successor =
        fixture.issue(Reservation { validity: Validity { not_before: NOW, not_after: days(40) }, ..successor }).await;
    let revoked = ending(&fixture, 6).await;
    fixture.revoke(&revoked).await;
    let held = ending(&fixture, 7).await;
    fixture.hold(&held).await;
    let reserved = fixture.reservation();
    fixture.reserve_now(Reservation { validity: Validity { not_before: NOW, not_after: days(8) }, ..reserved }).await;
    assert_eq!(found(&fixture, days(41)).await, [sooner.id, later.id, successor.id]);
    assert_eq!(found(&fixture, days(20)).await, [sooner.id], "the end itself is not before it");
    // Whose successor was revoked has none, and whose hold has ended is in force.
    fixture.revoke(&successor).await;
    fixture.change_now(held.id, HELD, Standing::Active).await;
    assert_eq!(found(&fixture, days(91)).await, [renewed.id, held.id, sooner.id, later.id, far.id]);
    let seen = fixture.store.ending_certificates((NOW, NOBODY), days(11), 100).await.expect("answers");
    let seen = seen.last().expect("the last of them");
    assert_eq!((&seen.authority, &seen.serial, &seen.profile), (&sooner.authority, &sooner.serial, &sooner.profile));
    assert_eq!((seen.validity, &seen.owner), (sooner.validity, &sooner.owner));
    assert_eq!((seen.noted, &seen.managed), (None, &None));
}

async fn a_walk_goes_on_where_a_page_ended(fixture: Fixture) {
    let mut expected = Vec::new();
    for count in [3, 3, 3, 4, 5] {
        expected.push(ending(&fixture, count).await);
    }
    expected.sort_by_key(|certificate| (certificate.validity.not_after, certificate.id));
    let (mut walked, mut after) = (Vec::new(), (NOW, NOBODY));
    loop {
        let page = fixture.store.ending_certificates(after, days(30), 2).await.expect("answers");
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = (last.validity.not_after, last.id);
        walked.extend(page.into_iter().map(|ending| ending.id));
    }
    assert_eq!(walked, expected.iter().map(|certificate| certificate.id).collect::<Vec<_>>());
    assert_eq!(fixture.store.ending_certificates((days(3), NOBODY), days(4), 9).await.map(|found| found.len()), Ok(3));
}

async fn one_that_is_managed_says_how_that_fares(fixture: Fixture) {
    let certificate = ending(&fixture, 10).await;
    let id = ManagedCertificateId::from_bytes([1; 16]);
    let current = ManagedCurrent {
        certificate: certificate.id,
        rotation: RotationId::from_bytes([2; 16]),
        not_after: certificate.validity.not_after,
    };
    let managed = ManagedCertificate {
        id,
        name: "web".to_owned(),
        owner: "local".to_owned(),
        profile: profile("server"),
        definition: "{}".to_owned(),
        delivered_by: Deliverer::Service,
        paused: true,
        revision: 1,
        created_at: NOW,
        created_by: "local".to_owned(),
        course: ManagedCourse { current: Some(current), failures: 3, ..ManagedCourse::begin(NOW) },
    };
    let journal = Journal::of(event(AuditAction::ManagedCertificateAdded, &format!("managed-certificate:{id}")));
    fixture.store.add_managed(managed, journal).await.expect("new");
    let seen = fixture.store.ending_certificates((NOW, NOBODY), days(11), 100).await.expect("answers");
    let standing = ManagedStanding { name: "web".to_owned(), paused: true, failures: 3 };
    assert_eq!(seen.iter().map(|ending| ending.managed.clone()).collect::<Vec<_>>(), [Some(standing)]);
}

fn notice(certificate: &StoredCertificate, before: u64) -> ExpiryNotice {
    let before = Lifetime::from_days(before);
    ExpiryNotice { certificate: certificate.id, not_after: certificate.validity.not_after, before }
}

fn told(certificate: &StoredCertificate) -> Option<Journal> {
    Some(Journal::of(event(AuditAction::ExpiryNoticed, &format!("certificate:{}", certificate.id))))
}

async fn a_notice_is_noted_once_and_again_only_nearer_to_the_end(fixture: Fixture) {
    let certificate = ending(&fixture, 90).await;
    let before = fixture.event_count().await;
    let note = |days| fixture.store.note_expiry(notice(&certificate, days), told(&certificate));
    assert_eq!(fixture.store.expiry_notice(certificate.id).await, Ok(None));
    assert_eq!(note(15).await, Ok(true));
    assert_eq!((note(15).await, note(30).await), (Ok(false), Ok(false)));
    assert_eq!(note(5).await, Ok(true));
    assert_eq!(note(15).await, Ok(false));
    assert_eq!(fixture.event_count().await, before + 2);
    let another = fixture.another().await;
    assert_eq!(another.expiry_notice(certificate.id).await, Ok(Some(Lifetime::from_days(5))));
    let seen = another.ending_certificates((NOW, NOBODY), days(91), 100).await.expect("answers");
    assert_eq!(seen.iter().map(|ending| ending.noted).collect::<Vec<_>>(), [Some(Lifetime::from_days(5))]);
}

async fn a_notice_without_a_journal_tells_nobody(fixture: Fixture) {
    let certificate = ending(&fixture, 90).await;
    let before = fixture.event_count().await;
    assert_eq!(fixture.store.note_expiry(notice(&certificate, 15), None).await, Ok(true));
    assert_eq!(fixture.store.note_expiry(notice(&certificate, 15), told(&certificate)).await, Ok(false));
    assert_eq!(fixture.event_count().await, before);
}

async fn of_many_that_note_one_notice_at_once_one_tells(fixture: Fixture) {
    let certificate = ending(&fixture, 90).await;
    let before = fixture.event_count().await;
    let noted = join_all((0..5).map(|_| fixture.store.note_expiry(notice(&certificate, 15), told(&certificate)))).await;
    assert_eq!(noted.iter().filter(|noted| **noted == Ok(true)).count(), 1, "{noted:?}");
    assert!(noted.iter().all(Result::is_ok), "{noted:?}");
    assert_eq!(fixture.event_count().await, before + 1);
}

async fn notices_of_ends_that_have_come_are_dropped(fixture: Fixture) {
    let mut all = Vec::new();
    for count in [10, 20, 30] {
        let certificate = ending(&fixture, count).await;
        fixture.store.note_expiry(notice(&certificate, 1), None).await.expect("new");
        all.push(certificate);
    }
    assert_eq!(fixture.store.drop_expiry_notices(days(20), 10).await, Ok(1), "the end itself is not before it");
    assert_eq!(fixture.store.drop_expiry_notices(days(99), 1).await, Ok(1));
    assert_eq!(fixture.store.drop_expiry_notices(days(99), 10).await, Ok(1));
    for certificate in &all {
        assert_eq!(fixture.store.expiry_notice(certificate.id).await, Ok(None));
    }
}
