//! The contract of anchors, and what only files can do wrong.

use std::fs::OpenOptions;

use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::time::Timestamp;
use ca_engine::fake::contract::anchor::{AnchorUnderTest, check_anchor};
use ca_engine::port::store::RevocationRow;

use super::*;

const SERVICE: ServiceDigest = [7; 32];
const GENERATION: Generation = Generation::from_bytes([1; 16]);

fn anchor(folder: &Path) -> DirectoryAnchor {
    DirectoryAnchor::new(folder.join("anchor"), true, Vec::new())
}

fn row(sequence: u64) -> AnchoredRevocation {
    let mut serial = [0; 16];
    serial[8..].copy_from_slice(&sequence.to_be_bytes());
    let revoked_at = Timestamp::from_unix_seconds(1_795_176_000);
    let revocation = Revocation { revoked_at, reason: RevocationReason::Superseded, invalidity_date: None };
    let row = RevocationRow {
        sequence,
        authority: "tls".parse().expect("an authority id"),
        serial: Serial::from_random(serial),
        standing: Standing::Revoked(revocation),
        not_after: revoked_at,
    };
    AnchoredRevocation { row, blocked_key: None }
}

/// The only log in a folder.
fn only_log(folder: &Path) -> PathBuf {
    let generation = folder.join("anchor").join(hex::encode(SERVICE)).join(GENERATION.to_string());
    let logs = logs(&generation).expect("readable");
    assert_eq!(logs.len(), 1, "{logs:?}");
    logs[0].clone()
}

async fn sequence(anchor: &DirectoryAnchor) -> u64 {
    anchor.heads(&SERVICE).await.expect("heads")[0].sequence()
}

#[tokio::test]
async fn keeps_the_contract() {
    check_anchor(|| async {
        let folder = tempfile::tempdir().expect("a folder").keep();
        AnchorUnderTest { anchor: Arc::new(anchor(&folder)), another: Arc::new(anchor(&folder)) }
    })
    .await;
}

#[tokio::test]
async fn a_line_that_was_cut_off_is_as_good_as_not_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = anchor(folder.path());
    first.append(&SERVICE, GENERATION, &[row(1), row(2)]).await.expect("append");
    let log = only_log(folder.path());
    let whole = fs::metadata(&log).expect("there").len();
    for length in whole / 2 + 1..whole {
        OpenOptions::new().write(true).open(&log).and_then(|file| file.set_len(length)).expect("cut off");
        assert_eq!(sequence(&first).await, 1);
        assert_eq!(first.revocations(&SERVICE, GENERATION, 0).await, Ok(vec![row(1)]));
    }
    // The next process begins a file of its own.
    let next = anchor(folder.path());
    next.append(&SERVICE, GENERATION, &[row(2), row(3)]).await.expect("append");
    assert_eq!(next.revocations(&SERVICE, GENERATION, 0).await, Ok(vec![row(1), row(2), row(3)]));
}

#[tokio::test]
async fn a_line_that_was_changed_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let anchor = anchor(folder.path());
    anchor.append(&SERVICE, GENERATION, &[row(1), row(2), row(3)]).await.expect("append");
    let log = only_log(folder.path());
    let text = fs::read_to_string(&log).expect("text");
    fs::write(&log, text.replacen("superseded", "unspecifie", 1)).expect("changed");
    assert_eq!(sequence(&anchor).await, 3, "the head is read from the end alone");
    let error = anchor.revocations(&SERVICE, GENERATION, 0).await.expect_err("damaged").to_string();
    assert!(error.contains("line 1") && error.contains("damaged"), "{error}");
    fs::write(&log, text.trim_end().to_owned() + "x\n").expect("changed");
    assert!(matches!(anchor.heads(&SERVICE).await, Err(AnchorError::Damaged { .. })));
}

#[tokio::test]
async fn two_logs_that_disagree_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    anchor(folder.path()).append(&SERVICE, GENERATION, &[row(1)]).await.expect("append");
    let other = AnchoredRevocation { row: RevocationRow { sequence: 1, ..row(2).row }, blocked_key: None };
    anchor(folder.path()).append(&SERVICE, GENERATION, &[other]).await.expect("append");
    let read = anchor(folder.path()).revocations(&SERVICE, GENERATION, 0).await;
    assert!(matches!(read, Err(AnchorError::Damaged { .. })), "{read:?}");
}

#[tokio::test]
async fn the_head_of_a_long_log_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let anchor = anchor(folder.path());
    for first in (1..500).step_by(100) {
        let rows: Vec<_> = (first..first + 100).map(row).collect();
        anchor.append(&SERVICE, GENERATION, &rows).await.expect("append");
    }
    assert_eq!(sequence(&anchor).await, 500);
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("anchor"), "in the way").expect("written");
    let anchor = anchor(folder.path());
    assert!(matches!(anchor.heads(&SERVICE).await, Err(AnchorError::Unavailable { .. })));
    let error = anchor.begin(&SERVICE, GENERATION).await.expect_err("in the way").to_string();
    assert!(error.contains("anchor"), "{error}");
}
