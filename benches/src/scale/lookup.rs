//! What is asked of a record: the status of a serial number, a certificate by its subject, the list.

use std::sync::Arc;

use anyhow::{Context, ensure};
use ca_core::certificate::Certificate;
use ca_core::hash::sha256;
use ca_core::ocsp::{CertId, CertIdHash, IssuerIdentity, request};
use ca_core::serial::Serial;
use ca_test_services::PostgresServer;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::load::Extent;
use crate::clock::wall;
use crate::issuance::{Caller, percentile};
use crate::service::Site;

/// How many ask for a status at a time, and how often each.
const CLIENTS: u64 = 8;
const REQUESTS: u64 = 500;
/// How often a subject is looked for.
const SEARCHES: u64 = 200;
/// How many certificates a page has.
const PAGE: usize = 100;

/// OCSP over HTTP with a nonce, so that nothing of it is in a cache: the 99th percentile of the response time, in seconds, of
/// these serial numbers in turn.
pub(super) fn ask_status(runtime: &Runtime, site: &Site, serials: &Arc<[Serial]>) -> anyhow::Result<f64> {
    ensure!(!serials.is_empty(), "there is nothing to ask for");
    let issuer = issuer(runtime, site)?;
    let http = site.client()?;
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let http = http.clone();
            let identity = IssuerIdentity::new(issuer.subject().as_der(), issuer.public_key().subject_public_key());
            let serials = Arc::clone(serials);
            let url = format!("http://{}/ocsp", site.public_address());
            runtime.spawn(async move {
                let mut latencies = Vec::new();
                for number in 0..REQUESTS {
                    let place = client * REQUESTS + number;
                    let serial = &serials[place as usize % serials.len()];
                    let asked = CertId::new(CertIdHash::Sha1, &identity, serial);
                    let nonce = sha256(&place.to_be_bytes());
                    let body = request::encode(std::slice::from_ref(&asked), Some(&nonce));
                    let start = wall();
                    let asked = http.post(&url).header("content-type", "application/ocsp-request").body(body);
                    let answer = asked.send().await?.error_for_status()?.bytes().await?;
                    latencies.push(wall() - start);
                    // An OCSPResponse with the status `successful`.
                    ensure!(matches!(answer[..], [0x30, 0x82, _, _, 0x0a, 1, 0, ..]), "not an answer: {answer:?}");
                }
                anyhow::Ok(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(runtime.block_on(task).context("a client panicked")??);
    }
    latencies.sort_by(f64::total_cmp);
    Ok(percentile(&latencies, 0.99))
}

/// The authority's certificate.
pub(super) fn issuer(runtime: &Runtime, site: &Site) -> anyhow::Result<Certificate> {
    let issued: Value = serde_json::from_slice(&runtime.block_on(Caller::new(site)?.issue())?)?;
    let pem = |field: &str| issued[field].as_str().with_context(|| format!("the answer has no {field}"));
    let chain = Certificate::all_from_pem(pem("chain")?)?;
    chain.into_iter().next().context("the chain is empty")
}

/// The serial numbers of as many loaded rows as are asked for, all over the record.
pub(super) fn serials(extent: Extent) -> Arc<[Serial]> {
    (0..CLIENTS * REQUESTS).map(|place| serial(scatter(place) % extent.certificates)).collect()
}

/// The serial numbers of as many certificates as are asked for, of a record that the service has filled itself.
pub(super) fn issued_serials(postgres: &PostgresServer, database: &str) -> anyhow::Result<Arc<[Serial]>> {
    let sql = format!(
        "SELECT encode(serial, 'hex') FROM serials WHERE state = 1 AND authority = 'tls' ORDER BY random() LIMIT {}",
        CLIENTS * REQUESTS
    );
    let found = postgres.run_sql(database, &sql)?;
    found.lines().map(|line| line.trim().parse().context("a serial number")).collect()
}

/// Asks for the newest page of the list: the 99th percentile of the response time, in seconds.
pub(super) fn list_newest(runtime: &Runtime, site: &Site) -> anyhow::Result<f64> {
    let http = site.client()?;
    let url = format!("{}/v1/certificates?limit={PAGE}", site.api_url());
    let mut latencies = Vec::new();
    for _ in 0..SEARCHES {
        let start = wall();
        let answer: Value = serde_json::from_slice(
            &runtime.block_on(async { anyhow::Ok(http.get(&url).send().await?.error_for_status()?.bytes().await?) })?,
        )?;
        latencies.push(wall() - start);
        let found = answer["items"].as_array().map_or(0, Vec::len);
        ensure!(found == PAGE, "{found} certificates on a page");
    }
    latencies.sort_by(f64::total_cmp);
    Ok(percentile(&latencies, 0.99))
}

/// Finds certificates by their subjects, all over the record: the 99th percentile of the response time, in seconds.
pub(super) fn find_by_subject(runtime: &Runtime, site: &Site, extent: Extent) -> anyhow::Result<f64> {
    let http = site.client()?;
    let url = format!("{}/v1/certificates/search", site.api_url());
    let mut latencies = Vec::new();
    for number in 0..SEARCHES {
        let subject = extent.subject(scatter(number));
        let start = wall();
        let body = serde_json::to_vec(&json!({ "subject": subject })).context("JSON can be written")?;
        let asked = http.post(&url).header("content-type", "application/json").body(body);
        let answer: Value = serde_json::from_slice(
            &runtime.block_on(async { anyhow::Ok(asked.send().await?.error_for_status()?.bytes().await?) })?,
        )?;
        latencies.push(wall() - start);
        let found = answer["items"].as_array().map_or(0, Vec::len);
        ensure!(found == 1, "{found} certificates of {subject}");
    }
    latencies.sort_by(f64::total_cmp);
    Ok(percentile(&latencies, 0.99))
}

/// The published list of `tls`.
pub(super) async fn list(site: &Site) -> anyhow::Result<Vec<u8>> {
    let asked = site.client()?.get(format!("http://{}/crl/tls.crl", site.public_address()));
    let answer = asked.send().await?.error_for_status()?;
    Ok(answer.bytes().await?.to_vec())
}

/// The serial number of a loaded row.
pub(super) fn serial(number: u64) -> Serial {
    let digest = sha256(&number.to_be_bytes());
    let mut octets = [0; 16];
    octets.copy_from_slice(&digest[..16]);
    octets[0] = 64 + (number % 64) as u8;
    Serial::from_random(octets)
}

/// Numbers that look like chance, the same in every run.
pub(super) fn scatter(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 17
}
