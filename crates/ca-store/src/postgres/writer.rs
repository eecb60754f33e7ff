//! Group commit: the changes of one kind that concurrent callers wait for share a transaction.
//!
//! A durable commit costs the same for one change as for two hundred, so whatever waits while one is made goes into the next. A
//! kind has a few lanes, each a task that makes one transaction at a time, so that the disk flush of one overlaps with the work
//! of another. Callers are answered after the commit, never before. A change whose own content is refused is refused alone: its
//! group is taken back and made again one by one. When the commit fails, or the database as a whole, every caller of the group
//! is told so.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ca_core::id::{AuthorityId, CertificateId, TokenId};
use ca_core::serial::Serial;
use ca_engine::port::store::StoreError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::error::Failure;
use super::pool::Pool;
use super::transaction::{Change, Transaction, make};

/// A change that may share a transaction with others of its kind.
#[async_trait]
pub(super) trait Joint: Send + Sync + Sized + 'static {
    /// What the caller is told after the commit.
    type Answer: Send + 'static;

    /// As [`Change::LOCKS`].
    const LOCKS: &'static str = "";

    /// What this change may be the only one of its transaction to claim: those of a group are judged by one look, and would not
    /// see each other.
    fn claims(&self) -> Vec<Claim>;

    /// Makes the changes as if one after the other; one answer each, in their order. After an error all are taken back.
    async fn apply_together(changes: &[&Self], transaction: &mut Transaction) -> Result<Vec<Self::Answer>, Failure>;
}

/// What two changes can be rivals for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    Certificate(CertificateId),
    Serial(AuthorityId, Serial),
    Successor(CertificateId),
    Idempotency([u8; 32]),
    Token(TokenId),
}

/// Several changes as one.
struct Group<'a, J>(&'a [&'a J]);

#[async_trait]
impl<J: Joint> Change for Group<'_, J> {
    type Answer = Vec<J::Answer>;

    const LOCKS: &'static str = J::LOCKS;

    async fn apply(&self, transaction: &mut Transaction) -> Result<Self::Answer, Failure> {
        let answers = J::apply_together(self.0, transaction).await?;
        if answers.len() != self.0.len() {
            return Err(crate::row::inconsistent("the writer", "not one answer for each change").into());
        }
        Ok(answers)
    }
}

/// Hands changes of one kind to the lanes.
pub(super) struct Writer<J: Joint> {
    /// Absent when closed.
    queue: Mutex<Option<mpsc::Sender<Waiting<J>>>>,
    lanes: Mutex<Vec<JoinHandle<()>>>,
}

/// A change, and where its answer goes.
struct Waiting<J: Joint> {
    change: J,
    reply: oneshot::Sender<Result<J::Answer, StoreError>>,
}

impl<J: Joint> Writer<J> {
    /// Starts the lanes; they end when the writer is closed or dropped, after making what they were given.
    pub(super) fn start(pool: &Arc<Pool>, lanes: usize) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let lanes = (0..lanes).map(|_| tokio::spawn(work(pool.clone(), waiting.clone()))).collect();
        Self { queue: Mutex::new(Some(queue)), lanes: Mutex::new(lanes) }
    }

    /// Makes a change and waits until it is durable. When the caller stops waiting the change is made, or not, but whole.
    pub(super) async fn change(&self, change: J) -> Result<J::Answer, StoreError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(queue) = queue else { return Err(closed()) };
        let (reply, answer) = oneshot::channel();
        match timeout(QUEUE_PATIENCE, queue.send(Waiting { change, reply })).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(closed()),
            Err(_) => {
                let detail = "too many changes are waiting for the database".to_owned();
                return Err(StoreError::Unavailable { detail });
            }
        }
        // Ours would keep the lanes waiting for more.
        drop(queue);
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::Unknown { detail: "the writer ended before it answered".to_owned() }),
        }
    }

    /// Takes no more changes, and waits until those that were handed over are made.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let lanes = std::mem::take(&mut *self.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        for lane in lanes {
            // A lane that panicked has answered nobody, and its callers know.
            let _ended = lane.await;
        }
    }
}

type Queue<J> = Arc<tokio::sync::Mutex<mpsc::Receiver<Waiting<J>>>>;

/// A lane.
async fn work<J: Joint>(pool: Arc<Pool>, queue: Queue<J>) {
    // What had to wait because of its rivals.
    let mut postponed = VecDeque::new();
    loop {
        let mut candidates = std::mem::take(&mut postponed);
        if candidates.is_empty() {
            let mut queue = queue.lock().await;
            match queue.recv().await {
                Some(first) => candidates.push_back(first),
                None => return,
            }
            refill(&mut candidates, &mut queue);
        } else if let Ok(mut queue) = queue.try_lock() {
            // Otherwise another lane waits there for what comes: those who were postponed do not wait for that.
            refill(&mut candidates, &mut queue);
        }
        make_group(&pool, without_rivals(candidates, &mut postponed)).await;
    }
}

fn refill<J: Joint>(candidates: &mut VecDeque<Waiting<J>>, queue: &mut mpsc::Receiver<Waiting<J>>) {
    while candidates.len() < GROUP
        && let Ok(next) = queue.try_recv()
    {
        candidates.push_back(next);
    }
}

/// Those that claim nothing twice, first come, first served; the others are postponed in their order.
fn without_rivals<J: Joint>(candidates: VecDeque<Waiting<J>>, postponed: &mut VecDeque<Waiting<J>>) -> Vec<Waiting<J>> {
    let mut claimed = BTreeSet::new();
    let mut group = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let claims = candidate.change.claims();
        let is_free = claims.iter().all(|claim| !claimed.contains(claim));
        // Also those of the postponed: nobody overtakes a rival.
        claimed.extend(claims);
        if is_free {
            group.push(candidate);
        } else {
            postponed.push_back(candidate);
        }
    }
    group
}

async fn make_group<J: Joint>(pool: &Pool, group: Vec<Waiting<J>>) {
    let changes: Vec<&J> = group.iter().map(|waiting| &waiting.change).collect();
    match make(pool, &Group(&changes)).await {
        Ok(answers) => {
            for (waiting, answer) in group.into_iter().zip(answers) {
                // A caller that has gone away needs no answer; the same below.
                let _gone = waiting.reply.send(Ok(answer));
            }
        }
        Err(failure) if failure.is_of_one_change() && group.len() > 1 => {
            for waiting in group {
                make_one(pool, waiting).await;
            }
        }
        Err(failure) => {
            let error = StoreError::from(failure);
            for waiting in group {
                let _gone = waiting.reply.send(Err(error.clone()));
            }
        }
    }
}

async fn make_one<J: Joint>(pool: &Pool, waiting: Waiting<J>) {
    let answer = match make(pool, &Group(&[&waiting.change])).await {
        // There is one; the group has counted them.
        Ok(answers) => answers.into_iter().next().ok_or_else(closed),
        Err(failure) => Err(failure.into()),
    };
    let _gone = waiting.reply.send(answer);
}

fn closed() -> StoreError {
    StoreError::Unavailable { detail: "the record is closed".to_owned() }
}

/// How many changes may wait; more callers wait for a place.
const QUEUE: usize = 1024;

/// How long a caller waits for a place.
const QUEUE_PATIENCE: Duration = Duration::from_secs(10);

/// How many changes share a commit at most: what the first of them waits for the others.
const GROUP: usize = 256;
