//! Every process follows the sequence of revocations and forgets what it believed of the serials in it; once an hour all that it
//! believes is held against the record.

use ca_core::revocation::Standing;

use crate::engine::Engine;
use crate::error::FlowError;
use crate::following::{Knowledge, Position};
use crate::port::store::{RevocationRow, SerialState, SerialStatus, StoreError};
use crate::status_answer::AnswerKind;

/// How many entries are read at once.
const BATCH: u32 = 1_000;

/// How many times that is read of the past with each look, so that none takes long.
const HISTORY_BATCHES: usize = 20;

/// One look at the sequence, by the process's follower, which looks each second and whenever it is told that there is news.
/// Returns how many entries were new. While it fails, answers are given from memory until they end, and no new `good` is signed.
pub async fn follow_revocations(engine: &Engine) -> Result<u64, FlowError> {
    let attempt = engine.following().attempt(engine.now());
    let new = follow(engine).await?;
    attempt.succeeded();
    Ok(new)
}

/// Asked before an answer is signed or given to others: the sequence was looked at in the last seconds. A process without a
/// follower looks now.
pub(super) async fn assure_following(engine: &Engine) -> Result<(), FlowError> {
    match engine.following().knowledge(engine.now()) {
        Knowledge::Current => Ok(()),
        Knowledge::Unreachable => {
            let detail = "the sequence of revocations cannot be followed".to_owned();
            Err(StoreError::Unavailable { detail }.into())
        }
        Knowledge::Unattended => follow(engine).await.map(|_| ()),
    }
}

async fn follow(engine: &Engine) -> Result<u64, FlowError> {
    let mut position = engine.following().position().await;
    let as_of = engine.now();
    let mut new = 0;
    let mut restarted = false;
    loop {
        // 1. Where it stands; at first, and when the record is another than it was, at the newest entry, believing nothing.
        let Some(at) = &mut *position else {
            let sequence = engine.store().revocation_sequence().await?;
            // After the number was read: what is let in from here on was read later still.
            engine.answer_cache().clear();
            engine.changed_serials().begin();
            *position = Some(Position { sequence, newest: None });
            continue;
        };
        // 2. What comes after, and the newest entry once more: a record that was restored, or a standby that took over without
        //    the last commits, would give another one or none.
        let rows = engine.store().revocations_after(at.sequence.saturating_sub(1), BATCH).await?;
        let full = rows.len() == BATCH as usize;
        let Some(later) = later_than(at, rows) else {
            if restarted {
                return Err(FlowError::internal(format!("the sequence of revocations has no entry {}", at.sequence)));
            }
            restarted = true;
            tracing::warn!(
                sequence = at.sequence,
                "the sequence of revocations is not the one that was followed: all answers in memory are dropped"
            );
            // What was revoked since it parted may be `good` in this one.
            engine.record_was_replaced("the sequence of revocations is not the one that was followed");
            *position = None;
            continue;
        };
        // 3. Nothing is believed of those any more.
        new += later.len() as u64;
        forget(engine, &later).await?;
        if let Some(newest) = later.last() {
            *at = Position { sequence: newest.sequence, newest: Some(newest.clone()) };
        }
        engine.following().show(at.sequence);
        if !full {
            engine.following().followed(as_of);
            read_history(engine).await;
            return Ok(new);
        }
    }
}

/// Reads on in what came before following began, where answers are shared: a serial of which nothing is said there has never
/// changed. What cannot be read now is read with the next look.
async fn read_history(engine: &Engine) {
    if engine.shared_answers().is_none() {
        return;
    }
    for _ in 0..HISTORY_BATCHES {
        let Some(sequence) = engine.changed_serials().unread_after() else { return };
        let Ok(rows) = engine.store().revocations_after(sequence, BATCH).await else { return };
        for row in &rows {
            engine.changed_serials().add(&row.authority, &row.serial);
        }
        let goes_on = rows.len() == BATCH as usize;
        engine.changed_serials().read_to(rows.last().map(|row| row.sequence).filter(|_| goes_on));
    }
}

/// The entries after a position; `None` when they do not follow from it. There may be none at the position itself when following
/// begins: then it is the end of the gap that a restoration left.
fn later_than(at: &mut Position, mut rows: Vec<RevocationRow>) -> Option<Vec<RevocationRow>> {
    let is_there = rows.first().is_some_and(|first| first.sequence == at.sequence);
    let newest = is_there.then(|| rows.remove(0));
    if at.newest.is_some() && at.newest != newest {
        return None;
    }
    at.newest = newest;
    let without_gaps = rows.iter().zip(at.sequence + 1..).all(|(row, expected)| row.sequence == expected);
    without_gaps.then_some(rows)
}

async fn forget(engine: &Engine, rows: &[RevocationRow]) -> Result<(), FlowError> {
    let hierarchy = engine.hierarchy();
    for row in rows {
        engine.standing_changed(&row.authority, &row.serial);
        if let Standing::Revoked(revocation) = row.standing {
            engine.following().seen(revocation.revoked_at, engine.now());
        }
    }
    // An authority or a responder: it is used otherwise from now on.
    if rows.iter().any(|row| hierarchy.has_certificate(&row.authority, &row.serial)) {
        engine.reload_hierarchy().await?;
    }
    Ok(())
}

/// What a comparison of memory and record found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// How many answers were compared.
    pub compared: u64,
    /// How many of them said otherwise than the record, and were dropped. Any is a fault of the service or of its database.
    pub wrong: u64,
}

/// Holds every answer in memory against the record. Costs one look-up each.
pub async fn reconcile_answers(engine: &Engine) -> Result<Comparison, FlowError> {
    let mut comparison = Comparison::default();
    for (authority, serial, answer) in engine.answer_cache().beliefs() {
        let status = engine.store().status(&authority, &serial).await?;
        comparison.compared += 1;
        if is_of_kind(status.as_ref(), answer.kind) {
            continue;
        }
        // It may have changed between the two looks: what is dropped here without need is signed anew.
        if engine.answer_cache().drop_serial(&authority, &serial) > 0 {
            comparison.wrong += 1;
            tracing::error!(%authority, %serial, "an answer in memory was not what the record says; it was dropped");
        }
    }
    Ok(comparison)
}

fn is_of_kind(status: Option<&SerialStatus>, kind: AnswerKind) -> bool {
    match status.map(|status| status.state) {
        Some(SerialState::Issued(Standing::Active)) => kind == AnswerKind::Good,
        Some(SerialState::Issued(Standing::Revoked(_)) | SerialState::Abandoned(_)) => kind == AnswerKind::Revoked,
        Some(SerialState::Reserved) | None => false,
    }
}
