//! Shards and deltas: intended, then published, each scope by itself; withdrawn by a restoration.

use ca_core::audit::AuditAction;
use ca_core::crl::PartialScope;
use ca_core::serial::ShardNumber;
use ca_core::time::{Lifetime, Timestamp};
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, authority, crl_intent, event};
use crate::port::list_octets::ListOctets;
use crate::port::store::{CrlIntent, Gaps, Journal, Lease, PartialIntent, PublishedPartial, StoreError};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        a_partial_list_is_intended_then_published,
        a_large_list_of_a_scope_is_kept_to_its_last_octet,
        each_scope_counts_for_itself,
        numbers_and_times_of_a_scope_only_rise,
        complete_lists_and_deltas_share_one_sequence,
        what_was_not_intended_for_its_scope_is_not_published,
        a_publication_of_a_scope_that_is_repeated_is_one_event,
        an_older_lease_makes_no_partial_list,
        one_of_two_concurrent_intents_of_a_scope_gets_a_number,
        a_restoration_withdraws_what_is_published_and_keeps_the_numbers,
        the_oldest_complete_list_that_lasts_is_found,
    ]
}

const DELTA: PartialScope = PartialScope::Delta;

fn shard(number: u32) -> PartialScope {
    PartialScope::Shard(ShardNumber::new(number).expect("a shard"))
}

fn intent(scope: PartialScope, number: u64) -> PartialIntent {
    let base_number = (scope == DELTA).then(|| number - 1);
    let crl = CrlIntent { entries: 7, revocation_sequence: 9, ..crl_intent("tls", number) };
    PartialIntent { scope, base_number, crl }
}

async fn a_partial_list_is_intended_then_published(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    let tls = authority("tls");
    for scope in [DELTA, shard(1), shard(ShardNumber::HIGHEST)] {
        let newest = || fixture.store.newest_partial_crl(&tls, scope);
        assert_eq!(newest().await, Ok(None));
        let intent = intent(scope, 3);
        assert_eq!(fixture.store.intend_partial_crl(&lease, intent.clone()).await, Ok(()));
        let record = newest().await.expect("newest").expect("on record");
        assert_eq!((record.intent, record.published), (intent.clone(), false));
        assert_eq!(fixture.store.published_partial_crl(&authority("tls"), scope).await, Ok(None));
        assert_eq!(publish(&fixture, &lease, scope, 3).await, Ok(()));
        assert!(newest().await.expect("newest").expect("on record").published);
        let published = PublishedPartial { intent, der: der(scope, 3) };
        assert_eq!(fixture.store.published_partial_crl(&authority("tls"), scope).await, Ok(Some(published)));
    }
    assert_eq!(fixture.store.published_numbers().await, Ok(Vec::new()), "none of them is a complete list");
    assert_eq!(fixture.store.newest_crl(&authority("tls")).await, Ok(None));
}

/// Larger than whatever a store reads or writes at a time, and smaller again; the lists of other scopes stay as they are.
async fn a_large_list_of_a_scope_is_kept_to_its_last_octet(fixture: Fixture) {
    let (lease, tls) = (prepared(&fixture).await, authority("tls"));
    let of = |scope: PartialScope, number: u64, octets: u32| -> ListOctets {
        let seed = number as u32 * 7 + scope.to_column();
        let octets = (0..octets).map(|place| (place ^ seed).wrapping_mul(2_654_435_761).to_be_bytes()[0]);
        octets.collect::<Vec<u8>>().into()
    };
    for (number, octets) in [(1, 3 * 1024 * 1024 + 5), (2, 2 * 1024 * 1024), (3, 1024 * 1024 + 1), (4, 10)] {
        for scope in [DELTA, shard(1), shard(2)] {
            let der = of(scope, number, octets);
            fixture.store.intend_partial_crl(&lease, intent(scope, number)).await.expect("intended");
            let put = |der| {
                let journal = Journal::of(event(AuditAction::CrlPublished, "authority:tls"));
                fixture.store.publish_partial_crl(&lease, &tls, scope, number, der, journal)
            };
            assert_eq!(put(der.clone()).await, Ok(()));
            assert_eq!(put(der).await, Ok(()), "repeating is harmless");
            let other = put(of(scope, number + 1, octets)).await;
            assert!(matches!(other, Err(StoreError::Conflict { .. })), "{other:?}");
        }
        for scope in [DELTA, shard(1), shard(2)] {
            let read = fixture.store.published_partial_crl(&tls, scope).await.expect("answers").expect("a list");
            assert!(read.intent.crl.number == number && read.der == of(scope, number, octets), "{scope}: {read:?}");
        }
    }
}

async fn each_scope_counts_for_itself(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    for (scope, number) in [(shard(1), 5), (shard(2), 1), (DELTA, 9), (shard(2), 2)] {
        fixture.store.intend_partial_crl(&lease, intent(scope, number)).await.expect("intended");
        publish(&fixture, &lease, scope, number).await.expect("published");
    }
    let tls = || authority("tls");
    let mut numbers = fixture.store.published_partial_numbers().await.expect("numbers");
    numbers.sort();
    assert_eq!(numbers, [(tls(), DELTA, 9), (tls(), shard(1), 5), (tls(), shard(2), 2)]);
    // An intent hides nothing.
    fixture.store.intend_partial_crl(&lease, intent(shard(1), 6)).await.expect("intended");
    let published = fixture.store.published_partial_crl(&authority("tls"), shard(1)).await.expect("answers");
    assert_eq!(published.map(|list| list.intent.crl.number), Some(5));
    let newest =
        fixture.store.newest_partial_crl(&authority("tls"), shard(1)).await.expect("answers").expect("on record");
    assert_eq!((newest.intent.crl.number, newest.published), (6, false));
}

async fn numbers_and_times_of_a_scope_only_rise(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    for scope in [DELTA, shard(1)] {
        fixture.store.intend_partial_crl(&lease, intent(scope, 5)).await.expect("intended");
        for number in [4, 5] {
            let refused = fixture.store.intend_partial_crl(&lease, intent(scope, number)).await;
            assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{scope} {number}: {refused:?}");
        }
        let mut earlier = intent(scope, 6);
        earlier.crl.this_update = NOW.minus(Lifetime::from_seconds(1));
        let refused = fixture.store.intend_partial_crl(&lease, earlier).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{scope}: {refused:?}");
        assert_eq!(fixture.store.intend_partial_crl(&lease, intent(scope, 6)).await, Ok(()));
    }
}

/// RFC 5280 §5.2.3.
async fn complete_lists_and_deltas_share_one_sequence(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    fixture.store.intend_crl(&lease, crl_intent("tls", 5)).await.expect("intended");
    let refused = fixture.store.intend_partial_crl(&lease, intent(DELTA, 5)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(fixture.store.intend_partial_crl(&lease, intent(DELTA, 6)).await, Ok(()));
    let refused = fixture.store.intend_crl(&lease, crl_intent("tls", 6)).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(fixture.store.intend_crl(&lease, crl_intent("tls", 7)).await, Ok(()));
    // Shards, and other authorities, are none of it.
    assert_eq!(fixture.store.intend_partial_crl(&lease, intent(shard(1), 1)).await, Ok(()));
    assert_eq!(fixture.store.intend_crl(&lease, crl_intent("root", 1)).await, Ok(()));
}

async fn what_was_not_intended_for_its_scope_is_not_published(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    fixture.store.intend_partial_crl(&lease, intent(shard(1), 1)).await.expect("intended");
    fixture.store.intend_crl(&lease, crl_intent("tls", 2)).await.expect("intended");
    for (scope, number) in [(shard(1), 2), (shard(2), 1), (DELTA, 1), (DELTA, 2)] {
        let refused = publish(&fixture, &lease, scope, number).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{scope} {number}: {refused:?}");
    }
    fixture.store.intend_partial_crl(&lease, intent(shard(1), 2)).await.expect("intended");
    assert_eq!(publish(&fixture, &lease, shard(1), 2).await, Ok(()));
    let late = publish(&fixture, &lease, shard(1), 1).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
    assert_eq!(fixture.store.published_partial_numbers().await, Ok(vec![(authority("tls"), shard(1), 2)]));
}

async fn a_publication_of_a_scope_that_is_repeated_is_one_event(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    let before = fixture.event_count().await;
    fixture.store.intend_partial_crl(&lease, intent(DELTA, 1)).await.expect("intended");
    assert_eq!(fixture.event_count().await, before, "an intent is told of by its publication");
    for _ in 0..2 {
        assert_eq!(publish(&fixture, &lease, DELTA, 1).await, Ok(()));
    }
    assert_eq!(fixture.events().await.split_off(before).len(), 1);
    let journal = Journal::of(event(AuditAction::CrlPublished, "authority:tls"));
    let other = fixture.store.publish_partial_crl(&lease, &authority("tls"), DELTA, 1, vec![1].into(), journal).await;
    assert!(matches!(other, Err(StoreError::Conflict { .. })), "{other:?}");
}

async fn an_older_lease_makes_no_partial_list(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    fixture.store.intend_partial_crl(&lease, intent(shard(1), 1)).await.expect("intended");
    let lost = fixture.lost_lease("another-crl-job").await;
    let fenced = Err(StoreError::Fenced { lease: lost.name.clone() });
    assert_eq!(fixture.store.intend_partial_crl(&lost, intent(shard(1), 2)).await, fenced);
    assert_eq!(publish(&fixture, &lost, shard(1), 1).await, fenced);
    assert_eq!(fixture.store.published_partial_numbers().await, Ok(Vec::new()));
}

async fn one_of_two_concurrent_intents_of_a_scope_gets_a_number(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    for number in 1..=5 {
        let both = (0..2).map(|_| fixture.store.intend_partial_crl(&lease, intent(shard(1), number)));
        let outcomes = join_all(both).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    }
}

async fn a_restoration_withdraws_what_is_published_and_keeps_the_numbers(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    for scope in [DELTA, shard(1)] {
        fixture.store.intend_partial_crl(&lease, intent(scope, 4)).await.expect("intended");
        publish(&fixture, &lease, scope, 4).await.expect("published");
    }
    let journal = Journal::of(event(AuditAction::RecordRestored, "service"));
    let gaps = Gaps { revocation_sequence: 10, lease_tokens: 10, settings: Vec::new(), journal };
    fixture.store.leave_gaps(gaps).await.expect("gaps");
    assert_eq!(fixture.store.published_partial_numbers().await, Ok(Vec::new()));
    let lease = fixture.lease("crl").await;
    for scope in [DELTA, shard(1)] {
        assert_eq!(fixture.store.published_partial_crl(&authority("tls"), scope).await, Ok(None));
        let newest =
            fixture.store.newest_partial_crl(&authority("tls"), scope).await.expect("answers").expect("on record");
        assert_eq!((newest.intent.crl.number, newest.published), (4, false));
        let refused = fixture.store.intend_partial_crl(&lease, intent(scope, 4)).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    }
}

async fn the_oldest_complete_list_that_lasts_is_found(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    let after = |seconds| NOW.plus(Lifetime::from_seconds(seconds));
    for (number, end) in [(1, 10), (2, 20), (3, 30), (5, 50)] {
        let intent = CrlIntent { next_update: after(end), ..crl_intent("tls", number) };
        fixture.store.intend_crl(&lease, intent).await.expect("intended");
        // The third was never signed.
        if number != 3 {
            let journal = Journal::of(event(AuditAction::CrlPublished, "authority:tls"));
            let published =
                fixture.store.publish_crl(&lease, &authority("tls"), number, [1].as_slice().into(), journal).await;
            published.expect("published");
        }
    }
    let tls = authority("tls");
    let find = |number, at: Timestamp| {
        let lasting = fixture.store.lasting_crl(&tls, number, at);
        async move { lasting.await.expect("answers").map(|intent| intent.number) }
    };
    assert_eq!(find(0, NOW).await, Some(1));
    assert_eq!(find(2, NOW).await, Some(2));
    assert_eq!(find(0, after(10)).await, Some(2), "at its nextUpdate a list has ended");
    assert_eq!(find(0, after(25)).await, Some(5));
    assert_eq!(find(6, NOW).await, None);
    assert_eq!(find(u64::MAX, NOW).await, None);
    assert_eq!(find(0, after(50)).await, None);
    assert_eq!(fixture.store.lasting_crl(&authority("root"), 0, NOW).await, Ok(None));
}

/// The authorities `root` and `tls`, and the lease under which their CRLs are made.
async fn prepared(fixture: &Fixture) -> Lease {
    fixture.authority("root", None).await;
    fixture.authority("tls", Some("root")).await;
    fixture.lease("crl").await
}

async fn publish(fixture: &Fixture, lease: &Lease, scope: PartialScope, number: u64) -> Result<(), StoreError> {
    let journal = Journal::of(event(AuditAction::CrlPublished, "authority:tls"));
    fixture.store.publish_partial_crl(lease, &authority("tls"), scope, number, der(scope, number), journal).await
}

fn der(scope: PartialScope, number: u64) -> ListOctets {
    format!("{scope} {number}").into_bytes().into()
}
