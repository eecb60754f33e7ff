//! A list of a million entries as the service makes it: from PostgreSQL to what clients fetch.
//!
//! Two services over two databases of one server: in one a million certificates are revoked, in the other none. A revocation is
//! asked of both in turns, and what follows from it in the full one is watched from outside: when the new list is served, and how
//! much memory the process had meanwhile.

use std::time::Duration;

use anyhow::{Context, ensure};
use ca_test_services::PostgresServer;
use reqwest::header;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::clock::{Spent, wall};
use crate::issuance::Caller;
use crate::process::{Running, forget_peak, peak_octets, processor_seconds, resident_octets, workspace};
use crate::report::{Report, Row, Unit};
use crate::scale::{Extent, await_vacuum, load};
use crate::service::Site;
use crate::spread::{Cost, Spread};

/// The targets: of the list, of the memory above what the process has at rest, and how much longer than without any entry a
/// revocation may take.
const LIST_SECONDS: f64 = 3.0;
const LIST_OCTETS: f64 = 100.0 * 1024.0 * 1024.0;
const TIMES: f64 = 1.2;

/// How many lists are watched.
const LISTS: usize = 5;
/// How many revocations are asked of each service.
const REVOCATIONS: usize = 100;
/// What a large list has behind it before the next one is made, and a little more.
const REST: Duration = Duration::from_secs(11);
/// The longest that a list is waited for, in seconds.
const PATIENCE_SECONDS: f64 = 120.0;
/// The shortest entry, with a serial of 16 octets, is 35 octets of DER.
const SHORTEST_ENTRY: u64 = 35;

/// Measures the section, with so many entries.
pub(crate) fn run(entries: u64) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    let _entered = runtime.enter();
    let postgres = PostgresServer::start_in(&workspace().join("target"))?;
    let databases = [postgres.empty_database()?, postgres.empty_database()?];
    let [empty, full] = [0, 1].map(|number| Site::initialised(Some(&postgres.url(&databases[number]))));
    let (empty, full) = (Watched::over(empty?)?, Watched::over(full?)?);

    let server = full.start()?;
    // The certificate that the others are copies of stands.
    let extent = Extent { certificates: entries + 1, revoked_of: 1 };
    load::load(&runtime, &postgres, &databases[1], &full.site, extent)?;
    full.await_list(&runtime, |list| list.octets > entries * SHORTEST_ENTRY)?;
    full.site.stop(server)?;
    await_vacuum(&runtime, &postgres, &databases[1])?;

    let mut report = Report::default();
    let (full_server, empty_server) = (full.start()?, empty.start()?);
    let list = full.await_list(&runtime, |list| list.octets > entries * SHORTEST_ENTRY)?;
    watch_lists(&mut report, &runtime, &full, &full_server)?;
    compare_revocations(&mut report, &runtime, &empty, &full)?;
    let resident = Spread::of(vec![resident_octets(full_server.id())?]);
    report.row(Row::of("memory of the full service after all that", Unit::Memory, resident));
    full.site.stop(full_server)?;
    empty.site.stop(empty_server)?;
    report.note(format!(
        "{entries} entries, {:.1} MB of DER; PostgreSQL 15 with fsync and 128 MB of its own buffers, beside the service.",
        list.octets as f64 / 1e6
    ));
    report.note("A list's wall time is from the acknowledgement of a revocation until it is served: up to 0.4 s of it are the job's pause.");
    report.note("Memory is VmHWM, counted anew for each list, less what the process had before it.");
    Ok(report)
}

/// The certificate list at a moment, as its clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct List {
    etag: String,
    octets: u64,
}

/// A service and who watches it.
struct Watched {
    site: Site,
    http: reqwest::Client,
}

impl Watched {
    fn over(site: Site) -> anyhow::Result<Self> {
        let http = site.client()?;
        Ok(Self { site, http })
    }

    fn start(&self) -> anyhow::Result<Running> {
        Ok(self.site.serve()?.0)
    }

    /// What is served of `tls` at the moment.
    async fn list(&self) -> anyhow::Result<List> {
        let url = format!("http://{}/crl/tls.crl", self.site.public_address());
        let answer = self.http.head(url).send().await?.error_for_status()?;
        let text = |name| {
            let value = answer.headers().get(&name).with_context(|| format!("the list has no {name}"))?;
            anyhow::Ok(value.to_str().context("a header is no text")?.to_owned())
        };
        let octets = text(header::CONTENT_LENGTH)?.parse().context("a length is a number")?;
        Ok(List { etag: text(header::ETAG)?, octets })
    }

    /// Waits until the list is as `asked`.
    fn await_list(&self, runtime: &Runtime, asked: impl Fn(&List) -> bool) -> anyhow::Result<List> {
        let start = wall();
        loop {
            let list = runtime.block_on(self.list())?;
            if asked(&list) {
                return Ok(list);
            }
            ensure!(wall() - start < PATIENCE_SECONDS, "no such list after {PATIENCE_SECONDS} s");
            runtime.block_on(tokio::time::sleep(Duration::from_millis(10)));
        }
    }

    /// Ids of new certificates.
    fn issue(&self, runtime: &Runtime, count: usize) -> anyhow::Result<Vec<String>> {
        let caller = Caller::new(&self.site)?;
        let issue = || {
            let answer: Value = serde_json::from_slice(&runtime.block_on(caller.issue())?)?;
            anyhow::Ok(answer["id"].as_str().context("a certificate has an id")?.to_owned())
        };
        (0..count).map(|_| issue()).collect()
    }

    /// Revokes a certificate; how long that took, in seconds.
    fn revoke(&self, runtime: &Runtime, id: &str) -> anyhow::Result<f64> {
        let url = format!("{}/v1/certificates/{id}/revoke", self.site.api_url());
        let start = wall();
        let asked = self.http.post(url).header(header::CONTENT_TYPE, "application/json");
        let answer = asked.body(r#"{"reason":"superseded"}"#);
        runtime.block_on(async { anyhow::Ok(answer.send().await?.error_for_status()?.bytes().await?) })?;
        Ok(wall() - start)
    }
}

/// Revokes, waits for the list that says so, and looks at what the process needed for it.
fn watch_lists(report: &mut Report, runtime: &Runtime, full: &Watched, server: &Running) -> anyhow::Result<()> {
    let (mut costs, mut peaks, mut rests) = (Vec::new(), Vec::new(), Vec::new());
    for id in full.issue(runtime, LISTS)? {
        runtime.block_on(tokio::time::sleep(REST));
        let before = runtime.block_on(full.list())?;
        let rest = resident_octets(server.id())?;
        forget_peak(server.id())?;
        full.revoke(runtime, &id)?;
        let (start, processor) = (wall(), processor_seconds(server.id())?);
        full.await_list(runtime, |list| *list != before)?;
        costs.push(Spent { processor: processor_seconds(server.id())? - processor, wall: wall() - start });
        peaks.push(peak_octets(server.id())? - rest);
        rests.push(rest);
    }
    let cost = Cost::of(&costs);
    report.row(Row::of("from a revocation to the list that has it", Unit::Time, cost.wall).at_most(LIST_SECONDS));
    report.row(Row::of("     processor time of the service for it", Unit::Time, cost.processor));
    report.row(Row::of("     memory for it, above rest", Unit::Memory, Spread::of(peaks)).at_most(LIST_OCTETS));
    report.row(Row::of("     memory at rest", Unit::Memory, Spread::of(rests)));
    Ok(())
}

/// Revokes in turns in both; the full one makes a list now and then meanwhile.
fn compare_revocations(report: &mut Report, runtime: &Runtime, empty: &Watched, full: &Watched) -> anyhow::Result<()> {
    let ids = [empty.issue(runtime, REVOCATIONS)?, full.issue(runtime, REVOCATIONS)?];
    let mut seconds: [Vec<f64>; 2] = Default::default();
    for place in 0..REVOCATIONS {
        for (number, service) in [empty, full].into_iter().enumerate() {
            seconds[number].push(service.revoke(runtime, &ids[number][place])?);
        }
    }
    let [empty, full] = seconds.map(Spread::of);
    report.row(Row::of("nothing revoked: a revocation is acknowledged", Unit::Time, empty));
    report.row(Row::of("all that revoked: the same", Unit::Time, full).at_most_times(TIMES, empty));
    Ok(())
}
