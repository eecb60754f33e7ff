//! CRLs: intended, then published; numbers and times only rise.

use ca_core::audit::AuditAction;
use ca_core::time::Lifetime;
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, authority, crl_intent, event};
use crate::port::list_octets::ListOctets;
use crate::port::store::{CrlIntent, CrlRecord, Journal, Lease, PublishedCrl, StoreError};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        an_intent_is_on_record_before_it_is_published,
        a_published_list_is_kept_as_it_was_given,
        a_large_list_is_kept_to_its_last_octet,
        numbers_only_rise,
        times_never_go_back,
        each_authority_counts_for_itself,
        what_was_not_intended_is_not_published,
        a_lower_number_is_not_published_after_a_higher_one,
        an_unpublished_intent_hides_nothing,
        a_publication_is_one_event,
        an_older_lease_neither_intends_nor_publishes,
        one_of_two_concurrent_intents_gets_a_number,
    ]
}

async fn an_intent_is_on_record_before_it_is_published(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    assert_eq!(fixture.store.newest_crl(&authority("tls")).await, Ok(None));
    let intent = CrlIntent { entries: 7, revocation_sequence: 9, ..crl_intent("tls", 3) };
    assert_eq!(fixture.store.intend_crl(&lease, intent.clone()).await, Ok(()));
    let newest = fixture.store.newest_crl(&authority("tls")).await;
    assert_eq!(newest, Ok(Some(CrlRecord { intent, published: false })));
    assert_eq!(fixture.store.published_crl(&authority("tls")).await, Ok(None));
    assert_eq!(fixture.store.published_numbers().await, Ok(Vec::new()));
}

async fn a_published_list_is_kept_as_it_was_given(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    let intent = CrlIntent { entries: 7, revocation_sequence: 9, ..crl_intent("tls", 3) };
    fixture.store.intend_crl(&lease, intent.clone()).await.expect("intend_crl");
    assert_eq!(publish(&fixture, &lease, "tls", 3).await, Ok(()));
    let published = PublishedCrl { intent: intent.clone(), der: der("tls", 3) };
    assert_eq!(fixture.store.published_crl(&authority("tls")).await, Ok(Some(published)));
    let newest = fixture.store.newest_crl(&authority("tls")).await;
    assert_eq!(newest, Ok(Some(CrlRecord { intent, published: true })));
    assert_eq!(fixture.store.published_numbers().await, Ok(vec![(authority("tls"), 3)]));
}

/// Larger than whatever a store reads or writes at a time, and with an end in the middle of it.
async fn a_large_list_is_kept_to_its_last_octet(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    for (number, octets) in [(1, 3 * 1024 * 1024 + 5), (2, 2 * 1024 * 1024), (3, 0)] {
        let all: Vec<u8> = (0..octets).map(|place: u32| place.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let der = ListOctets::from(all);
        fixture.store.intend_crl(&lease, crl_intent("tls", number)).await.expect("intend_crl");
        let journal = Journal::of(event(AuditAction::CrlPublished, "authority:tls"));
        let published =
            fixture.store.publish_crl(&lease, &authority("tls"), number, der.clone(), journal.clone()).await;
        assert_eq!(published, Ok(()));
        let read = fixture.store.published_crl(&authority("tls")).await.expect("published_crl").expect("a list");
        assert!(read.intent.number == number && read.der == der, "{der:?} came back as {:?}", read.der);
        let again = fixture.store.publish_crl(&lease, &authority("tls"), number, der, journal.clone()).await;
        assert_eq!(again, Ok(()), "repeating is harmless");
        for others in [vec![1; 7], vec![1; octets as usize + 1], vec![2; octets.max(1) as usize]] {
            let journal = journal.clone();
            let other = fixture.store.publish_crl(&lease, &authority("tls"), number, others.into(), journal).await;
            assert!(matches!(other, Err(StoreError::Conflict { .. })), "{other:?}");
        }
    }
}

async fn numbers_only_rise(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    let intend = |number| fixture.store.intend_crl(&lease, crl_intent("tls", number));
    assert_eq!(intend(5).await, Ok(()));
    for number in [5, 4, 1] {
        assert!(matches!(intend(number).await, Err(StoreError::Conflict { .. })), "{number} after 5");
    }
    assert_eq!(intend(9).await, Ok(()), "gaps are allowed");
    assert!(matches!(intend(9).await, Err(StoreError::Conflict { .. })));
}

async fn times_never_go_back(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    let intend =
        |number, this_update| fixture.store.intend_crl(&lease, CrlIntent { this_update, ..crl_intent("tls", number) });
    assert_eq!(intend(1, NOW).await, Ok(()));
    let earlier = intend(2, NOW.minus(Lifetime::from_seconds(1))).await;
    assert!(matches!(earlier, Err(StoreError::Conflict { .. })), "an unpublished intent counts too");
    assert_eq!(intend(2, NOW).await, Ok(()), "the same second is not before");
    assert_eq!(intend(3, NOW.plus(Lifetime::from_seconds(1))).await, Ok(()));
}

async fn each_authority_counts_for_itself(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    for (issuer, number) in [("tls", 5), ("root", 2), ("tls", 6)] {
        assert_eq!(fixture.store.intend_crl(&lease, crl_intent(issuer, number)).await, Ok(()));
        assert_eq!(publish(&fixture, &lease, issuer, number).await, Ok(()));
    }
    let mut numbers = fixture.store.published_numbers().await.expect("published_numbers");
    numbers.sort();
    assert_eq!(numbers, [(authority("root"), 2), (authority("tls"), 6)]);
    for (issuer, number) in numbers {
        let published = fixture.store.published_crl(&issuer).await.expect("published_crl").expect("published");
        assert_eq!((published.intent.number, published.der), (number, der(issuer.as_str(), number)));
    }
}

async fn what_was_not_intended_is_not_published(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    assert!(matches!(publish(&fixture, &lease, "tls", 1).await, Err(StoreError::Conflict { .. })));
    fixture.store.intend_crl(&lease, crl_intent("tls", 1)).await.expect("intend_crl");
    for (issuer, number) in [("tls", 2), ("root", 1)] {
        let refused = publish(&fixture, &lease, issuer, number).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{issuer} {number}: {refused:?}");
    }
    assert_eq!(fixture.store.published_numbers().await, Ok(Vec::new()));
}

async fn a_lower_number_is_not_published_after_a_higher_one(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    for number in [1, 2] {
        fixture.store.intend_crl(&lease, crl_intent("tls", number)).await.expect("intend_crl");
    }
    assert_eq!(publish(&fixture, &lease, "tls", 2).await, Ok(()));
    let events = fixture.event_count().await;
    assert!(matches!(publish(&fixture, &lease, "tls", 1).await, Err(StoreError::Conflict { .. })));
    assert_eq!(fixture.event_count().await, events);
    assert_eq!(fixture.store.published_numbers().await, Ok(vec![(authority("tls"), 2)]));
}

async fn an_unpublished_intent_hides_nothing(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    fixture.store.intend_crl(&lease, crl_intent("tls", 1)).await.expect("intend_crl");
    publish(&fixture, &lease, "tls", 1).await.expect("publish_crl");
    fixture.store.intend_crl(&lease, crl_intent("tls", 2)).await.expect("intend_crl");
    let newest = fixture.store.newest_crl(&authority("tls")).await.expect("newest_crl").expect("on record");
    assert_eq!((newest.intent.number, newest.published), (2, false));
    let published = fixture.store.published_crl(&authority("tls")).await.expect("published_crl").expect("published");
    assert_eq!(published.intent.number, 1);
}

async fn a_publication_is_one_event(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    let before = fixture.event_count().await;
    fixture.store.intend_crl(&lease, crl_intent("tls", 1)).await.expect("intend_crl");
    assert_eq!(fixture.event_count().await, before, "an intent is told of by its publication");
    publish(&fixture, &lease, "tls", 1).await.expect("publish_crl");
    let told = [("crl-published".to_owned(), "authority:tls".to_owned())];
    assert_eq!(fixture.events().await.split_off(before), told);
}

async fn an_older_lease_neither_intends_nor_publishes(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    fixture.store.intend_crl(&lease, crl_intent("tls", 1)).await.expect("intend_crl");
    let lost = fixture.lost_lease("another-crl-job").await;
    let fenced = Err(StoreError::Fenced { lease: lost.name.clone() });
    let before = fixture.event_count().await;
    assert_eq!(fixture.store.intend_crl(&lost, crl_intent("tls", 2)).await, fenced);
    assert_eq!(publish(&fixture, &lost, "tls", 1).await, fenced);
    assert_eq!(fixture.event_count().await, before);
    let newest = fixture.store.newest_crl(&authority("tls")).await.expect("newest_crl").expect("on record");
    assert_eq!((newest.intent.number, newest.published), (1, false), "nothing was changed");
}

async fn one_of_two_concurrent_intents_gets_a_number(fixture: Fixture) {
    let lease = prepared(&fixture).await;
    for number in 1..=5 {
        let outcomes = join_all((0..2).map(|_| fixture.store.intend_crl(&lease, crl_intent("tls", number)))).await;
        let conflicts = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Conflict { .. }))).count();
        assert_eq!((outcomes.iter().filter(|outcome| outcome.is_ok()).count(), conflicts), (1, 1), "{outcomes:?}");
    }
}

/// The authorities `root` and `tls`, and the lease under which their CRLs are made.
async fn prepared(fixture: &Fixture) -> Lease {
    fixture.authority("root", None).await;
    fixture.authority("tls", Some("root")).await;
    fixture.lease("crl").await
}

async fn publish(fixture: &Fixture, lease: &Lease, issuer: &str, number: u64) -> Result<(), StoreError> {
    let journal = Journal::of(event(AuditAction::CrlPublished, &format!("authority:{issuer}")));
    fixture.store.publish_crl(lease, &authority(issuer), number, der(issuer, number), journal).await
}

fn der(issuer: &str, number: u64) -> ListOctets {
    format!("CRL {number} of {issuer}").into_bytes().into()
}
