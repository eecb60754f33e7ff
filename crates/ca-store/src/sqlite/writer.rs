//! The one writer: a task that owns the only writing connection and joins the changes of concurrent callers into one commit.
//!
//! A durable commit costs the same for one change as for two hundred, so whatever waits while one is made goes into the next.
//! Each change can be taken back without the others of its group. Callers are answered after the commit, never before; when
//! the commit fails, every caller of the group is told so. What a change is, [`super::change`] says.

use std::time::Duration;

use ca_engine::port::store::StoreError;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::change::{Change, Queued, Waiting};
use super::error::{self, Failure};

/// Hands changes to the writing task.
pub(super) struct Writer {
    queue: mpsc::Sender<Order>,
}

impl Writer {
    /// Starts the task; it ends when the writer is closed or dropped, after committing what it was given.
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (queue, orders) = mpsc::channel(QUEUE);
        tokio::spawn(write(connection, Backlog { orders, waiting: Vec::new(), closing: None }));
        Self { queue }
    }

    /// Makes a change and waits until it is durable. When the caller stops waiting the change is made, or not, but whole.
    pub(super) async fn change<C: Change>(&self, change: C) -> Result<C::Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting::new(change, reply);
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

/// What was handed over and is not yet made.
struct Backlog {
    orders: mpsc::Receiver<Order>,
    /// At most a group, in the order in which it is to be made.
    waiting: Vec<Box<dyn Queued>>,
    /// The order to close, after which none is taken.
    closing: Option<oneshot::Sender<()>>,
}

impl Backlog {
    /// Waits for something to do; `false` at the end.
    async fn wait(&mut self) -> bool {
        if self.waiting.is_empty() {
            if self.closing.is_some() {
                return false;
            }
            match self.orders.recv().await {
                Some(order) => self.take(order),
                None => return false,
            }
            self.refill();
        }
        !self.waiting.is_empty()
    }

    /// Takes what has come. To be called when everything before is made: so nobody is overtaken for ever by those whose turn
    /// is earlier.
    fn refill(&mut self) {
        while self.waiting.len() < GROUP
            && self.closing.is_none()
            && let Ok(order) = self.orders.try_recv()
        {
            self.take(order);
        }
        // Stable: equals keep the order in which they came.
        self.waiting.sort_by_key(|change| change.turn());
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Change(change) => self.waiting.push(change),
            Order::Close(done) => self.closing = Some(done),
        }
    }

    /// The next changes to be made by one trip: of one kind, as many as that kind has use for.
    fn next_run(&mut self) -> Vec<Box<dyn Queued>> {
        let Some(first) = self.waiting.first() else { return Vec::new() };
        let kind = first.kind();
        let alike = self.waiting.iter().take_while(|change| change.kind() == kind).count();
        let stride = first.stride(alike);
        self.waiting.drain(..stride).collect()
    }
}

async fn write(mut connection: SqliteConnection, mut backlog: Backlog) {
    while backlog.wait().await {
        write_group(&mut connection, &mut backlog).await;
    }
    // Whoever came after the order to close is told that nobody is there.
    backlog.orders.close();
    while let Ok(order) = backlog.orders.try_recv() {
        match order {
            Order::Change(change) => change.refuse(gone()),
            Order::Close(done) => drop(done),
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the database did not close cleanly; its log is folded in at the next start");
    }
    if let Some(done) = backlog.closing {
        let _gone = done.send(());
    }
}

/// Makes one commit of what waits, and of what comes while it is made.
async fn write_group(connection: &mut SqliteConnection, backlog: &mut Backlog) {
    if let Err(error) = run(connection, "BEGIN IMMEDIATE; SAVEPOINT change").await {
        take_back(connection).await;
        // A database that cannot be written keeps nobody waiting in turn.
        refuse_all(backlog.waiting.drain(..), &Failure::from(error).into());
        return;
    }
    let mut made: Vec<Box<dyn Queued>> = Vec::new();
    while made.len() < GROUP {
        if backlog.waiting.is_empty() {
            backlog.refill();
        }
        let next = backlog.next_run();
        if next.is_empty() {
            break;
        }
        if let Err(cause) = make(connection, next, &mut made).await {
            take_back(connection).await;
            refuse_all(made, &cause);
            return;
        }
    }
    match run(connection, "COMMIT").await {
        Ok(()) => made.into_iter().for_each(|change| change.acknowledge()),
        Err(error) => {
            take_back(connection).await;
            refuse_all(made, &error::of_commit(error));
        }
    }
}

/// Makes changes of one kind: by one trip if that succeeds, else one by one, so that one that fails takes back only itself. An
/// error means that the whole transaction is lost; `changes` are refused then.
async fn make(
    connection: &mut SqliteConnection,
    mut changes: Vec<Box<dyn Queued>>,
    made: &mut Vec<Box<dyn Queued>>,
) -> Result<(), StoreError> {
    if let Some((first, peers @ [_, ..])) = changes.split_first_mut() {
        let applied = first.apply_together(peers, connection).await;
        match end_savepoint(connection, applied).await {
            End::Made => {
                made.append(&mut changes);
                return Ok(());
            }
            End::TakenBack(_) => {}
            End::Lost(cause) => {
                refuse_all(changes, &cause);
                return Err(cause);
            }
        }
    }
    let mut changes = changes.into_iter();
    while let Some(mut change) = changes.next() {
        let applied = change.apply(connection).await;
        match end_savepoint(connection, applied).await {
            End::Made => made.push(change),
            End::TakenBack(cause) => change.refuse(cause),
            End::Lost(cause) => {
                change.refuse(cause.clone());
                refuse_all(changes, &cause);
                return Err(cause);
            }
        }
    }
    Ok(())
}

/// What became of a savepoint.
enum End {
    /// It is part of the transaction.
    Made,
    /// Nothing of it is left, for this reason.
    TakenBack(StoreError),
    /// Nothing of the transaction is left, for this reason.
    Lost(StoreError),
}

/// Keeps what was made since the last savepoint, or takes it back, and opens the next.
async fn end_savepoint(connection: &mut SqliteConnection, applied: Result<(), Failure>) -> End {
    let kept = match applied {
        Ok(()) => run(connection, "RELEASE change; SAVEPOINT change").await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let Err(failure) = kept else { return End::Made };
    // After some errors (a full disk, a failed read) SQLite takes back the whole transaction by itself, and what came next
    // would be committed alone. Then there is no savepoint any more, and this fails.
    match run(connection, "ROLLBACK TO change").await {
        Ok(()) => End::TakenBack(failure.into()),
        Err(_) => End::Lost(failure.into()),
    }
}

fn refuse_all(changes: impl IntoIterator<Item = Box<dyn Queued>>, error: &StoreError) {
    changes.into_iter().for_each(|change| change.refuse(error.clone()));
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

/// How many changes share a commit at most, give or take a trip: what the first of them waits for the others.
const GROUP: usize = 256;

#[cfg(test)]
mod tests;
