//! Removal of what has expired, and what is left of it. What stays all the same is in [`super::kept`].

use ca_core::audit::{AuditAction, AuditEvent, link};
use ca_core::hash::sha256;
use ca_core::id::CertificateId;
use ca_core::month::Month;
use ca_core::principal::Role;
use ca_core::revocation::Standing;
use ca_core::time::{Lifetime, Timestamp, Validity};
use futures::future::{join, join_all};

use super::super::case::{Case, cases};
use super::fixture::{
    Fixture, NOW, SUPERSEDED, action_and_subject, authority, certificate_id, change, completion, event, idempotency,
    journal, name, profile, subject,
};
use crate::port::store::{
    CertificateFilter, ChainLink, ChangeOutcome, CompleteOutcome, Completion, Journal, Lease, MonthRemoval, MonthShare,
    NameQuery, PersonalData, PersonalDataHolder, RemovalOutcome, RemovedCertificate, Reservation, ReserveOutcome,
    RoleBinding, SerialState, StandingChange, StoredCertificate,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        what_may_go_goes_and_its_serial_stays,
        a_removal_has_one_event_that_says_what_went,
        a_month_without_certificates_is_none,
        other_months_are_left_alone,
        what_comes_into_a_month_after_its_removal_is_on_record_and_goes_again,
        personal_data_goes_with_its_certificate,
        what_was_removed_is_changed_by_nobody,
        a_compromise_reaches_through_a_successor_that_was_removed,
        issuance_and_reading_go_on_while_a_month_is_removed,
        many_certificates_go,
    ]
}

pub(super) const OLD: &str = "2024-05";

pub(super) fn month(text: &str) -> Month {
    text.parse().expect("a month")
}

/// Ends on the tenth of a month.
pub(super) fn ending_in(of: &str, reservation: Reservation) -> Reservation {
    let not_after = month(of).start().plus(Lifetime::from_days(9));
    let not_before = not_after.minus(Lifetime::from_days(90));
    Reservation { validity: Validity { not_before, not_after }, reserved_at: not_before, ..reservation }
}

pub(super) async fn old(fixture: &Fixture) -> StoredCertificate {
    fixture.issue(ending_in(OLD, fixture.reservation())).await
}

/// One of a profile that keeps its certificates.
async fn document(fixture: &Fixture) -> StoredCertificate {
    let reservation = Reservation { profile: profile("document"), ..ending_in(OLD, fixture.reservation()) };
    fixture.issue(reservation).await
}

pub(super) fn removal(of: &str) -> MonthRemoval {
    let profiles = vec![profile("client"), profile("server")];
    MonthRemoval { month: month(of), profiles, principal: "job:retention".to_owned(), at: NOW }
}

pub(super) async fn lease(fixture: &Fixture) -> Lease {
    fixture.lease("retention").await
}

pub(super) async fn remove(fixture: &Fixture, lease: &Lease, of: &str) -> RemovalOutcome {
    fixture.store.remove_month(lease, removal(of)).await.expect("remove_month")
}

pub(super) const fn removed(removed: u64, kept: u64) -> RemovalOutcome {
    RemovalOutcome::Removed { removed, kept }
}

/// Gives every event its place and drops every message: nothing of the past keeps a certificate.
pub(super) async fn settle(fixture: &Fixture) {
    chain_all(fixture).await;
    let lease = fixture.lease("settling-outbox").await;
    let later = NOW.plus(Lifetime::from_days(1));
    while fixture.store.drop_unassigned(&lease, later, 1_000).await.expect("drop_unassigned") > 0 {}
    fixture.store.release_lease(&lease).await.expect("release_lease");
}

pub(super) async fn chain_all(fixture: &Fixture) {
    let lease = fixture.lease("settling-audit").await;
    let head = fixture.store.chain_head().await.expect("chain_head");
    let (mut sequence, mut hash, mut links) = (head.sequence, head.hash, vec![]);
    for event in fixture.store.pending_events(10_000).await.expect("pending_events") {
        sequence += 1;
        hash = link(&hash, sequence, &event.canonical);
        links.push(ChainLink { row: event.row, sequence, hash });
    }
    fixture.store.chain_events(&lease, &head, links).await.expect("chain_events");
    fixture.store.release_lease(&lease).await.expect("release_lease");
}

pub(super) async fn is_on_record(fixture: &Fixture, id: CertificateId) -> bool {
    fixture.store.certificate(id).await.expect("certificate").is_some()
}

async fn what_may_go_goes_and_its_serial_stays(fixture: Fixture) {
    let (goes, revoked, stays) = (old(&fixture).await, old(&fixture).await, document(&fixture).await);
    let young = fixture.issued().await;
    fixture.revoke(&revoked).await;
    settle(&fixture).await;
    let shares = fixture.store.review_month(month(OLD)).await;
    let share = |name, certificates| MonthShare { profile: profile(name), kept_for: None, certificates };
    assert_eq!(shares, Ok(vec![share("document", 1), share("server", 2)]));
    let lease = lease(&fixture).await;
    assert_eq!(remove(&fixture, &lease, OLD).await, removed(2, 1));

    for (gone, standing) in [(&goes, Standing::Active), (&revoked, SUPERSEDED)] {
        assert!(!is_on_record(&fixture, gone.id).await);
        assert_eq!(fixture.store.certificate_by_serial(&gone.authority, &gone.serial).await, Ok(None));
        assert_eq!(fixture.store.holder(&gone.into()).await, Ok(None));
        let status = fixture.store.status(&gone.authority, &gone.serial).await.expect("status").expect("known");
        assert_eq!((status.certificate, status.state), (gone.id, SerialState::Issued(standing)));
        assert_eq!(status.not_after, gone.validity.not_after);
        let RemovedCertificate { authority, serial, not_after } =
            fixture.store.removed(gone.id).await.expect("removed").expect("it is known");
        assert_eq!((&authority, &serial, not_after), (&gone.authority, &gone.serial, gone.validity.not_after));
        let again = Reservation { serial: gone.serial.clone(), ..fixture.reservation() };
        assert_eq!(fixture.reserve(&again).await, ReserveOutcome::SerialTaken, "it is never given out again");
        let same_id = Reservation { id: gone.id, ..fixture.reservation() };
        assert_eq!(fixture.reserve(&same_id).await, ReserveOutcome::SerialTaken, "nor is its name");
    }
    let listed = fixture.store.revoked_serials(&authority("tls"), month(OLD).start(), None, 10).await.expect("listed");
    assert_eq!(listed.iter().map(|(serial, _)| serial).collect::<Vec<_>>(), [&revoked.serial]);
    for left in [&stays, &young] {
        assert_eq!(fixture.store.certificate(left.id).await, Ok(Some(left.clone())));
        assert_eq!(fixture.store.removed(left.id).await, Ok(None));
    }
    assert_eq!(fixture.store.removed(certificate_id(1_000)).await, Ok(None), "it never was");
    for filter in [
        CertificateFilter::all(NOW),
        CertificateFilter {
            name: Some(NameQuery::AnyName("api.example.com".to_owned())),
            ..CertificateFilter::all(NOW)
        },
    ] {
        let page = fixture.store.list(&filter, None, 10).await.expect("list");
        assert_eq!(page.items.iter().map(|item| item.id).collect::<Vec<_>>(), [young.id, stays.id]);
    }
    assert_eq!(remove(&fixture, &lease, OLD).await, RemovalOutcome::Nothing, "nothing is left to go");
}

async fn a_removal_has_one_event_that_says_what_went(fixture: Fixture) {
    let mut fingerprints = vec![];
    for _ in 0..3 {
        fingerprints.push(old(&fixture).await.fingerprint_sha256);
    }
    document(&fixture).await;
    settle(&fixture).await;
    let lease = lease(&fixture).await;
    assert_eq!(remove(&fixture, &lease, OLD).await, removed(3, 1));
    assert_eq!(remove(&fixture, &lease, OLD).await, RemovalOutcome::Nothing);
    let pending = fixture.store.pending_events(10).await.expect("pending_events");
    let [event] = &pending[..] else { panic!("one event, not {}", pending.len()) };
    fingerprints.sort_unstable();
    let digest = sha256(&fingerprints.concat());
    assert_eq!(event.canonical, removal(OLD).event(3, 1, &digest).canonical());
    let expected = ("certificates-removed".to_owned(), format!("month:{OLD}"));
    assert_eq!(action_and_subject(&event.canonical), expected);
}

async fn a_month_without_certificates_is_none(fixture: Fixture) {
    assert_eq!(fixture.store.months_before(NOW).await, Ok(vec![]));
    fixture.issued().await;
    fixture.issue(ending_in("2023-12", fixture.reservation())).await;
    let gone = old(&fixture).await;
    let lease = lease(&fixture).await;
    assert_eq!(fixture.store.months_before(NOW).await, Ok(vec![month("2023-12"), month(OLD)]));
    assert_eq!(fixture.store.months_before(month(OLD).end()).await, Ok(vec![month("2023-12"), month(OLD)]));
    let just_before = Timestamp::from_unix_millis(month(OLD).end().unix_millis() - 1);
    assert_eq!(fixture.store.months_before(just_before).await, Ok(vec![month("2023-12")]));
    settle(&fixture).await;
    assert_eq!(remove(&fixture, &lease, OLD).await, removed(1, 0));
    assert_eq!(fixture.store.months_before(NOW).await, Ok(vec![month("2023-12")]));
    assert_eq!(fixture.store.review_month(month(OLD)).await, Ok(vec![]));
    assert_eq!(remove(&fixture, &lease, OLD).await, RemovalOutcome::Nothing);
    assert!(fixture.store.removed(gone.id).await.expect("removed").is_some());
    assert_eq!(remove(&fixture, &lease, "2020-01").await, RemovalOutcome::Nothing, "there never was one");
}

async fn other_months_are_left_alone(fixture: Fixture) {
    let ends = [month(OLD).start().minus(Lifetime::from_seconds(1)), month(OLD).start(), month(OLD).end()];
    let mut issued = vec![];
    for not_after in ends {
        let reservation = ending_in(OLD, fixture.reservation());
        let validity = Validity { not_after, ..reservation.validity };
        issued.push(fixture.issue(Reservation { validity, ..reservation }).await);
    }
    settle(&fixture).await;
    assert_eq!(remove(&fixture, &lease(&fixture).await, OLD).await, removed(1, 0));
    let [before, within, after] = &issued[..] else { panic!("three") };
    assert!(is_on_record(&fixture, before.id).await && is_on_record(&fixture, after.id).await);
    assert!(!is_on_record(&fixture, within.id).await);
}

async fn what_comes_into_a_month_after_its_removal_is_on_record_and_goes_again(fixture: Fixture) {
    let another = fixture.another().await;
    // It knows the month, and does not learn that it goes.
    let first = ending_in(OLD, fixture.reservation());
    assert_eq!(another.reserve(first.clone()).await, Ok(ReserveOutcome::Reserved));
    assert!(matches!(another.complete(completion(first.id)).await, Ok(CompleteOutcome::Completed(_))));
    settle(&fixture).await;
    let lease = lease(&fixture).await;
    assert_eq!(remove(&fixture, &lease, OLD).await, removed(1, 0));
    let late = Reservation { reserved_at: NOW, ..ending_in(OLD, fixture.reservation()) };
    assert_eq!(another.reserve(late.clone()).await, Ok(ReserveOutcome::Reserved));
    assert!(matches!(another.complete(completion(late.id)).await, Ok(CompleteOutcome::Completed(_))));
    assert!(is_on_record(&fixture, late.id).await && !is_on_record(&fixture, first.id).await);
    assert_eq!(fixture.store.months_before(NOW).await, Ok(vec![month(OLD)]));
    settle(&fixture).await;
    assert_eq!(remove(&fixture, &lease, OLD).await, removed(1, 0));
}

async fn personal_data_goes_with_its_certificate(fixture: Fixture) {
    let personal = |name: &str, reservation| Reservation {
        profile: profile(name),
        subject: subject("Ana Souza"),
        names: vec![super::fixture::name("email:Ana@example.com")],
        personal_data: Some(PersonalData { audit_text: b"what is committed to".to_vec() }),
        ..reservation
    };
    let mut ids = vec![];
    for name in ["server", "server", "document"] {
        let reservation = fixture.reserve_now(personal(name, ending_in(OLD, fixture.reservation()))).await;
        let completion = Completion { personal_data: true, ..completion(reservation.id) };
        assert!(matches!(fixture.store.complete(completion).await, Ok(CompleteOutcome::Completed(_))));
        ids.push(reservation.id);
    }
    settle(&fixture).await;
    assert_eq!(fixture.store.personal_data_rows(1).await, Ok(3));
    assert_eq!(remove(&fixture, &lease(&fixture).await, OLD).await, removed(2, 1));
    assert_eq!(fixture.store.personal_data_rows(1).await, Ok(1));
    assert_eq!(fixture.store.audit_text(ids[0]).await, Ok(None), "what its event commits to is gone too");
    assert_eq!(fixture.store.audit_text(ids[2]).await, Ok(Some(b"what is committed to".to_vec())));
    let by_name = CertificateFilter {
        name: Some(NameQuery::AnyName("ana@example.com".to_owned())),
        ..CertificateFilter::all(NOW)
    };
    let page = fixture.store.list(&by_name, None, 10).await.expect("list");
    assert_eq!(page.items.iter().map(|item| item.id).collect::<Vec<_>>(), [ids[2]]);
    // What stays moves to the next key, and nothing holds the old one.
    let keys = fixture.lease("personal-data").await;
    let made = Journal::of(event(AuditAction::PersonalDataKeyMade, "personal-data-key"));
    assert_eq!(fixture.store.add_personal_data_key(&keys, made).await, Ok(2));
    let holder = PersonalDataHolder::Certificates;
    assert_eq!(fixture.store.reseal_personal_data(&keys, holder, 10).await, Ok(1));
    let dropped = Journal::of(event(AuditAction::PersonalDataKeyDropped, "personal-data-key"));
    assert_eq!(fixture.store.drop_personal_data_keys(&keys, dropped).await, Ok(1));
    assert_eq!(fixture.another().await.certificate(ids[2]).await.map(|found| found.is_some()), Ok(true));
}

async fn what_was_removed_is_changed_by_nobody(fixture: Fixture) {
    let asked = Reservation { idempotency: idempotency(1, 1), ..ending_in(OLD, fixture.reservation()) };
    let gone = fixture.issue(asked).await;
    settle(&fixture).await;
    assert_eq!(remove(&fixture, &lease(&fixture).await, OLD).await, removed(1, 0));
    assert_eq!(fixture.change(gone.id, Standing::Active, SUPERSEDED).await, ChangeOutcome::Stale);
    assert_eq!(fixture.complete(gone.id).await, CompleteOutcome::NotReserved, "what is repeated is not made again");
    assert!(!fixture.abandon(gone.id).await);
    assert_eq!(
        fixture.store.erase_audit_text(gone.id, journal(AuditAction::PersonalDataErased, gone.id)).await,
        Ok(false)
    );
    assert_eq!(fixture.sequence().await, 0);
}

async fn a_compromise_reaches_through_a_successor_that_was_removed(fixture: Fixture) {
    let first = fixture.issued().await;
    // It ended before its predecessor.
    let short = fixture.issue(ending_in(OLD, fixture.successor_of(&first))).await;
    let heir = fixture.issue(fixture.successor_of(&short)).await;
    let binding = RoleBinding { certificate: heir.id, role: Role::Administrator, granted_at: NOW };
    let granted = Journal::of(AuditEvent::new(NOW, AuditAction::RoleGranted, "local", "role"));
    fixture.store.grant_role(binding, granted).await.expect("grant_role");
    settle(&fixture).await;
    assert_eq!(remove(&fixture, &lease(&fixture).await, OLD).await, removed(1, 0));
    let since = NOW.plus(Lifetime::from_days(1));
    let descendants = fixture.store.descendants(first.id, since).await.expect("descendants");
    assert!(descendants.contains(&heir.id), "nobody knows any more that it was renewed before");
    let compromise = StandingChange {
        compromised_since: Some(since),
        ..change(first.id, Standing::Active, super::fixture::COMPROMISED)
    };
    assert!(matches!(fixture.store.change_standing(compromise).await, Ok(ChangeOutcome::Applied { .. })));
    assert_eq!(fixture.store.roles(heir.id).await, Ok(vec![]));
}

async fn issuance_and_reading_go_on_while_a_month_is_removed(fixture: Fixture) {
    for _ in 0..10 {
        old(&fixture).await;
    }
    let stays = document(&fixture).await;
    settle(&fixture).await;
    let lease = lease(&fixture).await;
    let issue = async {
        join_all((0..20).map(|_| async {
            let issued = fixture.issued().await;
            assert!(is_on_record(&fixture, issued.id).await && is_on_record(&fixture, stays.id).await);
        }))
        .await
    };
    let (outcome, _) = join(remove(&fixture, &lease, OLD), issue).await;
    assert_eq!(outcome, removed(10, 1));
    assert_eq!(fixture.store.certificate(stays.id).await, Ok(Some(stays)));
}

async fn many_certificates_go(fixture: Fixture) {
    const MANY: usize = 600;
    let issued = join_all((0..MANY).map(|number| {
        let reservation = ending_in(OLD, fixture.reservation());
        let names = vec![name(&format!("dns:host-{number}.example.com")), name("dns:shared.example.com")];
        fixture.issue(Reservation { names, ..reservation })
    }))
    .await;
    settle(&fixture).await;
    let lease = lease(&fixture).await;
    assert_eq!(remove(&fixture, &lease, OLD).await, removed(MANY as u64, 0));
    for certificate in issued.iter().step_by(37) {
        assert!(fixture.store.removed(certificate.id).await.expect("removed").is_some());
    }
    let page = fixture.store.list(&CertificateFilter::all(NOW), None, 10).await.expect("list");
    assert_eq!(page.items, []);
    let pending = fixture.store.pending_events(100).await.expect("pending_events");
    let told = pending.iter().map(|event| {
        let event: serde_json::Value = serde_json::from_slice(&event.canonical).expect("events are JSON");
        event["details"]["removed"].as_str().and_then(|count| count.parse::<usize>().ok()).expect("a count")
    });
    assert_eq!(told.sum::<usize>(), MANY, "each commit tells what went with it");
}
