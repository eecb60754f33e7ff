//! Issuances at issuers elsewhere: intended, named, given a serial; and never lost from sight while they are open.

use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, SUPERSEDED, certificate_id, serial};
use crate::port::store::{
    AdoptOutcome, OpenUpstream, Reservation, ReserveOutcome, SerialState, StoreError, UpstreamIntent, UpstreamOrder,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        what_was_intended_is_listed_until_it_is_settled,
        an_intent_needs_an_open_reservation,
        a_name_is_given_once,
        an_adopted_serial_takes_the_place_of_the_provisional_one,
        a_serial_is_adopted_by_one,
        only_a_provisional_serial_is_replaced,
        an_adopted_serial_answers_as_its_reservation_ends,
        open_issuances_are_listed_oldest_first_page_by_page,
        one_is_found_by_its_id_while_it_is_open,
    ]
}

fn intent(reservation: &Reservation) -> UpstreamIntent {
    UpstreamIntent {
        id: reservation.id,
        csr: Some(format!("request {}", reservation.id).into_bytes()),
        inherit_roles: true,
        request_id: Some("request-1".to_owned()),
        asked_at: NOW.plus(Lifetime::from_seconds(1)),
    }
}

/// What is listed of an intent before the issuer has answered.
fn open(reservation: &Reservation) -> OpenUpstream {
    let UpstreamIntent { csr, inherit_roles, request_id, asked_at, .. } = intent(reservation);
    OpenUpstream {
        id: reservation.id,
        authority: reservation.authority.clone(),
        serial: reservation.serial.clone(),
        profile: reservation.profile.clone(),
        requested_by: reservation.requested_by.clone(),
        renews: reservation.renews,
        reserved_at: reservation.reserved_at,
        order: csr.map(|csr| UpstreamOrder { csr, to_be_signed: reservation.to_be_signed.clone() }),
        inherit_roles,
        request_id,
        asked_at,
        name: None,
    }
}

/// A reservation whose serial its issuer will choose.
fn provisional(fixture: &Fixture, number: u8) -> Reservation {
    Reservation { serial: Serial::provisional([number; 16]), ..fixture.reservation() }
}

async fn intended(fixture: &Fixture, number: u8) -> Reservation {
    let reservation = fixture.reserve_now(provisional(fixture, number)).await;
    assert_eq!(fixture.store.intend_upstream(intent(&reservation)).await, Ok(true));
    reservation
}

async fn listed(fixture: &Fixture) -> Vec<OpenUpstream> {
    fixture.store.open_upstream(NOW.plus(Lifetime::from_days(1)), None).await.expect("open_upstream")
}

async fn what_was_intended_is_listed_until_it_is_settled(fixture: Fixture) {
    let before = NOW.plus(Lifetime::from_days(1));
    let (first, second) = (intended(&fixture, 1).await, intended(&fixture, 2).await);
    let without_csr = fixture.reserve_now(provisional(&fixture, 3)).await;
    let secret = UpstreamIntent { csr: None, request_id: None, inherit_roles: false, ..intent(&without_csr) };
    assert_eq!(fixture.store.intend_upstream(secret).await, Ok(true));
    assert_eq!(
        fixture.store.open_reservations(before).await,
        Ok(Vec::new()),
        "who abandons what is left does not see them"
    );
    let mut expected = vec![
        open(&first),
        open(&second),
        OpenUpstream { order: None, request_id: None, inherit_roles: false, ..open(&without_csr) },
    ];
    expected.sort_by_key(|open| (open.reserved_at, open.id));
    assert_eq!(listed(&fixture).await, expected);
    assert_eq!(fixture.store.open_upstream(NOW, None).await, Ok(Vec::new()), "before means before");
    assert_eq!(fixture.another().await.open_upstream(before, None).await, Ok(expected));
    assert_eq!(fixture.store.forget_settled_upstream().await, Ok(0), "none is settled");
    fixture.complete_now(first.id).await;
    assert!(fixture.abandon(second.id).await);
    let left: Vec<_> = listed(&fixture).await.iter().map(|open| open.id).collect();
    assert_eq!(left, [without_csr.id]);
    assert_eq!(fixture.store.forget_settled_upstream().await, Ok(2));
    assert_eq!(fixture.store.forget_settled_upstream().await, Ok(0));
}

async fn an_intent_needs_an_open_reservation(fixture: Fixture) {
    let issued = fixture.reserved().await;
    fixture.complete_now(issued.id).await;
    let abandoned = fixture.reserved().await;
    assert!(fixture.abandon(abandoned.id).await);
    let unknown = Reservation { id: certificate_id(1_000_000), ..fixture.reservation() };
    for reservation in [issued, abandoned, unknown] {
        assert_eq!(fixture.store.intend_upstream(intent(&reservation)).await, Ok(false));
    }
    assert_eq!(listed(&fixture).await, []);
    let reservation = intended(&fixture, 1).await;
    assert_eq!(fixture.store.intend_upstream(intent(&reservation)).await, Ok(true), "again is harmless");
    assert_eq!(listed(&fixture).await.len(), 1);
}

async fn a_name_is_given_once(fixture: Fixture) {
    let reservation = intended(&fixture, 1).await;
    let conflict = |named: Result<(), StoreError>| matches!(named, Err(StoreError::Conflict { .. }));
    assert_eq!(fixture.store.name_upstream(reservation.id, "arn:one").await, Ok(()));
    assert_eq!(fixture.store.name_upstream(reservation.id, "arn:one").await, Ok(()));
    assert!(conflict(fixture.store.name_upstream(reservation.id, "arn:two").await));
    assert!(conflict(fixture.store.name_upstream(certificate_id(1_000_000), "arn:one").await), "nothing was intended");
    assert_eq!(listed(&fixture).await[0].name.as_deref(), Some("arn:one"));
}

async fn an_adopted_serial_takes_the_place_of_the_provisional_one(fixture: Fixture) {
    let reservation = intended(&fixture, 1).await;
    let chosen = serial(77_000);
    for _ in 0..2 {
        assert_eq!(fixture.store.adopt_serial(reservation.id, &chosen).await, Ok(AdoptOutcome::Adopted));
    }
    assert_eq!(listed(&fixture).await[0].serial, chosen);
    let provisional = fixture.store.status(&reservation.authority, &reservation.serial).await;
    assert_eq!(provisional, Ok(None), "as if it had never been");
    let adopted = fixture.store.status(&reservation.authority, &chosen).await.expect("status").expect("known");
    assert_eq!((adopted.state, adopted.certificate), (SerialState::Reserved, reservation.id));
    let certificate = fixture.complete_now(reservation.id).await;
    assert_eq!(certificate.serial, chosen);
    let found = fixture.store.certificate_by_serial(&certificate.authority, &chosen).await;
    assert_eq!(found, Ok(Some(certificate.clone())));
    assert_eq!(fixture.store.adopt_serial(certificate.id, &chosen).await, Ok(AdoptOutcome::NotReserved));
}

async fn a_serial_is_adopted_by_one(fixture: Fixture) {
    let issued = fixture.issued().await;
    let (first, second) = (intended(&fixture, 1).await, intended(&fixture, 2).await);
    assert_eq!(fixture.store.adopt_serial(first.id, &issued.serial).await, Ok(AdoptOutcome::SerialTaken));
    let chosen = serial(77_000);
    let adopted = join_all([&first, &second].map(|one| fixture.store.adopt_serial(one.id, &chosen))).await;
    let count = |outcome| adopted.iter().filter(|adopted| **adopted == Ok(outcome)).count();
    assert_eq!((count(AdoptOutcome::Adopted), count(AdoptOutcome::SerialTaken)), (1, 1), "{adopted:?}");
    let taken = Reservation { serial: chosen.clone(), ..fixture.reservation() };
    assert_eq!(fixture.reserve(&taken).await, ReserveOutcome::SerialTaken);
    let freed = Reservation { serial: first.serial.clone(), ..fixture.reservation() };
    let outcome = fixture.reserve(&freed).await;
    let first_has_it = adopted[0] == Ok(AdoptOutcome::Adopted);
    assert_eq!(outcome == ReserveOutcome::Reserved, first_has_it, "the provisional one is free when it was replaced");
}

async fn only_a_provisional_serial_is_replaced(fixture: Fixture) {
    let ours = fixture.reserved().await;
    let adopted = fixture.store.adopt_serial(ours.id, &serial(77_000)).await;
    assert!(matches!(adopted, Err(StoreError::Conflict { .. })), "{adopted:?}");
    let reservation = intended(&fixture, 1).await;
    fixture.store.adopt_serial(reservation.id, &serial(77_001)).await.expect("adopted");
    let again = fixture.store.adopt_serial(reservation.id, &serial(77_002)).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    let unknown = fixture.store.adopt_serial(certificate_id(1_000_000), &serial(77_003)).await;
    assert_eq!(unknown, Ok(AdoptOutcome::NotReserved));
}

async fn an_adopted_serial_answers_as_its_reservation_ends(fixture: Fixture) {
    let (completed, abandoned) = (intended(&fixture, 1).await, intended(&fixture, 2).await);
    for (reservation, number) in [(&completed, 77_001), (&abandoned, 77_002)] {
        fixture.store.adopt_serial(reservation.id, &serial(number)).await.expect("adopted");
    }
    let certificate = fixture.complete_now(completed.id).await;
    fixture.change_now(certificate.id, ca_core::revocation::Standing::Active, SUPERSEDED).await;
    assert!(fixture.abandon(abandoned.id).await);
    let revoked = fixture.store.revoked_serials(&completed.authority, NOW, None, 10).await.expect("revoked_serials");
    let revoked: Vec<_> = revoked.into_iter().map(|(serial, revocation)| (serial, revocation.reason)).collect();
    let unspecified = RevocationReason::Unspecified;
    assert_eq!(revoked, [(serial(77_001), RevocationReason::Superseded), (serial(77_002), unspecified)]);
    let sequence = fixture.store.revocations_after(0, 10).await.expect("revocations_after");
    let sequence: Vec<_> = sequence.into_iter().map(|row| row.serial).collect();
    assert_eq!(sequence, [serial(77_001), serial(77_002)]);
}

async fn open_issuances_are_listed_oldest_first_page_by_page(fixture: Fixture) {
    let mut expected = Vec::new();
    for number in 0..103_u8 {
        let reserved_at = NOW.plus(Lifetime::from_seconds(u64::from(200 - number / 2)));
        let reservation = Reservation { reserved_at, ..provisional(&fixture, number) };
        let reservation = fixture.reserve_now(reservation).await;
        assert_eq!(fixture.store.intend_upstream(intent(&reservation)).await, Ok(true));
        expected.push((reserved_at, reservation.id));
    }
    expected.sort_unstable();
    let before = NOW.plus(Lifetime::from_days(1));
    let mut seen = Vec::new();
    while let page @ [_, ..] =
        fixture.store.open_upstream(before, seen.last().copied()).await.expect("open_upstream").as_slice()
    {
        assert!(page.len() <= 100);
        seen.extend(page.iter().map(|open| (open.reserved_at, open.id)));
    }
    assert_eq!(seen, expected);
}

async fn one_is_found_by_its_id_while_it_is_open(fixture: Fixture) {
    let (completed, abandoned) = (intended(&fixture, 1).await, intended(&fixture, 2).await);
    let found = async |id| fixture.store.open_upstream_of(id).await.expect("open_upstream_of");
    assert_eq!(found(completed.id).await, Some(open(&completed)));
    fixture.store.name_upstream(completed.id, "arn:one").await.expect("named");
    fixture.store.adopt_serial(completed.id, &serial(77_000)).await.expect("adopted");
    let named = OpenUpstream { name: Some("arn:one".to_owned()), serial: serial(77_000), ..open(&completed) };
    assert_eq!(found(completed.id).await, Some(named));
    fixture.complete_now(completed.id).await;
    assert!(fixture.abandon(abandoned.id).await);
    let not_asked = fixture.reserve_now(provisional(&fixture, 3)).await;
    for id in [completed.id, abandoned.id, not_asked.id, certificate_id(1_000_000)] {
        assert_eq!(found(id).await, None);
    }
}
