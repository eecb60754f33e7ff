//! Certificates over HTTPS by clients that keep their connections: how many, how soon, at what cost to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::clock::wall;
use crate::kept_connection::KeptConnection;
use crate::process::processor_seconds;
use crate::service::Site;
use crate::spread::Spread;
use crate::world::csr;

const ROUNDS: usize = 5;
const ROUND_SECONDS: f64 = 2.0;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What clients did in a round.
struct Round {
    /// Certificates a second.
    rate: f64,
    /// Of the server, for one certificate.
    processor: f64,
    /// Seconds that each request took, ascending.
    latencies: Vec<f64>,
}

/// What clients did in all rounds: each the spread of a figure of the rounds.
pub(crate) struct Issuance {
    /// Certificates a second.
    pub(crate) rate: Spread,
    /// Of the server, for one certificate, in seconds.
    pub(crate) processor: Spread,
    /// How long one took, in seconds: the median of a round.
    pub(crate) median: Spread,
    /// The same: its 99th percentile.
    pub(crate) percentile_99: Spread,
}

impl Issuance {
    fn of(rounds: &[Round]) -> Self {
        let spread = |what: &dyn Fn(&Round) -> f64| Spread::of(rounds.iter().map(what).collect());
        Self {
            rate: spread(&|round| round.rate),
            processor: spread(&|round| round.processor),
            median: spread(&|round| percentile(&round.latencies, 0.5)),
            percentile_99: spread(&|round| percentile(&round.latencies, 0.99)),
        }
    }
}

/// The value below which `share` of the ascending values lie; not-a-number when there are none.
pub(crate) fn percentile(ascending: &[f64], share: f64) -> f64 {
    let index = (ascending.len() as f64 * share) as usize;
    ascending.get(index.min(ascending.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Lets `count` clients ask for certificates for a while, several times; a time that is not counted comes first.
pub(crate) fn issue_for_a_while(runtime: &Runtime, site: &Site, server: u32, count: usize) -> anyhow::Result<Issuance> {
    let clients = (0..count).map(|_| Caller::new(site)).collect::<anyhow::Result<Vec<_>>>()?;
    let round = |seconds: f64| -> anyhow::Result<Round> {
        let over = Arc::new(AtomicBool::new(false));
        let (processor, start) = (processor_seconds(server)?, wall());
        let tasks: Vec<_> = clients
            .iter()
            .map(|client| {
                let (client, over) = (client.clone(), Arc::clone(&over));
                runtime.spawn(async move { client.ask_until(&over).await })
            })
            .collect();
        runtime.block_on(tokio::time::sleep(Duration::from_secs_f64(seconds)));
        over.store(true, Ordering::Relaxed);
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(runtime.block_on(task).context("a client panicked")??);
        }
        let (spent, wall) = (processor_seconds(server)? - processor, wall() - start);
        ensure!(!latencies.is_empty(), "nothing was issued in {wall:.1} s");
        latencies.sort_by(f64::total_cmp);
        let issued = latencies.len() as f64;
        Ok(Round { rate: issued / wall, processor: spent / issued, latencies })
    };
    // Handshakes, and what the server warms up.
    round(0.5)?;
    let rounds = (0..ROUNDS).map(|_| round(ROUND_SECONDS)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Issuance::of(&rounds))
}

/// A client with a key, a CSR and a connection of its own.
#[derive(Clone)]
pub(crate) struct Caller(Arc<Asking>);

struct Asking {
    port: u16,
    tls: Arc<rustls::ClientConfig>,
    /// Head and body.
    request: Vec<u8>,
    /// Made when it is needed first.
    connection: Mutex<Option<KeptConnection>>,
}

impl Caller {
    pub(crate) fn new(site: &Site) -> anyhow::Result<Self> {
        Self::asking(site, &json!({ "profile": "server", "csr": csr()? }))
    }

    /// One that sends this body each time.
    pub(crate) fn asking(site: &Site, body: &Value) -> anyhow::Result<Self> {
        let body = serde_json::to_vec(body).context("JSON can be written")?;
        let port = site.api_port();
        let mut request = format!(
            "POST /v1/certificates HTTP/1.1\r\nhost: localhost:{port}\r\naccept: */*\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        let tls = Arc::new(site.client_tls()?);
        Ok(Self(Arc::new(Asking { port, tls, request, connection: Mutex::default() })))
    }

    /// Asks for certificates one after the other; what each took, in seconds.
    async fn ask_until(&self, over: &AtomicBool) -> anyhow::Result<Vec<f64>> {
        let mut latencies = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let start = wall();
            self.ask(|_| ()).await?;
            latencies.push(wall() - start);
        }
        Ok(latencies)
    }

    /// Asks for one; the body of the answer.
    pub(crate) async fn issue(&self) -> anyhow::Result<Vec<u8>> {
        self.ask(<[u8]>::to_vec).await
    }

    async fn ask<T>(&self, take: impl FnOnce(&[u8]) -> T) -> anyhow::Result<T> {
        let Asking { port, tls, request, connection } = &*self.0;
        let mut connection = connection.lock().await;
        // One that fails in between is not used again.
        let mut open = match connection.take() {
            Some(open) => open,
            None => KeptConnection::open(*port, Arc::clone(tls)).await?,
        };
        let answer = timeout(PATIENCE, open.ask(request)).await.context("ca-server does not answer")??;
        if answer.status != 201 {
            bail!("ca-server answers {}: {}", answer.status, String::from_utf8_lossy(answer.body));
        }
        let taken = take(answer.body);
        *connection = Some(open);
        Ok(taken)
    }
}
