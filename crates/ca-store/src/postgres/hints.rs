//! News of revocations, by NOTIFY: one connection that listens and does nothing else.
//!
//! A connection that is lost is made again, with rests in between; what was told meanwhile is lost, so each new one begins with a
//! hint. Nothing depends on any of it but how soon a revocation is seen.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ca_engine::port::revocation_hints::RevocationHints;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::address::PostgresOptions;
use super::pool::CONNECT_PATIENCE;

/// What `take_numbers` in `status.rs` notifies.
const CHANNEL: &str = "ca_revocations";

/// Rests between attempts to listen: from the first to the longest, each twice the one before.
const FIRST_REST: Duration = Duration::from_millis(200);
const LONGEST_REST: Duration = Duration::from_secs(10);

/// After so long without news the connection is made anew: one that was cut without a word looks like one where nothing happens.
const QUIET: Duration = Duration::from_secs(300);

/// Listens to one server until it is dropped.
pub struct PostgresHints {
    news: Arc<Notify>,
    listening: JoinHandle<()>,
}

impl PostgresHints {
    /// Begins to listen; must be called inside a tokio runtime. A server that cannot be reached is tried again and again.
    pub fn listen(options: &PostgresOptions) -> Self {
        let news = Arc::new(Notify::new());
        let listening = tokio::spawn(keep_listening(options.connect.clone(), Arc::clone(&news)));
        Self { news, listening }
    }
}

impl Drop for PostgresHints {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

#[async_trait]
impl RevocationHints for PostgresHints {
    async fn wait(&self) {
        self.news.notified().await;
    }
}

async fn keep_listening(connect: PgConnectOptions, news: Arc<Notify>) {
    let mut rest = FIRST_REST;
    loop {
        match listen(&connect, &news, &mut rest).await {
            Ok(()) => {}
            // What sqlx says of a server holds no password. Polling goes on meanwhile, so this is worth no alarm.
            Err(error) => tracing::debug!(%error, "revocations are not listened for at this moment"),
        }
        sleep(rest).await;
        rest = (rest * 2).min(LONGEST_REST);
    }
}

/// Listens on one connection until it ends.
async fn listen(connect: &PgConnectOptions, news: &Notify, rest: &mut Duration) -> Result<(), sqlx::Error> {
    let one = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_PATIENCE).idle_timeout(None);
    let mut listener = PgListener::connect_with(&one.max_lifetime(None).connect_lazy_with(connect.clone())).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    *rest = FIRST_REST;
    // What came before it listened.
    news.notify_one();
    while let Ok(told) = timeout(QUIET, listener.try_recv()).await {
        if told?.is_none() {
            // The connection was lost.
            break;
        }
        news.notify_one();
    }
    Ok(())
}
