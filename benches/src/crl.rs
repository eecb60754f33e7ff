//! What a CRL of a million entries costs, in processor time and in memory.
//!
//! Every round is a process of its own, so that the peak of its memory is that of one list.

use std::process::Command;

use anyhow::{Context, anyhow, ensure};
use ca_core::crl::{CrlContext, CrlEntry, CrlLint, CrlTbs, CrlTemplate, CrlWriter, EntryReason};
use ca_core::hash::{Sha256, sha256};
use ca_core::serial::Serial;
use ca_core::signing::{Envelope, Signable};
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::hierarchy::Authority;
use futures::executor::block_on;
use serde_json::{Value, json};

use crate::clock::{Scope, Spent, Stopwatch};
use crate::peer::{openssl, python};
use crate::process::own_peak_octets;
use crate::report::{Report, Row, Unit};
use crate::spread::{Cost, ROUNDS, Spread};
use crate::world::World;

/// The targets.
const TARGET_SECONDS: f64 = 0.15;
const TARGET_OCTETS: f64 = 100.0 * 1024.0 * 1024.0;
const ENTRIES: u64 = 1_000_000;
/// What peers are given: more takes them too long.
const PEER_ENTRIES: u64 = 100_000;
/// Entries come from the store so many at a time.
const BATCH: u64 = 5_000;

/// The steps, in the order of the flow.
const STEPS: [&str; 5] = ["encode", "lint", "digest", "sign", "verify"];

/// What the target is of: a key signs the digest.
const SIGNED: [&str; 3] = ["encode", "digest", "sign"];

/// Measures the section.
pub(crate) fn run() -> anyhow::Result<Report> {
    let rounds = (0..ROUNDS).map(|_| in_a_process(ENTRIES)).collect::<anyhow::Result<Vec<_>>>()?;
    let small = (0..ROUNDS).map(|_| in_a_process(PEER_ENTRIES)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut report = Report::default();
    report.row(
        Row::cost(format!("{ENTRIES} entries: encode, digest, sign"), cost(&rounds, &SIGNED)).at_most(TARGET_SECONDS),
    );
    report.row(Row::of("  peak memory of the process", Unit::Memory, spread(&rounds, "peak")).at_most(TARGET_OCTETS));
    report.row(Row::cost("the whole flow: encode, lint, digest, sign, verify", cost(&rounds, &STEPS)));
    for step in STEPS {
        report.row(Row::cost(format!("  of this: {step}"), cost(&rounds, &[step])));
    }
    let ours = cost(&small, &SIGNED);
    report.row(Row::cost(format!("{PEER_ENTRIES} entries: encode, digest, sign"), ours));
    report.peer(openssl::generate_crl(PEER_ENTRIES).map(|peer| {
        let what = format!("{} `ca -gencrl`, {PEER_ENTRIES} entries of its index", peer.version);
        Row::cost(what, peer.cost).beside(ours.processor)
    }));
    report.peer(
        python::crl(PEER_ENTRIES).map(|peer| {
            Row::cost(format!("{}, {PEER_ENTRIES} entries", peer.version), peer.cost).beside(ours.processor)
        }),
    );
    let size = rounds.first().and_then(|round| round["octets"].as_f64()).context("a round has no size")?;
    report.note(format!(
        "P-256 authority, serials of 16 octets, a reason in every second entry: {:.1} MB of DER.",
        size / 1e6
    ));
    report.note("openssl's row is the process: reads index.txt, makes the list, signs, writes PEM. Python's: build, sign, encode.");
    Ok(report)
}

/// One list, made by a process that does nothing else.
fn in_a_process(entries: u64) -> anyhow::Result<Value> {
    let program = std::env::current_exe().context("this program cannot be found")?;
    let output =
        Command::new(program).arg("--make-crl").arg(entries.to_string()).output().context("it cannot be started")?;
    ensure!(output.status.success(), "no list was made: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("the process that makes a list answers nonsense")
}

/// The part of that process: makes a list of so many entries and prints what it took.
pub(crate) fn make(entries: u64) -> anyhow::Result<()> {
    let world = World::new()?;
    let authority = world.authority()?;
    let (issuer, facts) = (authority.certificate(), authority.facts());
    let this_update = world.engine.now();
    let mut steps = serde_json::Map::new();
    let mut step = |name: &str, spent: Spent| {
        steps.insert(name.to_owned(), json!({ "processor": spent.processor, "wall": spent.wall }));
    };

    let (tbs, pieces, spent) = encode(&authority, entries, this_update)?;
    step("encode", spent);
    let context = CrlContext {
        issuer: issuer.subject(),
        key_identifier: &facts.key_identifier,
        signature_algorithm: issuer.public_key().key_type().signature_algorithm(),
        previous: None,
    };
    let octets = || std::iter::once(&tbs.before).chain(&pieces).chain(std::iter::once(&tbs.after));
    let stopwatch = Stopwatch::start(Scope::Thread);
    let mut lint = CrlLint::new(context);
    octets().for_each(|piece| lint.update(piece));
    let linted = lint.finish().map_err(|findings| anyhow!("{findings:?}"))?;
    let linting = stopwatch.spent();
    let stopwatch = Stopwatch::start(Scope::Thread);
    let mut digest = Sha256::new();
    octets().for_each(|piece| digest.update(piece));
    ensure!(digest.finish() == linted.sha256(), "the lint took another digest");
    let digesting = stopwatch.spent();
    step("digest", digesting);
    // The lint takes the digest on its way.
    let less = |all: f64, part: f64| (all - part).max(0.0);
    step(
        "lint",
        Spent { processor: less(linting.processor, digesting.processor), wall: less(linting.wall, digesting.wall) },
    );
    let stopwatch = Stopwatch::start(Scope::Thread);
    let signature = block_on(authority.signer()?.sign(&linted))?;
    let signing = stopwatch.spent();
    let stopwatch = Stopwatch::start(Scope::Thread);
    linted.message().verify(issuer.public_key(), &signature)?;
    step("verify", stopwatch.spent());
    let stopwatch = Stopwatch::start(Scope::Thread);
    let Envelope { before, after } = linted.envelope(&signature)?;
    let assembling = stopwatch.spent();
    step("sign", Spent { processor: signing.processor + assembling.processor, wall: signing.wall + assembling.wall });
    println!(
        "{}",
        json!({ "steps": steps, "octets": before.len() + linted.octets() + after.len(), "peak": own_peak_octets()? })
    );
    Ok(())
}

/// Writes the list; making the entries, which come from the store in the service, is not counted.
fn encode(
    authority: &Authority,
    entries: u64,
    this_update: Timestamp,
) -> anyhow::Result<(CrlTbs, Vec<Vec<u8>>, Spent)> {
    let mut total = Spent { processor: 0.0, wall: 0.0 };
    let mut add = |spent: Spent| {
        total.processor += spent.processor;
        total.wall += spent.wall;
    };
    let mut writer = CrlWriter::new(CrlTemplate {
        issuer: authority.certificate().subject().clone(),
        authority_key_identifier: authority.facts().key_identifier.clone(),
        signature_algorithm: authority.certificate().public_key().key_type().signature_algorithm(),
        this_update,
        next_update: this_update.plus(Lifetime::from_days(7)),
        number: 2,
        base_number: None,
        issuing_distribution_point: None,
        freshest_crl: None,
        expired_certs_on_crl: None,
    })?;
    let mut pieces = Vec::new();
    for start in (0..entries).step_by(BATCH as usize) {
        let batch: Vec<CrlEntry> =
            (start..entries.min(start + BATCH)).map(|number| entry(number, this_update)).collect();
        let stopwatch = Stopwatch::start(Scope::Thread);
        batch.iter().try_for_each(|entry| writer.push(entry))?;
        pieces.extend(writer.take_piece());
        add(stopwatch.spent());
    }
    let stopwatch = Stopwatch::start(Scope::Thread);
    let tbs = writer.finish()?;
    add(stopwatch.spent());
    Ok((tbs, pieces, total))
}

/// Serials ascend by steps that look like chance, as those on record do.
fn entry(number: u64, now: Timestamp) -> CrlEntry {
    let digest = sha256(&number.to_be_bytes());
    let mut serial = [0; 16];
    serial[..8].copy_from_slice(&(number << 40 | u64::from(digest[0]) << 32).to_be_bytes());
    serial[8..].copy_from_slice(&digest[8..16]);
    CrlEntry {
        serial: Serial::from_random(serial),
        revoked_at: now.minus(Lifetime::from_seconds(number % 31_536_000)),
        reason: number.is_multiple_of(2).then_some(EntryReason::Superseded),
        invalidity_date: None,
    }
}

/// What some steps took together.
fn cost(rounds: &[Value], steps: &[&str]) -> Cost {
    let sum = |round: &Value, clock: &str| {
        steps.iter().map(|step| round["steps"][*step][clock].as_f64().unwrap_or(f64::NAN)).sum::<f64>()
    };
    let rounds: Vec<Spent> =
        rounds.iter().map(|round| Spent { processor: sum(round, "processor"), wall: sum(round, "wall") }).collect();
    Cost::of(&rounds)
}

fn spread(rounds: &[Value], field: &str) -> Spread {
    Spread::of(rounds.iter().map(|round| round[field].as_f64().unwrap_or(f64::NAN)).collect())
}
