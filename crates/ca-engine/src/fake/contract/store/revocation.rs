//! What a CRL is made from.

use ca_core::revocation::Standing;
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp, Validity};

use super::super::case::{Case, cases};
use super::fixture::{Fixture, HELD, NOW, SUPERSEDED, authority};
use crate::port::store::Reservation;

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        a_list_holds_what_is_revoked_held_or_abandoned,
        entries_say_when_and_why,
        expired_entries_leave_the_list,
        a_list_holds_one_issuer_s_serials,
        entries_come_in_the_order_of_their_octets,
        pages_of_entries_join_without_gap_or_overlap,
    ]
}

async fn a_list_holds_what_is_revoked_held_or_abandoned(fixture: Fixture) {
    fixture.issued().await;
    fixture.reserved().await;
    let released = fixture.issued().await;
    fixture.hold(&released).await;
    fixture.change_now(released.id, HELD, Standing::Active).await;
    assert_eq!(serials(&fixture, NOW).await, [], "active, reserved and released ones are not on it");
    let revoked = fixture.issued().await;
    fixture.revoke(&revoked).await;
    let held = fixture.issued().await;
    fixture.hold(&held).await;
    let abandoned = fixture.reserved().await;
    assert!(fixture.abandon(abandoned.id).await);
    assert_eq!(serials(&fixture, NOW).await, [revoked.serial, held.serial, abandoned.serial]);
    assert_eq!(fixture.store.count_revoked(&authority("tls"), NOW).await, Ok(3));
}

async fn entries_say_when_and_why(fixture: Fixture) {
    let (held, revoked) = (fixture.issued().await, fixture.issued().await);
    fixture.hold(&held).await;
    fixture.revoke(&revoked).await;
    let entries = fixture.store.revoked_serials(&authority("tls"), NOW, None, 10).await.expect("revoked_serials");
    let entries: Vec<_> =
        entries.into_iter().map(|(serial, revocation)| (serial, Standing::Revoked(revocation))).collect();
    assert_eq!(entries, [(held.serial, HELD), (revoked.serial, SUPERSEDED)]);
}

async fn expired_entries_leave_the_list(fixture: Fixture) {
    let not_after = NOW.plus(Lifetime::from_days(10));
    let validity = Validity { not_before: NOW, not_after };
    let certificate = fixture.issue(Reservation { validity, ..fixture.reservation() }).await;
    fixture.revoke(&certificate).await;
    let later = not_after.plus(Lifetime::from_seconds(1));
    assert_eq!(serials(&fixture, not_after).await, [certificate.serial], "its last second counts");
    assert_eq!(serials(&fixture, later).await, []);
    assert_eq!(fixture.store.count_revoked(&authority("tls"), not_after).await, Ok(1));
    assert_eq!(fixture.store.count_revoked(&authority("tls"), later).await, Ok(0));
}

async fn a_list_holds_one_issuer_s_serials(fixture: Fixture) {
    let own = fixture.issued().await;
    let other = fixture.issue(Reservation { authority: authority("tls-2"), ..fixture.reservation() }).await;
    fixture.revoke(&own).await;
    fixture.revoke(&other).await;
    assert_eq!(serials(&fixture, NOW).await, [own.serial]);
    assert_eq!(fixture.store.count_revoked(&authority("tls-2"), NOW).await, Ok(1));
    assert_eq!(fixture.store.count_revoked(&authority("root"), NOW).await, Ok(0));
}

async fn entries_come_in_the_order_of_their_octets(fixture: Fixture) {
    // Imported serials have other lengths than ours; octets are compared from the left, whatever their number.
    let ordered: [&[u8]; 6] = [&[0x01], &[0x01, 0x00], &[0x02], &[0x7f, 0xff], &[0x80], &[0xff, 0x00, 0x01]];
    for index in [3, 0, 5, 2, 4, 1] {
        let serial = Serial::from_bytes(ordered[index]).expect("a serial");
        let certificate = fixture.issue(Reservation { serial, ..fixture.reservation() }).await;
        fixture.revoke(&certificate).await;
    }
    let expected = ordered.map(|octets| Serial::from_bytes(octets).expect("a serial"));
    assert_eq!(serials(&fixture, NOW).await, expected);
}

async fn pages_of_entries_join_without_gap_or_overlap(fixture: Fixture) {
    let mut expected = Vec::new();
    for _ in 0..7 {
        let certificate = fixture.issued().await;
        fixture.revoke(&certificate).await;
        expected.push(certificate.serial);
    }
    for limit in [1, 3, 7, 100] {
        let mut all: Vec<Serial> = Vec::new();
        loop {
            let page = fixture.store.revoked_serials(&authority("tls"), NOW, all.last(), limit).await;
            let page = page.expect("revoked_serials");
            assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            all.extend(page.into_iter().map(|(serial, _)| serial));
        }
        assert_eq!(all, expected, "pages of {limit}");
    }
}

async fn serials(fixture: &Fixture, not_after_from: Timestamp) -> Vec<Serial> {
    let page = fixture.store.revoked_serials(&authority("tls"), not_after_from, None, 100).await;
    page.expect("revoked_serials").into_iter().map(|(serial, _)| serial).collect()
}
