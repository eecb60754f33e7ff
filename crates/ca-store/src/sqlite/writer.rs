//! The one writer: a task that owns the only writing connection and joins the changes of concurrent callers into one commit.
//!
//! A durable commit costs the same for one change as for two hundred, so whatever waits while one is made goes into the next.
//! Each change runs in a savepoint of its own: one that fails takes back only itself. Callers are answered after the commit,
//! never before; when the commit fails, every caller of the group is told so. What a change does is its own file's business.

use std::time::Duration;

use async_trait::async_trait;
use ca_engine::port::store::StoreError;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::error::{self, Failure};

/// One atomic change of the record. It may be run in the same transaction as others, in any order with those of other
/// callers.
#[async_trait]
pub(super) trait Change: Send + Sync + 'static {
    /// What the caller is told after the commit.
    type Answer: Send + 'static;

    /// Whether whatever it writes ends in [`seal!`], which spares the writer a trip to the database's thread.
    const SEALS: bool = false;

    /// Makes the change. An error takes back whatever it did until then.
    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Self::Answer, Failure>;
}

/// SQL that ends a change and opens the savepoint of the next.
macro_rules! seal {
    () => {
        "RELEASE change; SAVEPOINT change;"
    };
}
pub(super) use seal;

/// Hands changes to the writing task.
pub(super) struct Writer {
    queue: mpsc::Sender<Order>,
}

impl Writer {
    /// Starts the task; it ends when the writer is closed or dropped, after committing what it was given.
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (queue, orders) = mpsc::channel(QUEUE);
        tokio::spawn(write(connection, orders));
        Self { queue }
    }

    /// Makes a change and waits until it is durable. When the caller stops waiting the change is made, or not, but whole.
    pub(super) async fn change<C: Change>(&self, change: C) -> Result<C::Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { change, answer: None, reply };
        match timeout(QUEUE_PATIENCE, self.queue.send(Order::Change(Box::new(waiting)))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(gone()),
            Err(_) => {
                let detail = "too many changes are waiting for the disk".to_owned();
                return Err(StoreError::Unavailable { detail });
            }
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::Unknown { detail: "the writer ended before it answered".to_owned() }),
        }
    }

    /// Waits until everything that was handed over before is committed and the connection is closed.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        // An error means that it has ended already: nothing to wait for, in both places.
        if self.queue.send(Order::Close(done)).await.is_ok() {
            let _ended = closed.await;
        }
    }
}

enum Order {
    Change(Box<dyn Queued>),
    Close(oneshot::Sender<()>),
}

/// A change whose caller waits, whatever its answer's type.
#[async_trait]
trait Queued: Send {
    /// Makes the change, seals it, and keeps its answer.
    async fn apply(&mut self, connection: &mut SqliteConnection) -> Result<(), Failure>;

    /// Gives the answer that was kept.
    fn acknowledge(self: Box<Self>);

    /// Answers that nothing came of it.
    fn refuse(self: Box<Self>, error: StoreError);
}

struct Waiting<C: Change> {
    change: C,
    answer: Option<C::Answer>,
    reply: oneshot::Sender<Result<C::Answer, StoreError>>,
}

#[async_trait]
impl<C: Change> Queued for Waiting<C> {
    async fn apply(&mut self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let answer = self.change.apply(connection).await?;
        if !C::SEALS {
            run(connection, seal!()).await?;
        }
        self.answer = Some(answer);
        Ok(())
    }

    fn acknowledge(self: Box<Self>) {
        let answer = self.answer.ok_or_else(gone);
        // A caller that has gone away needs no answer; the same in `refuse`.
        let _gone = self.reply.send(answer);
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _gone = self.reply.send(Err(error));
    }
}

async fn write(mut connection: SqliteConnection, mut orders: mpsc::Receiver<Order>) {
    let mut closing = None;
    while let Some(order) = orders.recv().await {
        match order {
            Order::Change(change) => closing = write_group(&mut connection, change, &mut orders).await,
            Order::Close(done) => closing = Some(done),
        }
        if closing.is_some() {
            break;
        }
    }
    // Whoever still stands in the queue is told that nobody is there.
    orders.close();
    while let Ok(order) = orders.try_recv() {
        match order {
            Order::Change(change) => change.refuse(gone()),
            Order::Close(done) => drop(done),
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the database did not close cleanly; its log is folded in at the next start");
    }
    if let Some(done) = closing {
        let _gone = done.send(());
    }
}

/// Makes one commit of `first` and of what waits behind it. Returns the order to close if it came across one.
async fn write_group(
    connection: &mut SqliteConnection,
    first: Box<dyn Queued>,
    orders: &mut mpsc::Receiver<Order>,
) -> Option<oneshot::Sender<()>> {
    if let Err(error) = run(connection, "BEGIN IMMEDIATE; SAVEPOINT change").await {
        take_back(connection).await;
        return refuse_waiting(first, orders, &Failure::from(error).into());
    }
    let mut group: Vec<Box<dyn Queued>> = Vec::new();
    let mut closing = None;
    let mut next = Some(first);
    while let Some(mut change) = next.take() {
        match change.apply(connection).await {
            Ok(()) => group.push(change),
            Err(failure) => {
                let cause = StoreError::from(failure);
                change.refuse(cause.clone());
                // After some errors (a full disk, a failed read) SQLite takes back the whole transaction by itself, and what
                // came next would be committed alone. Then there is no savepoint any more, and this fails.
                if run(connection, "ROLLBACK TO change").await.is_err() {
                    take_back(connection).await;
                    refuse_all(group, &cause);
                    return closing;
                }
            }
        }
        if group.len() < GROUP {
            match orders.try_recv() {
                Ok(Order::Change(change)) => next = Some(change),
                Ok(Order::Close(done)) => closing = Some(done),
                Err(_) => {}
            }
        }
    }
    match run(connection, "COMMIT").await {
        Ok(()) => group.into_iter().for_each(|change| change.acknowledge()),
        Err(error) => {
            take_back(connection).await;
            refuse_all(group, &error::of_commit(error));
        }
    }
    closing
}

/// Refuses `first` and what waits behind it: a database that cannot be written keeps nobody waiting in turn.
fn refuse_waiting(
    first: Box<dyn Queued>,
    orders: &mut mpsc::Receiver<Order>,
    error: &StoreError,
) -> Option<oneshot::Sender<()>> {
    first.refuse(error.clone());
    loop {
        match orders.try_recv() {
            Ok(Order::Change(change)) => change.refuse(error.clone()),
            Ok(Order::Close(done)) => return Some(done),
            Err(_) => return None,
        }
    }
}

fn refuse_all(group: Vec<Box<dyn Queued>>, error: &StoreError) {
    group.into_iter().for_each(|change| change.refuse(error.clone()));
}

/// Ends a transaction that cannot be committed, if SQLite has not done so itself (then this fails, harmlessly).
async fn take_back(connection: &mut SqliteConnection) {
    let _ended = run(connection, "ROLLBACK").await;
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(connection).await.map(|_| ())
}

fn gone() -> StoreError {
    StoreError::Unavailable { detail: "the record is closed".to_owned() }
}

/// How many changes may wait; more callers wait for a place.
const QUEUE: usize = 1024;

/// How long a caller waits for a place.
const QUEUE_PATIENCE: Duration = Duration::from_secs(10);

/// How many changes share a commit at most: what the first of them waits for the others.
const GROUP: usize = 256;

#[cfg(test)]
mod tests;
