//! Bulk revocations: what lies on record is what is done, each certificate once, whoever does it.

use ca_core::audit::AuditAction;
use ca_core::id::{BulkRevocationId, CertificateId};
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::Lifetime;
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{COMPROMISED, Fixture, HELD, NOW, SUPERSEDED, authority, change, event, idempotency, profile};
use crate::port::store::{
    BatchChange, BatchOutcome, BulkBatch, BulkBeginning, BulkRepetition, BulkRevocation, BulkRevocationState,
    BulkShare, Idempotency, Journal, Lease, StoreError, StoredCertificate,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        a_bulk_revocation_is_read_as_it_was_begun,
        bulk_revocations_are_listed_from_the_newest_to_the_oldest,
        batches_come_in_order_and_go_with_what_they_changed,
        what_stands_otherwise_than_seen_stays_in_its_batch,
        a_batch_is_made_once,
        a_batch_is_made_under_the_newest_lease_alone,
        a_batch_does_what_follows_from_a_compromise,
        it_is_completed_when_nothing_is_left,
        it_is_canceled_at_any_time_and_then_nothing_more_is_done,
        asking_again_with_an_idempotency_key_finds_it,
        an_expired_idempotency_key_is_as_good_as_absent,
        of_many_that_ask_at_once_with_one_key_one_begins,
    ]
}

fn operation(number: u8, count: u64) -> BulkRevocation {
    BulkRevocation {
        id: BulkRevocationId::new(NOW, [number; 10]),
        scope: "profile=server".to_owned(),
        reason: RevocationReason::Superseded,
        invalidity_date: Some(NOW.minus(Lifetime::from_seconds(60))),
        requested_by: "certificate:owner".to_owned(),
        request_id: Some("request".to_owned()),
        created_at: NOW,
        count,
        shares: vec![BulkShare { authority: authority("tls"), profile: profile("server"), count }],
        refused: 1,
        refused_first: vec![CertificateId::from_bytes([9; 16])],
        state: BulkRevocationState::Running,
        revoked: 0,
        skipped: 0,
        sequence: 0,
        ended_at: None,
    }
}

fn journal(action: AuditAction, id: BulkRevocationId) -> Journal {
    Journal::of(event(action, &format!("bulk-revocation:{id}")))
}

async fn begin(
    fixture: &Fixture,
    operation: BulkRevocation,
    batches: &[&[&StoredCertificate]],
    idempotency: Option<Idempotency>,
) -> BulkBeginning {
    let batches = batches.iter().map(|batch| batch.iter().map(|certificate| certificate.id).collect()).collect();
    let journal = journal(AuditAction::BulkRevocationBegun, operation.id);
    fixture.store.begin_bulk_revocation(operation, batches, idempotency, journal).await.expect("begin_bulk_revocation")
}

fn batch(id: BulkRevocationId, number: u32, changed: &[&StoredCertificate], skipped: &[CertificateId]) -> BatchChange {
    let changes = changed.iter().map(|certificate| change(certificate.id, Standing::Active, SUPERSEDED));
    BatchChange { id, number, changes: changes.collect(), skipped: skipped.to_vec() }
}

async fn make(fixture: &Fixture, lease: &Lease, batch: BatchChange) -> BatchOutcome {
    fixture.store.change_batch(lease, batch).await.expect("change_batch")
}

async fn on_record(fixture: &Fixture, id: BulkRevocationId) -> BulkRevocation {
    fixture.store.bulk_revocation(id).await.expect("bulk_revocation").expect("on record")
}

async fn standing(fixture: &Fixture, certificate: &StoredCertificate) -> Standing {
    fixture.store.certificate(certificate.id).await.expect("certificate").expect("on record").standing
}

async fn three(fixture: &Fixture) -> [StoredCertificate; 3] {
    [fixture.issued().await, fixture.issued().await, fixture.issued().await]
}

async fn a_bulk_revocation_is_read_as_it_was_begun(fixture: Fixture) {
    let asked = operation(1, 1);
    assert_eq!(fixture.store.bulk_revocation(asked.id).await, Ok(None));
    let certificate = fixture.issued().await;
    let before = fixture.event_count().await;
    assert_eq!(begin(&fixture, asked.clone(), &[&[&certificate]], None).await, BulkBeginning::Begun);
    assert_eq!(fixture.event_count().await, before + 1);
    assert_eq!(fixture.another().await.bulk_revocation(asked.id).await, Ok(Some(asked.clone())));
    let left = BulkBatch { number: 0, certificates: vec![certificate.id] };
    assert_eq!(fixture.store.next_batch(asked.id).await, Ok(Some(left)));
    assert_eq!(standing(&fixture, &certificate).await, Standing::Active, "nothing is done by beginning");
    let bare = BulkRevocation { request_id: None, invalidity_date: None, shares: vec![], ..operation(2, 0) };
    let bare = BulkRevocation { refused: 0, refused_first: vec![], ..bare };
    assert_eq!(begin(&fixture, bare.clone(), &[], None).await, BulkBeginning::Begun);
    assert_eq!(fixture.store.bulk_revocation(bare.id).await, Ok(Some(bare.clone())));
    assert_eq!(fixture.store.next_batch(bare.id).await, Ok(None));
}

async fn bulk_revocations_are_listed_from_the_newest_to_the_oldest(fixture: Fixture) {
    assert_eq!(fixture.store.bulk_revocations(None, 10).await, Ok(vec![]));
    for number in [2, 1, 3] {
        begin(&fixture, operation(number, 0), &[], None).await;
    }
    let [one, two, three] = [1, 2, 3].map(|number| operation(number, 0));
    let all = vec![three.clone(), two.clone(), one.clone()];
    assert_eq!(fixture.store.bulk_revocations(None, 10).await, Ok(all.clone()));
    assert_eq!(fixture.store.bulk_revocations(None, 2).await, Ok(all[..2].to_vec()));
    assert_eq!(fixture.store.bulk_revocations(Some(two.id), 10).await, Ok(vec![one.clone()]));
    assert_eq!(fixture.store.running_bulk_revocations().await, Ok(vec![one, two, three]), "the oldest first");
}

async fn batches_come_in_order_and_go_with_what_they_changed(fixture: Fixture) {
    let [a, b, c] = three(&fixture).await;
    let asked = operation(1, 3);
    begin(&fixture, asked.clone(), &[&[&a, &b], &[&c]], None).await;
    let lease = fixture.lease("bulk-revocation").await;
    let (events, sequence) = (fixture.event_count().await, fixture.sequence().await);
    let made = make(&fixture, &lease, batch(asked.id, 0, &[&a], &[b.id])).await;
    assert_eq!(made, BatchOutcome::Made { stale: vec![] });
    assert_eq!(standing(&fixture, &a).await, SUPERSEDED);
    assert_eq!(standing(&fixture, &b).await, Standing::Active, "it was to be left as it was");
    let expected = BulkRevocation { revoked: 1, skipped: 1, sequence: sequence + 1, ..asked.clone() };
    assert_eq!(on_record(&fixture, asked.id).await, expected);
    let left = BulkBatch { number: 1, certificates: vec![c.id] };
    assert_eq!(fixture.store.next_batch(asked.id).await, Ok(Some(left)));
    make(&fixture, &lease, batch(asked.id, 1, &[&c], &[])).await;
    assert_eq!(fixture.store.next_batch(asked.id).await, Ok(None));
    let expected = BulkRevocation { revoked: 2, sequence: sequence + 2, ..expected };
    assert_eq!(on_record(&fixture, asked.id).await, expected);
    assert_eq!(fixture.event_count().await, events + 2, "one for each revocation");
    let rows = fixture.store.revocations_after(sequence, 10).await.expect("revocations_after");
    let rows: Vec<_> = rows.into_iter().map(|row| (row.sequence, row.serial, row.standing)).collect();
    assert_eq!(rows, [(sequence + 1, a.serial, SUPERSEDED), (sequence + 2, c.serial, SUPERSEDED)]);
}

async fn what_stands_otherwise_than_seen_stays_in_its_batch(fixture: Fixture) {
    let [a, b, c] = three(&fixture).await;
    let asked = operation(1, 3);
    begin(&fixture, asked.clone(), &[&[&a, &b, &c]], None).await;
    fixture.hold(&b).await;
    let lease = fixture.lease("bulk-revocation").await;
    let made = make(&fixture, &lease, batch(asked.id, 0, &[&a, &b, &c], &[])).await;
    assert_eq!(made, BatchOutcome::Made { stale: vec![b.id] });
    assert_eq!(standing(&fixture, &b).await, HELD);
    assert_eq!(standing(&fixture, &c).await, SUPERSEDED);
    let left = BulkBatch { number: 0, certificates: vec![b.id] };
    assert_eq!(fixture.store.next_batch(asked.id).await, Ok(Some(left)));
    assert_eq!(on_record(&fixture, asked.id).await.revoked, 2);
    let again = BatchChange { changes: vec![change(b.id, HELD, SUPERSEDED)], ..batch(asked.id, 0, &[], &[]) };
    assert_eq!(make(&fixture, &lease, again).await, BatchOutcome::Made { stale: vec![] });
    assert_eq!(on_record(&fixture, asked.id).await.revoked, 3);
    assert_eq!(fixture.store.next_batch(asked.id).await, Ok(None));
}

async fn a_batch_is_made_once(fixture: Fixture) {
    let [a, b, c] = three(&fixture).await;
    let asked = operation(1, 3);
    begin(&fixture, asked.clone(), &[&[&a, &b], &[&c]], None).await;
    let lease = fixture.lease("bulk-revocation").await;
    for other in [
        batch(asked.id, 0, &[&a], &[]),
        batch(asked.id, 0, &[&a, &b, &c], &[]),
        batch(asked.id, 1, &[&a, &b], &[]),
        batch(asked.id, 7, &[], &[]),
        batch(operation(2, 0).id, 0, &[&a, &b], &[]),
    ] {
        let what = format!("{:?}", (other.id, other.number, other.changes.len()));
        assert_eq!(make(&fixture, &lease, other).await, BatchOutcome::Superseded, "{what}");
    }
    let first = batch(asked.id, 0, &[&a, &b], &[]);
    assert_eq!(make(&fixture, &lease, first.clone()).await, BatchOutcome::Made { stale: vec![] });
    let events = fixture.event_count().await;
    assert_eq!(make(&fixture, &lease, first).await, BatchOutcome::Superseded);
    assert_eq!((fixture.event_count().await, on_record(&fixture, asked.id).await.revoked), (events, 2));
}

async fn a_batch_is_made_under_the_newest_lease_alone(fixture: Fixture) {
    let certificate = fixture.issued().await;
    let asked = operation(1, 1);
    begin(&fixture, asked.clone(), &[&[&certificate]], None).await;
    let lost = fixture.lost_lease("bulk-revocation").await;
    let made = fixture.store.change_batch(&lost, batch(asked.id, 0, &[&certificate], &[])).await;
    assert!(matches!(made, Err(StoreError::Fenced { .. })), "{made:?}");
    assert_eq!(standing(&fixture, &certificate).await, Standing::Active);
    let end = journal(AuditAction::BulkRevocationCompleted, asked.id);
    let ended = fixture.store.end_bulk_revocation(Some(&lost), asked.id, end).await;
    assert!(matches!(ended, Err(StoreError::Fenced { .. })), "{ended:?}");
}

async fn a_batch_does_what_follows_from_a_compromise(fixture: Fixture) {
    let certificate = fixture.issued().await;
    let asked = operation(1, 1);
    begin(&fixture, asked.clone(), &[&[&certificate]], None).await;
    let lease = fixture.lease("bulk-revocation").await;
    let mut compromise = change(certificate.id, Standing::Active, COMPROMISED);
    compromise.compromised_since = Some(NOW);
    let compromise = BatchChange { changes: vec![compromise], ..batch(asked.id, 0, &[], &[]) };
    assert_eq!(make(&fixture, &lease, compromise).await, BatchOutcome::Made { stale: vec![] });
    assert_eq!(fixture.store.is_key_blocked(&certificate.spki_sha256).await, Ok(true));
}

async fn it_is_completed_when_nothing_is_left(fixture: Fixture) {
    let certificate = fixture.issued().await;
    let asked = operation(1, 1);
    begin(&fixture, asked.clone(), &[&[&certificate]], None).await;
    let lease = fixture.lease("bulk-revocation").await;
    let before = fixture.event_count().await;
    let end = || {
        let journal = journal(AuditAction::BulkRevocationCompleted, asked.id);
        fixture.store.end_bulk_revocation(Some(&lease), asked.id, journal)
    };
    assert_eq!(end().await, Ok(false), "one still stands");
    assert_eq!(fixture.event_count().await, before);
    make(&fixture, &lease, batch(asked.id, 0, &[&certificate], &[])).await;
    assert_eq!(end().await, Ok(true));
    let ended = on_record(&fixture, asked.id).await;
    assert_eq!((ended.state, ended.ended_at), (BulkRevocationState::Completed, Some(NOW)));
    assert_eq!(fixture.store.running_bulk_revocations().await, Ok(vec![]));
    assert_eq!(end().await, Ok(false), "once");
    let cancel = journal(AuditAction::BulkRevocationCanceled, asked.id);
    assert_eq!(fixture.store.end_bulk_revocation(None, asked.id, cancel).await, Ok(false));
    assert_eq!(on_record(&fixture, asked.id).await, ended);
    assert_eq!(fixture.event_count().await, before + 2);
}

async fn it_is_canceled_at_any_time_and_then_nothing_more_is_done(fixture: Fixture) {
    let [a, b, c] = three(&fixture).await;
    let asked = operation(1, 3);
    begin(&fixture, asked.clone(), &[&[&a, &b], &[&c]], None).await;
    let lease = fixture.lease("bulk-revocation").await;
    make(&fixture, &lease, batch(asked.id, 0, &[&a, &b], &[])).await;
    let cancel = |id| fixture.store.end_bulk_revocation(None, id, journal(AuditAction::BulkRevocationCanceled, id));
    assert_eq!(cancel(operation(2, 0).id).await, Ok(false), "there is none");
    assert_eq!(cancel(asked.id).await, Ok(true));
    let ended = on_record(&fixture, asked.id).await;
    assert_eq!((ended.state, ended.revoked), (BulkRevocationState::Canceled, 2));
    assert_eq!(fixture.store.next_batch(asked.id).await, Ok(None));
    assert_eq!(make(&fixture, &lease, batch(asked.id, 1, &[&c], &[])).await, BatchOutcome::Superseded);
    assert_eq!(standing(&fixture, &c).await, Standing::Active);
    assert_eq!(cancel(asked.id).await, Ok(false), "once");
}

async fn asking_again_with_an_idempotency_key_finds_it(fixture: Fixture) {
    let first = operation(1, 0);
    let [same, other] = [7, 8].map(|request| idempotency(1, request).expect("a key"));
    assert_eq!(fixture.store.repeated_bulk_revocation(&same, NOW).await, Ok(None));
    assert_eq!(begin(&fixture, first.clone(), &[], Some(same.clone())).await, BulkBeginning::Begun);
    let events = fixture.event_count().await;
    for (asked, repetition) in [(same, BulkRepetition::Same(first.id)), (other, BulkRepetition::Other)] {
        assert_eq!(fixture.store.repeated_bulk_revocation(&asked, NOW).await, Ok(Some(repetition)));
        let begun = begin(&fixture, operation(2, 0), &[], Some(asked)).await;
        assert_eq!(begun, BulkBeginning::Repeated(repetition));
    }
    assert_eq!(fixture.event_count().await, events);
    assert_eq!(fixture.store.bulk_revocation(operation(2, 0).id).await, Ok(None));
    assert_eq!(begin(&fixture, operation(3, 0), &[], idempotency(2, 7)).await, BulkBeginning::Begun);
}

async fn an_expired_idempotency_key_is_as_good_as_absent(fixture: Fixture) {
    let asked = idempotency(1, 7).expect("a key");
    begin(&fixture, operation(1, 0), &[], Some(asked.clone())).await;
    let after = asked.expires_at.plus(Lifetime::from_seconds(1));
    assert_eq!(fixture.store.repeated_bulk_revocation(&asked, after).await, Ok(None));
    let late = BulkRevocation { created_at: after, ..operation(2, 0) };
    let again = Idempotency { expires_at: after.plus(Lifetime::from_days(1)), ..asked.clone() };
    assert_eq!(begin(&fixture, late.clone(), &[], Some(again)).await, BulkBeginning::Begun);
    let found = fixture.store.repeated_bulk_revocation(&asked, after).await;
    assert_eq!(found, Ok(Some(BulkRepetition::Same(late.id))));
    let much_later = after.plus(Lifetime::from_days(2));
    assert_eq!(fixture.store.drop_expired_idempotency(much_later).await, Ok(1));
    assert_eq!(fixture.store.drop_expired_idempotency(much_later).await, Ok(0));
    assert_eq!(fixture.store.repeated_bulk_revocation(&asked, after).await, Ok(None));
}

async fn of_many_that_ask_at_once_with_one_key_one_begins(fixture: Fixture) {
    // Several times: which of them meet depends on how the store's connections take turns.
    for key in 1..=20 {
        let asked = |number| begin(&fixture, operation(10 * key + number, 0), &[], idempotency(key, 7));
        let begun = join_all((0..5).map(asked)).await;
        assert_eq!(begun.iter().filter(|begun| **begun == BulkBeginning::Begun).count(), 1, "{begun:?}");
        let there = fixture.store.bulk_revocations(None, 100).await.expect("bulk_revocations");
        assert_eq!(there.len(), usize::from(key), "one for each key");
        let winner = begun.iter().position(|begun| *begun == BulkBeginning::Begun).expect("one began");
        let only = operation(10 * key + u8::try_from(winner).expect("five"), 0);
        assert!(there.contains(&only), "{there:?}");
        let repeated = BulkBeginning::Repeated(BulkRepetition::Same(only.id));
        assert_eq!(begun.iter().filter(|begun| **begun == repeated).count(), 4, "{begun:?}");
    }
}
