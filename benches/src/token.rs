//! Certificates signed in a token of SoftHSM, beside what the token signs when it is asked for nothing else.

use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, ensure};
use ca_test_services::{PostgresServer, SoftHsm};
use clap::ValueEnum;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use tokio::runtime::Runtime;

use crate::clock::{Scope, Stopwatch, wall};
use crate::issuance::issue_for_a_while;
use crate::peer::openssl;
use crate::report::{Report, Row, Unit};
use crate::service::Site;
use crate::spread::Spread;

/// Sessions that sign at the same time: as many as the service has when nothing is configured.
const SESSIONS: usize = 4;
const CLIENTS: usize = 128;
const ROUNDS: usize = 5;
const ROUND_SECONDS: f64 = 2.0;
/// The share of the token's own rate that issuance reaches, unless the server's own processor time is what limits it: as often as
/// openssl's arithmetic of a certificate goes into that (one signature, two verifications), 160 µs where openssl needs 96.
const SHARE: f64 = 0.6;
const ISSUE_TIMES: f64 = 1.67;
const LABEL: &str = "hsm";

/// Keys that authorities have in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenKey {
    /// P-256
    P256,
    /// P-384
    P384,
    /// RSA of 3072 bits
    Rsa3072,
}

impl TokenKey {
    /// As the configuration has it.
    const fn key_type(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa3072 => "rsa3072",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::Rsa3072 => "RSA-3072",
        }
    }

    /// What the token is asked to sign, and how, as the service asks it.
    fn question(self) -> (Mechanism<'static>, Vec<u8>) {
        match self {
            Self::P256 => (Mechanism::Ecdsa, vec![7; 32]),
            Self::P384 => (Mechanism::Ecdsa, vec![7; 48]),
            // The DigestInfo of SHA-256 has 19 octets before the digest (RFC 8017 §9.2).
            Self::Rsa3072 => (Mechanism::RsaPkcs, vec![7; 51]),
        }
    }
}

/// Measures the section.
pub(crate) fn run() -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    let _entered = runtime.enter();
    let hsm = SoftHsm::with_token(LABEL)?;
    let postgres = PostgresServer::start()?;
    let mut report = Report::default();
    for key in TokenKey::value_variants() {
        measure(&mut report, &runtime, &hsm, &postgres, *key)?;
    }
    let software = Site::initialised(Some(&postgres.url(&postgres.empty_database()?)))?;
    let (server, _) = software.serve()?;
    let beside = issue_for_a_while(&runtime, &software, server.id(), CLIENTS)?;
    software.stop(server)?;
    report.row(Row::of("P-256 in memory: certificates, as many clients", Unit::Rate, beside.rate));
    report.row(Row::of("     the server's processor time of one", Unit::Time, beside.processor));
    report.note(format!(
        "{:.0} % of the token's own rate are asked for, or that the server's own processor time is what limits it, which is judged",
        SHARE * 100.0
    ));
    report
        .note("then, without the token's. SoftHSM signs in the server's process, on its processors; an HSM does not.");
    report.note(
        "PostgreSQL 15 with fsync, on this machine. Driver, database and token share the processors with the server.",
    );
    Ok(report)
}

/// One kind of key: the token asked for nothing else, before and after, and certificates between.
fn measure(
    report: &mut Report,
    runtime: &Runtime,
    hsm: &SoftHsm,
    postgres: &PostgresServer,
    key: TokenKey,
) -> anyhow::Result<()> {
    let pin_file = hsm.pin_file().display().to_string();
    let configuration = hsm.configuration().display().to_string();
    let uri = format!("pkcs11:token={LABEL};object={}", key.key_type());
    let site = Site::initialised_with(&[
        ("CA__DATABASE__URL", &postgres.url(&postgres.empty_database()?)),
        ("CA__AUTHORITY__TLS__KEY", &uri),
        ("CA__AUTHORITY__TLS__KEY_TYPE", key.key_type()),
        ("CA__PKCS11__HSM__MODULE", SoftHsm::MODULE),
        ("CA__PKCS11__HSM__PIN_FILE", &pin_file),
        (SoftHsm::VARIABLE, &configuration),
    ])?;
    let bare = sign_bare(hsm, key)?;
    let (server, _) = site.serve()?;
    let issuance = issue_for_a_while(runtime, &site, server.id(), CLIENTS)?;
    site.stop(server)?;
    let after = sign_bare(hsm, key)?;
    let rate = Spread::of([bare.rates, after.rates].concat());
    let own = Spread::of([bare.processor, after.processor].concat());
    let title = key.title();
    report.row(Row::of(format!("{title}: C_Sign by {SESSIONS} sessions and nothing else"), Unit::Rate, rate));
    report.row(Row::of("     processor time of one", Unit::Time, own));
    let share = issuance.rate.median / rate.median;
    let what = format!("{title}: certificates, {CLIENTS} clients at a time, {:.0} % of that", share * 100.0);
    report.row(Row::of(what, Unit::Rate, issuance.rate));
    report.row(Row::of("     the server's processor time of one, the token's in it", Unit::Time, issuance.processor));
    let [least, median, most] =
        [issuance.processor.least, issuance.processor.median, issuance.processor.most].map(|time| time - own.median);
    let row = Row::of("     the same without the token's", Unit::Time, Spread::of(vec![least, median, most]));
    let arithmetic = openssl::speed_p256().map(|speed| Spread::of(vec![speed.sign + 2.0 * speed.verify]))?;
    report.row(if share >= SHARE { row } else { row.at_most_times(ISSUE_TIMES, arithmetic) });
    report.row(Row::of("     response time, median", Unit::Time, issuance.median));
    report.row(Row::of("     response time, 99th percentile", Unit::Time, issuance.percentile_99));
    Ok(())
}

/// What rounds of bare signatures made.
struct Bare {
    /// Signatures a second.
    rates: Vec<f64>,
    /// Seconds of processor time for one.
    processor: Vec<f64>,
}

/// Signs in a process of its own: a module is told where its tokens are by the environment.
fn sign_bare(hsm: &SoftHsm, key: TokenKey) -> anyhow::Result<Bare> {
    let program = std::env::current_exe().context("where is this program?")?;
    let output = Command::new(program)
        .args(["--sign-bare", key.key_type()])
        .env(SoftHsm::VARIABLE, hsm.configuration())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut bare = Bare { rates: Vec::new(), processor: Vec::new() };
    for line in said.lines() {
        let (rate, processor) = line.split_once(' ').context("two figures a line")?;
        bare.rates.push(rate.parse().context("a rate")?);
        bare.processor.push(processor.parse().context("a time")?);
    }
    ensure!(!bare.rates.is_empty(), "no round of bare signatures");
    Ok(bare)
}

/// Prints, of each round, signatures a second and the processor time of one: what the program does when it starts itself.
pub(crate) fn print_bare(asked: TokenKey) -> anyhow::Result<()> {
    let module = Pkcs11::new(Path::new(SoftHsm::MODULE))?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let slot = *module.get_slots_with_initialized_token()?.first().context("no token")?;
    let keeper = module.open_ro_session(slot)?;
    keeper.login(UserType::User, Some(&AuthPin::new(SoftHsm::PIN.into())))?;
    for round in 0..=ROUNDS {
        let stopwatch = Stopwatch::start(Scope::Process);
        let threads: Vec<_> = (0..SESSIONS)
            .map(|_| {
                let module = module.clone();
                thread::spawn(move || -> anyhow::Result<u64> {
                    let session = module.open_ro_session(slot)?;
                    let wanted =
                        [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(asked.key_type().into())];
                    let key = *session.find_objects(&wanted)?.first().context("no key")?;
                    let (mechanism, octets) = asked.question();
                    let (start, mut signed) = (wall(), 0);
                    while wall() - start < ROUND_SECONDS {
                        session.sign(&mechanism, key, &octets)?;
                        signed += 1;
                    }
                    Ok(signed)
                })
            })
            .collect();
        let mut signed = 0;
        for thread in threads {
            signed += thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        let spent = stopwatch.spent();
        // The first is not counted.
        if round > 0 {
            println!("{} {}", signed as f64 / spent.wall, spent.processor / signed as f64);
        }
    }
    Ok(())
}
