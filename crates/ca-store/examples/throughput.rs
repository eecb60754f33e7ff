//! Measures durable issuance: pairs of `reserve` and `complete` by concurrent callers, on a file of its own or on an empty
//! database of PostgreSQL.
//!
//! `cargo run --release -p ca-store --example throughput -- FOLDER|postgres://… [CALLERS [PAIRS]]`. CPU is the whole process's,
//! callers included, by `/proc/self/stat`; a server's is not.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::hash::sha256;
use ca_core::id::CertificateId;
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp, Validity};
use ca_engine::port::store::{CompleteOutcome, Completion, Journal, OutboxMessage, Reservation, ReserveOutcome, Store};
use ca_store::{OpenError, OpenMode, PostgresOptions, PostgresStore, SqliteStore};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_176_000);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let place =
        arguments.next().ok_or("name a folder on the disk to be measured, or the address of an empty database")?;
    let callers = arguments.next().map_or(Ok(64), |text| text.parse::<u64>())?;
    let pairs = arguments.next().map_or(Ok(50_000), |text| text.parse::<u64>())?;
    let store = open(&place).await?;

    report("reserve + complete", callers, pairs, {
        let store = store.clone();
        move |number| issue(store.clone(), number)
    })
    .await?;
    report("status", callers, pairs, {
        let store = store.clone();
        move |number| status(store.clone(), number)
    })
    .await?;
    Ok(())
}

async fn open(place: &str) -> Result<Arc<dyn Store>, OpenError> {
    if place.starts_with("postgres") {
        return Ok(Arc::new(PostgresStore::open(&PostgresOptions::parse(place)?, OpenMode::Create).await?));
    }
    let path = Path::new(place).join("throughput.db");
    Ok(Arc::new(SqliteStore::open(&path, OpenMode::Create).await?))
}

/// Runs `work` for the numbers below `count` in `callers` tasks and prints what one cost.
async fn report<F, Fut>(name: &str, callers: u64, count: u64, work: F) -> Result<(), Box<dyn Error>>
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let cpu = cpu_seconds()?;
    let start = now();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let work = work.clone();
        tasks.spawn(async move {
            for number in (caller..count).step_by(usize::try_from(callers).unwrap_or(1)) {
                work(number).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let count = count as f64;
    println!(
        "{name}: {callers} callers, {:.0}/s, {:.1} µs of CPU and {:.2} ms of waiting each",
        count / wall,
        cpu / count * 1e6,
        wall / count * callers as f64 * 1e3,
    );
    Ok(())
}

async fn issue(store: Arc<dyn Store>, number: u64) {
    let reservation = reservation(number);
    let id = reservation.id;
    assert_eq!(store.reserve(reservation).await, Ok(ReserveOutcome::Reserved));
    let event = AuditEvent::new(NOW, AuditAction::CertificateIssued, "local", format!("certificate:{id}"))
        .with("authority", "tls")
        .with("profile", "server");
    let journal = Journal::of(event).telling(OutboxMessage {
        topic: "certificate.issued",
        certificate: Some(id),
        payload: "{}".to_owned(),
    });
    let certificate = vec![0x30; 700];
    let completion =
        Completion { id, certificate, completed_at: NOW, inherit_roles: false, personal_data: false, journal };
    assert!(matches!(store.complete(completion).await, Ok(CompleteOutcome::Completed(_))));
}

async fn status(store: Arc<dyn Store>, number: u64) {
    let reservation = reservation(number);
    assert!(matches!(store.status(&reservation.authority, &reservation.serial).await, Ok(Some(_))));
}

fn reservation(number: u64) -> Reservation {
    let digest = sha256(&number.to_be_bytes());
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    let mut octets = [0; 16];
    octets.copy_from_slice(&digest[..16]);
    Reservation {
        id: CertificateId::new(NOW.plus(Lifetime::from_seconds(number / 1000)), random),
        authority: "tls".parse().expect("an authority id"),
        serial: Serial::from_random(octets),
        profile: "server".parse().expect("a profile name"),
        validity: Validity { not_before: NOW, not_after: NOW.plus(Lifetime::from_days(90)) },
        subject: DistinguishedName::from_rfc4514(&format!("CN=host{number}.example.com,O=Example")).expect("a subject"),
        names: vec![GeneralName::parse(&format!("dns:host{number}.example.com")).expect("a name")],
        spki_sha256: digest,
        to_be_signed: vec![0x30; 600],
        owner: "certificate:0199f0c2-7a3e-7c51-9d2e-5b1f0a6c4d21".to_owned(),
        requested_by: "certificate:0199f0c2-7a3e-7c51-9d2e-5b1f0a6c4d21".to_owned(),
        renews: None,
        token: None,
        idempotency: None,
        personal_data: None,
        reserved_at: NOW,
    }
}

#[expect(clippy::disallowed_methods, reason = "this program measures")]
fn now() -> Instant {
    Instant::now()
}

/// User and system time of this process, all threads.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold blanks: count from behind it. utime and stime are fields 14 and 15 of proc(5), in
    // ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 =
        fields.get(11).ok_or("no utime")?.parse::<f64>()? + fields.get(12).ok_or("no stime")?.parse::<f64>()?;
    Ok(ticks / 100.0)
}
