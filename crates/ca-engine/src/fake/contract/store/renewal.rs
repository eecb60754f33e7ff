//! Moved windows, what is told once of renewals that are asked for twice, and nonces that are used once.

use ca_core::audit::AuditAction;
use ca_core::id::{CertificateId, WindowMoveId};
use ca_core::renewal::{RenewalScope, RenewalWindow, Waves};
use ca_core::time::Lifetime;
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, authority, event, profile};
use crate::port::store::{Journal, WindowMove};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        moves_are_listed_newest_first_as_they_were_put_there,
        a_move_that_is_removed_is_gone_and_told_once,
        a_repeated_renewal_is_told_once_for_each_successor,
        of_many_that_note_the_same_repetition_at_once_one_tells,
        a_nonce_is_used_once_until_its_end,
        of_many_that_use_a_nonce_at_once_one_does,
    ]
}

fn window_move(number: u8) -> WindowMove {
    let whole =
        RenewalScope { authority: None, profile: None, certificate: None, issued_after: None, issued_before: NOW };
    let window = RenewalWindow { start: NOW, end: NOW.plus(Lifetime::from_days(u64::from(number))) };
    WindowMove {
        id: WindowMoveId::from_bytes([number; 16]),
        scope: match number {
            1 => RenewalScope { authority: Some(authority("tls")), ..whole },
            _ => RenewalScope {
                profile: Some(profile("server")),
                certificate: Some(CertificateId::from_bytes([number; 16])),
                issued_after: Some(NOW.minus(Lifetime::from_days(9))),
                ..whole
            },
        },
        waves: Waves { window, count: u32::from(number) },
        explanation_url: (number > 1).then(|| "https://example.com/why".to_owned()),
        moved_by: "local".to_owned(),
        moved_at: NOW,
    }
}

fn moved(number: u8) -> Journal {
    let id = window_move(number).id;
    Journal::of(event(AuditAction::RenewalWindowsMoved, &format!("renewal-window:{id}")))
}

async fn moves_are_listed_newest_first_as_they_were_put_there(fixture: Fixture) {
    assert_eq!(fixture.store.window_moves().await, Ok(Vec::new()));
    let before = fixture.event_count().await;
    for number in [1, 3, 2] {
        assert_eq!(fixture.store.add_window_move(window_move(number), moved(number)).await, Ok(()));
    }
    let listed = fixture.another().await.window_moves().await;
    assert_eq!(listed, Ok(vec![window_move(3), window_move(2), window_move(1)]));
    assert_eq!(fixture.event_count().await, before + 3);
}

async fn a_move_that_is_removed_is_gone_and_told_once(fixture: Fixture) {
    for number in [1, 2] {
        fixture.store.add_window_move(window_move(number), moved(number)).await.expect("new");
    }
    let before = fixture.event_count().await;
    let remove = || {
        let id = window_move(1).id;
        let event = event(AuditAction::RenewalWindowsRestored, &format!("renewal-window:{id}"));
        fixture.store.remove_window_move(id, Journal::of(event))
    };
    assert_eq!(remove().await, Ok(true));
    assert_eq!(remove().await, Ok(false));
    assert_eq!(fixture.store.window_moves().await, Ok(vec![window_move(2)]));
    assert_eq!(fixture.event_count().await, before + 1, "nothing is told of what did not happen");
}

const CERTIFICATE: CertificateId = CertificateId::from_bytes([1; 16]);

fn repeated() -> Journal {
    Journal::of(event(AuditAction::RenewalRepeated, &format!("certificate:{CERTIFICATE}")))
}

async fn a_repeated_renewal_is_told_once_for_each_successor(fixture: Fixture) {
    let before = fixture.event_count().await;
    let note = |successor| {
        fixture.store.note_repeated_renewal(CERTIFICATE, CertificateId::from_bytes([successor; 16]), repeated())
    };
    assert_eq!(note(2).await, Ok(true));
    assert_eq!(note(2).await, Ok(false));
    assert_eq!(note(3).await, Ok(true));
    assert_eq!(fixture.event_count().await, before + 2);
}

async fn of_many_that_note_the_same_repetition_at_once_one_tells(fixture: Fixture) {
    let before = fixture.event_count().await;
    let successor = CertificateId::from_bytes([2; 16]);
    let noted = join_all((0..5).map(|_| fixture.store.note_repeated_renewal(CERTIFICATE, successor, repeated()))).await;
    assert_eq!(noted.iter().filter(|noted| **noted == Ok(true)).count(), 1, "{noted:?}");
    assert!(noted.iter().all(Result::is_ok), "{noted:?}");
    assert_eq!(fixture.event_count().await, before + 1);
}

async fn a_nonce_is_used_once_until_its_end(fixture: Fixture) {
    let minute = Lifetime::from_seconds(60);
    let use_nonce = |nonce: u8, now| fixture.store.use_nonce([nonce; 32], NOW.plus(minute), now);
    assert_eq!(use_nonce(1, NOW).await, Ok(true));
    assert_eq!(use_nonce(1, NOW).await, Ok(false));
    assert_eq!(use_nonce(2, NOW).await, Ok(true), "another one");
    assert_eq!(fixture.another().await.use_nonce([1; 32], NOW.plus(minute), NOW).await, Ok(false));
    // It is not good any more, and need not be remembered.
    assert_eq!(use_nonce(1, NOW.plus(minute)).await, Ok(true));
}

async fn of_many_that_use_a_nonce_at_once_one_does(fixture: Fixture) {
    let used =
        join_all((0..5).map(|_| fixture.store.use_nonce([3; 32], NOW.plus(Lifetime::from_seconds(60)), NOW))).await;
    assert_eq!(used.iter().filter(|used| **used == Ok(true)).count(), 1, "{used:?}");
    assert!(used.iter().all(Result::is_ok), "{used:?}");
}
