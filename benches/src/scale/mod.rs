//! The service over a PostgreSQL with ten million certificates on record, beside the same service over an empty one.
//!
//! Both databases are of one server and both services run at once, so that what the machine does meanwhile meets both. Rows are
//! copies of a certificate that the service issued, each with a serial number, a name and an end of its own.

mod at_random;
pub(crate) mod load;
mod lookup;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_core::serial::Serial;
use ca_test_services::PostgresServer;
use tokio::runtime::Runtime;

use crate::clock::{Spent, wall};
use crate::issuance::issue_for_a_while;
use crate::process::{Running, processor_seconds, resident_octets, workspace};
use crate::report::{Report, Row, Unit};
use crate::service::Site;
use crate::spread::{Cost, Spread};

pub(crate) use load::{Extent, await_vacuum};

/// The targets: of the start, of the memory after it, of finding by subject; and how much longer than over the empty record the
/// 99th percentile may take.
const START_SECONDS: f64 = 1.0;
const RESIDENT_OCTETS: f64 = 100.0 * 1024.0 * 1024.0;
const SEARCH_SECONDS: f64 = 0.02;
const TIMES: f64 = 1.3;

/// How many clients ask for certificates at a time.
const CLIENTS: usize = 32;
/// How often each service is measured, in turns.
const TURNS: usize = 3;
/// The longest that making the list of everything revoked may take.
const LIST_SECONDS: f64 = 120.0;

/// Measures the section.
pub(crate) fn run(extent: Extent) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    let _entered = runtime.enter();
    let postgres = PostgresServer::start_in(&workspace().join("target"))?;
    let databases = [postgres.empty_database()?, postgres.empty_database()?];
    let [empty, full] = [0, 1].map(|number| Site::initialised(Some(&postgres.url(&databases[number]))));
    let (empty, full) = (empty?, full?);

    let (server, _) = full.serve()?;
    load::load(&runtime, &postgres, &databases[1], &full, extent)?;
    await_list(&runtime, &full, extent)?;
    full.stop(server)?;
    await_vacuum(&runtime, &postgres, &databases[1])?;

    let mut report = Report::default();
    let full_server = start(&mut report, &runtime, &full)?;
    let (empty_server, _) = empty.serve()?;
    let first_serials = || lookup::issued_serials(&postgres, &databases[0]);
    compare(&mut report, &runtime, [(&empty, &empty_server), (&full, &full_server)], extent, &first_serials)?;
    at_random::ask(&mut report, &runtime, &full, &full_server, extent)?;
    let resident = Spread::of(vec![resident_octets(full_server.id())?]);
    report.row(Row::of("memory after all that", Unit::Memory, resident));
    empty.stop(empty_server)?;
    full.stop(full_server)?;
    report.note(format!(
        "{} certificates on record, {} of them revoked; PostgreSQL 15 with fsync and 128 MB of its own buffers, the database {}.",
        extent.certificates,
        extent.revoked(),
        load::size(&postgres, &databases[1])?,
    ));
    report.note(format!("Octets a row, indexes included: {}.", load::row_sizes(&postgres, &databases[1])?));
    report.note(format!("Of the record that was empty: {}.", load::row_sizes(&postgres, &databases[0])?));
    report.note("The rows were loaded without their audit events and idempotency keys.");
    Ok(report)
}

/// Starts the service several times: how long until it is ready, and its memory a second later.
fn start(report: &mut Report, runtime: &Runtime, site: &Site) -> anyhow::Result<Running> {
    let mut starts = Vec::new();
    let mut resident = Vec::new();
    loop {
        let (server, seconds) = site.serve()?;
        starts.push(Spent { processor: processor_seconds(server.id())?, wall: seconds });
        runtime.block_on(tokio::time::sleep(Duration::from_secs(2)));
        resident.push(resident_octets(server.id())?);
        if starts.len() == TURNS {
            let cost = Cost::of(&starts);
            let until_ready = Row::of("start until /ready says yes, key derivation included", Unit::Time, cost.wall);
            report.row(until_ready.at_most(START_SECONDS));
            report.row(Row::of("     processor time of it", Unit::Time, cost.processor));
            let memory = Row::of("memory two seconds after the start", Unit::Memory, Spread::of(resident));
            report.row(memory.at_most(RESIDENT_OCTETS));
            return Ok(server);
        }
        site.stop(server)?;
    }
}

/// Measures both services in turns.
fn compare(
    report: &mut Report,
    runtime: &Runtime,
    services: [(&Site, &Running); 2],
    extent: Extent,
    issued: &dyn Fn() -> anyhow::Result<Arc<[Serial]>>,
) -> anyhow::Result<()> {
    let mut issuance: [Vec<f64>; 2] = Default::default();
    let mut status: [Vec<f64>; 2] = Default::default();
    let (mut search, mut list) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        for (number, (site, server)) in services.into_iter().enumerate() {
            issuance[number].push(issue_for_a_while(runtime, site, server.id(), CLIENTS)?.percentile_99.median);
            let serials = if number == 1 { lookup::serials(extent) } else { issued()? };
            status[number].push(lookup::ask_status(runtime, site, &serials)?);
        }
        search.push(lookup::find_by_subject(runtime, services[1].0, extent)?);
        list.push(lookup::list_newest(runtime, services[1].0)?);
    }
    let [empty, full] = issuance.map(Spread::of);
    report.row(Row::of("empty record: a certificate, 32 clients, 99th percentile", Unit::Time, empty));
    report.row(Row::of("full record: the same", Unit::Time, full).at_most_times(TIMES, empty));
    let [empty, full] = status.map(Spread::of);
    report.row(Row::of("empty record: OCSP with a nonce, 8 clients, 99th percentile", Unit::Time, empty));
    report.row(Row::of("full record: the same", Unit::Time, full).at_most_times(TIMES, empty));
    report.row(
        Row::of("full record: found by subject, 99th percentile", Unit::Time, Spread::of(search))
            .at_most(SEARCH_SECONDS),
    );
    report.row(Row::of("full record: the newest 100, 99th percentile", Unit::Time, Spread::of(list)));
    Ok(())
}

/// Waits until the list of everything that is revoked is published.
fn await_list(runtime: &Runtime, site: &Site, extent: Extent) -> anyhow::Result<()> {
    let start = wall();
    loop {
        // The shortest entry, with a serial of 16 octets, is 35 octets of DER.
        if runtime.block_on(lookup::list(site))?.len() as u64 > extent.revoked() * 35 {
            return Ok(());
        }
        ensure!(wall() - start < LIST_SECONDS, "no list of {} entries after {LIST_SECONDS} s", extent.revoked());
        runtime.block_on(tokio::time::sleep(Duration::from_millis(500)));
    }
}
