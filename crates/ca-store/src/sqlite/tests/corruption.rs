//! Rows that somebody changed are told, never guessed at.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use ca_core::revocation::RevocationReason;
use ca_engine::port::store::{AuditStore, CertificateFilter, CertificateStore, StatusStore, StoreError};

use super::fixture::{Folder, NOW, completion, count, issue, reservation, revocation, tamper};

fn is_inconsistent<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Inconsistent { detail }) => detail,
        other => panic!("a changed row is inconsistent, not {other:?}"),
    }
}

#[tokio::test]
async fn a_subject_that_is_no_name_is_told_with_its_place_and_without_its_value() {
    let folder = Folder::new();
    let store = folder.store().await;
    let id = issue(&store, 1).await.expect("issued").id;
    tamper(&folder, "UPDATE certificates SET subject = CAST('secret' AS BLOB)").await;
    let detail = is_inconsistent(store.certificate(id).await);
    assert!(detail.contains(&format!("certificates {id}")) && !detail.contains("secret"), "{detail}");
    is_inconsistent(store.list(&CertificateFilter::all(NOW), None, 10).await);
}

#[tokio::test]
async fn a_state_that_contradicts_its_revocation_is_not_good() {
    let folder = Folder::new();
    let store = folder.store().await;
    let certificate = issue(&store, 1).await.expect("issued");
    store.change_standing(revocation(certificate.id, RevocationReason::KeyCompromise)).await.expect("revoked");
    tamper(&folder, "PRAGMA ignore_check_constraints = ON; UPDATE serials SET state = 1").await;
    is_inconsistent(store.status(&certificate.authority, &certificate.serial).await);
    is_inconsistent(store.change_standing(revocation(certificate.id, RevocationReason::Superseded)).await);
    tamper(&folder, "PRAGMA ignore_check_constraints = ON; UPDATE serials SET state = 3, reason = 7").await;
    is_inconsistent(store.revoked_serials(&certificate.authority, NOW, None, 10).await);
}

#[tokio::test]
async fn a_serial_that_is_not_reserved_takes_no_certificate() {
    let folder = Folder::new();
    let store = folder.store().await;
    let reservation = reservation(1);
    store.reserve(reservation.clone()).await.expect("reserved");
    tamper(&folder, "UPDATE serials SET state = 1").await;
    is_inconsistent(store.complete(completion(reservation.id)).await);
    assert_eq!(store.certificate(reservation.id).await, Ok(None));
    assert_eq!(store.pending_events(10).await, Ok(Vec::new()));
}

#[tokio::test]
async fn an_unreadable_reservation_takes_back_its_completion() {
    let folder = Folder::new();
    let store = folder.store().await;
    let reservation = reservation(1);
    store.reserve(reservation.clone()).await.expect("reserved");
    tamper(&folder, "UPDATE reservations SET names = x'00'").await;
    is_inconsistent(store.complete(completion(reservation.id)).await);
    assert_eq!(count(&folder, "SELECT COUNT(*) FROM certificates").await, 0);
    assert_eq!(count(&folder, "SELECT COUNT(*) FROM reservations").await, 1);
}

#[tokio::test]
async fn the_database_itself_keeps_what_must_not_go() {
    let folder = Folder::new();
    let store = folder.store().await;
    let certificate = issue(&store, 1).await.expect("issued");
    store.change_standing(revocation(certificate.id, RevocationReason::Superseded)).await.expect("revoked");
    store.close().await;
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.database());
    let mut connection = options.connect().await.expect("connects");
    for sql in [
        "DELETE FROM serials",
        "DELETE FROM revocations",
        "DELETE FROM audit_events",
        "UPDATE audit_events SET canonical = x'00'",
        "UPDATE audit_events SET subject = ''",
    ] {
        let refused = sqlx::query(sql).execute(&mut connection).await;
        assert!(refused.is_err(), "{sql}");
    }
    connection.close().await.expect("closes");
}

#[tokio::test]
async fn overwritten_pages_are_told() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut ids = Vec::new();
    for number in 0..50 {
        ids.push(issue(&store, number).await.expect("issued").id);
    }
    store.close().await;
    let file = OpenOptions::new().write(true).open(folder.database()).expect("opens");
    let pages = file.metadata().expect("metadata").len() / 4096;
    // The last pages hold rows; without the first, which say what is where, it would be no database at all.
    for page in pages - 8..pages {
        file.write_all_at(&[0xa5; 4096], page * 4096).expect("writes");
    }
    drop(file);
    let store = folder.store().await;
    let mut told = 0;
    for id in ids {
        match store.certificate(id).await {
            Ok(found) => assert!(found.is_none_or(|found| found.id == id)),
            Err(StoreError::Inconsistent { .. }) => told += 1,
            other => panic!("an overwritten page is inconsistent: {other:?}"),
        }
    }
    assert!(told > 0, "at least one certificate lay on an overwritten page");
}
