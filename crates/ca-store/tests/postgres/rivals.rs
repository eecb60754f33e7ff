//! Many callers at once, at two replicas.

use std::future::Future;
use std::sync::Arc;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::hash::sha256;
use ca_core::id::TokenId;
use ca_core::principal::TokenBinding;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::time::Lifetime;
use ca_engine::port::store::{
    AuditStore, CertificateStore, ChangeOutcome, CompleteOutcome, Idempotency, Journal, Reservation, ReserveOutcome,
    StandingChange, StatusStore, TokenRecord, TokenStore,
};
use ca_store::PostgresStore;
use sqlx::Connection;
use tokio::task::JoinSet;

use super::fixture::{NOW, another, completion, issue, journal, reservation, revocation, store};

const RIVALS: u64 = 32;

/// What becomes of rivals, half of them at another replica.
async fn outcomes(store: &Arc<PostgresStore>, database: &str, rivals: Vec<Reservation>) -> Vec<ReserveOutcome> {
    let replicas = [store.clone(), another(database).await];
    let callers = rivals.into_iter().enumerate().map(|(number, rival)| {
        let replica = replicas[number % 2].clone();
        async move { replica.reserve(rival).await.expect("a rival is told, not failed") }
    });
    together(callers).await
}

async fn together<T: Send + 'static>(
    callers: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    callers.collect::<JoinSet<_>>().join_all().await
}

fn count(outcomes: &[ReserveOutcome], wanted: impl Fn(&ReserveOutcome) -> bool) -> usize {
    outcomes.iter().filter(|outcome| wanted(outcome)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_the_rivals_for_a_serial_gets_it() {
    let (store, database) = store().await;
    let rivals = (0..RIVALS).map(|number| Reservation { serial: reservation(0).serial, ..reservation(number) });
    let outcomes = outcomes(&store, &database, rivals.collect()).await;
    assert_eq!(count(&outcomes, |outcome| *outcome == ReserveOutcome::Reserved), 1, "{outcomes:?}");
    assert_eq!(count(&outcomes, |outcome| *outcome == ReserveOutcome::SerialTaken), 31, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_the_rivals_for_an_idempotency_key_gets_it() {
    let (store, database) = store().await;
    let key =
        Idempotency { scope_sha256: [1; 32], request_sha256: [2; 32], expires_at: NOW.plus(Lifetime::from_days(1)) };
    let rivals = (0..RIVALS).map(|number| Reservation { idempotency: Some(key.clone()), ..reservation(number) });
    let outcomes = outcomes(&store, &database, rivals.collect()).await;
    assert_eq!(count(&outcomes, |outcome| *outcome == ReserveOutcome::Reserved), 1, "{outcomes:?}");
    assert_eq!(count(&outcomes, |outcome| matches!(outcome, ReserveOutcome::InProgress(_))), 31, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_the_rivals_for_the_last_use_of_a_token_gets_it() {
    let (store, database) = store().await;
    let token = TokenRecord {
        id: TokenId::new(NOW, [1; 10]),
        secret_sha256: sha256(b"secret"),
        binding: TokenBinding { profile: "server".parse().expect("a profile"), names: vec![], common_name: None },
        personal_data: false,
        uses: 1,
        used: 0,
        expires_at: NOW.plus(Lifetime::from_days(1)),
        created_at: NOW,
        created_by: "local".to_owned(),
        withdrawn: false,
    };
    let event = AuditEvent::new(NOW, AuditAction::TokenCreated, "local", "token:1");
    store.add_token(token.clone(), Journal::of(event)).await.expect("added");
    let rivals = (0..RIVALS).map(|number| Reservation { token: Some(token.id), ..reservation(number) });
    let outcomes = outcomes(&store, &database, rivals.collect()).await;
    assert_eq!(count(&outcomes, |outcome| *outcome == ReserveOutcome::Reserved), 1, "{outcomes:?}");
    assert_eq!(count(&outcomes, |outcome| *outcome == ReserveOutcome::TokenSpent), 31, "{outcomes:?}");
    assert_eq!(store.token(token.id).await.expect("answers").expect("on record").used, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_the_rivals_for_a_predecessor_gets_it() {
    let (store, database) = store().await;
    let predecessor = issue(&store, 1_000).await.expect("issued").id;
    let rivals = (0..RIVALS).map(|number| Reservation { renews: Some(predecessor), ..reservation(number) });
    let outcomes = outcomes(&store, &database, rivals.collect()).await;
    assert_eq!(count(&outcomes, |outcome| *outcome == ReserveOutcome::Reserved), 1, "{outcomes:?}");
    let told = |outcome: &ReserveOutcome| matches!(outcome, ReserveOutcome::SuccessorExists(_));
    assert_eq!(count(&outcomes, told), 31, "{outcomes:?}");
}

/// Successors of few predecessors in crossing orders, revocations of the same, keys blocked in between: no error reaches anybody.
#[tokio::test(flavor = "multi_thread")]
async fn issuers_and_revokers_of_the_same_certificates_meet_without_an_error() {
    let (store, database) = store().await;
    let mut predecessors = Vec::new();
    for number in 0..16 {
        predecessors.push(issue(&store, number).await.expect("issued"));
    }
    let replicas = [store.clone(), another(&database).await];
    let mut callers = JoinSet::new();
    for number in 0..400_u64 {
        let replica = replicas[(number % 2) as usize].clone();
        // By turns from both ends.
        let position = if number % 2 == 0 { number % 16 } else { 15 - number % 16 };
        let predecessor = predecessors[position as usize].clone();
        callers.spawn(async move {
            if number % 7 == 0 {
                let to = Standing::Revoked(Revocation {
                    revoked_at: NOW,
                    reason: RevocationReason::KeyCompromise,
                    invalidity_date: None,
                });
                let journal = journal(AuditAction::CertificateRevoked, predecessor.id);
                let change = StandingChange {
                    id: predecessor.id,
                    from: Standing::Active,
                    to,
                    compromised_since: Some(NOW),
                    journal,
                };
                replica.change_standing(change).await.expect("applied or stale");
                return;
            }
            let successor = Reservation { renews: Some(predecessor.id), ..reservation(10_000 + number) };
            let id = successor.id;
            if replica.reserve(successor).await.expect("told") == ReserveOutcome::Reserved {
                match replica.complete(completion(id)).await.expect("told") {
                    CompleteOutcome::Completed(_) | CompleteOutcome::Overtaken => {}
                    CompleteOutcome::NotReserved => panic!("it was reserved a moment ago"),
                }
            }
        });
    }
    callers.join_all().await;
    let mut connection = super::fixture::connect(&database).await;
    let twice: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM (SELECT renews FROM serials WHERE renews IS NOT NULL AND (reason IS NULL OR reason = 6)
             GROUP BY renews HAVING COUNT(*) > 1) AS twice",
    )
    .fetch_one(&mut connection)
    .await
    .expect("a number");
    assert_eq!(twice, 0, "a certificate has two live successors");
    let halves: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM serials AS s FULL JOIN certificates AS c ON c.id = s.certificate_id
             FULL JOIN reservations AS r ON r.id = s.certificate_id
             WHERE s.certificate_id IS NULL OR (s.state IN (0, 4)) <> (r.id IS NOT NULL)
                 OR (s.state BETWEEN 1 AND 3) <> (c.id IS NOT NULL)",
    )
    .fetch_one(&mut connection)
    .await
    .expect("a number");
    assert_eq!(halves, 0, "an issuance is half on record");
    connection.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_database_refuses_takes_nobody_with_it() {
    let (store, _) = store().await;
    // Text with a NUL cannot be stored.
    let spoilt = Reservation { owner: "a\0b".to_owned(), ..reservation(1_000) };
    let mut callers = JoinSet::new();
    for number in 0..64 {
        let store = store.clone();
        callers.spawn(async move { store.reserve(reservation(number)).await });
    }
    assert!(store.reserve(spoilt).await.is_err());
    assert!(callers.join_all().await.into_iter().all(|outcome| outcome == Ok(ReserveOutcome::Reserved)));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_go_away_leave_whole_changes_and_usable_connections() {
    let (store, database) = store().await;
    let mut callers = JoinSet::new();
    for number in 0..200 {
        let store = store.clone();
        callers.spawn(async move {
            let patience = std::time::Duration::from_micros(100 * number);
            let event = AuditEvent::new(NOW, AuditAction::AdministratorReset, "local", format!("subject:{number}"));
            let _given_up = tokio::time::timeout(patience, async {
                store.append_event(event).await.expect("appended");
                issue(&store, number).await.expect("issued");
                store.revocation_sequence().await.expect("answers");
            })
            .await;
        });
    }
    callers.join_all().await;
    let certificate = issue(&store, 1_000).await.expect("issued");
    let outcome = store.change_standing(revocation(certificate.id, RevocationReason::Superseded)).await;
    assert_eq!(outcome, Ok(ChangeOutcome::Applied { sequence: 1 }));
    store.close().await;
    let mut connection = super::fixture::connect(&database).await;
    let open: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    )
    .fetch_one(&mut connection)
    .await
    .expect("a number");
    assert_eq!(open, 0, "no transaction was left open");
}
