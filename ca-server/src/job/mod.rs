//! Jobs: what the service does by itself. A job that must run once across replicas holds a lease; the work is a flow.

mod administrators;
mod anchor;
mod api_certificate;
mod audit_chain;
mod authority_keys;
mod bulk_revocation;
mod clock;
mod crl;
mod driver;
mod each_authority;
mod expiry;
mod expiry_check;
mod follow;
mod issuer_lists;
mod issuers;
mod mirror;
mod notices;
mod offline_lists;
mod outbox;
mod personal_data;
mod reservations;
mod responders;
mod retention;
mod revocations;
mod rollover;
mod scheduled_rollover;
mod sign_ahead;

use std::sync::Arc;

use ca_engine::port::revocation_hints::RevocationHints;

use crate::listener::tls::TlsIdentity;
use crate::state::AppState;

pub(crate) use api_certificate::{ApiFiles, obtain as obtain_api_certificate};
pub(crate) use clock::compare_clock;
pub(crate) use driver::{Job, Jobs, Outcome, release_leases, run_once, with_detail};
pub(crate) use follow::refresh as refresh_lists;

/// Everything a running server does by itself.
pub(crate) struct Plan {
    /// How often a CRL is made though nothing was revoked.
    pub(crate) crl_interval: ca_core::time::Lifetime,
    /// The API's certificate, when the service makes it itself.
    pub(crate) api: Option<(Arc<TlsIdentity>, ApiFiles)>,
}

/// The names and descriptions of the jobs that `ca-server job` knows.
pub(crate) const NAMES: [(&str, &str); 20] = [
    ("anchor", "write what was published into the anchor, and compare the record with it"),
    ("audit-chain", "put committed audit events into the hash chain"),
    ("authority-keys", "ask the keys that are held elsewhere whether they would sign, without a signature"),
    ("bulk-revocation", "go on with the revocations of many certificates that are running"),
    ("crl", "make CRLs that are due, or stale since a revocation"),
    ("expiry", "drop idempotency keys and events that have expired"),
    ("expiry-check", "rotate managed certificates that are due, and revoke those whose overlap is over"),
    ("issuances-elsewhere", "end what was ordered of AWS Private CA and never ended"),
    ("issuer-lists", "take the lists of authorities that issue elsewhere from their issuers"),
    (MIRROR, "put the newest lists into the mirrors, as publish.s3 names one"),
    ("notices", "tell ahead of certificates that nobody renewed and authorities that end, as [notices] says"),
    ("outbox", "deliver events to the sinks"),
    ("personal-data", "encrypt what of personal data lies in clear or under an older key"),
    (REPLACE_KEY, "replace the key of personal data and encrypt all of it anew; only when asked"),
    ("reservations", "close issuances that were begun and never finished"),
    ("responders", "renew OCSP responders past half of their life"),
    ("retention", "remove certificates that ended longer ago than retention.expired says"),
    ("revocations-elsewhere", "tell AWS Private CA what was revoked"),
    ("rollover", "retire generations of authorities that are succeeded, and make their last lists"),
    (SCHEDULED_ROLLOVER, "make the next generations that rollover_every asks for, or write their requests"),
];

/// The job that is there only where there are mirrors.
const MIRROR: &str = "mirror";

/// The job that is there only where the configuration asks for it.
const SCHEDULED_ROLLOVER: &str = "scheduled-rollover";

/// The one job that no server starts by itself.
const REPLACE_KEY: &str = "personal-data-key";

/// One of [`NAMES`], for `ca-server job run`.
pub(crate) fn by_name(name: &str, crl_interval: ca_core::time::Lifetime) -> Option<Box<dyn Job>> {
    Some(match name {
        "anchor" => Box::new(anchor::AnchorJob::default()),
        "audit-chain" => Box::new(audit_chain::AuditChainJob),
        "authority-keys" => Box::new(authority_keys::AuthorityKeysJob::default()),
        "bulk-revocation" => Box::new(bulk_revocation::BulkRevocationJob),
        "crl" => Box::new(crl::CrlJob::new(crl_interval)),
        "expiry" => Box::new(expiry::ExpiryJob),
        "expiry-check" => Box::new(expiry_check::ExpiryCheckJob::default()),
        "issuances-elsewhere" => Box::new(issuers::IssuancesElsewhereJob),
        "issuer-lists" => Box::new(issuer_lists::IssuerListsJob::new()),
        MIRROR => Box::new(mirror::MirrorJob::default()),
        "notices" => Box::new(notices::NoticesJob),
        "outbox" => Box::new(outbox::OutboxJob::of_all()),
        "personal-data" => Box::new(personal_data::PersonalDataJob),
        REPLACE_KEY => Box::new(personal_data::PersonalDataKeyJob),
        "reservations" => Box::new(reservations::ReservationsJob),
        "responders" => Box::new(responders::RespondersJob::new()),
        "retention" => Box::new(retention::RetentionJob::default()),
        "revocations-elsewhere" => Box::new(issuers::RevocationsElsewhereJob::default()),
        "rollover" => Box::new(rollover::RolloverJob::default()),
        SCHEDULED_ROLLOVER => Box::new(scheduled_rollover::ScheduledRolloverJob),
        _ => return None,
    })
}

/// Starts every job of a server beside those of [`start_following`].
pub(crate) fn start(state: &AppState, plan: Plan, jobs: &mut Jobs) {
    jobs.start(state, Box::new(administrators::AdministratorsJob));
    jobs.start(state, Box::new(rollover::AuthorityEndsJob));
    jobs.start(state, Box::new(offline_lists::OfflineListsJob));
    // One that is slow holds up no other.
    for sink in state.engine().sinks().keys() {
        jobs.start(state, Box::new(outbox::OutboxJob::of(sink.clone())));
    }
    for (name, _) in NAMES.into_iter().filter(|(name, _)| !["outbox", REPLACE_KEY].contains(name)) {
        if name == MIRROR && state.mirrors().is_empty()
            || name == SCHEDULED_ROLLOVER && state.rollover_schedule().is_none()
        {
            continue;
        }
        if let Some(job) = by_name(name, plan.crl_interval) {
            jobs.start(state, job);
        }
    }
    if let Some((identity, files)) = plan.api {
        jobs.start(state, Box::new(api_certificate::ApiCertificateJob::new(identity, files)));
    }
}

/// Starts what a replica does that only answers, beside the jobs of [`start_following`].
pub(crate) fn start_answering(state: &AppState, jobs: &mut Jobs) {
    jobs.start(state, Box::new(anchor::AnchorWatchJob::default()));
}

/// Starts what every replica does: it watches the clock and follows the record.
///
/// `identity` is what the API listener asks clients for, where there is one.
pub(crate) fn start_following(
    state: &AppState,
    hints: Arc<dyn RevocationHints>,
    identity: Option<Arc<TlsIdentity>>,
    jobs: &mut Jobs,
) {
    jobs.start(state, Box::new(revocations::RevocationsJob::new(hints)));
    jobs.start(state, Box::new(revocations::AnswersJob));
    jobs.start(state, Box::new(sign_ahead::SignAheadJob));
    jobs.start(state, Box::new(clock::ClockJob));
    jobs.start(state, Box::new(follow::FollowJob::new(identity)));
}

#[cfg(test)]
mod tests;
