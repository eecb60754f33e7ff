//! The outbox: nothing is lost or passed over, in order for each certificate, each sink by itself.

use std::collections::BTreeSet;

use ca_core::audit::AuditAction;
use ca_core::id::{CertificateId, DeliveryId, SinkName};
use ca_core::principal::Role;
use ca_core::revocation::Standing;
use ca_core::time::{Lifetime, Timestamp};
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, HELD, NOW, event};
use crate::port::store::{
    Assignment, Backlog, Delivery, DeliveryState, Journal, Lease, OutboxMessage, RoleBinding, Settlement, StoreError,
    Verdict,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        a_message_is_assigned_to_every_sink_as_it_was_given,
        a_message_is_assigned_once,
        messages_of_one_change_keep_their_order,
        numbers_are_never_given_twice,
        what_is_due_longest_comes_first_and_no_more_than_asked_for,
        a_message_waits_for_its_predecessor_of_the_same_certificate,
        sinks_are_apart,
        a_failed_attempt_is_due_again_later,
        a_sink_that_is_back_is_asked_at_once,
        a_dead_letter_holds_up_nobody,
        a_replayed_delivery_is_as_if_never_tried,
        replaying_is_one_event,
        a_settled_delivery_is_settled_once,
        deliveries_are_listed_newest_first_in_pages,
        messages_without_a_sink_are_dropped_by_age,
        deliveries_are_dropped_by_age,
        an_older_lease_moves_nothing,
        a_backlog_tells_how_a_sink_stands,
        concurrent_assigners_assign_each_message_once,
    ]
}

async fn a_message_is_assigned_to_every_sink_as_it_was_given(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    let certificate = fixture.issued().await;
    let [number] = unassigned(&fixture).await[..] else { panic!("one message") };
    assign(&fixture, &lease, &["one", "two"]).await;
    assert_eq!(unassigned(&fixture).await, [0_u64; 0]);
    for name in ["one", "two"] {
        let delivery = only(due(&fixture, name).await);
        assert_eq!((delivery.sink.as_str(), delivery.sequence), (name, number));
        assert_eq!((delivery.topic.as_str(), delivery.payload.as_str()), ("certificate.issued", "{}"));
        assert_eq!((delivery.certificate, delivery.created_at), (Some(certificate.id), NOW));
        assert_eq!((delivery.attempts, &delivery.last_attempt), (0, &None));
        assert_eq!(fixture.store.delivery(delivery.id).await, Ok(Some(delivery)));
    }
    assert_eq!(fixture.store.delivery(delivery_id(&fixture, NOW)).await, Ok(None), "it is unknown");
}

async fn a_message_is_assigned_once(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    fixture.issued().await;
    let [number] = unassigned(&fixture).await[..] else { panic!("one message") };
    assign(&fixture, &lease, &["one"]).await;
    let again = Assignment { sequence: number, sink: sink("one"), id: delivery_id(&fixture, NOW) };
    let unknown = Assignment { sequence: number + 100, sink: sink("one"), id: delivery_id(&fixture, NOW) };
    assert_eq!(fixture.store.assign_messages(&lease, vec![again, unknown]).await, Ok(()));
    only(due(&fixture, "one").await);
}

async fn messages_of_one_change_keep_their_order(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    let certificate = fixture.issued().await.id;
    let topics = ["certificate.renewed", "crl.published", "certificate.revoked"];
    let subjects = [Some(certificate), None, Some(certificate)];
    let event = event(AuditAction::RoleGranted, &format!("certificate:{certificate}"));
    let journal = topics.into_iter().zip(subjects).fold(Journal::of(event), |journal, (topic, certificate)| {
        journal.telling(OutboxMessage { topic, certificate, payload: format!("{{\"is\":\"{topic} ü \\\" \"}}") })
    });
    let binding = RoleBinding { certificate, role: Role::Auditor, granted_at: NOW };
    fixture.store.grant_role(binding, journal).await.expect("grant_role");
    let numbers = unassigned(&fixture).await;
    assert!(numbers.len() == 4 && numbers.is_sorted(), "{numbers:?}");
    assign(&fixture, &lease, &["one"]).await;
    // The two of the certificate wait for the one that was issued, and for each other.
    let mut told = Vec::new();
    while told.len() < 4 {
        for delivery in due(&fixture, "one").await {
            settle(&fixture, &lease, &delivery, Verdict::Delivered).await;
            told.push((delivery.sequence, delivery.topic, delivery.certificate, delivery.payload));
        }
    }
    told.sort();
    for ((told, topic), subject) in told.into_iter().skip(1).zip(topics).zip(subjects) {
        let (_, told_topic, told_subject, payload) = told;
        assert_eq!((told_topic.as_str(), told_subject), (topic, subject));
        assert_eq!(payload, format!("{{\"is\":\"{topic} ü \\\" \"}}"));
    }
}

async fn numbers_are_never_given_twice(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    let mut numbers = BTreeSet::new();
    for _ in 0..3 {
        fixture.issued().await;
        let [number] = unassigned(&fixture).await[..] else { panic!("one message") };
        assert!(numbers.last().is_none_or(|last| *last < number), "{number} after {numbers:?}");
        numbers.insert(number);
        // Nothing of it is left.
        assign(&fixture, &lease, &["one"]).await;
        let delivery = only(due(&fixture, "one").await);
        settle(&fixture, &lease, &delivery, Verdict::Delivered).await;
    }
}

async fn what_is_due_longest_comes_first_and_no_more_than_asked_for(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    for _ in 0..3 {
        fixture.issued().await;
    }
    assign(&fixture, &lease, &["one"]).await;
    let all = due(&fixture, "one").await;
    assert!(all.is_sorted_by_key(|delivery| delivery.sequence) && all.len() == 3, "{all:?}");
    let two = fixture.store.due_deliveries(&sink("one"), 2).await.expect("due_deliveries");
    assert_eq!(two, all[..2]);
    // The first is put off by nothing: it is due after the others now.
    fixture.pass_time(Lifetime::from_seconds(2)).await;
    settle(&fixture, &lease, &all[0], retry(0)).await;
    let sequences: Vec<u64> = due(&fixture, "one").await.iter().map(|delivery| delivery.sequence).collect();
    assert_eq!(sequences, [all[1].sequence, all[2].sequence, all[0].sequence]);
}

async fn a_message_waits_for_its_predecessor_of_the_same_certificate(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    let certificate = fixture.issued().await;
    assign(&fixture, &lease, &["one"]).await;
    fixture.hold(&certificate).await;
    let other = fixture.issued().await;
    assign(&fixture, &lease, &["one"]).await;
    fixture.change_now(certificate.id, HELD, Standing::Active).await;
    assign(&fixture, &lease, &["one"]).await;
    let heads = due(&fixture, "one").await;
    assert_eq!(certificates(&heads), BTreeSet::from([certificate.id, other.id]));
    assert_eq!(heads.len(), 2, "one of each certificate");
    // The first fails: what follows it waits, the other certificate does not.
    let first = heads.iter().find(|head| head.certificate == Some(certificate.id)).expect("a head").clone();
    settle(&fixture, &lease, &first, retry(60_000)).await;
    assert_eq!(certificates(&due(&fixture, "one").await), BTreeSet::from([other.id]));
    // It is delivered after all: the next one's turn.
    settle(&fixture, &lease, &first, Verdict::Delivered).await;
    let second = due(&fixture, "one").await.into_iter().find(|head| head.certificate == Some(certificate.id));
    let second = second.expect("the next of its certificate");
    assert!(second.sequence > first.sequence);
    settle(&fixture, &lease, &second, Verdict::Delivered).await;
    let third = due(&fixture, "one").await.into_iter().find(|head| head.certificate == Some(certificate.id));
    assert!(third.expect("the last of its certificate").sequence > second.sequence);
}

async fn sinks_are_apart(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    let certificate = fixture.issued().await;
    fixture.revoke(&certificate).await;
    assign(&fixture, &lease, &["one", "two"]).await;
    let stuck = only(due(&fixture, "one").await);
    settle(&fixture, &lease, &stuck, retry(60_000)).await;
    assert_eq!(due(&fixture, "one").await, []);
    for _ in 0..2 {
        let delivery = only(due(&fixture, "two").await);
        settle(&fixture, &lease, &delivery, Verdict::Delivered).await;
    }
    assert_eq!(due(&fixture, "two").await, []);
    assert_eq!(due(&fixture, "never-configured").await, []);
    assert_eq!(all(&fixture, None).await.len(), 2, "those of the other sink");
}

async fn a_failed_attempt_is_due_again_later(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    fixture.issued().await;
    assign(&fixture, &lease, &["one"]).await;
    let delivery = only(due(&fixture, "one").await);
    let before = fixture.store.database_time().await.expect("database_time");
    settle(&fixture, &lease, &delivery, retry(1_500)).await;
    let after = fixture.store.database_time().await.expect("database_time");
    assert_eq!(due(&fixture, "one").await, []);
    let waiting = only(all(&fixture, Some(false)).await);
    let failed = waiting.last_attempt.clone().expect("an attempt");
    assert_eq!((waiting.attempts, failed.error.as_str()), (1, "it said \"no\" \\ and ü"));
    assert!((before..=after).contains(&failed.at), "{} by the database's clock", failed.at);
    let DeliveryState::Pending { next_attempt_at } = waiting.state else { panic!("{waiting:?}") };
    assert_eq!(next_attempt_at.unix_millis() - failed.at.unix_millis(), 1_500);
    fixture.pass_time(Lifetime::from_seconds(2)).await;
    assert_eq!(only(due(&fixture, "one").await), waiting);
}

async fn a_sink_that_is_back_is_asked_at_once(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    for _ in 0..3 {
        fixture.issued().await;
    }
    assign(&fixture, &lease, &["one", "two"]).await;
    let one = due(&fixture, "one").await;
    settle(&fixture, &lease, &one[0], retry(60_000)).await;
    settle(&fixture, &lease, &one[1], dead()).await;
    settle(&fixture, &lease, &due(&fixture, "two").await[0], retry(60_000)).await;
    assert_eq!(fixture.store.hasten_deliveries(&lease, &sink("one")).await, Ok(1));
    let sequences: BTreeSet<u64> = due(&fixture, "one").await.iter().map(|delivery| delivery.sequence).collect();
    assert_eq!(sequences, BTreeSet::from([one[0].sequence, one[2].sequence]), "a dead letter stays one");
    let hastened = fixture.store.delivery(one[0].id).await.expect("delivery").expect("on record");
    assert_eq!(hastened.attempts, 1, "attempts are counted on");
    assert_eq!(due(&fixture, "two").await.len(), 2, "the other sink is left alone");
    assert_eq!(fixture.store.hasten_deliveries(&lease, &sink("one")).await, Ok(0));
}

async fn a_dead_letter_holds_up_nobody(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    let certificate = fixture.issued().await;
    fixture.revoke(&certificate).await;
    assign(&fixture, &lease, &["one"]).await;
    let first = only(due(&fixture, "one").await);
    settle(&fixture, &lease, &first, dead()).await;
    let next = only(due(&fixture, "one").await);
    assert!(next.sequence > first.sequence && next.certificate == first.certificate);
    let letter = only(all(&fixture, Some(true)).await);
    assert_eq!((letter.id, letter.state, letter.attempts), (first.id, DeliveryState::Dead, 1));
    assert_eq!(letter.last_attempt.expect("an attempt").error, "gone");
    assert_eq!(all(&fixture, Some(false)).await, [next]);
}

async fn a_replayed_delivery_is_as_if_never_tried(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    let certificate = fixture.issued().await;
    fixture.revoke(&certificate).await;
    assign(&fixture, &lease, &["one"]).await;
    let delivery = only(due(&fixture, "one").await);
    settle(&fixture, &lease, &delivery, dead()).await;
    assert_eq!(replay(&fixture, delivery.id).await, Ok(true));
    let again = only(due(&fixture, "one").await);
    assert_eq!((again.id, again.attempts), (delivery.id, 0), "under its name, and before those that follow it");
    assert!(again.last_attempt.is_some(), "why it failed is still told");
    // One that waits for its next attempt is due at once.
    settle(&fixture, &lease, &again, retry(60_000)).await;
    assert_eq!(due(&fixture, "one").await, []);
    assert_eq!(replay(&fixture, delivery.id).await, Ok(true));
    assert_eq!(only(due(&fixture, "one").await).id, delivery.id);
}

async fn replaying_is_one_event(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    fixture.issued().await;
    assign(&fixture, &lease, &["one"]).await;
    let delivery = only(due(&fixture, "one").await);
    let before = fixture.events().await.len();
    assert_eq!(replay(&fixture, delivery_id(&fixture, NOW)).await, Ok(false), "it is unknown");
    assert_eq!(fixture.events().await.len(), before, "nothing happened");
    assert_eq!(replay(&fixture, delivery.id).await, Ok(true));
    let events = fixture.events().await;
    assert_eq!(events.len(), before + 1);
    assert_eq!(events.last().map(|(action, _)| action.as_str()), Some("delivery-replayed"));
}

async fn a_settled_delivery_is_settled_once(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    fixture.issued().await;
    assign(&fixture, &lease, &["one"]).await;
    let delivery = only(due(&fixture, "one").await);
    settle(&fixture, &lease, &delivery, dead()).await;
    let letter = all(&fixture, None).await;
    for late in [Verdict::Delivered, retry(0)] {
        settle(&fixture, &lease, &delivery, late).await;
        assert_eq!(all(&fixture, None).await, letter, "a dead letter stays until it is replayed");
    }
    assert_eq!(replay(&fixture, delivery.id).await, Ok(true));
    settle(&fixture, &lease, &delivery, Verdict::Delivered).await;
    settle(&fixture, &lease, &delivery, retry(0)).await;
    assert_eq!(all(&fixture, None).await, [], "what was taken does not come back");
}

async fn deliveries_are_listed_newest_first_in_pages(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    for _ in 0..5 {
        fixture.issued().await;
    }
    assign(&fixture, &lease, &["one"]).await;
    let listed = all(&fixture, None).await;
    assert!(listed.len() == 5 && listed.is_sorted_by(|one, next| one.id > next.id), "{listed:?}");
    settle(&fixture, &lease, &listed[1], dead()).await;
    settle(&fixture, &lease, &listed[3], dead()).await;
    let page = |dead, after, limit| ids(&fixture, dead, after, limit);
    let id = |position: usize| listed[position].id;
    assert_eq!(page(None, None, 2).await, [id(0), id(1)]);
    assert_eq!(page(None, Some(id(1)), 2).await, [id(2), id(3)]);
    assert_eq!(page(None, Some(id(4)), 2).await, []);
    assert_eq!(page(Some(true), None, 10).await, [id(1), id(3)]);
    assert_eq!(page(Some(true), Some(id(1)), 10).await, [id(3)]);
    assert_eq!(page(Some(false), None, 2).await, [id(0), id(2)]);
    assert_eq!(page(Some(false), Some(id(2)), 2).await, [id(4)]);
}

async fn messages_without_a_sink_are_dropped_by_age(fixture: Fixture) {
    let lease = fixture.lease("expiry").await;
    for _ in 0..3 {
        fixture.issued().await;
    }
    let later = Timestamp::from_unix_millis(NOW.unix_millis() + 1);
    let numbers = unassigned(&fixture).await;
    assert_eq!(fixture.store.drop_unassigned(&lease, NOW, 10).await, Ok(0), "none is older than itself");
    assert_eq!(fixture.store.drop_unassigned(&lease, later, 2).await, Ok(2));
    assert_eq!(unassigned(&fixture).await, numbers[2..]);
    assert_eq!(fixture.store.drop_unassigned(&lease, later, 2).await, Ok(1));
    assert_eq!(fixture.store.drop_unassigned(&lease, later, 2).await, Ok(0));
}

async fn deliveries_are_dropped_by_age(fixture: Fixture) {
    let lease = fixture.lease("expiry").await;
    for _ in 0..3 {
        fixture.issued().await;
    }
    assign(&fixture, &lease, &["one"]).await;
    let delivery = due(&fixture, "one").await.remove(0);
    settle(&fixture, &lease, &delivery, dead()).await;
    let later = Timestamp::from_unix_millis(NOW.unix_millis() + 1);
    assert_eq!(fixture.store.drop_deliveries(&lease, NOW, 10).await, Ok(0), "none is older than itself");
    assert_eq!(fixture.store.drop_deliveries(&lease, later, 2).await, Ok(2));
    assert_eq!(all(&fixture, None).await.len(), 1);
    assert_eq!(fixture.store.drop_deliveries(&lease, later, 2).await, Ok(1));
    assert_eq!(fixture.store.drop_deliveries(&lease, later, 2).await, Ok(0));
}

async fn an_older_lease_moves_nothing(fixture: Fixture) {
    let lost = fixture.lost_lease("outbox").await;
    let fenced = || Err(StoreError::Fenced { lease: lost.name.clone() });
    fixture.issued().await;
    let numbers = unassigned(&fixture).await;
    let assignment = Assignment { sequence: numbers[0], sink: sink("one"), id: delivery_id(&fixture, NOW) };
    assert_eq!(fixture.store.assign_messages(&lost, vec![assignment]).await, fenced());
    let later = NOW.plus(Lifetime::from_days(1));
    assert_eq!(fixture.store.drop_unassigned(&lost, later, 10).await.map(|_| ()), fenced());
    assert_eq!(unassigned(&fixture).await, numbers);
    let lease = fixture.lease("other").await;
    assign(&fixture, &lease, &["one"]).await;
    let delivery = only(due(&fixture, "one").await);
    let settlement = Settlement { id: delivery.id, verdict: Verdict::Delivered };
    assert_eq!(fixture.store.settle_deliveries(&lost, vec![settlement]).await, fenced());
    assert_eq!(fixture.store.hasten_deliveries(&lost, &sink("one")).await.map(|_| ()), fenced());
    assert_eq!(fixture.store.drop_deliveries(&lost, later, 10).await.map(|_| ()), fenced());
    assert_eq!(due(&fixture, "one").await, [delivery]);
}

async fn a_backlog_tells_how_a_sink_stands(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    let backlog = |name| {
        let fixture = &fixture;
        async move { fixture.store.backlog(&sink(name)).await }
    };
    assert_eq!(backlog("one").await, Ok(Backlog::default()));
    for _ in 0..3 {
        fixture.issued().await;
    }
    assign(&fixture, &lease, &["one", "two"]).await;
    assert_eq!(backlog("one").await, Ok(Backlog { oldest_pending: Some(NOW), dead: 0 }));
    let deliveries = due(&fixture, "one").await;
    settle(&fixture, &lease, &deliveries[0], dead()).await;
    settle(&fixture, &lease, &deliveries[1], Verdict::Delivered).await;
    assert_eq!(backlog("one").await, Ok(Backlog { oldest_pending: Some(NOW), dead: 1 }));
    settle(&fixture, &lease, &deliveries[2], dead()).await;
    assert_eq!(backlog("one").await, Ok(Backlog { oldest_pending: None, dead: 2 }));
    assert_eq!(backlog("two").await, Ok(Backlog { oldest_pending: Some(NOW), dead: 0 }));
}

async fn concurrent_assigners_assign_each_message_once(fixture: Fixture) {
    let lease = fixture.lease("outbox").await;
    for _ in 0..10 {
        fixture.issued().await;
    }
    join_all((0..4).map(|_| assign(&fixture, &lease, &["one"]))).await;
    let sequences: BTreeSet<u64> = all(&fixture, None).await.iter().map(|delivery| delivery.sequence).collect();
    assert_eq!((all(&fixture, None).await.len(), sequences.len()), (10, 10));
}

async fn unassigned(fixture: &Fixture) -> Vec<u64> {
    fixture.store.unassigned_messages(100).await.expect("unassigned_messages")
}

/// Assigns whatever is not assigned.
async fn assign(fixture: &Fixture, lease: &Lease, sinks: &[&str]) {
    let mut assignments = Vec::new();
    for sequence in unassigned(fixture).await {
        for name in sinks {
            assignments.push(Assignment { sequence, sink: sink(name), id: delivery_id(fixture, NOW) });
        }
    }
    fixture.store.assign_messages(lease, assignments).await.expect("assign_messages");
}

async fn due(fixture: &Fixture, name: &str) -> Vec<Delivery> {
    fixture.store.due_deliveries(&sink(name), 100).await.expect("due_deliveries")
}

async fn settle(fixture: &Fixture, lease: &Lease, delivery: &Delivery, verdict: Verdict) {
    let settlement = Settlement { id: delivery.id, verdict };
    fixture.store.settle_deliveries(lease, vec![settlement]).await.expect("settle_deliveries");
}

async fn replay(fixture: &Fixture, id: DeliveryId) -> Result<bool, StoreError> {
    let journal = Journal::of(event(AuditAction::DeliveryReplayed, &format!("delivery:{id}")));
    fixture.store.replay_delivery(id, journal).await
}

async fn all(fixture: &Fixture, dead: Option<bool>) -> Vec<Delivery> {
    fixture.store.deliveries(dead, None, 100).await.expect("deliveries")
}

async fn ids(fixture: &Fixture, dead: Option<bool>, after: Option<DeliveryId>, limit: u32) -> Vec<DeliveryId> {
    let page = fixture.store.deliveries(dead, after, limit).await.expect("deliveries");
    page.iter().map(|delivery| delivery.id).collect()
}

fn only(mut deliveries: Vec<Delivery>) -> Delivery {
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
    deliveries.remove(0)
}

fn certificates(deliveries: &[Delivery]) -> BTreeSet<CertificateId> {
    deliveries.iter().filter_map(|delivery| delivery.certificate).collect()
}

fn retry(after_millis: u64) -> Verdict {
    Verdict::Retry { after_millis, error: "it said \"no\" \\ and ü".to_owned() }
}

fn dead() -> Verdict {
    Verdict::Dead { error: "gone".to_owned() }
}

fn sink(name: &str) -> SinkName {
    name.parse().expect("a sink's name")
}

/// A new name of an instant.
fn delivery_id(fixture: &Fixture, at: Timestamp) -> DeliveryId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&fixture.number().to_be_bytes());
    DeliveryId::new(at, random)
}
