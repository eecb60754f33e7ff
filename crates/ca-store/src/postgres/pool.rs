//! Connections: made when needed, kept for the next, never more than agreed.
//!
//! A connection comes back only when whoever had it says that it is clean; one that is merely dropped, as when its caller goes
//! away in the middle of a transaction, is closed, and the server takes the transaction back. When one turns out to be lost,
//! all that lie idle are given up with it: a restarted or replaced server has lost them too. sqlx's own pool asks each
//! connection for a sign of life at every return, and keeps trying for seconds where nobody listens; a caller here is told at
//! once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ca_engine::port::store::StoreError;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::address::{PostgresOptions, Route};
use super::error::Failure;

/// Connections of one kind of work.
pub(super) struct Pool {
    connect: PgConnectOptions,
    route: Route,
    slots: Arc<Semaphore>,
    idle: Arc<Idle>,
}

#[derive(Default)]
struct Idle {
    connections: Mutex<Vec<(PgConnection, Instant)>>,
    /// Rises when idle connections are given up; what was made before does not come back.
    generation: AtomicU64,
}

/// A connection in somebody's hands. Dropping it closes it.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    pub(super) route: Route,
    made: Instant,
    generation: u64,
    idle: Arc<Idle>,
    _slot: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool of at most `size` connections; none is made yet.
    pub(super) fn new(options: &PostgresOptions, size: usize) -> Self {
        Self {
            connect: options.connect.clone(),
            route: options.route,
            slots: Arc::new(Semaphore::new(size)),
            idle: Arc::new(Idle::default()),
        }
    }

    /// A connection, waiting a little when all are in use.
    pub(super) async fn take(&self) -> Result<Session, Failure> {
        let slot = match timeout(SLOT_PATIENCE, self.slots.clone().acquire_owned()).await {
            Ok(Ok(slot)) => slot,
            Ok(Err(_)) => return Err(unavailable("the record is closed")),
            Err(_) => return Err(unavailable("all connections to the database are in use")),
        };
        let generation = self.idle.generation.load(Ordering::SeqCst);
        let kept = loop {
            let next = self.idle.lock().pop();
            match next {
                // Old ones end, so that a server that was moved behind its name is found in the end.
                Some((_, made)) if made.elapsed() > LIFETIME => {}
                other => break other,
            }
        };
        let (connection, made) = match kept {
            Some(kept) => kept,
            None => (self.connect().await?, Instant::now()),
        };
        Ok(Session { connection, route: self.route, made, generation, idle: self.idle.clone(), _slot: slot })
    }

    async fn connect(&self) -> Result<PgConnection, Failure> {
        match timeout(CONNECT_PATIENCE, self.connect.connect()).await {
            // Not by `?`: there was no connection that could be lost, and trying again at once is no use.
            Ok(connected) => connected.map_err(|error| unavailable(&error.to_string())),
            Err(_) => Err(unavailable("nobody answers at the address of the database")),
        }
    }

    /// Gives up every idle connection; those in use do not come back.
    pub(super) fn give_up_idle(&self) {
        self.idle.generation.fetch_add(1, Ordering::SeqCst);
        self.idle.lock().clear();
    }

    /// Hands out no more connections, and closes those that are idle.
    pub(super) async fn close(&self) {
        self.slots.close();
        self.idle.generation.fetch_add(1, Ordering::SeqCst);
        let connections = std::mem::take(&mut *self.idle.lock());
        for (connection, _) in connections {
            // Whoever does not answer is closed all the same, by the drop.
            let _closed = timeout(CLOSE_PATIENCE, connection.close()).await;
        }
    }
}

impl Idle {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(PgConnection, Instant)>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Puts the connection back; it must be outside of any transaction, its last answer read to the end.
    pub(super) fn give_back(self) {
        if self.idle.generation.load(Ordering::SeqCst) == self.generation {
            self.idle.lock().push((self.connection, self.made));
        }
    }
}

fn unavailable(detail: &str) -> Failure {
    StoreError::Unavailable { detail: detail.to_owned() }.into()
}

/// How long a caller waits for others to be done with their connections.
const SLOT_PATIENCE: Duration = Duration::from_secs(5);

/// How long making a connection may take.
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// How long a connection is used.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
