//! Lists and searches of certificates.

use ca_core::id::CertificateId;
use ca_core::revocation::Standing;
use ca_core::time::{Lifetime, Validity};

use super::super::case::{Case, cases};
use super::fixture::{
    Fixture, HELD, NOW, SUPERSEDED, authority, certificate_id, completion, name, profile, serial, subject,
};
use crate::port::store::{
    CertificateFilter, Completion, NameQuery, Page, PageCursor, Reservation, StatusFilter, StoredCertificate,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        unknown_certificates_are_none,
        lists_run_from_the_newest_id_to_the_oldest,
        pages_join_without_gap_or_overlap,
        pages_of_a_filtered_list_join_too,
        a_list_follows_the_standing,
        status_and_expiry_are_judged_at_now,
        each_field_of_a_filter_restricts,
        absent_fields_do_not_restrict_and_present_ones_add_up,
        names_are_found_whatever_their_type_and_case,
        subjects_are_found_whole,
    ]
}

async fn unknown_certificates_are_none(fixture: Fixture) {
    fixture.issued().await;
    assert_eq!(fixture.store.certificate(certificate_id(1_000_000)).await, Ok(None));
    let number = serial(1_000_000);
    assert_eq!(fixture.store.certificate_by_serial(&authority("tls"), &number).await, Ok(None));
    let known = fixture.issued().await;
    assert_eq!(fixture.store.certificate_by_serial(&authority("root"), &known.serial).await, Ok(None));
}

async fn lists_run_from_the_newest_id_to_the_oldest(fixture: Fixture) {
    // Issued in another order than their ids'.
    for number in [503, 501, 505, 502, 504] {
        fixture.issue(Reservation { id: certificate_id(number), ..fixture.reservation() }).await;
    }
    let expected: Vec<_> = (501..=505).rev().map(certificate_id).collect();
    assert_eq!(found(&fixture, &CertificateFilter::all(NOW)).await, expected);
}

async fn pages_join_without_gap_or_overlap(fixture: Fixture) {
    let mut expected = Vec::new();
    for _ in 0..7 {
        expected.insert(0, fixture.issued().await.id);
    }
    for limit in [1, 2, 3, 7, 1_000] {
        assert_eq!(paged(&fixture, &CertificateFilter::all(NOW), limit).await, expected, "pages of {limit}");
    }
    // A certificate that comes while somebody turns pages is newer than all of them.
    let first = list(&fixture, &CertificateFilter::all(NOW), None, 3).await;
    fixture.issued().await;
    let second = list(&fixture, &CertificateFilter::all(NOW), first.next, 3).await;
    assert_eq!(ids(&second.items), expected[3..6]);
}

async fn pages_of_a_filtered_list_join_too(fixture: Fixture) {
    let mut expected = Vec::new();
    for number in 0..9 {
        let certificate = fixture.issued().await;
        if number % 3 == 1 {
            fixture.revoke(&certificate).await;
            expected.insert(0, certificate.id);
        }
    }
    let filter = CertificateFilter { status: Some(StatusFilter::Revoked), ..CertificateFilter::all(NOW) };
    for limit in [1, 2, 3] {
        assert_eq!(paged(&fixture, &filter, limit).await, expected, "pages of {limit}");
    }
}

async fn a_list_follows_the_standing(fixture: Fixture) {
    let certificate = fixture.issued().await;
    fixture.hold(&certificate).await;
    let expected = StoredCertificate { standing: HELD, ..certificate };
    assert_eq!(fixture.store.certificate(expected.id).await, Ok(Some(expected.clone())));
    let by_serial = fixture.store.certificate_by_serial(&expected.authority, &expected.serial).await;
    assert_eq!(by_serial, Ok(Some(expected.clone())));
    let page = list(&fixture, &CertificateFilter::all(NOW), None, 10).await;
    assert_eq!(page.items, [expected]);
}

async fn status_and_expiry_are_judged_at_now(fixture: Fixture) {
    let not_after = NOW.plus(Lifetime::from_days(10));
    let mut issued = Vec::new();
    for _ in 0..3 {
        let validity = Validity { not_before: NOW, not_after };
        issued.push(fixture.issue(Reservation { validity, ..fixture.reservation() }).await);
    }
    fixture.change_now(issued[1].id, Standing::Active, SUPERSEDED).await;
    fixture.change_now(issued[2].id, Standing::Active, HELD).await;
    let [active, revoked, held] = [issued[0].id, issued[1].id, issued[2].id];
    let with_status = |status, now| {
        let filter = CertificateFilter { status: Some(status), ..CertificateFilter::all(now) };
        let fixture = &fixture;
        async move { found(fixture, &filter).await }
    };
    let after = not_after.plus(Lifetime::from_seconds(1));
    for (now, still_active, expired) in
        [(NOW, vec![active], vec![]), (not_after, vec![active], vec![]), (after, vec![], vec![active])]
    {
        assert_eq!(with_status(StatusFilter::Active, now).await, still_active, "active at {now}");
        assert_eq!(with_status(StatusFilter::Expired, now).await, expired, "expired at {now}");
        assert_eq!(with_status(StatusFilter::Revoked, now).await, [revoked], "revoked, expired or not");
        assert_eq!(with_status(StatusFilter::Held, now).await, [held], "held, expired or not");
    }
}

async fn each_field_of_a_filter_restricts(fixture: Fixture) {
    fixture.issued().await;
    let later = NOW.plus(Lifetime::from_days(1));
    let wanted = Reservation {
        authority: authority("document"),
        profile: profile("document"),
        owner: "token:wanted".to_owned(),
        validity: Validity { not_before: NOW, not_after: NOW.plus(Lifetime::from_days(5)) },
        names: vec![name("dns:wanted.example.com")],
        ..fixture.reservation()
    };
    fixture.reserve_now(wanted.clone()).await;
    let completion = Completion { completed_at: later, ..completion(wanted.id) };
    fixture.store.complete(completion).await.expect("complete");
    let six_days = NOW.plus(Lifetime::from_days(6));
    let all = || CertificateFilter::all(NOW);
    let filters = [
        CertificateFilter { profile: Some(profile("document")), ..all() },
        CertificateFilter { authority: Some(authority("document")), ..all() },
        CertificateFilter { expires_before: Some(six_days), ..all() },
        CertificateFilter { issued_after: Some(later), ..all() },
        CertificateFilter { expires_before: Some(six_days), ends_from: Some(NOW), ..all() },
        CertificateFilter { owner: Some("token:wanted".to_owned()), ..all() },
        CertificateFilter { serial: Some(wanted.serial.clone()), ..all() },
        CertificateFilter { name: Some(NameQuery::AnyName("wanted.example.com".to_owned())), ..all() },
        CertificateFilter { spki_sha256: Some(wanted.spki_sha256), ..all() },
        CertificateFilter { status: Some(StatusFilter::Expired), ..CertificateFilter::all(six_days) },
    ];
    for filter in filters {
        assert_eq!(found(&fixture, &filter).await, [wanted.id], "{filter:?}");
    }
    let at_its_end = CertificateFilter { expires_before: Some(wanted.validity.not_after), ..all() };
    assert_eq!(found(&fixture, &at_its_end).await, [], "before means before");
    let from_its_end = CertificateFilter { ends_from: Some(wanted.validity.not_after), ..all() };
    assert_eq!(found(&fixture, &from_its_end).await.len(), 2, "from means from");
    let after_its_end = CertificateFilter { ends_from: Some(six_days), ..all() };
    let until_then = CertificateFilter { issued_before: Some(later), ..all() };
    for filter in [after_its_end, until_then] {
        let found = found(&fixture, &filter).await;
        assert!(found.len() == 1 && found != [wanted.id], "{filter:?}");
    }
}

async fn absent_fields_do_not_restrict_and_present_ones_add_up(fixture: Fixture) {
    let first = fixture.issue(Reservation { owner: "token:a".to_owned(), ..fixture.reservation() }).await;
    let second = fixture.issue(Reservation { owner: "token:b".to_owned(), ..fixture.reservation() }).await;
    assert_eq!(found(&fixture, &CertificateFilter::all(NOW)).await, [second.id, first.id]);
    let both = CertificateFilter {
        owner: Some("token:a".to_owned()),
        serial: Some(second.serial),
        ..CertificateFilter::all(NOW)
    };
    assert_eq!(found(&fixture, &both).await, [], "one certificate must match every field");
}

async fn names_are_found_whatever_their_type_and_case(fixture: Fixture) {
    let certificate = fixture
        .issue(Reservation {
            subject: subject("Maria Souza"),
            names: ["dns:www.example.com", "ip:192.0.2.7", "email:maria@example.com", "uri:urn:example:7"]
                .map(name)
                .to_vec(),
            ..fixture.reservation()
        })
        .await;
    fixture.issue(Reservation { names: vec![name("dns:other.example.com")], ..fixture.reservation() }).await;
    let any = |text: &str| CertificateFilter {
        name: Some(NameQuery::AnyName(text.to_owned())),
        ..CertificateFilter::all(NOW)
    };
    for text in [
        "www.example.com",
        "WWW.Example.COM",
        "192.0.2.7",
        "maria@example.com",
        "Maria@Example.com",
        "urn:example:7",
        "Maria Souza",
        "maria souza",
    ] {
        assert_eq!(found(&fixture, &any(text)).await, [certificate.id], "{text}");
    }
    for text in ["example.com", "www.example.co", "%", "www_example.com", "Maria", ""] {
        assert_eq!(found(&fixture, &any(text)).await, [], "`{text}` is no whole name");
    }
}

async fn subjects_are_found_whole(fixture: Fixture) {
    let certificate = fixture.issue(Reservation { subject: subject("Maria"), ..fixture.reservation() }).await;
    fixture.issue(Reservation { subject: subject("Mario"), ..fixture.reservation() }).await;
    let by_subject =
        |text: String| CertificateFilter { name: Some(NameQuery::Subject(text)), ..CertificateFilter::all(NOW) };
    let whole = certificate.subject.to_rfc4514();
    assert_eq!(found(&fixture, &by_subject(whole.clone())).await, [certificate.id]);
    assert_eq!(found(&fixture, &by_subject(whole.to_uppercase())).await, [certificate.id], "in any case");
    assert_eq!(found(&fixture, &by_subject("CN=Maria".to_owned())).await, [], "a part is not the whole");
}

async fn list(
    fixture: &Fixture,
    filter: &CertificateFilter,
    after: Option<PageCursor>,
    limit: u32,
) -> Page<StoredCertificate> {
    fixture.store.list(filter, after, limit).await.expect("list")
}

async fn found(fixture: &Fixture, filter: &CertificateFilter) -> Vec<CertificateId> {
    ids(&list(fixture, filter, None, 1_000).await.items)
}

/// Turns pages until there is none.
async fn paged(fixture: &Fixture, filter: &CertificateFilter, limit: u32) -> Vec<CertificateId> {
    let mut all = Vec::new();
    let mut after = None;
    for _ in 0..1_000 {
        let page = list(fixture, filter, after, limit).await;
        assert!(page.items.len() <= limit as usize, "a page holds at most as many as asked for");
        all.extend(ids(&page.items));
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
    panic!("the pages never end");
}

fn ids(certificates: &[StoredCertificate]) -> Vec<CertificateId> {
    certificates.iter().map(|certificate| certificate.id).collect()
}
