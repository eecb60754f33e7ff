//! A million certificates, asked for at random: what is found in memory, and whether that keeps its bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, ensure};
use ca_core::ocsp::{CertId, CertIdHash, IssuerIdentity, encode_get_path, request};
use tokio::runtime::Runtime;

use super::load::Extent;
use super::lookup::{issuer, serial};
use crate::clock::wall;
use crate::process::{Running, resident_octets};
use crate::report::{Report, Row, Unit};
use crate::service::Site;
use crate::spread::Spread;

/// Of how many certificates, if there are so many.
const CERTIFICATES: u64 = 1_000_000;
/// How many ask at a time, and for how long.
const CLIENTS: usize = 64;
const SECONDS: f64 = 60.0;
/// What answers may take in memory: `status.cache` as it is by default.
const BOUND: f64 = (64 << 20) as f64;

/// Asks by GET, without a nonce, over connections that are kept.
pub(super) fn ask(
    report: &mut Report,
    runtime: &Runtime,
    site: &Site,
    server: &Running,
    extent: Extent,
) -> anyhow::Result<()> {
    let issuer = issuer(runtime, site)?;
    let identity = Arc::new(IssuerIdentity::new(issuer.subject().as_der(), issuer.public_key().subject_public_key()));
    let http = site.client()?;
    let count = Arc::new(AtomicU64::new(0));
    let certificates = CERTIFICATES.min(extent.certificates);
    let before = (Origin::Memory.answers(runtime, site)?, Origin::Record.answers(runtime, site)?);
    let start = wall();
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (http, identity, count) = (http.clone(), Arc::clone(&identity), Arc::clone(&count));
            let base = format!("http://{}/ocsp", site.public_address());
            runtime.spawn(async move {
                while wall() - start < SECONDS {
                    let place = count.fetch_add(1, Ordering::Relaxed);
                    let asked = CertId::new(CertIdHash::Sha1, &identity, &serial(chance(place) % certificates));
                    let path = encode_get_path(&request::encode(&[asked], None));
                    let answer = http.get(format!("{base}/{path}")).send().await?.error_for_status()?.bytes().await?;
                    // An OCSPResponse with the status `successful`.
                    ensure!(matches!(answer[..], [0x30, 0x82, _, _, 0x0a, 1, 0, ..]), "not an answer: {answer:?}");
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        runtime.block_on(task).context("a client panicked")??;
    }
    let seconds = wall() - start;
    let hits = Origin::Memory.answers(runtime, site)? - before.0;
    let misses = Origin::Record.answers(runtime, site)? - before.1;
    ensure!(hits + misses > 0.0, "the service does not say where its answers came from");
    let octets = site.metric(runtime, "ca_ocsp_cache_octets")?;
    let of_one = |what: &str, unit, value| Row::of(what, unit, Spread::of(vec![value]));
    report.row(of_one("asked for at random: answers", Unit::Rate, (hits + misses) / seconds));
    report.row(of_one("     octets of answers in memory", Unit::Memory, octets).at_most(BOUND));
    report.row(of_one("     memory of the service", Unit::Memory, resident_octets(server.id())?));
    let entries = site.metric(runtime, "ca_ocsp_cache_entries")?;
    report.note(format!(
        "Asked for at random: {:.0} answers about {certificates} certificates in {seconds:.0} s, {:.1} % of them found in memory and \
         {:.1} % read and signed; {entries:.0} were in memory at the end.",
        hits + misses,
        100.0 * hits / (hits + misses),
        100.0 * misses / (hits + misses),
    ));
    Ok(())
}

/// SplitMix64's output for a state (Steele, Lea, Flood, 2014): a certificate comes again as chance has it, unlike by a walk that visits
/// each once.
fn chance(place: u64) -> u64 {
    let mut mixed = place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Where answers come from.
#[derive(Clone, Copy)]
enum Origin {
    Memory,
    Record,
}

impl Origin {
    fn answers(self, runtime: &Runtime, site: &Site) -> anyhow::Result<f64> {
        let name = match self {
            Self::Memory => "memory",
            Self::Record => "record",
        };
        site.metric(runtime, &format!("ca_ocsp_answers_by_origin_total{{origin=\"{name}\"}}"))
    }
}
