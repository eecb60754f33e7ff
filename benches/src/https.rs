//! The service as its clients meet it: certificates over HTTPS with client certificates, OCSP over HTTP, its memory and its start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ca_core::certificate::Certificate;
use ca_core::ocsp::{CertId, CertIdHash, IssuerIdentity, request};
use ca_engine::fake::{FakeClock, MemoryStore};
use ca_runtime::entropy::SystemEntropy;
use ca_runtime::seal::{DataKeys, MissingKeys, Passphrase, Passphrases};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::clock::{Scope, Spent, Stopwatch, wall};
use crate::peer::ocsp_responder::drive;
use crate::process::{processor_seconds, resident_octets};
use crate::report::{Report, Row, Unit};
use crate::service::Site;
use crate::spread::{Cost, Spread};
use crate::world::csr;

/// The targets of the idle service; of the start, processor time, so that a busy machine does not count.
const START_SECONDS: f64 = 0.3;
const IDLE_OCTETS: f64 = 40.0 * 1024.0 * 1024.0;
/// How many clients there are at a time, each with a connection that it keeps.
const CLIENTS: [usize; 3] = [1, 32, 128];
const ROUNDS: usize = 5;
const ROUND_SECONDS: f64 = 2.0;

/// Measures the section.
pub(crate) fn run() -> anyhow::Result<Report> {
    let site = Site::initialised()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    let _entered = runtime.enter();
    let mut report = Report::default();
    start(&mut report, &site, &runtime)?;
    let (server, _) = site.serve()?;
    for clients in CLIENTS {
        let rounds = issue_for_a_while(&runtime, &site, server.id(), clients)?;
        tell(&mut report, clients, &rounds);
    }
    let resident = Spread::of(vec![resident_octets(server.id())?]);
    report.row(Row::of("memory after that", Unit::Memory, resident));
    ask_ocsp(&mut report, &site, server.id(), &runtime)?;
    site.stop(server)?;
    report.note("ca-server serve, release build, SQLite in a file below target/; root, authorities, client and subject keys P-256.");
    report.note("TLS 1.3, HTTP/1.1, a connection for each client, made before the round. A rate is also the driver's, which shares the cores.");
    report.note("No peer is measured here: the CA services worth comparing with are not installed by this project.");
    Ok(report)
}

/// How long a start takes and how much memory it leaves in use.
fn start(report: &mut Report, site: &Site, runtime: &Runtime) -> anyhow::Result<()> {
    let mut starts = Vec::new();
    let mut idle = Vec::new();
    for _ in 0..ROUNDS {
        let (server, seconds) = site.serve()?;
        starts.push(Spent { processor: processor_seconds(server.id())?, wall: seconds });
        runtime.block_on(tokio::time::sleep(Duration::from_secs(1)));
        idle.push(resident_octets(server.id())?);
        site.stop(server)?;
    }
    let derivations = (0..ROUNDS).map(|_| derive_a_key(runtime)).collect::<anyhow::Result<Vec<_>>>()?;
    let derivation = Cost::of(&derivations);
    let apart: Vec<f64> = starts.iter().map(|spent| spent.processor - derivation.processor.median).collect();
    report.row(Row::cost("start until /ready says yes", Cost::of(&starts)));
    report.row(Row::cost("  of this: deriving a key from the passphrase (PBKDF2)", derivation));
    report.row(Row::of("  of this: all else", Unit::Time, Spread::of(apart)).at_most(START_SECONDS));
    report.row(
        Row::of("memory when idle, a second after the start", Unit::Memory, Spread::of(idle)).at_most(IDLE_OCTETS),
    );
    Ok(())
}

/// The one derivation of a start: a data key made in an empty record takes it too, and little else.
fn derive_a_key(runtime: &Runtime) -> anyhow::Result<Spent> {
    let store = MemoryStore::new(FakeClock::default());
    let passphrase = Arc::new(Passphrase::new("a passphrase of the bench", "the bench".to_owned())?);
    let passphrases = Passphrases { authorities: None, responders: passphrase };
    let stopwatch = Stopwatch::start(Scope::Process);
    runtime.block_on(DataKeys::open(&store, &passphrases, MissingKeys::Make, &SystemEntropy::new()))?;
    Ok(stopwatch.spent())
}

/// What clients did in a round.
struct Round {
    rate: f64,
    /// Of the server, for one certificate.
    processor: f64,
    /// Seconds that each request took, ascending.
    latencies: Vec<f64>,
}

fn tell(report: &mut Report, clients: usize, rounds: &[Round]) {
    let of = |what: &dyn Fn(&Round) -> f64| Spread::of(rounds.iter().map(what).collect());
    let at = |share: f64| {
        move |round: &Round| {
            let index = (round.latencies.len() as f64 * share) as usize;
            round.latencies.get(index.min(round.latencies.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
        }
    };
    report.row(Row::of(format!("certificates, {clients} clients at a time"), Unit::Rate, of(&|round| round.rate)));
    report.row(Row::of("     the server's processor time of one", Unit::Time, of(&|round| round.processor)));
    report.row(Row::of("     response time, median", Unit::Time, of(&at(0.5))));
    report.row(Row::of("     response time, 99th percentile", Unit::Time, of(&at(0.99))));
}

fn issue_for_a_while(runtime: &Runtime, site: &Site, server: u32, count: usize) -> anyhow::Result<Vec<Round>> {
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
    (0..ROUNDS).map(|_| round(ROUND_SECONDS)).collect()
}

/// A client with a key, a CSR and a connection of its own.
#[derive(Clone)]
struct Caller {
    http: reqwest::Client,
    url: String,
    body: Vec<u8>,
}

impl Caller {
    fn new(site: &Site) -> anyhow::Result<Self> {
        let body = serde_json::to_vec(&json!({ "profile": "server", "csr": csr()? })).context("JSON can be written")?;
        Ok(Self { http: site.client()?, url: format!("{}/v1/certificates", site.api_url()), body })
    }

    /// Asks for certificates one after the other; what each took, in seconds.
    async fn ask_until(&self, over: &AtomicBool) -> anyhow::Result<Vec<f64>> {
        let mut latencies = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let start = wall();
            self.issue().await?;
            latencies.push(wall() - start);
        }
        Ok(latencies)
    }

    async fn issue(&self) -> anyhow::Result<Vec<u8>> {
        let asked = self.http.post(&self.url).header("content-type", "application/json").body(self.body.clone());
        let answer = asked.send().await.context("ca-server does not answer")?;
        let status = answer.status();
        let body = answer.bytes().await.context("ca-server breaks off")?;
        if status != reqwest::StatusCode::CREATED {
            bail!("ca-server answers {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body.to_vec())
    }
}

/// OCSP over HTTP/1.0, a connection a request, as `openssl ocsp` is asked in section `ocsp`.
fn ask_ocsp(report: &mut Report, site: &Site, server: u32, runtime: &Runtime) -> anyhow::Result<()> {
    let issued: Value = serde_json::from_slice(&runtime.block_on(Caller::new(site)?.issue())?)?;
    let pem = |field: &str| issued[field].as_str().with_context(|| format!("the answer has no {field}"));
    let certificate = Certificate::from_pem(pem("certificate")?)?;
    let chain = Certificate::all_from_pem(pem("chain")?)?;
    let issuer = chain.first().context("the chain is empty")?;
    let identity = IssuerIdentity::new(issuer.subject().as_der(), issuer.public_key().subject_public_key());
    let asked = CertId::new(CertIdHash::Sha1, &identity, certificate.serial());
    let mut number = 0_u64;
    let fresh = drive(site.public_address(), server, || {
        number += 1;
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        Ok(request::encode(std::slice::from_ref(&asked), Some(&nonce)))
    })?;
    report.row(Row::cost("OCSP with a nonce: looked up, signed; a connection each", fresh));
    let plain = drive(site.public_address(), server, || Ok(request::encode(std::slice::from_ref(&asked), None)))?;
    report.row(Row::cost("OCSP without a nonce; a connection each", plain));
    Ok(())
}
