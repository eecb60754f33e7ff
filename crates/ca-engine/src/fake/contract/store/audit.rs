//! Audit events: committed with their change, put into the chain by one sequencer, never changed.

use ca_core::audit::{AuditAction, AuditEvent, GENESIS, link};
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, event};
use crate::port::store::{ChainHead, ChainLink, EventFilter, Lease, PendingEvent, StoreError};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        an_event_awaits_its_place_as_it_was_given,
        pending_events_come_in_the_order_of_their_rows,
        an_empty_chain_ends_in_the_beginning,
        events_get_their_places,
        a_chain_grows_only_at_its_end,
        an_older_lease_chains_nothing,
        one_of_two_concurrent_sequencers_goes_on,
        chained_events_are_read_in_parts,
        chained_events_are_filtered,
        concurrent_events_are_all_kept,
    ]
}

async fn an_event_awaits_its_place_as_it_was_given(fixture: Fixture) {
    let event = AuditEvent::new(NOW, AuditAction::AdministratorReset, "local", "service")
        .with("text", "quotes \" and \\ and ü")
        .in_request(None);
    fixture.store.append_event(event.clone()).await.expect("append_event");
    let pending = fixture.store.pending_events(10).await.expect("pending_events");
    assert_eq!(pending.iter().map(|event| event.canonical.clone()).collect::<Vec<_>>(), [event.canonical()]);
}

async fn pending_events_come_in_the_order_of_their_rows(fixture: Fixture) {
    for number in 0..5 {
        append(&fixture, number).await;
    }
    let pending = fixture.store.pending_events(10).await.expect("pending_events");
    assert!(pending.is_sorted_by(|one, next| one.row < next.row), "rows rise");
    let subjects: Vec<_> = fixture.events().await.into_iter().map(|(_, subject)| subject).collect();
    assert_eq!(subjects, ["subject:0", "subject:1", "subject:2", "subject:3", "subject:4"]);
    assert_eq!(fixture.store.pending_events(2).await, Ok(pending[..2].to_vec()), "at most as many as asked for");
}

async fn an_empty_chain_ends_in_the_beginning(fixture: Fixture) {
    assert_eq!(fixture.store.chain_head().await, Ok(ChainHead { sequence: 0, hash: GENESIS }));
    assert_eq!(fixture.store.events_after(0, &EventFilter::default(), 10).await, Ok(Vec::new()));
    append(&fixture, 0).await;
    assert_eq!(fixture.store.chain_head().await, Ok(ChainHead { sequence: 0, hash: GENESIS }));
    let chained = fixture.store.events_after(0, &EventFilter::default(), 10).await;
    assert_eq!(chained, Ok(Vec::new()), "a pending event has no place");
}

async fn events_get_their_places(fixture: Fixture) {
    let lease = fixture.lease("audit").await;
    for number in 0..4 {
        append(&fixture, number).await;
    }
    let pending = fixture.store.pending_events(10).await.expect("pending_events");
    let head = chain(&fixture, &lease, &pending[..2]).await.expect("chain_events");
    assert_eq!(head.sequence, 2);
    assert_eq!(fixture.store.chain_head().await, Ok(head));
    assert_eq!(fixture.store.pending_events(10).await, Ok(pending[2..].to_vec()));
    // Again, from where it ended.
    let head = chain(&fixture, &lease, &pending[2..]).await.expect("chain_events");
    assert_eq!(fixture.store.chain_head().await, Ok(head));
    let mut verifier = ca_core::audit::ChainVerifier::default();
    for (event, pending) in
        fixture.store.events_after(0, &EventFilter::default(), 10).await.expect("events").iter().zip(&pending)
    {
        assert_eq!(event.canonical, pending.canonical);
        verifier.next(event.sequence, &event.canonical, &event.hash).expect("the chain is whole");
    }
    assert_eq!(verifier.head(), (head.sequence, head.hash));
}

async fn a_chain_grows_only_at_its_end(fixture: Fixture) {
    let lease = fixture.lease("audit").await;
    for number in 0..2 {
        append(&fixture, number).await;
    }
    let pending = fixture.store.pending_events(10).await.expect("pending_events");
    let start = fixture.store.chain_head().await.expect("chain_head");
    let (head, _) = links(start, &pending[..1]);
    chain(&fixture, &lease, &pending[..1]).await.expect("chain_events");
    let (_, late) = links(start, &pending[1..]);
    let elsewhere = [
        start,
        ChainHead { sequence: head.sequence, hash: [7; 32] },
        ChainHead { sequence: head.sequence + 1, hash: head.hash },
    ];
    for wrong in elsewhere {
        let refused = fixture.store.chain_events(&lease, &wrong, late.clone()).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    }
    assert_eq!(fixture.store.chain_head().await, Ok(head));
    assert_eq!(fixture.store.pending_events(10).await, Ok(pending[1..].to_vec()));
}

async fn an_older_lease_chains_nothing(fixture: Fixture) {
    let lost = fixture.lost_lease("audit").await;
    append(&fixture, 0).await;
    let pending = fixture.store.pending_events(10).await.expect("pending_events");
    let refused = chain(&fixture, &lost, &pending).await;
    assert_eq!(refused, Err(StoreError::Fenced { lease: lost.name.clone() }));
    assert_eq!(fixture.store.pending_events(10).await, Ok(pending));
}

async fn one_of_two_concurrent_sequencers_goes_on(fixture: Fixture) {
    let lease = fixture.lease("audit").await;
    append(&fixture, 0).await;
    let pending = fixture.store.pending_events(10).await.expect("pending_events");
    let (_, links) = links(fixture.store.chain_head().await.expect("chain_head"), &pending);
    let start = ChainHead { sequence: 0, hash: GENESIS };
    let outcomes = join_all((0..2).map(|_| fixture.store.chain_events(&lease, &start, links.clone()))).await;
    let conflicts = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Conflict { .. }))).count();
    assert_eq!((outcomes.iter().filter(|outcome| outcome.is_ok()).count(), conflicts), (1, 1), "{outcomes:?}");
    let chained = fixture.store.events_after(0, &EventFilter::default(), 10).await.expect("events_after");
    assert_eq!(chained.len(), 1, "each event has one place");
}

async fn chained_events_are_read_in_parts(fixture: Fixture) {
    chained(&fixture, 5).await;
    for (after, limit, expected) in [(0, 2, vec![1, 2]), (2, 2, vec![3, 4]), (4, 2, vec![5]), (5, 2, vec![])] {
        let events = fixture.store.events_after(after, &EventFilter::default(), limit).await.expect("events_after");
        assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), expected, "after {after}");
    }
}

async fn chained_events_are_filtered(fixture: Fixture) {
    let wanted = AuditEvent::new(NOW, AuditAction::TokenCreated, "certificate:x", "token:wanted");
    append(&fixture, 0).await;
    fixture.store.append_event(wanted).await.expect("append_event");
    chained(&fixture, 1).await;
    let found = |filter: EventFilter| {
        let fixture = &fixture;
        async move {
            let events = fixture.store.events_after(0, &filter, 10).await.expect("events_after");
            events.iter().map(|event| event.sequence).collect::<Vec<_>>()
        }
    };
    let none = EventFilter::default;
    assert_eq!(found(none()).await, [1, 2, 3]);
    assert_eq!(found(EventFilter { action: Some("token-created".to_owned()), ..none() }).await, [2]);
    assert_eq!(found(EventFilter { principal: Some("certificate:x".to_owned()), ..none() }).await, [2]);
    assert_eq!(found(EventFilter { subject: Some("token:wanted".to_owned()), ..none() }).await, [2]);
    let contradiction =
        EventFilter { action: Some("token-created".to_owned()), principal: Some("local".to_owned()), ..none() };
    assert_eq!(found(contradiction).await, [0_u64; 0]);
}

async fn concurrent_events_are_all_kept(fixture: Fixture) {
    join_all((0..30).map(|number| append(&fixture, number))).await;
    let mut subjects: Vec<_> = fixture.events().await.into_iter().map(|(_, subject)| subject).collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), 30);
}

async fn append(fixture: &Fixture, number: u32) {
    let event = event(AuditAction::AdministratorReset, &format!("subject:{number}"));
    fixture.store.append_event(event).await.expect("append_event");
}

/// Puts `count` more events on record, and all that are pending into the chain.
async fn chained(fixture: &Fixture, count: u32) {
    let lease = fixture.lease("audit").await;
    for number in 0..count {
        append(fixture, number).await;
    }
    let pending = fixture.store.pending_events(100).await.expect("pending_events");
    chain(fixture, &lease, &pending).await.expect("chain_events");
}

/// Does what the sequencer does; returns the new end of the chain.
async fn chain(fixture: &Fixture, lease: &Lease, pending: &[PendingEvent]) -> Result<ChainHead, StoreError> {
    let start = fixture.store.chain_head().await?;
    let (end, links) = links(start, pending);
    fixture.store.chain_events(lease, &start, links).await.map(|()| end)
}

fn links(mut head: ChainHead, pending: &[PendingEvent]) -> (ChainHead, Vec<ChainLink>) {
    let mut links = Vec::new();
    for event in pending {
        let sequence = head.sequence + 1;
        let hash = link(&head.hash, sequence, &event.canonical);
        head = ChainHead { sequence, hash };
        links.push(ChainLink { row: event.row, sequence, hash });
    }
    (head, links)
}
