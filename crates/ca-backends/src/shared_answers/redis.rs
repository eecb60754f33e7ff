//! Answers shared through Redis.
//!
//! One task keeps a connection and hands it out; who asks finds it there or goes without. When the place does not answer within
//! [`BUDGET`], the connection is put away, so that nobody else waits for it, and the task tries whether it answers again: with
//! pauses that grow, and on nobody's time. Another task writes, from a queue that is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use ca_core::time::Lifetime;
use ca_engine::port::shared_answers::{Condition, Lookup, SharedAnswers};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, TlsCertificates, cmd};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::RedisAddress;

/// How long a look may take.
const BUDGET: Duration = Duration::from_millis(20);

/// How long a connection may take to be made, and an answer to be written: nobody waits for either.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pauses between two attempts to connect. A connection that lasted as long as the longest was a good one.
const PAUSES: std::ops::RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(10);

/// How many answers may wait to be written.
const QUEUE: usize = 256;

/// No answer of ours has so many octets; what is longer is not fetched to its end.
const LONGEST: usize = 16 << 10;

/// A Redis that replicas share.
pub struct RedisAnswers {
    link: Arc<Link>,
    queue: mpsc::Sender<Entry>,
    tasks: [JoinHandle<()>; 2],
}

struct Entry {
    key: String,
    der: Arc<[u8]>,
    lifetime: Lifetime,
}

/// The connection, while the place answers.
#[derive(Default)]
struct Link {
    connection: ArcSwapOption<MultiplexedConnection>,
    broken: Notify,
    failures: AtomicU64,
    dropped: AtomicU64,
}

impl RedisAnswers {
    /// A way to that Redis, which is connected to later and again and again; `roots` are the CAs (PEM) that vouch for it, those of
    /// this machine when there are none. Must be called inside a tokio runtime.
    pub fn new(address: &RedisAddress, roots: Option<Vec<u8>>) -> Result<Self, RedisError> {
        // What rustls is built with here; whoever came first has chosen the same.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = match (address.is_encrypted(), roots) {
            (true, Some(roots)) => {
                let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&roots).collect();
                if !read.is_ok_and(|read| !read.is_empty()) {
                    return Err(RedisError::Roots);
                }
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(roots) };
                Client::build_with_tls(address.expose(), certificates)
            }
            (false, Some(_)) => return Err(RedisError::RootsWithoutTls),
            (_, None) => Client::open(address.expose()),
        };
        // Its message may quote the address.
        let client = client.map_err(|_| RedisError::Unusable)?;
        let link = Arc::new(Link::default());
        let (queue, waiting) = mpsc::channel(QUEUE);
        let place = address.place().to_owned();
        let tasks = [
            tokio::spawn(keep_connected(Arc::clone(&link), client, place)),
            tokio::spawn(write(Arc::clone(&link), waiting)),
        ];
        Ok(Self { link, queue, tasks })
    }
}

impl Drop for RedisAnswers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[async_trait]
impl SharedAnswers for RedisAnswers {
    async fn get(&self, key: &str) -> Lookup {
        let Some(connection) = self.link.connection.load_full() else { return Lookup::Unavailable };
        let mut way = (*connection).clone();
        let asked = cmd("GETRANGE").arg(key).arg(0).arg(LONGEST - 1).to_owned();
        match timeout(BUDGET, asked.query_async::<Vec<u8>>(&mut way)).await {
            Ok(Ok(octets)) if octets.is_empty() => Lookup::Absent,
            Ok(Ok(octets)) => Lookup::Found(octets),
            // It answers that it will not: what lies there is no string, or we may not read it. The next key may fare better.
            Ok(Err(error)) if error.code().is_some() => Lookup::Unavailable,
            Ok(Err(_)) | Err(_) => {
                self.link.broke(&connection);
                Lookup::Unavailable
            }
        }
    }

    fn put(&self, key: String, der: Arc<[u8]>, lifetime: Lifetime) {
        let waits = self.link.connection.load().is_some() && self.queue.try_send(Entry { key, der, lifetime }).is_ok();
        if !waits {
            self.link.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn condition(&self) -> Condition {
        Condition {
            answers: self.link.connection.load().is_some(),
            failures: self.link.failures.load(Ordering::Relaxed),
            dropped: self.link.dropped.load(Ordering::Relaxed),
        }
    }
}

impl Link {
    /// This connection is of no use any more. Of many who find that at once, one counts.
    fn broke(&self, connection: &Arc<MultiplexedConnection>) {
        let before = self.connection.compare_and_swap(connection, None);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, connection)) {
            self.failures.fetch_add(1, Ordering::Relaxed);
            self.broken.notify_one();
        }
    }
}

/// Connects, hands the connection out, and begins anew when it broke.
async fn keep_connected(link: Arc<Link>, client: Client, place: String) {
    let mut pause = *PAUSES.start();
    let mut told = false;
    loop {
        let lasted = match connect(&client).await {
            Ok(connection) => {
                tracing::info!(place, "OCSP answers are shared through Redis");
                told = false;
                let began = Instant::now();
                link.connection.store(Some(Arc::new(connection)));
                link.broken.notified().await;
                tracing::warn!(place, "Redis does not answer: this replica signs by itself until it does");
                began.elapsed()
            }
            Err(why) => {
                if !told {
                    tracing::warn!(place, why, "Redis cannot be used: this replica signs by itself until it can");
                    told = true;
                }
                Duration::ZERO
            }
        };
        if lasted >= *PAUSES.end() {
            pause = *PAUSES.start();
        }
        sleep(pause).await;
        pause = (2 * pause).min(*PAUSES.end());
    }
}

/// A connection over which the place has answered in time.
async fn connect(client: &Client) -> Result<MultiplexedConnection, String> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    let connected = timeout(2 * PATIENCE, client.get_multiplexed_async_connection_with_config(&config)).await;
    let mut connection = connected.map_err(|_| "no connection in time")?.map_err(|error| what_kind(&error))?;
    let answered = timeout(BUDGET, cmd("PING").query_async::<String>(&mut connection)).await;
    answered.map_err(|_| "it answers too slowly")?.map_err(|error| what_kind(&error))?;
    Ok(connection)
}

/// What went wrong, without what the server was told or has told.
fn what_kind(error: &redis::RedisError) -> String {
    error.code().map_or_else(|| error.category().to_owned(), str::to_owned)
}

async fn write(link: Arc<Link>, mut waiting: mpsc::Receiver<Entry>) {
    while let Some(Entry { key, der, lifetime }) = waiting.recv().await {
        let written = match link.connection.load_full() {
            None => false,
            Some(connection) => {
                let mut way = (*connection).clone();
                let put = cmd("SET").arg(key).arg(&*der).arg("EX").arg(lifetime.seconds().max(1)).to_owned();
                match timeout(PATIENCE, put.query_async::<()>(&mut way)).await {
                    Ok(Ok(())) => true,
                    // It is full, or lets us read only: it answers, at least.
                    Ok(Err(error)) if error.code().is_some() => false,
                    Ok(Err(_)) | Err(_) => {
                        link.broke(&connection);
                        false
                    }
                }
            }
        };
        if !written {
            link.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Why a Redis cannot be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RedisError {
    /// The address.
    #[error(
        "it cannot be used; write the address like `rediss://:password@host:6380`, what is special in the password escaped"
    )]
    Unusable,
    /// Nothing that vouches.
    #[error("the file of CAs must hold certificates in PEM, one at least")]
    Roots,
    /// CAs, and nothing that they could vouch for.
    #[error("CAs vouch for nothing without TLS; write the address with `rediss://`")]
    RootsWithoutTls,
}

#[cfg(test)]
mod tests;
