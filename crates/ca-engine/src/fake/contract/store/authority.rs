//! Authorities, sealed keys, responders and settings.

use ca_core::audit::AuditAction;
use ca_core::id::AuthorityId;
use ca_core::time::{Lifetime, Timestamp, Validity};
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, authority, event};
use crate::port::keyring::{KeyRoom, SealedKey};
use crate::port::store::{
    AuthorityRecord, AuthorityState, Duty, FROM_THE_START, Journal, KeyHome, NOT_ANNOUNCED, ResponderRecord, StoreError,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        authorities_are_kept_as_they_were_given,
        parents_come_before_children,
        an_authority_s_id_is_taken_once,
        an_authority_is_one_event,
        an_authority_s_duty_changes_only_from_what_was_seen,
        one_of_many_concurrent_changes_of_a_duty_wins,
        the_last_end_is_that_of_the_profiles_that_count,
        a_destroyed_key_leaves_its_name_and_nothing_else,
        keys_are_kept_by_room,
        adding_a_key_again_is_harmless,
        responders_are_listed_oldest_first_until_they_end,
        an_older_lease_adds_no_responder,
        settings_change_only_from_what_was_expected,
        one_of_many_concurrent_settings_wins,
    ]
}

async fn authorities_are_kept_as_they_were_given(fixture: Fixture) {
    assert_eq!(fixture.store.authorities().await, Ok(Vec::new()));
    let certificate = fixture.issued().await;
    let root = AuthorityRecord {
        id: authority("root"),
        certificate: certificate.id,
        certificate_der: certificate.der,
        parent: None,
        key_home: KeyHome::File,
        state: AuthorityState::Retiring,
        issues_from: FROM_THE_START,
    };
    add(&fixture, root.clone()).await.expect("add_authority");
    let elsewhere = |id: &str, key_home| AuthorityRecord { id: authority(id), key_home, ..root.clone() };
    let arn = "arn:aws:kms:sa-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let kms = elsewhere("root-kms", KeyHome::Kms(arn.to_owned()));
    let token = elsewhere("root-token", KeyHome::Pkcs11("pkcs11:token=hsm;object=root".to_owned()));
    let pca = "arn:aws:acm-pca:sa-east-1:111122223333:certificate-authority/1234abcd-12ab-34cd-56ef-1234567890ab";
    let pca = elsewhere("root-z", KeyHome::AcmPca(pca.to_owned()));
    for record in [&kms, &token, &pca] {
        add(&fixture, record.clone()).await.expect("add_authority");
    }
    let tls = fixture.authority("tls", Some("root")).await;
    assert_eq!(fixture.store.authorities().await, Ok(vec![root, kms, token, pca, tls]));
}

async fn parents_come_before_children(fixture: Fixture) {
    for (id, parent) in
        [("m-root", None), ("b-policy", Some("m-root")), ("a-issuing", Some("b-policy")), ("z", Some("m-root"))]
    {
        fixture.authority(id, parent).await;
    }
    let listed = fixture.store.authorities().await.expect("authorities");
    assert_eq!(listed.len(), 4);
    for (position, record) in listed.iter().enumerate() {
        let parent = record.parent.as_ref();
        let earlier = |parent: &AuthorityId| listed[..position].iter().any(|other| other.id == *parent);
        assert!(parent.is_none_or(earlier), "{} stands before its parent", record.id);
    }
}

async fn an_authority_s_id_is_taken_once(fixture: Fixture) {
    let first = fixture.authority("tls", None).await;
    let before = fixture.event_count().await;
    let second = AuthorityRecord { state: AuthorityState::Retired, ..first.clone() };
    assert!(matches!(add(&fixture, second).await, Err(StoreError::Conflict { .. })));
    assert_eq!(fixture.store.authorities().await, Ok(vec![first]), "the first one stays");
    assert_eq!(fixture.event_count().await, before);
}

async fn an_authority_is_one_event(fixture: Fixture) {
    fixture.authority("tls", None).await;
    let told = ("authority-created".to_owned(), "authority:tls".to_owned());
    assert_eq!(fixture.events().await.iter().filter(|event| **event == told).count(), 1);
}

fn told(id: &str, action: AuditAction) -> Journal {
    Journal::of(event(action, &format!("authority:{id}")))
}

async fn an_authority_s_duty_changes_only_from_what_was_seen(fixture: Fixture) {
    let store = &fixture.store;
    let (tls, other) = (fixture.authority("tls", None).await, fixture.authority("other", None).await);
    let announced = Duty { issues_from: Timestamp::from_unix_seconds(1_800_000_000), ..tls.duty() };
    let change = |from, to| store.change_authority(&tls.id, from, to, told("tls", AuditAction::AuthorityAnnounced));
    let before = fixture.event_count().await;
    for wrong in
        [Duty { state: AuthorityState::Retiring, ..tls.duty() }, Duty { issues_from: NOT_ANNOUNCED, ..tls.duty() }]
    {
        assert_eq!(change(wrong, announced).await, Ok(false));
    }
    let nobody = authority("nobody");
    let journal = told("nobody", AuditAction::AuthorityRetired);
    assert_eq!(store.change_authority(&nobody, tls.duty(), announced, journal).await, Ok(false));
    assert_eq!(fixture.event_count().await, before, "what does not happen is no event");
    assert_eq!(change(tls.duty(), announced).await, Ok(true));
    assert_eq!(change(tls.duty(), announced).await, Ok(false), "it is that already");
    assert_eq!(fixture.event_count().await, before + 1);
    let retiring = Duty { state: AuthorityState::Retiring, ..announced };
    assert_eq!(change(announced, retiring).await, Ok(true));
    let changed = AuthorityRecord { state: retiring.state, issues_from: retiring.issues_from, ..tls.clone() };
    assert_eq!(store.authorities().await, Ok(vec![other, changed]));
}

async fn one_of_many_concurrent_changes_of_a_duty_wins(fixture: Fixture) {
    let tls = fixture.authority("tls", None).await;
    let before = fixture.event_count().await;
    let changes = (1..=10).map(|second| {
        let to = Duty { issues_from: Timestamp::from_unix_seconds(second), ..tls.duty() };
        fixture.store.change_authority(&tls.id, tls.duty(), to, told("tls", AuditAction::AuthorityAnnounced))
    });
    let changed = join_all(changes).await;
    assert_eq!(changed.iter().filter(|changed| **changed == Ok(true)).count(), 1, "{changed:?}");
    assert_eq!(fixture.event_count().await, before + 1);
}

async fn the_last_end_is_that_of_the_profiles_that_count(fixture: Fixture) {
    let store = &fixture.store;
    let nobody = authority("nobody");
    assert_eq!(store.last_end(&nobody, &[], FROM_THE_START).await, Ok(None));
    let mut issued = Vec::new();
    for days in [3, 50, 9] {
        let mut reservation = fixture.reservation();
        reservation.authority = authority("line");
        reservation.profile = if days == 50 { "ocsp-responder" } else { "server" }.parse().expect("a profile");
        reservation.validity.not_after = reservation.validity.not_before.plus(Lifetime::from_days(days));
        issued.push((days, reservation.validity.not_after));
        fixture.issue(reservation).await;
    }
    let end = |days| issued.iter().find(|(of, _)| *of == days).map(|(_, end)| *end);
    let line = authority("line");
    let responders = ["ocsp-responder".parse().expect("a profile")];
    assert_eq!(store.last_end(&line, &[], FROM_THE_START).await, Ok(end(50)));
    assert_eq!(
        store.last_end(&line, &responders, FROM_THE_START).await,
        Ok(end(9)),
        "responders are made as long as they are needed"
    );
    let nine = end(9).expect("issued");
    assert_eq!(store.last_end(&line, &responders, nine).await, Ok(Some(nine)), "its last instant counts");
    let after = Timestamp::from_unix_millis(nine.unix_millis() + 1);
    assert_eq!(store.last_end(&line, &responders, after).await, Ok(None));
    assert_eq!(
        store.last_end(&nobody, &[], FROM_THE_START).await,
        Ok(None),
        "another authority's count for nobody else"
    );
    // One that is under way counts, as it may be issued; one that was given up does not.
    let mut open = fixture.reservation();
    open.authority = line.clone();
    open.validity.not_after = open.validity.not_before.plus(Lifetime::from_days(80));
    let (id, until) = (open.id, open.validity.not_after);
    assert_eq!(store.reserve(open).await, Ok(crate::port::store::ReserveOutcome::Reserved));
    assert_eq!(store.last_end(&line, &responders, FROM_THE_START).await, Ok(Some(until)));
    let journal = Journal::of(event(AuditAction::IssuanceAbandoned, &format!("certificate:{id}")));
    assert_eq!(store.abandon(id, journal).await, Ok(true));
    assert_eq!(store.last_end(&line, &responders, FROM_THE_START).await, Ok(end(9)));
}

async fn a_destroyed_key_leaves_its_name_and_nothing_else(fixture: Fixture) {
    let store = &fixture.store;
    let [key, other] = [KeyRoom::Authorities, KeyRoom::Authorities].map(|room| fixture.sealed_key(room));
    for key in [&key, &other] {
        assert_eq!(store.add_key(key.clone()).await, Ok(()));
    }
    let destroy =
        |id: String| async move { store.destroy_key(&id, told("tls", AuditAction::AuthorityKeyDestroyed)).await };
    let before = fixture.event_count().await;
    assert_eq!(destroy("nobody".to_owned()).await, Ok(false));
    assert_eq!(destroy(key.id.clone()).await, Ok(true));
    assert_eq!(destroy(key.id.clone()).await, Ok(false), "nothing is left to forget");
    assert_eq!(fixture.event_count().await, before + 1);
    let left = SealedKey { sealed: Vec::new(), ..key.clone() };
    assert_eq!(store.key(&key.id).await, Ok(Some(left)));
    assert_eq!(store.key(&other.id).await, Ok(Some(other)));
    // Whoever still has it cannot bring it back.
    assert_eq!(store.add_key(key.clone()).await, Ok(()));
    assert!(store.key(&key.id).await.expect("key").expect("its row").sealed.is_empty());
}

async fn keys_are_kept_by_room(fixture: Fixture) {
    let [first, second] = [KeyRoom::Authorities, KeyRoom::Authorities].map(|room| fixture.sealed_key(room));
    let responder = fixture.sealed_key(KeyRoom::Responders);
    for key in [&first, &second, &responder] {
        assert_eq!(fixture.store.key(&key.id).await, Ok(None));
        assert_eq!(fixture.store.add_key(key.clone()).await, Ok(()));
        assert_eq!(fixture.store.key(&key.id).await, Ok(Some(key.clone())));
    }
    let by_id = |mut keys: Vec<SealedKey>| {
        keys.sort_by(|one, other| one.id.cmp(&other.id));
        keys
    };
    let authorities = fixture.store.keys(KeyRoom::Authorities).await.expect("keys");
    assert_eq!(by_id(authorities), by_id(vec![first, second]));
    assert_eq!(fixture.store.keys(KeyRoom::Responders).await, Ok(vec![responder]));
}

async fn adding_a_key_again_is_harmless(fixture: Fixture) {
    let key = fixture.sealed_key(KeyRoom::Responders);
    for _ in 0..2 {
        assert_eq!(fixture.store.add_key(key.clone()).await, Ok(()));
    }
    assert_eq!(fixture.store.keys(KeyRoom::Responders).await, Ok(vec![key]));
}

async fn responders_are_listed_oldest_first_until_they_end(fixture: Fixture) {
    fixture.authority("root", None).await;
    fixture.authority("tls", Some("root")).await;
    // By the database's time, which need not be that of the cases.
    let now = fixture.store.database_time().await.expect("database_time").floor_to_second();
    let hours = |hours: u64| Lifetime::from_seconds(hours * 3_600);
    let past = now.minus(hours(1));
    for (issuer, not_before, not_after) in [
        ("tls", now.minus(hours(1)), now.plus(hours(9))),
        ("tls", now.minus(hours(9)), now.plus(hours(1))),
        ("tls", now.minus(hours(20)), past),
        ("root", now.minus(hours(5)), now.plus(hours(5))),
        ("root", now.plus(hours(5)), now.plus(hours(9))),
    ] {
        let record = responder(&fixture, issuer, not_before, not_after).await;
        assert_eq!(fixture.store.add_responder(None, record).await, Ok(()));
    }
    let listed = fixture.store.responders().await.expect("responders");
    for issuer in ["tls", "root"] {
        let mut of_issuer = listed.iter().filter(|record| record.authority == authority(issuer));
        assert!(of_issuer.by_ref().map(|record| record.validity.not_before).is_sorted(), "oldest first");
    }
    assert_eq!(listed.len(), 4, "one has ended; one that has not begun is listed");
    assert!(listed.iter().all(|record| record.validity.not_after > now));
}

async fn an_older_lease_adds_no_responder(fixture: Fixture) {
    fixture.authority("tls", None).await;
    let now = fixture.store.database_time().await.expect("database_time").floor_to_second();
    let record = responder(&fixture, "tls", now, now.plus(Lifetime::from_days(7))).await;
    let lost = fixture.lost_lease("responder").await;
    let fenced = StoreError::Fenced { lease: lost.name.clone() };
    assert_eq!(fixture.store.add_responder(Some(&lost), record.clone()).await, Err(fenced));
    assert_eq!(fixture.store.responders().await, Ok(Vec::new()));
    let current = fixture.lease("another").await;
    assert_eq!(fixture.store.add_responder(Some(&current), record.clone()).await, Ok(()));
    assert_eq!(fixture.store.responders().await, Ok(vec![record]));
}

async fn settings_change_only_from_what_was_expected(fixture: Fixture) {
    let store = &fixture.store;
    assert_eq!(store.setting("data-key").await, Ok(None));
    assert_eq!(store.set_setting("data-key", Some(b"old"), b"new").await, Ok(false), "there is none yet");
    assert_eq!(store.set_setting("data-key", None, b"first\0\xff").await, Ok(true));
    assert_eq!(store.set_setting("data-key", None, b"second").await, Ok(false), "there is one by now");
    assert_eq!(store.setting("data-key").await, Ok(Some(b"first\0\xff".to_vec())));
    assert_eq!(store.set_setting("data-key", Some(b"first\0\xff"), b"").await, Ok(true));
    assert_eq!(store.setting("data-key").await, Ok(Some(Vec::new())), "empty is not absent");
    assert_eq!(store.setting("other").await, Ok(None));
}

async fn one_of_many_concurrent_settings_wins(fixture: Fixture) {
    let values: Vec<[u8; 1]> = (0..10).map(|value| [value]).collect();
    let set = join_all(values.iter().map(|value| fixture.store.set_setting("data-key", None, value))).await;
    let winners: Vec<_> = values.iter().zip(&set).filter(|(_, set)| **set == Ok(true)).collect();
    assert_eq!(winners.len(), 1, "{set:?}");
    assert_eq!(fixture.store.setting("data-key").await, Ok(Some(winners[0].0.to_vec())));
}

async fn add(fixture: &Fixture, record: AuthorityRecord) -> Result<(), StoreError> {
    let journal = Journal::of(event(AuditAction::AuthorityCreated, &format!("authority:{}", record.id)));
    fixture.store.add_authority(record, journal).await
}

/// A responder, not yet on record, whose certificate and key are.
async fn responder(fixture: &Fixture, issuer: &str, not_before: Timestamp, not_after: Timestamp) -> ResponderRecord {
    let certificate = fixture.issued().await;
    let key = fixture.sealed_key(KeyRoom::Responders);
    fixture.store.add_key(key.clone()).await.expect("add_key");
    ResponderRecord {
        authority: authority(issuer),
        certificate: certificate.id,
        certificate_der: certificate.der,
        key_id: key.id,
        validity: Validity { not_before, not_after },
    }
}
