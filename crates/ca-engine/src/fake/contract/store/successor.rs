//! Renewal: one live successor of an active predecessor.

use ca_core::principal::Role;
use ca_core::revocation::Standing;
use ca_core::time::{Lifetime, Timestamp};
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{COMPROMISED, Fixture, HELD, NOW, SUPERSEDED, certificate_id, change, completion};
use crate::port::store::{
    ChangeOutcome, CompleteOutcome, Completion, Reservation, ReserveOutcome, StandingChange, StoredCertificate,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        a_reserved_or_issued_successor_bars_a_second,
        an_abandoned_or_revoked_successor_bars_nothing,
        a_held_successor_is_live,
        only_an_active_certificate_has_successors,
        a_released_certificate_can_be_renewed,
        the_live_successor_is_found,
        one_of_two_concurrent_successors_is_reserved,
        descendants_are_found_through_any_number_of_renewals,
        a_compromise_takes_the_roles_of_descendants,
        a_compromise_leaves_the_roles_of_earlier_renewals,
        other_revocations_leave_the_roles_of_descendants,
    ]
}

async fn a_reserved_or_issued_successor_bars_a_second(fixture: Fixture) {
    let predecessor = fixture.issued().await;
    let successor = fixture.reserve_now(fixture.successor_of(&predecessor)).await;
    let second = fixture.successor_of(&predecessor);
    assert_eq!(fixture.reserve(&second).await, ReserveOutcome::SuccessorExists(successor.id));
    fixture.complete_now(successor.id).await;
    assert_eq!(fixture.reserve(&second).await, ReserveOutcome::SuccessorExists(successor.id));
}

async fn an_abandoned_or_revoked_successor_bars_nothing(fixture: Fixture) {
    let predecessor = fixture.issued().await;
    let abandoned = fixture.reserve_now(fixture.successor_of(&predecessor)).await;
    assert!(fixture.abandon(abandoned.id).await);
    let revoked = fixture.issue(fixture.successor_of(&predecessor)).await;
    fixture.revoke(&revoked).await;
    fixture.issue(fixture.successor_of(&predecessor)).await;
}

/// Were it not, the end of its hold would make two.
async fn a_held_successor_is_live(fixture: Fixture) {
    let predecessor = fixture.issued().await;
    let successor = fixture.issue(fixture.successor_of(&predecessor)).await;
    fixture.hold(&successor).await;
    let second = fixture.successor_of(&predecessor);
    assert_eq!(fixture.reserve(&second).await, ReserveOutcome::SuccessorExists(successor.id));
    assert_eq!(fixture.store.successor(predecessor.id).await, Ok(Some(successor.id)));
    fixture.change_now(successor.id, HELD, SUPERSEDED).await;
    assert_eq!(fixture.reserve(&second).await, ReserveOutcome::Reserved);
}

async fn only_an_active_certificate_has_successors(fixture: Fixture) {
    let renewal_of = |id| Reservation { renews: Some(id), ..fixture.reservation() };
    let reserved = fixture.reserved().await;
    let abandoned = fixture.reserved().await;
    assert!(fixture.abandon(abandoned.id).await);
    let revoked = fixture.issued().await;
    fixture.revoke(&revoked).await;
    let held = fixture.issued().await;
    fixture.hold(&held).await;
    let unknown = certificate_id(1_000_000);
    for id in [unknown, reserved.id, abandoned.id, revoked.id, held.id] {
        assert_eq!(fixture.reserve(&renewal_of(id)).await, ReserveOutcome::PredecessorNotActive);
    }
}

async fn a_released_certificate_can_be_renewed(fixture: Fixture) {
    let predecessor = fixture.issued().await;
    fixture.hold(&predecessor).await;
    fixture.change_now(predecessor.id, HELD, Standing::Active).await;
    let successor = fixture.issue(fixture.successor_of(&predecessor)).await;
    assert_eq!(successor.renews, Some(predecessor.id));
}

async fn the_live_successor_is_found(fixture: Fixture) {
    let predecessor = fixture.issued().await;
    let successor_of = |id| fixture.store.successor(id);
    assert_eq!(successor_of(predecessor.id).await, Ok(None));
    let successor = fixture.reserve_now(fixture.successor_of(&predecessor)).await;
    assert_eq!(successor_of(predecessor.id).await, Ok(None), "a reservation is no certificate");
    let successor = fixture.complete_now(successor.id).await;
    assert_eq!(successor_of(predecessor.id).await, Ok(Some(successor.id)));
    assert_eq!(successor_of(successor.id).await, Ok(None));
    fixture.revoke(&successor).await;
    assert_eq!(successor_of(predecessor.id).await, Ok(None), "it is not live any more");
    let second = fixture.issue(fixture.successor_of(&predecessor)).await;
    assert_eq!(successor_of(predecessor.id).await, Ok(Some(second.id)));
}

async fn one_of_two_concurrent_successors_is_reserved(fixture: Fixture) {
    for _ in 0..5 {
        let predecessor = fixture.issued().await;
        let rivals = [fixture.successor_of(&predecessor), fixture.successor_of(&predecessor)];
        let outcomes = join_all(rivals.iter().map(|rival| fixture.reserve(rival))).await;
        let winner = outcomes.iter().position(|outcome| *outcome == ReserveOutcome::Reserved);
        let winner = winner.expect("one of them is reserved");
        let loser = &outcomes[1 - winner];
        assert_eq!(*loser, ReserveOutcome::SuccessorExists(rivals[winner].id));
    }
}

async fn descendants_are_found_through_any_number_of_renewals(fixture: Fixture) {
    let first = fixture.issued().await;
    assert_eq!(fixture.store.descendants(first.id, NOW).await, Ok(Vec::new()));
    let revoked = fixture.issue(fixture.successor_of(&first)).await;
    let heir_of_revoked = fixture.issue(fixture.successor_of(&revoked)).await;
    fixture.revoke(&revoked).await;
    let second = fixture.issue(fixture.successor_of(&first)).await;
    let third = fixture.issue(fixture.successor_of(&second)).await;
    fixture.reserve_now(fixture.successor_of(&third)).await;
    let mut expected = [revoked.id, heir_of_revoked.id, second.id, third.id];
    expected.sort_unstable();
    assert_eq!(fixture.store.descendants(first.id, NOW).await, Ok(expected.to_vec()), "no reservations");
    assert_eq!(fixture.store.descendants(second.id, NOW).await, Ok(vec![third.id]));
    assert_eq!(fixture.store.descendants(first.id, LATER).await, Ok(Vec::new()), "renewed before");
}

/// Else a thief who renewed an administrator's certificate would stay one after the theft was reported.
async fn a_compromise_takes_the_roles_of_descendants(fixture: Fixture) {
    let stranger = with_role(&fixture, fixture.issued().await).await;
    let (stolen, heirs) = line(&fixture).await;
    let compromise =
        StandingChange { compromised_since: Some(NOW), ..change(stolen.id, Standing::Active, COMPROMISED) };
    assert!(matches!(fixture.store.change_standing(compromise).await, Ok(ChangeOutcome::Applied { .. })));
    for heir in &heirs {
        assert_eq!(fixture.store.roles(heir.id).await, Ok(Vec::new()));
    }
    assert_eq!(fixture.store.roles(stolen.id).await, Ok(vec![Role::Administrator]), "it is revoked itself");
    assert_eq!(fixture.store.roles(stranger.id).await, Ok(vec![Role::Administrator]));
}

async fn a_compromise_leaves_the_roles_of_earlier_renewals(fixture: Fixture) {
    let (stolen, heirs) = line(&fixture).await;
    let compromise =
        StandingChange { compromised_since: Some(LATER), ..change(stolen.id, Standing::Active, COMPROMISED) };
    assert!(matches!(fixture.store.change_standing(compromise).await, Ok(ChangeOutcome::Applied { .. })));
    for heir in &heirs {
        assert_eq!(fixture.store.roles(heir.id).await, Ok(vec![Role::Administrator]));
    }
}

async fn other_revocations_leave_the_roles_of_descendants(fixture: Fixture) {
    let (first, heirs) = line(&fixture).await;
    fixture.revoke(&first).await;
    for heir in &heirs {
        assert_eq!(fixture.store.roles(heir.id).await, Ok(vec![Role::Administrator]));
    }
}

/// An administrator's certificate, its successor and the successor of that, to which the role has passed.
async fn line(fixture: &Fixture) -> (StoredCertificate, [StoredCertificate; 2]) {
    let first = with_role(fixture, fixture.issued().await).await;
    let second = inherit(fixture, &first).await;
    let third = inherit(fixture, &second).await;
    (first, [second, third])
}

async fn with_role(fixture: &Fixture, certificate: StoredCertificate) -> StoredCertificate {
    super::role::grant(fixture, certificate.id, Role::Administrator).await.expect("grant_role");
    certificate
}

async fn inherit(fixture: &Fixture, predecessor: &StoredCertificate) -> StoredCertificate {
    let reserved = fixture.reserve_now(fixture.successor_of(predecessor)).await;
    let completion = Completion { inherit_roles: true, ..completion(reserved.id) };
    let completed = fixture.store.complete(completion).await;
    let Ok(CompleteOutcome::Completed(heir)) = completed else { panic!("a successor is completed, not {completed:?}") };
    assert_eq!(fixture.store.roles(heir.id).await, Ok(vec![Role::Administrator]));
    *heir
}

/// After every completion of the fixture.
const LATER: Timestamp = NOW.plus(Lifetime::from_seconds(1));
