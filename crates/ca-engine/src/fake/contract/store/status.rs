//! How certificates stand, and the sequence in which that changes.

use ca_core::audit::AuditAction;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{COMPROMISED, Fixture, HELD, NOW, SUPERSEDED, authority, certificate_id, change, journal, serial};
use crate::port::store::{ChangeOutcome, RevocationRow, SerialState, StandingChange, StoredCertificate};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        a_serial_never_seen_is_unknown,
        a_change_is_seen_at_once,
        a_revocation_is_kept_as_it_was_given,
        a_change_is_one_event,
        a_change_against_another_standing_is_stale,
        reservations_have_no_standing_to_change,
        a_hold_can_be_ended,
        a_blocked_key_stays_blocked,
        one_of_two_concurrent_revocations_is_applied,
        the_sequence_has_no_gaps,
        the_sequence_is_read_in_parts,
        concurrent_changes_are_numbered_without_gaps,
        a_reader_never_sees_a_number_before_a_lower_one,
    ]
}

async fn a_serial_never_seen_is_unknown(fixture: Fixture) {
    let certificate = fixture.issued().await;
    let status = |issuer, number: Serial| {
        let fixture = &fixture;
        async move { fixture.store.status(&authority(issuer), &number).await.expect("status") }
    };
    assert_eq!(status("tls", serial(1_000_000)).await, None);
    assert_eq!(status("root", certificate.serial.clone()).await, None, "serials are an issuer's own");
    assert!(status("tls", certificate.serial).await.is_some());
}

async fn a_change_is_seen_at_once(fixture: Fixture) {
    let certificate = fixture.issued().await;
    let mut from = Standing::Active;
    for to in [HELD, Standing::Active, SUPERSEDED, COMPROMISED] {
        fixture.change_now(certificate.id, from, to).await;
        assert_eq!(state(&fixture, &certificate).await, SerialState::Issued(to));
        let stored = fixture.store.certificate(certificate.id).await.expect("certificate").expect("on record");
        assert_eq!(stored.standing, to);
        from = to;
    }
}

async fn a_revocation_is_kept_as_it_was_given(fixture: Fixture) {
    for reason in RevocationReason::ALL {
        for invalidity_date in [None, Some(NOW.minus(Lifetime::from_days(30)))] {
            let certificate = fixture.issued().await;
            let to = Standing::Revoked(Revocation { revoked_at: NOW, reason, invalidity_date });
            fixture.change_now(certificate.id, Standing::Active, to).await;
            assert_eq!(state(&fixture, &certificate).await, SerialState::Issued(to));
        }
    }
}

async fn a_change_is_one_event(fixture: Fixture) {
    let certificate = fixture.issued().await;
    let before = fixture.event_count().await;
    fixture.revoke(&certificate).await;
    let subject = format!("certificate:{}", certificate.id);
    assert_eq!(fixture.events().await.split_off(before), [("certificate-revoked".to_owned(), subject)]);
}

async fn a_change_against_another_standing_is_stale(fixture: Fixture) {
    let certificate = fixture.issued().await;
    fixture.revoke(&certificate).await;
    let (events, sequence) = (fixture.event_count().await, fixture.sequence().await);
    let earlier = Revocation {
        revoked_at: NOW.minus(Lifetime::from_seconds(1)),
        reason: RevocationReason::Superseded,
        invalidity_date: None,
    };
    for from in [Standing::Active, HELD, Standing::Revoked(earlier)] {
        let mut stale = change(certificate.id, from, COMPROMISED);
        stale.compromised_since = Some(NOW);
        assert_eq!(fixture.store.change_standing(stale).await, Ok(ChangeOutcome::Stale), "from {from:?}");
    }
    assert_eq!(state(&fixture, &certificate).await, SerialState::Issued(SUPERSEDED));
    assert_eq!(fixture.event_count().await, events);
    assert_eq!(fixture.sequence().await, sequence);
    assert_eq!(fixture.store.is_key_blocked(&certificate.spki_sha256).await, Ok(false), "nothing was changed");
}

async fn reservations_have_no_standing_to_change(fixture: Fixture) {
    let reserved = fixture.reserved().await;
    let abandoned = fixture.reserved().await;
    assert!(fixture.abandon(abandoned.id).await);
    let sequence = fixture.sequence().await;
    for id in [certificate_id(1_000_000), reserved.id, abandoned.id] {
        assert_eq!(fixture.change(id, Standing::Active, SUPERSEDED).await, ChangeOutcome::Stale);
    }
    assert_eq!(fixture.sequence().await, sequence);
}

async fn a_hold_can_be_ended(fixture: Fixture) {
    let certificate = fixture.issued().await;
    let held = fixture.hold(&certificate).await;
    let journal = journal(AuditAction::CertificateReleased, certificate.id);
    let release =
        StandingChange { id: certificate.id, from: HELD, to: Standing::Active, compromised_since: None, journal };
    let released = fixture.store.change_standing(release).await;
    assert_eq!(released, Ok(ChangeOutcome::Applied { sequence: held + 1 }));
    let rows = fixture.store.revocations_after(held, 10).await.expect("revocations_after");
    assert_eq!(rows.iter().map(|row| row.standing).collect::<Vec<_>>(), [Standing::Active], "a row tells of it");
}

async fn a_blocked_key_stays_blocked(fixture: Fixture) {
    let certificate = fixture.issued().await;
    let blocked = || fixture.store.is_key_blocked(&certificate.spki_sha256);
    fixture.revoke(&certificate).await;
    assert_eq!(blocked().await, Ok(false), "a revocation alone blocks no key");
    let mut upgrade = change(certificate.id, SUPERSEDED, COMPROMISED);
    upgrade.compromised_since = Some(NOW);
    assert!(matches!(fixture.store.change_standing(upgrade).await, Ok(ChangeOutcome::Applied { .. })));
    assert_eq!(blocked().await, Ok(true));
    // The same key in another certificate, issued before: blocking a key twice is harmless.
    let mut again = change(certificate.id, COMPROMISED, SUPERSEDED);
    again.compromised_since = Some(NOW);
    assert!(matches!(fixture.store.change_standing(again).await, Ok(ChangeOutcome::Applied { .. })));
    fixture.change_now(certificate.id, SUPERSEDED, Standing::Active).await;
    assert_eq!(blocked().await, Ok(true), "for ever");
}

async fn one_of_two_concurrent_revocations_is_applied(fixture: Fixture) {
    for _ in 0..5 {
        let certificate = fixture.issued().await;
        let before = fixture.event_count().await;
        let outcomes = futures::join!(
            fixture.change(certificate.id, Standing::Active, SUPERSEDED),
            fixture.change(certificate.id, Standing::Active, COMPROMISED)
        );
        let expected = match outcomes {
            (ChangeOutcome::Applied { .. }, ChangeOutcome::Stale) => SUPERSEDED,
            (ChangeOutcome::Stale, ChangeOutcome::Applied { .. }) => COMPROMISED,
            both => panic!("exactly one is applied, not {both:?}"),
        };
        assert_eq!(state(&fixture, &certificate).await, SerialState::Issued(expected));
        assert_eq!(fixture.event_count().await, before + 1);
    }
}

async fn the_sequence_has_no_gaps(fixture: Fixture) {
    assert_eq!(fixture.sequence().await, 0);
    let mut expected = Vec::new();
    for number in 1..=4 {
        let certificate = fixture.issued().await;
        assert_eq!(fixture.revoke(&certificate).await, number);
        assert_eq!(fixture.sequence().await, number);
        // What is not applied takes no number.
        assert_eq!(fixture.change(certificate.id, Standing::Active, HELD).await, ChangeOutcome::Stale);
        expected.push(RevocationRow {
            sequence: number,
            authority: certificate.authority,
            serial: certificate.serial,
            standing: SUPERSEDED,
            not_after: certificate.validity.not_after,
        });
    }
    assert_eq!(fixture.store.revocations_after(0, 10).await, Ok(expected));
}

async fn the_sequence_is_read_in_parts(fixture: Fixture) {
    for _ in 0..5 {
        let certificate = fixture.issued().await;
        fixture.revoke(&certificate).await;
    }
    for (after, limit, expected) in
        [(0, 2, vec![1, 2]), (2, 2, vec![3, 4]), (4, 2, vec![5]), (5, 2, vec![]), (9, 2, vec![])]
    {
        assert_eq!(numbers(&fixture, after, limit).await, expected, "after {after}");
    }
}

async fn concurrent_changes_are_numbered_without_gaps(fixture: Fixture) {
    let mut certificates = Vec::new();
    for _ in 0..30 {
        certificates.push(fixture.issued().await);
    }
    let mut numbers = join_all(certificates.iter().map(|certificate| fixture.revoke(certificate))).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=30).collect::<Vec<_>>());
    assert_eq!(fixture.sequence().await, 30);
}

async fn a_reader_never_sees_a_number_before_a_lower_one(fixture: Fixture) {
    let mut certificates = Vec::new();
    for _ in 0..20 {
        certificates.push(fixture.issued().await);
    }
    let another = fixture.another().await;
    let reader = async {
        loop {
            let rows = another.revocations_after(0, 100).await.expect("revocations_after");
            let seen: Vec<_> = rows.iter().map(|row| row.sequence).collect();
            assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>(), "a lower number is missing");
            if seen.len() == certificates.len() {
                return;
            }
        }
    };
    let writers = join_all(certificates.iter().map(|certificate| fixture.revoke(certificate)));
    futures::join!(reader, writers);
}

async fn state(fixture: &Fixture, certificate: &StoredCertificate) -> SerialState {
    let status = fixture.store.status(&certificate.authority, &certificate.serial).await.expect("status");
    status.expect("known").state
}

async fn numbers(fixture: &Fixture, after: u64, limit: u32) -> Vec<u64> {
    let rows = fixture.store.revocations_after(after, limit).await.expect("revocations_after");
    rows.iter().map(|row| row.sequence).collect()
}
