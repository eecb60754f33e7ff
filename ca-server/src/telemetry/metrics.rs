//! Metrics, in Prometheus' text format on the admin listener.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use ca_core::crl::PartialScope;
use ca_core::id::{AuthorityId, SinkName};
use ca_core::managed::Urgency;
use ca_core::time::Timestamp;
use ca_engine::flow::answer_status::{AnswerKind, AnswerOrigin};
use ca_engine::flow::managed::wave::WaveReport;
use ca_engine::port::store::{AuthorityState, Backlog, ManagedCounts};
use ca_engine::shared_use::SharedOutcome;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use ca_runtime::scheduled_rollover::RolloverSchedule;

use crate::state::AppState;

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

const REQUESTS: &str = "ca_http_requests_total";
const REQUEST_SECONDS: &str = "ca_http_request_seconds";
const OCSP_ANSWERS: &str = "ca_ocsp_answers_total";
const OCSP_ORIGINS: &str = "ca_ocsp_answers_by_origin_total";
const OCSP_CACHE_OCTETS: &str = "ca_ocsp_cache_octets";
const OCSP_CACHE_ENTRIES: &str = "ca_ocsp_cache_entries";
const OCSP_CACHE_WRONG: &str = "ca_ocsp_cache_wrong_total";
const OCSP_SIGNED_AHEAD: &str = "ca_ocsp_signed_ahead_total";
const SHARED_LOOKS: &str = "ca_ocsp_shared_looks_total";
const SHARED_ANSWERS: &str = "ca_ocsp_shared_answering";
const SHARED_FAILURES: &str = "ca_ocsp_shared_failures_total";
const SHARED_DROPPED: &str = "ca_ocsp_shared_dropped_total";
const REVOCATION_SEQUENCE: &str = "ca_revocation_sequence";
const REVOCATION_DELAY: &str = "ca_revocation_seen_seconds";
const REVOCATION_LAG: &str = "ca_revocation_lag_seconds";
const JOB_RUNS: &str = "ca_job_runs_total";
const CRL_NUMBER: &str = "ca_crl_number";
const CRL_ENTRIES: &str = "ca_crl_entries";
const CRL_OCTETS: &str = "ca_crl_octets";
const CRL_THIS_UPDATE: &str = "ca_crl_this_update_timestamp_seconds";
const CRL_NEXT_UPDATE: &str = "ca_crl_next_update_timestamp_seconds";
const MIRROR_NUMBER: &str = "ca_crl_mirror_number";
const MIRROR_CURRENT: &str = "ca_crl_mirror_current_timestamp_seconds";
const PARTIAL_LISTS: &str = "ca_crl_partial_lists";
const PARTIAL_ENTRIES: &str = "ca_crl_partial_entries";
const PARTIAL_NEXT_UPDATE: &str = "ca_crl_partial_next_update_timestamp_seconds";
const RESPONDER_NOT_AFTER: &str = "ca_ocsp_responder_not_after_timestamp_seconds";
const AUTHORITY_NOT_AFTER: &str = "ca_authority_not_after_timestamp_seconds";
const AUTHORITY_STATE: &str = "ca_authority_state";
const AUTHORITY_ISSUES: &str = "ca_authority_issues";
const ROLLOVER_DUE: &str = "ca_authority_rollover_due_timestamp_seconds";
const ADMINISTRATOR_NOT_AFTER: &str = "ca_administrator_not_after_timestamp_seconds";
const DELIVERIES: &str = "ca_outbox_deliveries_total";
const OUTBOX_AGE: &str = "ca_outbox_oldest_undelivered_age_seconds";
const OUTBOX_DEAD: &str = "ca_outbox_dead_letters";
const PERSONAL_DATA_DONE: &str = "ca_personal_data_encrypted";
const PERSONAL_DATA_OLDER: &str = "ca_personal_data_under_older_keys";
const RETENTION_REMOVED: &str = "ca_retention_removed_total";
const RETENTION_BUSY: &str = "ca_retention_months_waiting";
const MANAGED: &str = "ca_managed_certificates";
const MANAGED_ROTATIONS: &str = "ca_managed_rotations_total";
const MANAGED_FAILURES: &str = "ca_managed_failures_total";
const AUTHORITY_KEY: &str = "ca_authority_key_usable";
const OPEN_ELSEWHERE: &str = "ca_issuances_open_elsewhere";
const TO_PASS_ON: &str = "ca_revocations_to_pass_on";
const AWS_CALLS: &str = "ca_aws_calls_total";
const AWS_COST: &str = "ca_aws_cost_microdollars_total";
const CLOCK_RIGHT: &str = "ca_clock_right";

/// Starts the recorder; once a process.
pub(crate) fn start() -> anyhow::Result<()> {
    let seconds = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
    let delays = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(REQUEST_SECONDS.to_owned()), &seconds)?
        .set_buckets_for_metric(Matcher::Full(REVOCATION_DELAY.to_owned()), &delays)?
        .install_recorder()?;
    let _ = HANDLE.set(handle);
    metrics::describe_counter!(REQUESTS, "HTTP requests by route and status");
    metrics::describe_histogram!(REQUEST_SECONDS, "From the request's headers to its answer");
    metrics::describe_counter!(OCSP_ANSWERS, "OCSP answers by kind");
    metrics::describe_counter!(
        OCSP_ORIGINS,
        "OCSP answers by origin: memory, outage (memory, while the database cannot be followed), shared (through Redis), record, refusal"
    );
    metrics::describe_gauge!(OCSP_CACHE_OCTETS, "Octets of signed OCSP answers in memory");
    metrics::describe_gauge!(OCSP_CACHE_ENTRIES, "Signed OCSP answers in memory");
    metrics::describe_counter!(
        OCSP_CACHE_WRONG,
        "Answers in memory that the hourly comparison found wrong; any is a fault"
    );
    metrics::describe_counter!(OCSP_SIGNED_AHEAD, "OCSP answers signed anew before anybody asked for it");
    metrics::describe_counter!(SHARED_LOOKS, "Looks into Redis by outcome: taken, absent, refused, unavailable");
    metrics::describe_gauge!(SHARED_ANSWERS, "1 while Redis answers in time, 0 while it is not asked");
    metrics::describe_counter!(SHARED_FAILURES, "How often Redis ceased to answer in time");
    metrics::describe_counter!(SHARED_DROPPED, "Signed OCSP answers that were not written to Redis");
    metrics::describe_gauge!(REVOCATION_SEQUENCE, "The newest revocation that this replica has followed");
    metrics::describe_histogram!(REVOCATION_DELAY, "From a revocation until this replica has seen it");
    metrics::describe_gauge!(REVOCATION_LAG, "How long ago this replica looked at the sequence of revocations");
    metrics::describe_counter!(JOB_RUNS, "Runs of jobs by name and outcome");
    metrics::describe_gauge!(CRL_NUMBER, "Number of the newest published CRL");
    metrics::describe_gauge!(CRL_ENTRIES, "Entries of the newest published CRL");
    metrics::describe_gauge!(CRL_OCTETS, "Octets of the newest published CRL");
    metrics::describe_gauge!(CRL_THIS_UPDATE, "thisUpdate of the newest published CRL");
    metrics::describe_gauge!(CRL_NEXT_UPDATE, "nextUpdate of the newest published CRL");
    metrics::describe_gauge!(
        MIRROR_NUMBER,
        "Number of the newest complete CRL that this replica put into a mirror, or found there"
    );
    metrics::describe_gauge!(
        MIRROR_CURRENT,
        "When a mirror last had the newest of all CRLs of an authority, as far as this replica knows; 0: never"
    );
    metrics::describe_gauge!(PARTIAL_LISTS, "Published shards and deltas");
    metrics::describe_gauge!(PARTIAL_ENTRIES, "Entries of all published shards, or of the delta");
    metrics::describe_gauge!(
        PARTIAL_NEXT_UPDATE,
        "The nextUpdate that comes first among the shards, or that of the delta"
    );
    metrics::describe_gauge!(RESPONDER_NOT_AFTER, "End of the OCSP responder in use");
    metrics::describe_gauge!(AUTHORITY_NOT_AFTER, "End of the authority's certificate");
    metrics::describe_gauge!(AUTHORITY_STATE, "1 for the state that the authority is in: active, retiring, retired");
    metrics::describe_gauge!(AUTHORITY_ISSUES, "1 for the newest generation of an authority that issues, or that will");
    metrics::describe_gauge!(
        ROLLOVER_DUE,
        "When the next generation of a line is due, where rollover_every asks for it"
    );
    metrics::describe_gauge!(ADMINISTRATOR_NOT_AFTER, "End of the administrator's certificate that lasts longest");
    metrics::describe_counter!(DELIVERIES, "Attempts to deliver events by sink and outcome: delivered, retried, dead");
    metrics::describe_gauge!(OUTBOX_AGE, "Age of the oldest event that a sink has not taken; 0 when it has taken all");
    metrics::describe_gauge!(
        OUTBOX_DEAD,
        "Events that are given up unless they are replayed; at most 10000 are counted"
    );
    metrics::describe_gauge!(PERSONAL_DATA_DONE, "Rows that the last run over personal data has encrypted so far");
    metrics::describe_gauge!(PERSONAL_DATA_OLDER, "Rows that lay under older keys when that run began");
    metrics::describe_counter!(RETENTION_REMOVED, "Certificates removed from the record after their retention");
    metrics::describe_gauge!(
        RETENTION_BUSY,
        "Months that the last run of retention left for the next one, because they were in use"
    );
    metrics::describe_gauge!(
        MANAGED,
        "Managed certificates by state: active, paused; of the active: due, rotating, failing"
    );
    metrics::describe_counter!(MANAGED_ROTATIONS, "Managed certificates that this replica has rotated");
    metrics::describe_counter!(
        MANAGED_FAILURES,
        "Attempts to rotate a managed certificate that failed, by urgency: notice, warning, critical, expired"
    );
    metrics::describe_gauge!(
        AUTHORITY_KEY,
        "1 while the key of an authority would sign, asked without a signature; 0 while it would not"
    );
    metrics::describe_gauge!(OPEN_ELSEWHERE, "Issuances of which an issuer elsewhere has not said what became of them");
    metrics::describe_gauge!(
        TO_PASS_ON,
        "Entries of the sequence of revocations that an issuer elsewhere was not told of yet"
    );
    metrics::describe_counter!(
        AWS_CALLS,
        "Calls of AWS by service, operation and outcome: answered, throttled, failed, refused; queue-full and resting were not sent"
    );
    metrics::describe_counter!(
        AWS_COST,
        "What the answered calls of AWS cost by the price list, in millionths of a US dollar"
    );
    metrics::describe_gauge!(CLOCK_RIGHT, "1 while the clock agrees with the database and what was published");
    Ok(())
}

/// What a scrape gets.
pub(crate) fn render() -> String {
    HANDLE.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Where requests of one route with one status are counted.
struct RequestMeters {
    count: metrics::Counter,
    seconds: metrics::Histogram,
}

impl RequestMeters {
    fn of(route: &str, status: u16) -> Self {
        Self {
            count: metrics::counter!(REQUESTS, "route" => route.to_owned(), "status" => status.to_string()),
            seconds: metrics::histogram!(REQUEST_SECONDS, "route" => route.to_owned()),
        }
    }

    fn record(&self, duration: Duration) {
        self.count.increment(1);
        self.seconds.record(duration.as_secs_f64());
    }
}

thread_local! {
    /// What this thread has looked up, by status and route: finding a meter anew takes three allocations and a lock.
    static REQUEST_METERS: RefCell<BTreeMap<u16, BTreeMap<Box<str>, RequestMeters>>> = const { RefCell::new(BTreeMap::new()) };
}

/// How often [`tidy`] is to be called.
pub(crate) const TIDY_INTERVAL: Duration = Duration::from_secs(5);

/// Puts what histograms were told into their buckets. A scrape does it too; where nobody scrapes, every request would leave
/// something in memory for ever.
pub(crate) fn tidy() {
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}

/// Counts a request. `route` is the route's shape, never a path.
pub(crate) fn request(route: &str, status: u16, duration: Duration) {
    REQUEST_METERS.with_borrow_mut(|meters| {
        let meters = meters.entry(status).or_default();
        match meters.get(route) {
            Some(known) => known.record(duration),
            None => meters.entry(route.into()).or_insert(RequestMeters::of(route, status)).record(duration),
        }
    });
}

thread_local! {
    /// The same for OCSP answers, by kind and origin.
    static ANSWER_METERS: RefCell<BTreeMap<(AnswerKind, AnswerOrigin), [metrics::Counter; 2]>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// Counts an OCSP answer.
pub(crate) fn ocsp_answer(kind: AnswerKind, origin: AnswerOrigin) {
    ANSWER_METERS.with_borrow_mut(|meters| {
        let meters = meters.entry((kind, origin)).or_insert_with(|| {
            [
                metrics::counter!(OCSP_ANSWERS, "kind" => kind.as_str()),
                metrics::counter!(OCSP_ORIGINS, "origin" => origin.as_str()),
            ]
        });
        meters.iter().for_each(|meter| meter.increment(1));
    });
}

/// Counts answers that were signed anew before anybody asked.
pub(crate) fn signed_ahead(count: u64) {
    metrics::counter!(OCSP_SIGNED_AHEAD).increment(count);
}

/// Counts answers in memory that were not what the record says.
pub(crate) fn wrong_answers(count: u64) {
    metrics::counter!(OCSP_CACHE_WRONG).increment(count);
}

/// Tells how far the sequence of revocations is followed, and what is in memory.
pub(crate) fn followed(state: &AppState) {
    let engine = state.engine();
    metrics::gauge!(REVOCATION_SEQUENCE).set(engine.following().sequence() as f64);
    if let Some(lag) = engine.following().lag(engine.now()) {
        metrics::gauge!(REVOCATION_LAG).set(lag.seconds() as f64);
    }
    for millis in engine.following().take_delays() {
        metrics::histogram!(REVOCATION_DELAY).record(millis as f64 / 1_000.0);
    }
    metrics::gauge!(OCSP_CACHE_OCTETS).set(engine.answer_cache().octets() as f64);
    metrics::gauge!(OCSP_CACHE_ENTRIES).set(engine.answer_cache().entries() as f64);
    shared(state);
    aws_calls(state);
}

/// Tells what became of answers that replicas share; nothing where they share none.
fn shared(state: &AppState) {
    let engine = state.engine();
    let Some(place) = engine.shared_answers() else { return };
    for outcome in SharedOutcome::ALL {
        metrics::counter!(SHARED_LOOKS, "outcome" => outcome.as_str()).absolute(engine.shared_use().count(outcome));
    }
    let condition = place.condition();
    metrics::gauge!(SHARED_ANSWERS).set(if condition.answers { 1.0 } else { 0.0 });
    metrics::counter!(SHARED_FAILURES).absolute(condition.failures);
    metrics::counter!(SHARED_DROPPED).absolute(condition.dropped);
}

/// Tells whether the key of an authority would sign.
pub(crate) fn authority_key(authority: &AuthorityId, usable: bool) {
    metrics::gauge!(AUTHORITY_KEY, "authority" => authority.to_string()).set(if usable { 1.0 } else { 0.0 });
}

/// Tells how many issuances are open of which an issuer elsewhere has not said what became of them.
pub(crate) fn open_elsewhere(count: u64) {
    metrics::gauge!(OPEN_ELSEWHERE).set(count as f64);
}

/// Tells how many entries of the sequence of revocations the issuer of an authority was not told of yet, the most of all such.
pub(crate) fn revocations_to_pass_on(count: u64) {
    metrics::gauge!(TO_PASS_ON).set(count as f64);
}

/// Tells of the calls of AWS so far; nothing where there are none.
fn aws_calls(state: &AppState) {
    for count in state.aws_calls() {
        let (service, operation) = (count.service, count.operation);
        metrics::counter!(AWS_CALLS, "service" => service, "operation" => operation, "outcome" => count.outcome)
            .absolute(count.calls);
        if count.micro_dollars > 0 {
            metrics::counter!(AWS_COST, "service" => service, "operation" => operation).absolute(count.micro_dollars);
        }
    }
}

/// Counts the run of a job.
pub(crate) fn job_run(name: &'static str, succeeded: bool) {
    metrics::counter!(JOB_RUNS, "job" => name, "outcome" => if succeeded { "done" } else { "failed" }).increment(1);
}

/// Counts certificates that were removed after their retention.
pub(crate) fn certificates_removed(count: u64) {
    metrics::counter!(RETENTION_REMOVED).increment(count);
}

/// Tells how many months wait for another run of retention.
pub(crate) fn months_waiting(count: u64) {
    metrics::gauge!(RETENTION_BUSY).set(count as f64);
}

/// Tells how many managed certificates there are; their counters are there from the first time on, so that a first failure is a rise.
pub(crate) fn managed_certificates(counts: ManagedCounts) {
    let ManagedCounts { active, paused, due, rotating, failing, rotated_lately: _ } = counts;
    let states = [("active", active), ("paused", paused), ("due", due), ("rotating", rotating), ("failing", failing)];
    for (state, count) in states {
        metrics::gauge!(MANAGED, "state" => state).set(count as f64);
    }
    managed_turns(&WaveReport::default());
}

/// Counts what a wave of rotations did.
pub(crate) fn managed_turns(report: &WaveReport) {
    metrics::counter!(MANAGED_ROTATIONS).increment(report.rotated);
    for urgency in Urgency::ALL {
        let count = report.failed.get(&urgency).copied().unwrap_or_default();
        metrics::counter!(MANAGED_FAILURES, "urgency" => urgency.as_str()).increment(count);
    }
}

/// Tells which complete list of an authority a mirror has.
pub(crate) fn mirror_has(mirror: &'static str, authority: &AuthorityId, number: u64) {
    metrics::gauge!(MIRROR_NUMBER, "mirror" => mirror, "authority" => authority.to_string()).set(number as f64);
}

/// Tells that a mirror has the newest form of every list of an authority.
pub(crate) fn mirror_is_current(mirror: &'static str, authority: &AuthorityId, now: Timestamp) {
    metrics::gauge!(MIRROR_CURRENT, "mirror" => mirror, "authority" => authority.to_string()).set(seconds(now));
}

/// Tells that it does not: the instant at which it last did stays, and is 0 where it never did.
pub(crate) fn mirror_lacks(mirror: &'static str, authority: &AuthorityId) {
    metrics::gauge!(MIRROR_CURRENT, "mirror" => mirror, "authority" => authority.to_string()).increment(0.0);
}

/// Counts an attempt to deliver an event.
pub(crate) fn delivery(sink: &SinkName, outcome: &'static str) {
    metrics::counter!(DELIVERIES, "sink" => sink.to_string(), "outcome" => outcome).increment(1);
}

/// Tells how a sink stands.
pub(crate) fn outbox(sink: &SinkName, backlog: &Backlog, now: Timestamp) {
    let age = backlog.oldest_pending.map_or(0, |oldest| now.since(oldest).seconds());
    metrics::gauge!(OUTBOX_AGE, "sink" => sink.to_string()).set(age as f64);
    metrics::gauge!(OUTBOX_DEAD, "sink" => sink.to_string()).set(backlog.dead as f64);
}

/// Tells how far a run over personal data has come.
pub(crate) fn personal_data(done: u64, older: u64) {
    metrics::gauge!(PERSONAL_DATA_DONE).set(done as f64);
    metrics::gauge!(PERSONAL_DATA_OLDER).set(older as f64);
}

/// Tells until when there is an administrator; `None` when there is none any more.
pub(crate) fn administrator_ends(not_after: Option<Timestamp>) {
    metrics::gauge!(ADMINISTRATOR_NOT_AFTER).set(not_after.map_or(0.0, seconds));
}

/// Sets the gauges to how things stand.
pub(crate) fn observe(state: &AppState) {
    let engine = state.engine();
    let now = engine.now();
    let right = *engine.clock_verdict() == ca_engine::clock_verdict::ClockVerdict::Right;
    metrics::gauge!(CLOCK_RIGHT).set(if right { 1.0 } else { 0.0 });
    for (authority, file) in state.crl_files().iter() {
        let authority = authority.to_string();
        metrics::gauge!(CRL_NUMBER, "authority" => authority.clone()).set(file.intent.number as f64);
        metrics::gauge!(CRL_ENTRIES, "authority" => authority.clone()).set(file.intent.entries as f64);
        metrics::gauge!(CRL_OCTETS, "authority" => authority.clone()).set(file.der.count() as f64);
        metrics::gauge!(CRL_THIS_UPDATE, "authority" => authority.clone()).set(seconds(file.intent.this_update));
        metrics::gauge!(CRL_NEXT_UPDATE, "authority" => authority).set(seconds(file.intent.next_update));
    }
    observe_partial_lists(state);
    for next in state.rollover_schedule().map(RolloverSchedule::next).unwrap_or_default() {
        metrics::gauge!(ROLLOVER_DUE, "authority" => next.line.to_string()).set(seconds(next.due));
    }
    let hierarchy = engine.hierarchy();
    for authority in hierarchy.authorities() {
        let id = authority.id().to_string();
        metrics::gauge!(AUTHORITY_NOT_AFTER, "authority" => id.clone())
            .set(seconds(authority.certificate().validity().not_after));
        for state in [AuthorityState::Active, AuthorityState::Retiring, AuthorityState::Retired] {
            let is_it = if authority.record().state == state { 1.0 } else { 0.0 };
            metrics::gauge!(AUTHORITY_STATE, "authority" => id.clone(), "state" => state.as_str()).set(is_it);
        }
        let newest = hierarchy.generations(authority.id()).pop();
        let is_newest = newest.is_some_and(|(_, newest)| newest.id() == authority.id());
        metrics::gauge!(AUTHORITY_ISSUES, "authority" => id.clone()).set(if is_newest { 1.0 } else { 0.0 });
        if let Some(responder) = hierarchy.responder(authority.id(), now) {
            metrics::gauge!(RESPONDER_NOT_AFTER, "authority" => id).set(seconds(responder.validity().not_after));
        }
    }
}

/// Shards together: an authority may have a thousand.
fn observe_partial_lists(state: &AppState) {
    let files = state.crl_files();
    let mut sums: BTreeMap<(&AuthorityId, &str), (u64, u64, f64)> = BTreeMap::new();
    for (authority, scope, file) in files.partial() {
        let kind = if scope == PartialScope::Delta { "delta" } else { "shard" };
        let (lists, entries, first) = sums.entry((authority, kind)).or_insert((0, 0, f64::INFINITY));
        *lists += 1;
        *entries += file.intent.entries;
        *first = first.min(seconds(file.intent.next_update));
    }
    for ((authority, kind), (lists, entries, first)) in sums {
        let labels = [("authority", authority.to_string()), ("kind", kind.to_owned())];
        metrics::gauge!(PARTIAL_LISTS, &labels).set(lists as f64);
        metrics::gauge!(PARTIAL_ENTRIES, &labels).set(entries as f64);
        metrics::gauge!(PARTIAL_NEXT_UPDATE, &labels).set(first);
    }
}

fn seconds(instant: Timestamp) -> f64 {
    instant.unix_seconds() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_into_buckets_is_counted_with_what_comes_later() {
        start().expect("nobody else in this process starts it");
        for _ in 0..1_000 {
            request("/of-this-test", 200, Duration::from_millis(3));
        }
        tidy();
        request("/of-this-test", 503, Duration::from_secs(10));
        let rendered = render();
        for line in [
            r#"ca_http_request_seconds_bucket{route="/of-this-test",le="0.005"} 1000"#,
            r#"ca_http_request_seconds_count{route="/of-this-test"} 1001"#,
            r#"ca_http_requests_total{route="/of-this-test",status="200"} 1000"#,
            r#"ca_http_requests_total{route="/of-this-test",status="503"} 1"#,
        ] {
            assert!(rendered.lines().any(|found| found == line), "{line} is missing in:\n{rendered}");
        }
    }
}
