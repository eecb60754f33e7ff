//! Reservations that come to nothing.

use ca_core::audit::AuditAction;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::time::{Lifetime, Timestamp};
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, certificate_id, journal};
use crate::port::store::{OpenReservation, Reservation, RevocationRow, SerialState};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        an_abandoned_serial_answers_as_revoked,
        an_abandonment_is_one_event_and_one_number,
        only_open_reservations_can_be_abandoned,
        one_of_many_concurrent_abandonments_happens,
        open_reservations_are_listed_oldest_first,
        at_most_a_thousand_open_reservations_are_listed,
    ]
}

async fn an_abandoned_serial_answers_as_revoked(fixture: Fixture) {
    let reservation = fixture.reserved().await;
    let mut journal = journal(AuditAction::IssuanceAbandoned, reservation.id);
    journal.event.at = Timestamp::from_unix_millis(NOW.unix_millis() + 60_789);
    assert_eq!(fixture.store.abandon(reservation.id, journal).await, Ok(true));
    let expected = Revocation {
        // Revocations count whole seconds.
        revoked_at: NOW.plus(Lifetime::from_seconds(60)),
        reason: RevocationReason::Unspecified,
        invalidity_date: None,
    };
    let status = fixture.store.status(&reservation.authority, &reservation.serial).await.expect("status");
    let status = status.expect("known");
    assert_eq!(status.state, SerialState::Abandoned(expected));
    assert_eq!(status.certificate, reservation.id);
    let listed = fixture.store.revoked_serials(&reservation.authority, NOW, None, 10).await;
    assert_eq!(listed, Ok(vec![(reservation.serial.clone(), expected)]), "the CRL lists it");
    let row = RevocationRow {
        sequence: 1,
        authority: reservation.authority,
        serial: reservation.serial,
        standing: Standing::Revoked(expected),
        not_after: reservation.validity.not_after,
    };
    assert_eq!(fixture.store.revocations_after(0, 10).await, Ok(vec![row]));
}

async fn an_abandonment_is_one_event_and_one_number(fixture: Fixture) {
    let reservation = fixture.reserved().await;
    assert!(fixture.abandon(reservation.id).await);
    let subject = format!("certificate:{}", reservation.id);
    assert_eq!(fixture.events().await, [("issuance-abandoned".to_owned(), subject)]);
    assert_eq!(fixture.sequence().await, 1);
}

async fn only_open_reservations_can_be_abandoned(fixture: Fixture) {
    let certificate = fixture.issued().await;
    let abandoned = fixture.reserved().await;
    assert!(fixture.abandon(abandoned.id).await);
    let (events, sequence) = (fixture.event_count().await, fixture.sequence().await);
    for id in [certificate_id(1_000_000), certificate.id, abandoned.id] {
        assert!(!fixture.abandon(id).await);
    }
    assert_eq!(fixture.event_count().await, events, "what does not happen is not told");
    assert_eq!(fixture.sequence().await, sequence);
    assert_eq!(fixture.store.certificate(certificate.id).await, Ok(Some(certificate)), "it stands as before");
}

async fn one_of_many_concurrent_abandonments_happens(fixture: Fixture) {
    let reservation = fixture.reserved().await;
    let outcomes = join_all((0..10).map(|_| fixture.abandon(reservation.id))).await;
    assert_eq!(outcomes.iter().filter(|happened| **happened).count(), 1);
    assert_eq!((fixture.event_count().await, fixture.sequence().await), (1, 1));
}

async fn open_reservations_are_listed_oldest_first(fixture: Fixture) {
    let mut expected = Vec::new();
    for seconds in [30, 10, 20] {
        let reserved_at = NOW.plus(Lifetime::from_seconds(seconds));
        let reservation = fixture.reserve_now(Reservation { reserved_at, ..fixture.reservation() }).await;
        expected.push(OpenReservation {
            id: reservation.id,
            authority: reservation.authority,
            serial: reservation.serial,
            reserved_at,
        });
    }
    expected.sort_by_key(|open| open.reserved_at);
    fixture.issued().await;
    assert!(fixture.abandon(fixture.reserved().await.id).await);
    let before = |seconds| fixture.store.open_reservations(NOW.plus(Lifetime::from_seconds(seconds)));
    assert_eq!(before(3600).await, Ok(expected.clone()));
    assert_eq!(before(30).await, Ok(expected[..2].to_vec()), "before means before");
    assert_eq!(before(10).await, Ok(Vec::new()));
}

async fn at_most_a_thousand_open_reservations_are_listed(fixture: Fixture) {
    let reservations: Vec<_> = (0..1_005)
        .map(|seconds| Reservation { reserved_at: NOW.plus(Lifetime::from_seconds(seconds)), ..fixture.reservation() })
        .collect();
    join_all(reservations.iter().map(|reservation| fixture.reserve(reservation))).await;
    let listed = fixture.store.open_reservations(NOW.plus(Lifetime::from_days(1))).await.expect("open_reservations");
    assert_eq!(listed.len(), 1_000);
    assert_eq!((listed[0].id, listed[999].id), (reservations[0].id, reservations[999].id));
}
