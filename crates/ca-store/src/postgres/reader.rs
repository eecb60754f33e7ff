//! Joint reads: what concurrent callers look up at the same time is looked up by one query.
//!
//! A query costs its caller more than what it finds: encoding, two trips to the kernel, a task that sleeps and wakes. So
//! whatever waits while one is on its way goes into the next; who is alone waits for nobody.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ca_engine::port::store::StoreError;
use tokio::sync::{mpsc, oneshot};

use super::error::Failure;
use super::pool::Pool;

/// Something to be looked up, alone or with others of its kind.
#[async_trait]
pub(super) trait Lookup: Send + Sync + Sized + 'static {
    /// What is found.
    type Answer: Send + 'static;

    /// Looks all of them up; one answer each, in their order. What is wrong with one is told to that one.
    async fn look_up(lookups: &[Self], reads: &Pool) -> Result<Vec<Result<Self::Answer, StoreError>>, Failure>;
}

/// Hands lookups of one kind to the lanes.
pub(super) struct Reader<L: Lookup> {
    /// Absent when closed.
    queue: Mutex<Option<mpsc::Sender<Waiting<L>>>>,
}

/// A lookup, and where its answer goes.
struct Waiting<L: Lookup> {
    lookup: L,
    reply: oneshot::Sender<Result<L::Answer, StoreError>>,
}

impl<L: Lookup> Reader<L> {
    /// Starts the lanes; they end when the reader is closed or dropped, after answering what they were given.
    pub(super) fn start(reads: &Arc<Pool>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        for _ in 0..LANES {
            tokio::spawn(work(reads.clone(), waiting.clone()));
        }
        Self { queue: Mutex::new(Some(queue)) }
    }

    /// Looks something up.
    pub(super) async fn look_up(&self, lookup: L) -> Result<L::Answer, StoreError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(queue) = queue else { return Err(unavailable("the record is closed")) };
        let (reply, answer) = oneshot::channel();
        // Not waited for: who finds so many before it would get its answer too late.
        queue
            .try_send(Waiting { lookup, reply })
            .map_err(|_| unavailable("too many lookups are waiting for the database"))?;
        drop(queue);
        answer.await.unwrap_or_else(|_| Err(unavailable("the reader ended before it answered")))
    }

    /// Takes no more lookups.
    pub(super) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

type Queue<L> = Arc<tokio::sync::Mutex<mpsc::Receiver<Waiting<L>>>>;

/// A lane.
async fn work<L: Lookup>(reads: Arc<Pool>, queue: Queue<L>) {
    loop {
        let mut group = Vec::new();
        {
            let mut queue = queue.lock().await;
            match queue.recv().await {
                Some(first) => group.push(first),
                None => return,
            }
            while group.len() < GROUP
                && let Ok(next) = queue.try_recv()
            {
                group.push(next);
            }
        }
        let (lookups, replies): (Vec<L>, Vec<_>) =
            group.into_iter().map(|waiting| (waiting.lookup, waiting.reply)).unzip();
        let answers = match L::look_up(&lookups, &reads).await {
            Ok(answers) if answers.len() == lookups.len() => answers,
            Ok(_) => all(&lookups, &crate::row::inconsistent("the reader", "not one answer for each lookup")),
            Err(failure) => all(&lookups, &failure.into()),
        };
        for (reply, answer) in replies.into_iter().zip(answers) {
            // A caller that has gone away needs no answer.
            let _gone = reply.send(answer);
        }
    }
}

/// The same for each.
fn all<L: Lookup>(lookups: &[L], error: &StoreError) -> Vec<Result<L::Answer, StoreError>> {
    lookups.iter().map(|_| Err(error.clone())).collect()
}

fn unavailable(detail: &str) -> StoreError {
    StoreError::Unavailable { detail: detail.to_owned() }
}

/// How many queries of one kind are on their way at once.
const LANES: usize = 2;

/// How many lookups may wait.
const QUEUE: usize = 4_096;

/// How many share a query at most.
const GROUP: usize = 256;
