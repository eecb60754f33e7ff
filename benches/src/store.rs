//! What putting certificates on record costs: SQLite in a real file, every commit durable, callers in parallel.
//!
//! The store alone (reserve, then complete) and the whole flow `issue` over it, without HTTP. Rates depend on the disk and on
//! what else runs; processor time hardly does.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, ensure};
use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::Certificate;
use ca_core::id::CertificateId;
use ca_core::principal::Principal;
use ca_core::serial::Serial;
use ca_core::time::Timestamp;
use ca_engine::fake::FakeClock;
use ca_engine::flow::issue::issue;
use ca_engine::port::store::{
    CertificateStore, CompleteOutcome, Completion, Journal, OutboxMessage, Reservation, ReserveOutcome, Store,
};
use ca_store::{OpenMode, SqliteStore};
use futures::executor::block_on;
use tokio::runtime::Runtime;

use crate::clock::{Scope, Spent, Stopwatch, wall};
use crate::process::work_folder;
use crate::report::{Report, Row, Unit};
use crate::spread::{Cost, Spread};
use crate::world::{AUTHORITY, World, csr, request};

/// How many callers there are at a time.
const CALLERS: [u32; 3] = [1, 32, 128];
const ROUNDS: usize = 5;
const ROUND_SECONDS: f64 = 1.0;

/// Measures the section.
pub(crate) fn run() -> anyhow::Result<Report> {
    let folder = work_folder()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    // SQLite's writer is a task of this runtime.
    let _entered = runtime.enter();
    let mut report = Report::default();
    let probe = Spread::of((0..50).map(|_| durable_append(folder.path())).collect::<anyhow::Result<Vec<_>>>()?);
    report.row(Row::of("the disk: append 4 KiB and fdatasync, wall time", Unit::Time, probe));
    for callers in CALLERS {
        let store = runtime.block_on(open(folder.path(), &format!("pairs-{callers}.db")))?;
        let template = Arc::new(Template::new()?);
        let pairs = rounds(&runtime, callers, || {
            let (store, template) = (Arc::clone(&store), Arc::clone(&template));
            move |number| {
                let (store, template) = (Arc::clone(&store), Arc::clone(&template));
                async move { template.put_on_record(&store, number).await }
            }
        })?;
        tell(&mut report, callers, "reserve and complete", &pairs);
        runtime.block_on(store.close());
    }
    for callers in CALLERS {
        let store = runtime.block_on(open(folder.path(), &format!("issue-{callers}.db")))?;
        // The flow compares its clock with the database's once: they must agree at the start.
        let clock = FakeClock::at(runtime.block_on(store.database_time())?);
        let world = Arc::new(World::over(store.clone(), clock)?);
        let csr = csr()?;
        let issued = rounds(&runtime, callers, || {
            let (world, csr) = (Arc::clone(&world), csr.clone());
            move |_| {
                let (world, csr) = (Arc::clone(&world), csr.clone());
                async move {
                    let request = request(&csr)?;
                    issue(&world.engine, &Principal::LocalOperator, request).await?;
                    anyhow::Ok(())
                }
            }
        })?;
        tell(&mut report, callers, "the flow `issue` from a CSR", &issued);
        runtime.block_on(store.close());
    }
    report.note("SQLite, WAL, synchronous=FULL, in a file below target/; an answer comes after its commit. Each row has a file of its own.");
    report.note("Processor time is that of the whole process, the driver's included, divided by what was done.");
    Ok(report)
}

async fn open(folder: &Path, name: &str) -> anyhow::Result<Arc<SqliteStore>> {
    Ok(Arc::new(SqliteStore::open(&folder.join(name), OpenMode::Create).await?))
}

/// What `callers` did in each round.
struct Round {
    rate: f64,
    spent: Spent,
}

fn tell(report: &mut Report, callers: u32, what: &str, rounds: &[Round]) {
    let rate = Spread::of(rounds.iter().map(|round| round.rate).collect());
    report.row(Row::of(format!("{what}, {callers} at a time"), Unit::Rate, rate));
    let cost = Cost::of(&rounds.iter().map(|round| round.spent).collect::<Vec<_>>());
    report.row(Row::of("     processor time of one", Unit::Time, cost.processor));
}

/// Lets `callers` do work over and over for a while, several times; the first time is not counted. `caller` makes a caller;
/// each piece of work gets a number of its own.
fn rounds<C, W, F>(runtime: &Runtime, callers: u32, mut caller: impl FnMut() -> C) -> anyhow::Result<Vec<Round>>
where
    C: Fn(u64) -> W + Send + 'static,
    W: Future<Output = anyhow::Result<F>> + Send,
    F: Send,
{
    let numbers = Arc::new(AtomicU64::new(0));
    let mut round = || -> anyhow::Result<Round> {
        let over = Arc::new(AtomicBool::new(false));
        let stopwatch = Stopwatch::start(Scope::Process);
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let (work, numbers, over) = (caller(), Arc::clone(&numbers), Arc::clone(&over));
                runtime.spawn(async move {
                    let mut done = 0_u32;
                    while !over.load(Ordering::Relaxed) {
                        work(numbers.fetch_add(1, Ordering::Relaxed)).await?;
                        done += 1;
                    }
                    anyhow::Ok(done)
                })
            })
            .collect();
        runtime.block_on(tokio::time::sleep(std::time::Duration::from_secs_f64(ROUND_SECONDS)));
        over.store(true, Ordering::Relaxed);
        let mut done = 0;
        for task in tasks {
            done += runtime.block_on(task).context("a caller panicked")??;
        }
        let spent = stopwatch.spent();
        ensure!(done > 0, "nothing was done in {:.1} s", spent.wall);
        Ok(Round { rate: f64::from(done) / spent.wall, spent: spent.per(done) })
    };
    round()?;
    (0..ROUNDS).map(|_| round()).collect()
}

/// A certificate of ours, of which copies with other ids and serials go on record.
struct Template {
    certificate: Certificate,
    now: Timestamp,
}

impl Template {
    fn new() -> anyhow::Result<Self> {
        let world = World::new()?;
        let issued = block_on(issue(&world.engine, &Principal::LocalOperator, request(&csr()?)?))?;
        Ok(Self { certificate: Certificate::from_der(&issued.certificate.der)?, now: world.engine.now() })
    }

    /// What the flow gives the store for one certificate.
    async fn put_on_record(&self, store: &SqliteStore, number: u64) -> anyhow::Result<()> {
        let mut random = [0; 16];
        random[8..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        random[..8].copy_from_slice(&number.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes());
        let serial = Serial::from_random(random);
        let id = CertificateId::new(self.now, random[6..].try_into().context("ten octets")?);
        let reservation = Reservation {
            id,
            authority: AUTHORITY.parse()?,
            serial: serial.clone(),
            profile: "server".parse()?,
            validity: self.certificate.validity(),
            subject: self.certificate.subject().clone(),
            names: self.certificate.names().to_vec(),
            spki_sha256: self.certificate.public_key().spki_sha256(),
            to_be_signed: self.certificate.tbs_der().to_vec(),
            owner: "local".to_owned(),
            requested_by: "local".to_owned(),
            renews: None,
            token: None,
            idempotency: None,
            personal_data: None,
            reserved_at: self.now,
        };
        let reserved = store.reserve(reservation).await?;
        ensure!(reserved == ReserveOutcome::Reserved, "a reservation became {reserved:?}");
        let subject = format!("certificate:{id}");
        let event = AuditEvent::new(self.now, AuditAction::CertificateIssued, "local", subject).with("serial", &serial);
        let payload = serde_json::json!({ "certificate": id.to_string(), "serial": serial.to_string() }).to_string();
        let completion = Completion {
            id,
            certificate: self.certificate.der().to_vec(),
            completed_at: self.now,
            inherit_roles: false,
            personal_data: false,
            journal: Journal::of(event).telling(OutboxMessage {
                topic: "certificate.issued",
                certificate: Some(id),
                payload,
            }),
        };
        let completed = store.complete(completion).await?;
        ensure!(matches!(completed, CompleteOutcome::Completed(_)), "a completion became {completed:?}");
        Ok(())
    }
}

/// Seconds that the disk takes to keep 4 KiB more.
fn durable_append(folder: &Path) -> anyhow::Result<f64> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("probe"))?;
    let start = wall();
    file.write_all(&[0x5a; 4_096]).context("the disk takes nothing")?;
    file.sync_data().context("the disk keeps nothing")?;
    Ok(wall() - start)
}
