//! What a restoration changes.

use ca_core::audit::AuditAction;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::time::Lifetime;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, authority, certificate_id, event, journal, serial};
use crate::port::store::{
    Gaps, Journal, LostSerial, Reservation, ReserveOutcome, SerialState, SettingChange, StoreError,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        a_lost_serial_answers_as_revoked_and_is_no_certificate,
        a_lost_serial_is_on_the_list_and_in_the_sequence,
        a_serial_that_is_on_record_is_not_lost,
        the_key_of_a_lost_serial_is_blocked,
        the_sequence_goes_on_behind_a_gap_and_never_falls,
        leases_from_before_a_gap_are_fenced_off,
        gaps_and_settings_change_together_or_not_at_all,
    ]
}

const REVOCATION: Revocation =
    Revocation { revoked_at: NOW, reason: RevocationReason::KeyCompromise, invalidity_date: None };

fn lost(fixture: &Fixture) -> LostSerial {
    let number = fixture.number();
    let id = certificate_id(number);
    LostSerial {
        id,
        authority: authority("tls"),
        serial: serial(number),
        revocation: REVOCATION,
        not_after: NOW.plus(Lifetime::from_days(90)),
        blocked_key: None,
        journal: Journal { messages: Vec::new(), ..journal(AuditAction::CertificateRevoked, id) },
    }
}

async fn record(fixture: &Fixture, lost: &LostSerial) -> bool {
    fixture.store.record_lost_serial(lost.clone()).await.expect("record_lost_serial")
}

async fn a_lost_serial_answers_as_revoked_and_is_no_certificate(fixture: Fixture) {
    let (lost, events) = (lost(&fixture), fixture.event_count().await);
    assert!(record(&fixture, &lost).await);
    assert_eq!(fixture.event_count().await, events + 1);
    let status = fixture.store.status(&lost.authority, &lost.serial).await.expect("status").expect("known");
    assert_eq!(status.state, SerialState::Abandoned(REVOCATION));
    assert_eq!((status.certificate, status.not_after), (lost.id, lost.not_after));
    assert_eq!(fixture.store.certificate(lost.id).await, Ok(None));
    assert_eq!(fixture.store.certificate_by_serial(&lost.authority, &lost.serial).await, Ok(None));
    let again = Reservation { serial: lost.serial.clone(), ..fixture.reservation() };
    assert_eq!(fixture.reserve(&again).await, ReserveOutcome::SerialTaken, "it is never given out again");
}

async fn a_lost_serial_is_on_the_list_and_in_the_sequence(fixture: Fixture) {
    let (lost, sequence) = (lost(&fixture), fixture.sequence().await);
    assert!(record(&fixture, &lost).await);
    let listed = fixture.store.revoked_serials(&lost.authority, NOW, None, 10).await;
    assert_eq!(listed, Ok(vec![(lost.serial.clone(), REVOCATION)]));
    let rows = fixture.store.revocations_after(sequence, 10).await.expect("revocations_after");
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].sequence, &rows[0].serial), (sequence + 1, &lost.serial));
    assert_eq!((rows[0].standing, rows[0].not_after), (Standing::Revoked(REVOCATION), lost.not_after));
}

async fn a_serial_that_is_on_record_is_not_lost(fixture: Fixture) {
    let issued = fixture.issued().await;
    let reserved = fixture.reserved().await;
    let once = lost(&fixture);
    assert!(record(&fixture, &once).await);
    let (events, sequence) = (fixture.event_count().await, fixture.sequence().await);
    for serial in [&issued.serial, &reserved.serial, &once.serial] {
        let again = LostSerial { serial: serial.clone(), ..lost(&fixture) };
        assert!(!record(&fixture, &again).await);
    }
    assert_eq!((fixture.event_count().await, fixture.sequence().await), (events, sequence), "nothing happened");
    let status = fixture.store.status(&issued.authority, &issued.serial).await.expect("status").expect("known");
    assert_eq!(status.state, SerialState::Issued(Standing::Active));
}

async fn the_key_of_a_lost_serial_is_blocked(fixture: Fixture) {
    let key = [0xab; 32];
    let lost = LostSerial { blocked_key: Some(key), ..lost(&fixture) };
    assert!(record(&fixture, &lost).await);
    assert_eq!(fixture.store.is_key_blocked(&key).await, Ok(true));
    let with_key = Reservation { spki_sha256: key, ..fixture.reservation() };
    assert_eq!(fixture.reserve(&with_key).await, ReserveOutcome::KeyBlocked);
}

async fn the_sequence_goes_on_behind_a_gap_and_never_falls(fixture: Fixture) {
    let (first, second) = (fixture.issued().await, fixture.issued().await);
    let before = fixture.revoke(&first).await;
    for (floor, expected) in [(1_000, 1_000), (before, 1_000)] {
        leave(&fixture, floor, 0).await;
        assert_eq!(fixture.store.revocation_sequence().await, Ok(expected));
    }
    assert_eq!(fixture.revoke(&second).await, 1_001);
    let rows = fixture.store.revocations_after(before, 10).await.expect("revocations_after");
    assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [1_001]);
}

async fn leases_from_before_a_gap_are_fenced_off(fixture: Fixture) {
    let minute = Lifetime::from_seconds(60);
    let before = fixture.store.acquire_lease("job", "first", minute).await.expect("acquire_lease").expect("free");
    let events = fixture.event_count().await;
    leave(&fixture, 0, 500).await;
    assert_eq!(fixture.event_count().await, events + 1);
    let head = fixture.store.chain_head().await.expect("chain_head");
    let late = fixture.store.chain_events(&before, &head, Vec::new()).await;
    assert_eq!(late, Err(StoreError::Fenced { lease: "job".to_owned() }));
    let after = fixture.store.acquire_lease("job", "first", minute).await.expect("acquire_lease").expect("its own");
    assert!(after.token >= before.token + 500, "{} after {}", after.token, before.token);
}

async fn gaps_and_settings_change_together_or_not_at_all(fixture: Fixture) {
    let setting = |name: &str, expected: Option<&[u8]>, value: &[u8]| SettingChange {
        name: name.to_owned(),
        expected: expected.map(<[u8]>::to_vec),
        value: value.to_vec(),
    };
    let with = |settings| {
        let journal = Journal::of(event(AuditAction::RecordRestored, "service"));
        fixture.store.leave_gaps(Gaps { revocation_sequence: 700, lease_tokens: 0, settings, journal })
    };
    let (events, sequence) = (fixture.event_count().await, fixture.store.revocation_sequence().await);
    let refused = with(vec![setting("first", None, b"1"), setting("second", Some(b"no"), b"2")]).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(fixture.store.setting("first").await, Ok(None));
    assert_eq!((fixture.event_count().await, fixture.store.revocation_sequence().await), (events, sequence));
    assert_eq!(with(vec![setting("first", None, b"1"), setting("second", None, b"2")]).await, Ok(()));
    assert_eq!(with(vec![setting("first", Some(b"1"), b"3")]).await, Ok(()));
    assert_eq!(fixture.store.setting("first").await, Ok(Some(b"3".to_vec())));
    assert_eq!(fixture.store.setting("second").await, Ok(Some(b"2".to_vec())));
    assert_eq!(fixture.store.revocation_sequence().await, Ok(700));
}

async fn leave(fixture: &Fixture, revocation_sequence: u64, lease_tokens: u64) {
    let journal = Journal::of(event(AuditAction::RecordRestored, "service"));
    let gaps = Gaps { revocation_sequence, lease_tokens, settings: Vec::new(), journal };
    fixture.store.leave_gaps(gaps).await.expect("leave_gaps");
}
