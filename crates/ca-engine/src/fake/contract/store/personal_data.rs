//! Personal data: found, listed, renewed and completed like any other, whatever version of the key it lies under.

use ca_core::audit::AuditAction;
use ca_core::id::CertificateId;
use ca_core::revocation::Standing;

use super::super::case::{Case, cases};
use super::fixture::{
    Fixture, NOW, SUPERSEDED, completion, event, idempotency, journal, name, profile, subject, token_journal,
};
use crate::port::store::{
    CertificateFilter, CompleteOutcome, Completion, Journal, Lease, NameQuery, PersonalData, PersonalDataHolder,
    Reservation, ReserveOutcome, StoreError, StoredCertificate, TokenRecord,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        personal_data_is_read_as_it_was_written,
        personal_data_is_found_by_name_and_by_subject_beside_what_is_none,
        another_handle_reads_what_lies_under_a_version_it_has_not_met,
        a_completion_that_is_repeated_gives_personal_data_again,
        personal_data_is_renewed_revoked_and_repeated_like_any_other,
        tokens_keep_their_names,
        a_new_version_of_the_key_takes_everything_and_the_old_one_goes,
        an_open_reservation_keeps_its_version_until_it_ends,
        what_lay_in_clear_is_encrypted_and_found_as_before,
        a_walk_over_clear_rows_goes_on_where_it_ended,
        keys_are_made_and_dropped_under_the_newest_lease_only,
        what_an_event_commits_to_can_be_read_until_it_is_erased,
        what_was_erased_stays_erased_when_the_key_is_replaced,
    ]
}

const ANA: &str = "Ana Souza:00011122233";

fn personal(reservation: Reservation) -> Reservation {
    Reservation {
        profile: profile("document"),
        subject: subject(ANA),
        names: vec![name("email:Ana@example.com"), name("otherName:2.16.76.1.3.1=0101197000011122233")],
        personal_data: Some(PersonalData { audit_text: b"what is committed to".to_vec() }),
        ..reservation
    }
}

/// The same names, on record as no personal data.
fn clear(reservation: Reservation) -> Reservation {
    Reservation { personal_data: None, ..personal(reservation) }
}

async fn complete(fixture: &Fixture, id: CertificateId) -> CompleteOutcome {
    let completion = Completion { personal_data: true, ..completion(id) };
    fixture.store.complete(completion).await.expect("complete")
}

async fn issue(fixture: &Fixture, reservation: Reservation) -> StoredCertificate {
    let id = fixture.reserve_now(reservation).await.id;
    match complete(fixture, id).await {
        CompleteOutcome::Completed(stored) => *stored,
        other => panic!("an open reservation can be completed, not {other:?}"),
    }
}

async fn found(fixture: &Fixture, name: NameQuery) -> Vec<CertificateId> {
    let filter = CertificateFilter { name: Some(name), ..CertificateFilter::all(NOW) };
    let page = fixture.store.list(&filter, None, 100).await.expect("list");
    page.items.iter().map(|item| item.id).collect()
}

fn by_email() -> NameQuery {
    NameQuery::AnyName("ana@EXAMPLE.com".to_owned())
}

fn by_subject() -> NameQuery {
    NameQuery::Subject(format!("cn={ANA},o=example"))
}

async fn lease(fixture: &Fixture) -> Lease {
    fixture.lease("personal-data").await
}

async fn new_key(fixture: &Fixture, lease: &Lease) -> u32 {
    let journal = Journal::of(event(AuditAction::PersonalDataKeyMade, "personal-data-key"));
    fixture.store.add_personal_data_key(lease, journal).await.expect("add_personal_data_key")
}

async fn reseal(fixture: &Fixture, lease: &Lease) -> u64 {
    let mut done = 0;
    for holder in PersonalDataHolder::ALL {
        loop {
            let few = fixture.store.reseal_personal_data(lease, holder, 2).await.expect("reseal_personal_data");
            done += few;
            if few == 0 {
                break;
            }
        }
    }
    done
}

async fn drop_keys(fixture: &Fixture, lease: &Lease) -> u64 {
    let journal = Journal::of(event(AuditAction::PersonalDataKeyDropped, "personal-data-key"));
    fixture.store.drop_personal_data_keys(lease, journal).await.expect("drop_personal_data_keys")
}

async fn versions(fixture: &Fixture) -> Vec<(u32, u64)> {
    let keys = fixture.store.personal_data_keys().await.expect("personal_data_keys");
    let mut versions = vec![];
    for key in keys {
        versions.push((key.version, fixture.store.personal_data_rows(key.version).await.expect("personal_data_rows")));
    }
    versions
}

async fn personal_data_is_read_as_it_was_written(fixture: Fixture) {
    let reservation = personal(fixture.reservation());
    let issued = issue(&fixture, reservation.clone()).await;
    let read = fixture.store.certificate(issued.id).await.expect("certificate").expect("on record");
    assert_eq!(read, issued);
    assert_eq!((&read.subject, &read.names), (&reservation.subject, &reservation.names));
    assert_eq!(read.der, completion(issued.id).certificate);
    assert_eq!(read.fingerprint_sha256, ca_core::hash::sha256(&read.der));
    let by_serial = fixture.store.certificate_by_serial(&read.authority, &read.serial).await.expect("by serial");
    assert_eq!(by_serial.as_ref(), Some(&read));
    let page = fixture.store.list(&CertificateFilter::all(NOW), None, 10).await.expect("list");
    assert_eq!(page.items, [read]);
    assert_eq!(versions(&fixture).await, [(1, 1)]);
}

async fn personal_data_is_found_by_name_and_by_subject_beside_what_is_none(fixture: Fixture) {
    let mut expected = vec![];
    for number in 0..6 {
        let reservation = fixture.reservation();
        let issued = if number % 2 == 0 {
            issue(&fixture, personal(reservation)).await
        } else {
            fixture.issue(clear(reservation)).await
        };
        expected.insert(0, issued.id);
    }
    fixture.issued().await;
    assert_eq!(found(&fixture, by_email()).await, expected);
    assert_eq!(found(&fixture, by_subject()).await, expected);
    assert_eq!(found(&fixture, NameQuery::AnyName(ANA.to_lowercase())).await, expected, "by common name");
    assert_eq!(found(&fixture, NameQuery::AnyName("ana".to_owned())).await, []);
    for limit in [1, 2, 4, 6] {
        let filter = CertificateFilter { name: Some(by_email()), ..CertificateFilter::all(NOW) };
        let (mut paged, mut after) = (vec![], None);
        loop {
            let page = fixture.store.list(&filter, after, limit).await.expect("list");
            paged.extend(page.items.iter().map(|item| item.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(paged, expected, "pages of {limit}");
    }
}

async fn another_handle_reads_what_lies_under_a_version_it_has_not_met(fixture: Fixture) {
    let another = fixture.another().await;
    new_key(&fixture, &lease(&fixture).await).await;
    let issued = issue(&fixture, personal(fixture.reservation())).await;
    assert_eq!(another.certificate(issued.id).await, Ok(Some(issued.clone())));
    let late = fixture.another().await;
    let filter = CertificateFilter { name: Some(by_email()), ..CertificateFilter::all(NOW) };
    new_key_of_second(&fixture).await;
    let newest = issue(&fixture, personal(fixture.reservation())).await;
    let page = late.list(&filter, None, 10).await.expect("list");
    assert_eq!(page.items.iter().map(|item| item.id).collect::<Vec<_>>(), [newest.id, issued.id]);
    let theirs = personal(fixture.reservation());
    assert_eq!(late.reserve(theirs).await, Ok(ReserveOutcome::Reserved));
    assert_eq!(versions(&fixture).await, [(1, 0), (2, 1), (3, 2)], "the newest is used by all");
}

async fn new_key_of_second(fixture: &Fixture) {
    let lease = fixture.store.acquire_lease("personal-data", "first", ca_core::time::Lifetime::from_seconds(60)).await;
    new_key(fixture, &lease.expect("acquire_lease").expect("it is ours")).await;
}

async fn a_completion_that_is_repeated_gives_personal_data_again(fixture: Fixture) {
    let issued = issue(&fixture, personal(fixture.reservation())).await;
    assert_eq!(complete(&fixture, issued.id).await, CompleteOutcome::Completed(Box::new(issued)));
}

async fn personal_data_is_renewed_revoked_and_repeated_like_any_other(fixture: Fixture) {
    let first = Reservation { idempotency: idempotency(1, 1), ..personal(fixture.reservation()) };
    let issued = issue(&fixture, first).await;
    let again = Reservation { idempotency: idempotency(1, 1), ..personal(fixture.reservation()) };
    assert_eq!(fixture.reserve(&again).await, ReserveOutcome::Replay(issued.id));
    let other = Reservation { idempotency: idempotency(1, 2), ..personal(fixture.reservation()) };
    assert_eq!(fixture.reserve(&other).await, ReserveOutcome::IdempotencyConflict);
    let successor = issue(&fixture, personal(fixture.successor_of(&issued))).await;
    assert_eq!(fixture.store.successor(issued.id).await, Ok(Some(successor.id)));
    fixture.change_now(issued.id, Standing::Active, SUPERSEDED).await;
    let read = fixture.store.certificate(issued.id).await.expect("certificate").expect("on record");
    assert_eq!((read.standing, read.subject), (SUPERSEDED, subject(ANA)));
    assert_eq!(found(&fixture, by_subject()).await, [successor.id, issued.id]);
}

async fn tokens_keep_their_names(fixture: Fixture) {
    for common_name in [Some(ANA.to_owned()), None] {
        let mut token = TokenRecord { personal_data: true, ..fixture.token_record(3) };
        token.binding.names = vec![name("email:ana@example.com")];
        token.binding.common_name = common_name;
        fixture.store.add_token(token.clone(), token_journal(token.id)).await.expect("add_token");
        assert_eq!(fixture.store.token(token.id).await, Ok(Some(token.clone())));
        assert_eq!(fixture.store.tokens(None, 1).await, Ok(vec![token.clone()]));
        let asked = Reservation { token: Some(token.id), ..personal(fixture.reservation()) };
        fixture.reserve_now(asked).await;
        assert_eq!(fixture.used(token.id).await, 1);
    }
}

async fn a_new_version_of_the_key_takes_everything_and_the_old_one_goes(fixture: Fixture) {
    let mut issued = vec![];
    for _ in 0..5 {
        issued.insert(0, issue(&fixture, personal(fixture.reservation())).await);
    }
    let ids: Vec<_> = issued.iter().map(|certificate| certificate.id).collect();
    let abandoned = fixture.reserve_now(personal(fixture.reservation())).await;
    assert!(fixture.abandon(abandoned.id).await);
    let token = TokenRecord { personal_data: true, ..fixture.token_record(1) };
    fixture.store.add_token(token.clone(), token_journal(token.id)).await.expect("add_token");
    let plain = fixture.issued().await;

    let lease = lease(&fixture).await;
    assert_eq!(new_key(&fixture, &lease).await, 2);
    assert_eq!(drop_keys(&fixture, &lease).await, 0, "it is in use");
    assert_eq!(versions(&fixture).await, [(1, 7), (2, 0)]);
    // In the middle of it everything is found.
    let few = fixture.store.reseal_personal_data(&lease, PersonalDataHolder::Certificates, 2).await;
    assert_eq!(few, Ok(2));
    assert_eq!(found(&fixture, by_email()).await, ids);
    assert_eq!(reseal(&fixture, &lease).await, 5);
    assert_eq!(versions(&fixture).await, [(1, 0), (2, 7)]);
    assert_eq!(drop_keys(&fixture, &lease).await, 1);
    assert_eq!(versions(&fixture).await, [(2, 7)]);

    for store in [fixture.store.clone(), fixture.another().await] {
        for certificate in &issued {
            assert_eq!(store.certificate(certificate.id).await, Ok(Some(certificate.clone())));
        }
        assert_eq!(store.token(token.id).await, Ok(Some(token.clone())));
        assert_eq!(store.certificate(plain.id).await, Ok(Some(plain.clone())));
    }
    assert_eq!(found(&fixture, by_email()).await, ids);
    assert_eq!(found(&fixture, by_subject()).await, ids);
    let events = fixture.events().await;
    let of_key = |action: &str| events.iter().filter(|(name, _)| name == action).count();
    assert_eq!((of_key("personal-data-key-made"), of_key("personal-data-key-dropped")), (1, 1));
}

async fn an_open_reservation_keeps_its_version_until_it_ends(fixture: Fixture) {
    let open = fixture.reserve_now(personal(fixture.reservation())).await;
    let lease = lease(&fixture).await;
    new_key(&fixture, &lease).await;
    assert_eq!(reseal(&fixture, &lease).await, 0, "it is left alone");
    assert_eq!(drop_keys(&fixture, &lease).await, 0, "and so is its key");
    assert!(matches!(complete(&fixture, open.id).await, CompleteOutcome::Completed(_)));
    assert_eq!(reseal(&fixture, &lease).await, 1);
    assert_eq!(drop_keys(&fixture, &lease).await, 1);
    let read = fixture.another().await.certificate(open.id).await.expect("certificate").expect("on record");
    assert_eq!((read.subject, read.der), (subject(ANA), completion(open.id).certificate));
    assert_eq!(found(&fixture, by_email()).await, [open.id]);
}

async fn what_lay_in_clear_is_encrypted_and_found_as_before(fixture: Fixture) {
    let issued = fixture.issue(clear(fixture.reservation())).await;
    let abandoned = fixture.reserve_now(clear(fixture.reservation())).await;
    assert!(fixture.abandon(abandoned.id).await);
    let mut token = fixture.token_record(1);
    token.binding.profile = profile("document");
    fixture.store.add_token(token.clone(), token_journal(token.id)).await.expect("add_token");
    let other = fixture.issued().await;
    let lease = lease(&fixture).await;
    for holder in PersonalDataHolder::ALL {
        for expected in [1, 0] {
            let walk = fixture.store.seal_clear_personal_data(&lease, holder, &profile("document"), None, 100).await;
            assert_eq!(walk.map(|walk| (walk.sealed, walk.next)), Ok((expected, None)), "{holder:?}");
        }
    }
    assert_eq!(versions(&fixture).await, [(1, 3)]);
    assert_eq!(fixture.store.certificate(issued.id).await, Ok(Some(issued.clone())));
    assert_eq!(fixture.store.certificate(other.id).await, Ok(Some(other)));
    let read = fixture.store.token(token.id).await.expect("token").expect("on record");
    assert_eq!(read.binding, token.binding);
    assert_eq!(found(&fixture, by_email()).await, [issued.id]);
    assert_eq!(found(&fixture, by_subject()).await, [issued.id]);
}

async fn a_walk_over_clear_rows_goes_on_where_it_ended(fixture: Fixture) {
    let mut issued = vec![];
    for _ in 0..5 {
        issued.push(fixture.issue(clear(fixture.reservation())).await);
    }
    let lease = lease(&fixture).await;
    let (mut sealed, mut after) = (0, None);
    loop {
        let certificates = PersonalDataHolder::Certificates;
        let walk = fixture.store.seal_clear_personal_data(&lease, certificates, &profile("document"), after, 2).await;
        let walk = walk.expect("seal_clear_personal_data");
        sealed += walk.sealed;
        after = walk.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(sealed, 5);
    for certificate in issued {
        assert_eq!(fixture.store.certificate(certificate.id).await, Ok(Some(certificate)));
    }
}

async fn keys_are_made_and_dropped_under_the_newest_lease_only(fixture: Fixture) {
    let issued = issue(&fixture, personal(fixture.reservation())).await;
    let lost = fixture.lost_lease("personal-data").await;
    let journal = || journal(AuditAction::PersonalDataKeyMade, issued.id);
    let fenced = Err(StoreError::Fenced { lease: "personal-data".to_owned() });
    assert_eq!(fixture.store.add_personal_data_key(&lost, journal()).await.map(|_| ()), fenced);
    assert_eq!(fixture.store.drop_personal_data_keys(&lost, journal()).await.map(|_| ()), fenced);
    for holder in PersonalDataHolder::ALL {
        assert_eq!(fixture.store.reseal_personal_data(&lost, holder, 1).await.map(|_| ()), fenced);
        let walk = fixture.store.seal_clear_personal_data(&lost, holder, &profile("document"), None, 1).await;
        assert_eq!(walk.map(|_| ()), fenced);
    }
    assert_eq!(versions(&fixture).await, [(1, 1)]);
}

async fn what_an_event_commits_to_can_be_read_until_it_is_erased(fixture: Fixture) {
    let issued = issue(&fixture, personal(fixture.reservation())).await;
    let plain = fixture.issued().await;
    assert_eq!(fixture.store.audit_text(issued.id).await, Ok(Some(b"what is committed to".to_vec())));
    assert_eq!(fixture.store.audit_text(plain.id).await, Ok(None));
    let journal = |id| journal(AuditAction::PersonalDataErased, id);
    assert_eq!(fixture.store.erase_audit_text(plain.id, journal(plain.id)).await, Ok(false));
    assert_eq!(fixture.store.erase_audit_text(issued.id, journal(issued.id)).await, Ok(true));
    assert_eq!(fixture.store.erase_audit_text(issued.id, journal(issued.id)).await, Ok(false));
    assert_eq!(fixture.store.audit_text(issued.id).await, Ok(None));
    let erased = fixture.events().await.into_iter().filter(|(action, _)| action == "personal-data-erased").count();
    assert_eq!(erased, 1, "an event for what was done, and for nothing else");
    assert_eq!(fixture.store.certificate(issued.id).await, Ok(Some(issued)));
}

async fn what_was_erased_stays_erased_when_the_key_is_replaced(fixture: Fixture) {
    let erased = issue(&fixture, personal(fixture.reservation())).await;
    let kept = issue(&fixture, personal(fixture.reservation())).await;
    let journal = journal(AuditAction::PersonalDataErased, erased.id);
    assert_eq!(fixture.store.erase_audit_text(erased.id, journal).await, Ok(true));
    let lease = lease(&fixture).await;
    new_key(&fixture, &lease).await;
    assert_eq!(reseal(&fixture, &lease).await, 2);
    assert_eq!(fixture.store.audit_text(erased.id).await, Ok(None));
    assert_eq!(fixture.store.audit_text(kept.id).await, Ok(Some(b"what is committed to".to_vec())));
}
