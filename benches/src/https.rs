//! The service as its clients meet it: certificates over HTTPS with client certificates, OCSP over HTTP, its memory and its start.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ca_core::ocsp::{encode_get_path, request};
use ca_engine::fake::{FakeClock, MemoryStore};
use ca_runtime::entropy::SystemEntropy;
use ca_runtime::seal::{DataKeys, MissingKeys, Passphrase, Seal, Seals};
use ca_test_services::PostgresServer;
use tokio::runtime::Runtime;

use crate::clock::{Scope, Spent, Stopwatch};
use crate::issuance::{Issuance, issue_for_a_while};
use crate::ocsp_client::{ask_alone, ask_by_get, ask_by_post, certificate_id};
use crate::peer::openssl;
use crate::process::{processor_seconds, resident_octets};
use crate::report::{Report, Row, Unit};
use crate::service::Site;
use crate::spread::{Cost, Spread};

/// The targets of the idle service; of the start, processor time, so that a busy machine does not count.
const START_SECONDS: f64 = 0.3;
const IDLE_OCTETS: f64 = 40.0 * 1024.0 * 1024.0;
/// The targets of issuance with PostgreSQL: the server's processor time of one certificate, as often as openssl's arithmetic of
/// one (one signature, two verifications) goes into it, which is 160 µs where openssl needs 96; and the 99th percentile of the
/// response time.
const ISSUE_TIMES: f64 = 1.67;
const PERCENTILE_99_SECONDS: f64 = 0.1;
/// The number of clients to whom the targets apply.
const MOST_CLIENTS: usize = 128;
/// How many clients there are at a time, each with a connection that it keeps.
const CLIENTS: [usize; 3] = [1, 32, MOST_CLIENTS];
const ROUNDS: usize = 5;

/// Measures the section.
pub(crate) fn run() -> anyhow::Result<Report> {
    // One thread is enough for all clients, and takes less from the server than several that wake each other.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let _entered = runtime.enter();
    let mut report = Report::default();
    let site = Site::initialised(None)?;
    start(&mut report, &site, &runtime)?;
    issue(&mut report, &site, &runtime, "SQLite", None)?;
    match PostgresServer::start() {
        Ok(postgres) => {
            let url = postgres.url(&postgres.empty_database()?);
            let arithmetic = openssl::speed_p256().map(|speed| Spread::of(vec![speed.sign + 2.0 * speed.verify]))?;
            issue(&mut report, &Site::initialised(Some(&url))?, &runtime, "PostgreSQL", Some(arithmetic))?;
        }
        Err(error) => report.note(format!("NOT MEASURED with PostgreSQL: {error:#}")),
    }
    report.note("ca-server serve, release build; root, authorities, client and subject keys P-256. SQLite in a file below target/;");
    report.note("PostgreSQL 15 with fsync, on this machine, by a socket: its processor time is not the server's, and not counted.");
    report.note("TLS 1.3, HTTP/1.1, a connection for each client, made before the round. A rate is also the driver's and the database's, which share the cores.");
    report.note("No peer is measured here: the CA services worth comparing with are not installed by this project.");
    Ok(report)
}

/// Certificates over HTTPS, then OCSP, of a service that was not started before.
fn issue(
    report: &mut Report,
    site: &Site,
    runtime: &Runtime,
    record: &str,
    arithmetic: Option<Spread>,
) -> anyhow::Result<()> {
    let (server, _) = site.serve()?;
    for clients in CLIENTS {
        let issuance = issue_for_a_while(runtime, site, server.id(), clients)?;
        tell(report, record, clients, &issuance, arithmetic.filter(|_| clients == MOST_CLIENTS));
    }
    let resident = Spread::of(vec![resident_octets(server.id())?]);
    report.row(Row::of(format!("{record}: memory after that"), Unit::Memory, resident));
    ask_ocsp(report, record, site, server.id(), runtime)?;
    site.stop(server)
}

fn tell(report: &mut Report, record: &str, clients: usize, issuance: &Issuance, arithmetic: Option<Spread>) {
    let what = format!("{record}: certificates, {clients} clients at a time");
    report.row(Row::of(what, Unit::Rate, issuance.rate));
    let processor = Row::of("     the server's processor time of one", Unit::Time, issuance.processor);
    let percentile_99 = Row::of("     response time, 99th percentile", Unit::Time, issuance.percentile_99);
    let median = Row::of("     response time, median", Unit::Time, issuance.median);
    match arithmetic {
        Some(arithmetic) => {
            report.row(processor.at_most_times(ISSUE_TIMES, arithmetic));
            report.row(median);
            report.row(percentile_99.at_most(PERCENTILE_99_SECONDS));
        }
        None => [processor, median, percentile_99].into_iter().for_each(|row| report.row(row)),
    }
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
    let seals = Seals { authorities: None, responders: Seal::Passphrase(passphrase) };
    let stopwatch = Stopwatch::start(Scope::Process);
    runtime.block_on(DataKeys::open(&store, &seals, MissingKeys::Make, &SystemEntropy::new()))?;
    Ok(stopwatch.spent())
}

/// OCSP over HTTP: a connection a request, as `openssl ocsp` is asked in section `ocsp`, and over a connection that is kept.
fn ask_ocsp(report: &mut Report, record: &str, site: &Site, server: u32, runtime: &Runtime) -> anyhow::Result<()> {
    let asked = certificate_id(site, runtime)?;
    let address = site.public_address();
    let mut number = 0_u64;
    let fresh = ask_alone(address, server, || {
        number += 1;
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        Ok(request::encode(std::slice::from_ref(&asked), Some(&nonce)))
    })?;
    report.row(Row::cost(format!("{record}: OCSP with a nonce: looked up, signed; a connection each"), fresh));
    let plain = request::encode(&[asked], None);
    let alone = ask_alone(address, server, || Ok(plain.clone()))?;
    report.row(Row::cost(format!("{record}: OCSP without a nonce, from memory; a connection each"), alone));
    report.row(Row::cost("     over a connection that is kept, by POST", ask_by_post(address, server, &plain)?));
    let path = format!("/ocsp/{}", encode_get_path(&plain));
    report.row(Row::cost("     over a connection that is kept, by GET", ask_by_get(address, server, &path)?));
    Ok(())
}
