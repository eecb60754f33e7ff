//! A snapshot: one instant of the record, whole, loaded whole or not at all.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::MetadataExt;

use ca_core::revocation::RevocationReason;
use ca_engine::port::store::{AuditStore, AuthorityStore, CertificateStore, EventFilter, StatusStore};
use tokio::task::JoinSet;

use super::fixture::{Folder, count, issue, reservation, revocation};
use crate::{OpenMode, SnapshotError, SnapshotPart, SnapshotSink, SnapshotSource, SqliteStore};

/// A snapshot in memory.
#[derive(Clone, Default)]
struct Parts {
    parts: VecDeque<SnapshotPart>,
    /// How many are taken or given before it fails.
    room: Option<usize>,
}

impl Parts {
    fn use_up(&mut self) -> io::Result<()> {
        match &mut self.room {
            Some(0) => Err(io::ErrorKind::StorageFull.into()),
            Some(room) => {
                *room -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl SnapshotSink for Parts {
    fn put(&mut self, part: SnapshotPart) -> io::Result<()> {
        self.use_up()?;
        self.parts.push_back(part);
        Ok(())
    }
}

impl SnapshotSource for Parts {
    fn next(&mut self) -> io::Result<Option<SnapshotPart>> {
        self.use_up()?;
        Ok(self.parts.pop_front())
    }
}

const SETTING: (&str, &[u8]) = ("record.restoration", b"pending");

async fn dump(folder: &Folder) -> Parts {
    let mut parts = Parts::default();
    SqliteStore::dump(&folder.database(), &mut parts).await.expect("dumped");
    parts
}

/// The files in a folder, without those that SQLite lays beside an open database.
fn files(folder: &Folder) -> Vec<String> {
    let parent = folder.database();
    let entries = std::fs::read_dir(parent.parent().expect("a folder")).expect("readable");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "ca.db-wal" && name != "ca.db-shm").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_made_while_others_write_is_one_instant() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for number in 0..40 {
                let issued = issue(&store, writer * 1_000 + number).await.expect("issued");
                if number % 2 == 0 {
                    let change = revocation(issued.id, RevocationReason::Superseded);
                    store.change_standing(change).await.expect("revoked");
                }
            }
        });
    }
    // Something is on record, and more is being put there.
    while store.revocation_sequence().await.expect("a number") < 20 {
        tokio::task::yield_now().await;
    }
    let mut parts = dump(&folder).await;
    writers.join_all().await;
    assert_eq!(files(&folder), ["ca.db"], "nothing is left beside it");

    let other = Folder::new();
    SqliteStore::load(&other.database(), &mut parts, SETTING).await.expect("loaded");
    assert_eq!(files(&other), ["ca.db"]);
    assert_eq!(std::fs::metadata(other.database()).expect("there").mode() & 0o777, 0o600);
    let serials = count(&other, "SELECT COUNT(*) FROM serials").await;
    assert!((20..320).contains(&serials), "{serials}: not at the end");
    assert_eq!(
        serials,
        count(&other, "SELECT COUNT(*) FROM certificates").await
            + count(&other, "SELECT COUNT(*) FROM reservations").await
    );
    let sequence = count(&other, "SELECT value FROM counters WHERE name = 'revocations'").await;
    assert_eq!(sequence, count(&other, "SELECT COUNT(*) FROM revocations").await);
    assert_eq!(sequence, count(&other, "SELECT COUNT(*) FROM serials WHERE state = 3").await);

    // It is a record like any other, and says that it was loaded.
    let loaded = SqliteStore::open(&other.database(), OpenMode::ReadWrite).await.expect("opens");
    assert_eq!(loaded.setting(SETTING.0).await, Ok(Some(SETTING.1.to_vec())));
    assert_eq!(loaded.events_after(0, &EventFilter::default(), 1).await, Ok(vec![]));
    issue(&loaded, 9_999).await.expect("issued");
}

#[tokio::test]
async fn a_snapshot_goes_into_an_empty_place_only() {
    let folder = Folder::new();
    issue(&*folder.store().await, 1).await.expect("issued");
    let parts = dump(&folder).await;
    let error = SqliteStore::load(&folder.database(), &mut parts.clone(), SETTING).await.expect_err("not empty");
    assert!(matches!(error, SnapshotError::NotEmpty { .. }), "{error}");
    let other = Folder::new();
    std::fs::write(other.database().with_extension("db-wal"), "left").expect("written");
    let error = SqliteStore::load(&other.database(), &mut parts.clone(), SETTING).await.expect_err("not empty");
    assert!(error.to_string().contains("ca.db-wal"), "{error}");
}

#[tokio::test]
async fn a_stream_that_ends_early_or_makes_no_sense_leaves_nothing() {
    let folder = Folder::new();
    let store = folder.store().await;
    issue(&store, 1).await.expect("issued");
    let whole = dump(&folder).await;
    let changed = |change: fn(&mut VecDeque<SnapshotPart>)| {
        let mut parts = whole.clone();
        change(&mut parts.parts);
        parts
    };
    let spoiled = [
        Parts { room: Some(2), ..whole.clone() },
        Parts::default(),
        changed(|parts| drop(parts.pop_front())),
        changed(|parts| parts.truncate(2)),
        changed(|parts| {
            if let Some(SnapshotPart::Octets(octets)) = parts.back_mut() {
                octets.truncate(8_192);
            }
        }),
        changed(|parts| {
            if let Some(SnapshotPart::Header(header)) = parts.front_mut() {
                header.schema_version = 9_999;
            }
        }),
        changed(|parts| {
            if let Some(SnapshotPart::Header(header)) = parts.front_mut() {
                header.kind = crate::SnapshotKind::Postgres;
            }
        }),
    ];
    for (number, mut parts) in spoiled.into_iter().enumerate() {
        let other = Folder::new();
        SqliteStore::load(&other.database(), &mut parts, SETTING).await.expect_err(&format!("{number}"));
        assert_eq!(files(&other), Vec::<String>::new(), "{number}");
    }
    // A place that is full takes nothing, and the record is as it was.
    for room in 0..3 {
        let mut full = Parts { room: Some(room), ..Parts::default() };
        let error = SqliteStore::dump(&folder.database(), &mut full).await.expect_err("full");
        assert!(matches!(error, SnapshotError::Stream(_)), "{error}");
        assert_eq!(files(&folder), ["ca.db"]);
    }
    assert!(store.certificate(reservation(1).id).await.expect("answers").is_some());
}
