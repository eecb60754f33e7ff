//! What was acknowledged survives the process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use ca_engine::port::store::{AuditStore, CertificateFilter, CertificateStore};
use tokio::task::JoinSet;

use super::fixture::{Folder, NOW, issue, reservation};
use crate::{OpenMode, SqliteStore};

/// Tells the child of the test below which file to write.
const DATABASE: &str = "CA_STORE_TEST_DATABASE";

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_certificate_survives_kill_9() {
    let folder = Folder::new();
    folder.store().await.close().await;
    let mut first = 0;
    for round in 0..3 {
        let acknowledged = kill_after(200, &folder.database(), first);
        let store = SqliteStore::open(&folder.database(), OpenMode::ReadWrite).await.expect("opens after a crash");
        for number in &acknowledged {
            let found = store.certificate(reservation(*number).id).await.expect("answers");
            assert!(found.is_some(), "round {round}: {number} was acknowledged and is lost");
        }
        let all = store.list(&CertificateFilter::all(NOW), None, 1).await.expect("a page");
        assert!(all.items.len() == 1);
        store.close().await;
        first += 1_000_000;
    }
}

/// Starts a child that issues without end, reads `enough` acknowledgements, and kills it in the middle of its work.
fn kill_after(enough: usize, database: &Path, first: u64) -> Vec<u64> {
    let test = concat!(module_path!(), "::child_that_issues_until_it_is_killed");
    let name = test.split_once("::").map_or(test, |(_, name)| name);
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "--nocapture", name])
        .env(DATABASE, format!("{first}:{}", database.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut acknowledged = Vec::new();
    for line in lines {
        let Ok(line) = line else { break };
        if let Some(number) = line.strip_prefix("issued ").and_then(|number| number.parse().ok()) {
            acknowledged.push(number);
        }
        if acknowledged.len() == enough {
            // SIGKILL; what is still in the pipe is read to its end.
            child.kill().expect("killed");
        }
    }
    child.wait().expect("ended");
    assert!(acknowledged.len() >= enough, "the child issued only {}", acknowledged.len());
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by every_acknowledged_certificate_survives_kill_9, in a process of its own"]
async fn child_that_issues_until_it_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "how the parent hands over the name of the file")]
    let Ok(told) = std::env::var(DATABASE) else { return };
    let (first, path) = told.split_once(':').expect("a number and a file");
    let first: u64 = first.parse().expect("a number");
    let store = Arc::new(SqliteStore::open(Path::new(path), OpenMode::ReadWrite).await.expect("opens"));
    let mut callers = JoinSet::new();
    for caller in 0..50 {
        let store = store.clone();
        callers.spawn(async move {
            for number in (first + caller..).step_by(50) {
                issue(&store, number).await.expect("issued");
                println!("issued {number}");
            }
        });
    }
    callers.join_all().await;
}

#[test]
fn a_store_that_is_dropped_with_its_runtime_loses_nothing_acknowledged() {
    let folder = Folder::new();
    for round in 0..5 {
        // As abrupt as it gets within a process: no close, and the writer's task goes with the runtime.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let acknowledged = runtime.block_on(async {
            let store = folder.store().await;
            let mut callers = JoinSet::new();
            for number in 0..50 {
                let store = store.clone();
                callers.spawn(async move { issue(&store, round * 1_000 + number).await.map(|issued| issued.id) });
            }
            let mut acknowledged = Vec::new();
            while acknowledged.len() < 20 {
                acknowledged.push(callers.join_next().await.expect("fifty").expect("no panic").expect("issued"));
            }
            callers.detach_all();
            acknowledged
        });
        runtime.shutdown_background();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let store = folder.store().await;
            for id in acknowledged {
                assert!(store.certificate(id).await.expect("answers").is_some(), "{id}");
            }
            assert!(!store.pending_events(1).await.expect("events").is_empty());
            store.close().await;
        });
    }
}
