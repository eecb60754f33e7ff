//! Relying parties that ask OCSP at a steady rate, over connections that they keep, by GET and by POST, several questions at once.
//!
//! Every answer is read to its end and must be an answer (200, in time, a status). A `good` about what was acknowledged as revoked
//! more than five seconds before it was asked for is the one thing that must never be; signatures are judged elsewhere
//! ([`crate::status_watch`]).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ca_core::ocsp::{CertIdHash, CertStatus, ParsedResponse, encode_get_path};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::percentiles::Percentiles;
use crate::stack::Stack;
use crate::status::Subject;

/// How soon every replica stops saying `good` on a machine that has much other work; [`Seen::latest_good`] tells how soon it did.
pub const TOLD_WITHIN: Duration = Duration::from_secs(60);

/// How many connections ask, in turns at each replica.
const CONNECTIONS: u32 = 16;

/// How many questions a connection asks at once.
const AT_ONCE: u32 = 5;

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A certificate that is asked about.
pub struct Asked {
    name: String,
    questions: [Vec<u8>; 2],
    /// When its revocation was acknowledged.
    revoked: OnceLock<Instant>,
}

impl Asked {
    /// Asked about by GET, as nginx does, and by POST.
    pub fn new(name: &str, subject: &Subject) -> Self {
        let path = encode_get_path(&subject.ocsp_request(CertIdHash::Sha1));
        let body = subject.ocsp_request(CertIdHash::Sha256);
        let post = format!(
            "POST /ocsp HTTP/1.1\r\nHost: ocsp\r\nContent-Type: application/ocsp-request\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let get = format!("GET /ocsp/{path} HTTP/1.1\r\nHost: ocsp\r\n\r\n");
        Self {
            name: name.to_owned(),
            questions: [get.into_bytes(), [post.as_bytes(), &body].concat()],
            revoked: OnceLock::new(),
        }
    }

    /// Its revocation was acknowledged now.
    pub fn is_revoked(&self) {
        let _ = self.revoked.set(Instant::now());
    }
}

/// What the askers saw.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How long answers took, their turn in a row of several included.
    pub took: Percentiles,
    /// Answers a second, on average.
    pub rate: f64,
    /// Those of them that said `revoked`.
    pub revoked: u64,
    /// Those that said `good` of what was acknowledged as revoked before it was asked for.
    pub still_good: u64,
    /// The longest time after an acknowledgement at which such a question was asked.
    pub latest_good: Duration,
    /// `tryLater`.
    pub try_later: u64,
}

/// Askers at work.
pub struct StatusLoad {
    shared: Arc<Shared>,
    began: Instant,
    tasks: JoinSet<anyhow::Result<Vec<Duration>>>,
}

#[derive(Default)]
struct Shared {
    asked: RwLock<Vec<Arc<Asked>>>,
    stop: AtomicBool,
    turn: AtomicU64,
    revoked: AtomicU64,
    try_later: AtomicU64,
    still_good: AtomicU64,
    latest_good: Mutex<Duration>,
}

impl StatusLoad {
    /// Asks `rate` questions a second about `asked`, of which there is at least one, in turns at each of the replicas.
    pub fn start(replicas: &[&Stack], rate: u32, asked: Vec<Arc<Asked>>) -> anyhow::Result<Self> {
        ensure!(!asked.is_empty() && rate > 0, "nothing is asked");
        let shared = Arc::new(Shared { asked: RwLock::new(asked), ..Shared::default() });
        let pause = Duration::from_secs(u64::from(CONNECTIONS * AT_ONCE)) / rate;
        let mut tasks = JoinSet::new();
        for number in 0..CONNECTIONS {
            let replica = replicas.get(number as usize % replicas.len().max(1)).context("no replica")?;
            let address = replica.public_url().trim_start_matches("http://").to_owned();
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                // Not all of them at once.
                tokio::time::sleep(pause * number / CONNECTIONS).await;
                let asking = shared.ask(&address, pause).await;
                // Whoever stops for a fault stops all: the others would only hide it.
                shared.stop.store(true, Ordering::Relaxed);
                asking.with_context(|| format!("asking OCSP at {address}"))
            });
        }
        Ok(Self { shared, began: Instant::now(), tasks })
    }

    /// Asks about one more.
    pub fn add(&self, asked: Arc<Asked>) {
        self.shared.asked.write().unwrap_or_else(PoisonError::into_inner).push(asked);
    }

    /// Whether an asker saw what must not be; [`Self::finish`] says what.
    pub fn has_failed(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Ends the asking; fails if any answer was none, or was wrong.
    pub async fn finish(mut self) -> anyhow::Result<Seen> {
        let lasted = self.began.elapsed();
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut took = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            took.extend(ended.context("an asker panicked")??);
        }
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Ok(Seen {
            rate: took.len() as f64 / lasted.as_secs_f64(),
            took: Percentiles::of(took),
            revoked: count(&self.shared.revoked),
            still_good: count(&self.shared.still_good),
            latest_good: *self.shared.latest_good.lock().unwrap_or_else(PoisonError::into_inner),
            try_later: count(&self.shared.try_later),
        })
    }
}

impl Shared {
    /// One connection: so many questions at once, a pause, and again; returns how long each answer took.
    async fn ask(&self, address: &str, pause: Duration) -> anyhow::Result<Vec<Duration>> {
        let stream = TcpStream::connect(address).await.context("no connection")?;
        stream.set_nodelay(true).context("no delay")?;
        let mut stream = BufReader::new(stream);
        let mut took = Vec::new();
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !self.stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            let questions: Vec<Arc<Asked>> = (0..AT_ONCE).map(|_| self.next()).collect();
            let turn = self.turn.load(Ordering::Relaxed) as usize;
            let octets: Vec<u8> =
                questions.iter().zip(turn..).flat_map(|(asked, way)| asked.questions[way % 2].clone()).collect();
            let sent = Instant::now();
            stream.write_all(&octets).await.context("no question can be sent")?;
            for asked in &questions {
                let body = timeout(PATIENCE, answer(&mut stream)).await;
                let body = body.with_context(|| format!("no answer within {PATIENCE:?} about {}", asked.name))??;
                took.push(sent.elapsed());
                self.judge(asked, sent, &body)?;
            }
        }
        Ok(took)
    }

    /// The next to be asked about. The newest comes up at each fourth turn, since it is the one that is about to be revoked.
    fn next(&self) -> Arc<Asked> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) as usize;
        let asked = self.asked.read().unwrap_or_else(PoisonError::into_inner);
        let place = if turn.is_multiple_of(4) { asked.len() - 1 } else { turn % asked.len() };
        Arc::clone(&asked[place])
    }

    fn judge(&self, asked: &Asked, sent: Instant, body: &[u8]) -> anyhow::Result<()> {
        let response = match ParsedResponse::from_der(body)? {
            ParsedResponse::Answered(response) => response,
            ParsedResponse::Failed(ca_core::ocsp::ResponderError::TryLater) => {
                self.try_later.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            ParsedResponse::Failed(error) => bail!("OCSP refused to speak of {}: {error:?}", asked.name),
        };
        let [single] = response.responses() else { bail!("one was asked about: {response:?}") };
        match (single.status, asked.revoked.get()) {
            (CertStatus::Revoked { .. }, _) => {
                self.revoked.fetch_add(1, Ordering::Relaxed);
            }
            (CertStatus::Good, Some(revoked)) if sent >= *revoked => {
                let after = sent.saturating_duration_since(*revoked);
                ensure!(after <= TOLD_WITHIN, "{} was revoked {after:?} before, and OCSP says `good`", asked.name);
                self.still_good.fetch_add(1, Ordering::Relaxed);
                let mut latest = self.latest_good.lock().unwrap_or_else(PoisonError::into_inner);
                *latest = latest.max(after);
            }
            (CertStatus::Good, _) => {}
            (status, _) => bail!("{} was issued, and OCSP says {status:?}", asked.name),
        }
        Ok(())
    }
}

/// The body of the next answer, which must be a 200 that says how long it is.
async fn answer(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Vec<u8>> {
    let (mut length, mut line) = (None, String::new());
    ensure!(stream.read_line(&mut line).await? > 0, "the service closed the connection");
    ensure!(line.starts_with("HTTP/1.1 200 "), "not 200: {line}");
    loop {
        line.clear();
        ensure!(stream.read_line(&mut line).await? > 0, "the answer broke off");
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok(),
            None if line == "\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length.context("the answer does not say how long it is")?];
    stream.read_exact(&mut body).await.context("the answer broke off")?;
    Ok(body)
}
