//! Cached OCSP over HTTP under load, beside nginx that serves the same octets as a file: same driver, same run, in turns.

mod cfssl;
mod nginx;
mod wrk;

use std::path::Path;

use anyhow::Context;
use ca_core::ocsp::{CertId, CertIdHash, encode_get_path, request};
use ca_core::principal::Principal;
use ca_engine::flow::issue::issue;
use futures::executor::block_on;

use crate::ocsp_client::{ask_once, certificate_id};
use crate::peer::ocsp_responder::OpensslResponder;
use crate::process::{processor_seconds, resident_octets, work_folder};
use crate::report::{Report, Row, Unit};
use crate::service::Site;
use crate::spread::Spread;
use crate::world::{World, csr};

use cfssl::Cfssl;
use nginx::Nginx;
use wrk::Load;

/// How long each server is asked at a time, in seconds, and how often.
const SECONDS: u32 = 3;
const TURNS: usize = 5;

/// The targets: processor time of a request, and the 99th percentile of its response time, as shares of nginx's.
const TIMES_PROCESSOR: f64 = 1.0;
const TIMES_PERCENTILE_99: f64 = 1.2;

/// Measures the section.
pub(crate) fn run() -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    let mut report = Report::default();
    let site = Site::initialised(None)?;
    let (server, _) = site.serve()?;
    let asked = request::encode(&[certificate_id(&site, &runtime)?], None);
    // From now on it is in memory.
    let answer = ask_once(site.public_address(), &asked)?;

    let folder = work_folder()?;
    match compare(&site, server.id(), folder.path(), &asked, &answer) {
        Ok(rows) => rows.into_iter().for_each(|row| report.row(row)),
        // wrk or nginx is not there: the section says so.
        Err(error) => report.peer(Err(error)),
    }
    match ask_cfssl(folder.path(), &asked, &answer) {
        Ok(rows) => rows.into_iter().for_each(|row| report.peer(Ok(row))),
        Err(error) => report.peer(Err(error)),
    }
    report.peer(ask_openssl());
    let memory = Spread::of(vec![resident_octets(server.id())?]);
    report.row(Row::of("memory after it", Unit::Memory, memory));
    site.stop(server)?;
    report.note(format!(
        "wrk, one thread, 64 connections that are kept, {SECONDS} s at a time, {TURNS} times in turns; an answer of {} octets.",
        answer.len()
    ));
    report.note("cfssl has the one answer in memory, and is asked by itself afterwards, by POST: Debian's takes the slash before a GET's request for a part of it.");
    report.note("openssl keeps no connection and signs each answer: a connection and a request at a time, of a driver of ours; its index has one certificate.");
    report.note("nginx: one process, open_file_cache, no access log, the same headers for caches.");
    Ok(report)
}

/// What one server takes.
#[derive(Default)]
struct Taken {
    processor: Vec<f64>,
    percentile_99: Vec<f64>,
    rate: Vec<f64>,
}

impl Taken {
    fn measure(&mut self, load: &Load, process: u32) -> anyhow::Result<()> {
        let before = processor_seconds(process)?;
        let outcome = load.run(SECONDS)?;
        self.processor.push((processor_seconds(process)? - before) / outcome.requests);
        self.percentile_99.push(outcome.percentile_99);
        self.rate.push(outcome.requests / f64::from(SECONDS));
        Ok(())
    }
}

/// What `cfssl ocspserve` takes for the same request and answer.
fn ask_cfssl(folder: &Path, asked: &[u8], answer: &[u8]) -> anyhow::Result<Vec<Row>> {
    let cfssl = Cfssl::serving(folder, answer)?;
    let load = Load::post(&cfssl.url(), "application/ocsp-request", asked, folder)?;
    let mut taken = Taken::default();
    for _ in 0..TURNS {
        taken.measure(&load, cfssl.id())?;
    }
    let [processor, percentile_99] = [taken.processor, taken.percentile_99].map(Spread::of);
    Ok(vec![
        Row::of("cfssl ocspserve, POST: processor time a request", Unit::Time, processor),
        Row::of("     response time, 99th percentile", Unit::Time, percentile_99),
    ])
}

/// What `openssl ocsp` takes, which keeps neither connections nor answers.
fn ask_openssl() -> anyhow::Result<Row> {
    let world = World::new()?;
    let authority = world.authority()?;
    let hierarchy = world.engine.hierarchy();
    let responder = hierarchy.responder(authority.id(), world.engine.now()).context("no responder in force")?;
    let issued = block_on(issue(&world.engine, &Principal::LocalOperator, crate::world::request(&csr()?)?))?;
    let openssl = OpensslResponder::start(&world, responder, &issued.certificate, 1)?;
    let asked = CertId::new(CertIdHash::Sha1, authority.identity(), &issued.certificate.serial);
    let cost = openssl.measure(&request::encode(&[asked], None))?;
    Ok(Row::cost(format!("{} `ocsp`, POST: processor time a request", openssl.version()), cost))
}

fn compare(site: &Site, server: u32, folder: &Path, asked: &[u8], answer: &[u8]) -> anyhow::Result<Vec<Row>> {
    let nginx = Nginx::serving(folder, answer)?;
    let base = format!("http://{}", site.public_address());
    let loads = [
        (Load::get(&nginx.url()), nginx.id()),
        (Load::get(&format!("{base}/ocsp/{}", encode_get_path(asked))), server),
        (Load::post(&format!("{base}/ocsp"), "application/ocsp-request", asked, folder)?, server),
    ];
    let mut taken: [Taken; 3] = Default::default();
    for _ in 0..TURNS {
        for (taken, (load, process)) in taken.iter_mut().zip(&loads) {
            taken.measure(load, *process)?;
        }
    }
    let mut rows = Vec::new();
    let mut beside = None;
    for (what, taken) in ["nginx, GET of a file", "ca-server, GET", "ca-server, POST"].into_iter().zip(taken) {
        let [processor, percentile_99, rate] = [taken.processor, taken.percentile_99, taken.rate].map(Spread::of);
        let (processor_row, percentile_row) = (
            Row::of(format!("{what}: processor time a request"), Unit::Time, processor),
            Row::of("     response time, 99th percentile", Unit::Time, percentile_99),
        );
        let (processor_row, percentile_row) = match beside {
            None => (processor_row, percentile_row),
            Some((processor, percentile_99)) => (
                processor_row.at_most_times(TIMES_PROCESSOR, processor),
                percentile_row.at_most_times(TIMES_PERCENTILE_99, percentile_99),
            ),
        };
        beside.get_or_insert((processor, percentile_99));
        rows.extend([processor_row, percentile_row, Row::of("     rate", Unit::Rate, rate)]);
    }
    Ok(rows)
}
