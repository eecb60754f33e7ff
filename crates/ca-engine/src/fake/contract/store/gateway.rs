//! What gateways say: the newest statement of each, told of only when somebody new speaks.

use ca_core::audit::AuditAction;
use ca_core::id::CertificateId;
use ca_core::time::Lifetime;
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, authority, event};
use crate::port::store::{EnforcedList, GatewayRecord, Journal, StoreError};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        gateways_are_listed_in_order_with_their_newest_statement,
        another_certificate_speaks_only_after_the_one_that_was_seen,
        of_many_that_register_a_gateway_at_once_one_does,
        a_gateway_that_is_removed_is_gone_until_it_speaks_again,
    ]
}

const FIRST: CertificateId = CertificateId::from_bytes([1; 16]);
const SECOND: CertificateId = CertificateId::from_bytes([2; 16]);

fn gateway(id: &str, certificate: CertificateId, number: u64) -> GatewayRecord {
    let list = |name: &str, number| EnforcedList { authority: authority(name), number, sha256: [7; 32] };
    GatewayRecord {
        id: id.to_owned(),
        certificate,
        registered_at: NOW,
        stated_at: NOW.plus(Lifetime::from_seconds(number)),
        generation: format!("generation {number}"),
        lists: vec![list("root", 1), list("tls", number)],
    }
}

fn journal(id: &str) -> Option<Journal> {
    Some(Journal::of(event(AuditAction::GatewayRegistered, &format!("gateway:{id}"))))
}

async fn gateways_are_listed_in_order_with_their_newest_statement(fixture: Fixture) {
    assert_eq!(fixture.store.gateways().await, Ok(Vec::new()));
    let before = fixture.event_count().await;
    for id in ["b.test", "a.test"] {
        assert_eq!(fixture.store.put_gateway(gateway(id, FIRST, 1), None, journal(id)).await, Ok(()));
    }
    assert_eq!(fixture.event_count().await, before + 2);
    let newest = GatewayRecord { lists: Vec::new(), ..gateway("a.test", FIRST, 9_000_000_000) };
    assert_eq!(fixture.store.put_gateway(newest.clone(), Some(FIRST), None).await, Ok(()));
    assert_eq!(fixture.store.gateway("a.test").await, Ok(Some(newest.clone())));
    assert_eq!(fixture.store.gateways().await, Ok(vec![newest, gateway("b.test", FIRST, 1)]));
    assert_eq!(fixture.store.gateway("c.test").await, Ok(None));
    assert_eq!(fixture.event_count().await, before + 2, "a statement is no event");
}

async fn another_certificate_speaks_only_after_the_one_that_was_seen(fixture: Fixture) {
    let conflict = |put: Result<(), StoreError>| matches!(put, Err(StoreError::Conflict { .. }));
    assert!(conflict(fixture.store.put_gateway(gateway("a.test", FIRST, 1), Some(FIRST), None).await), "not there");
    fixture.store.put_gateway(gateway("a.test", FIRST, 1), None, journal("a.test")).await.expect("new");
    let before = fixture.event_count().await;
    for seen in [None, Some(SECOND)] {
        let put = fixture.store.put_gateway(gateway("a.test", SECOND, 2), seen, journal("a.test")).await;
        assert!(conflict(put), "{seen:?}");
    }
    assert_eq!(fixture.event_count().await, before, "nothing is told of what did not happen");
    let put = fixture.store.put_gateway(gateway("a.test", SECOND, 2), Some(FIRST), journal("a.test")).await;
    assert_eq!(put, Ok(()));
    assert_eq!(fixture.store.gateway("a.test").await, Ok(Some(gateway("a.test", SECOND, 2))));
    assert_eq!(fixture.event_count().await, before + 1);
}

async fn of_many_that_register_a_gateway_at_once_one_does(fixture: Fixture) {
    let before = fixture.event_count().await;
    let put = (0..5).map(|number| fixture.store.put_gateway(gateway("a.test", FIRST, number), None, journal("a.test")));
    let put = join_all(put).await;
    assert_eq!(put.iter().filter(|put| put.is_ok()).count(), 1, "{put:?}");
    assert_eq!(fixture.event_count().await, before + 1);
}

async fn a_gateway_that_is_removed_is_gone_until_it_speaks_again(fixture: Fixture) {
    for id in ["a.test", "b.test"] {
        fixture.store.put_gateway(gateway(id, FIRST, 1), None, journal(id)).await.expect("new");
    }
    let before = fixture.event_count().await;
    let removal = || Journal::of(event(AuditAction::GatewayRemoved, "gateway:a.test"));
    assert_eq!(fixture.store.remove_gateway("a.test", removal()).await, Ok(true));
    assert_eq!(fixture.store.gateways().await, Ok(vec![gateway("b.test", FIRST, 1)]));
    assert_eq!(fixture.event_count().await, before + 1);
    assert_eq!(fixture.store.remove_gateway("a.test", removal()).await, Ok(false));
    assert_eq!(fixture.event_count().await, before + 1, "nothing is told of what did not happen");
    assert_eq!(fixture.store.put_gateway(gateway("a.test", SECOND, 2), None, journal("a.test")).await, Ok(()));
}
