//! Holds the record against what must always be true (design.md §1), after every commit, and against what clients were told.
//!
//! It keeps its own memory of the record: what was there once may change only in the ways a certificate authority's record may.

mod authority;
mod bulk_revocation;
mod chain;
mod crl;
mod delivery;
mod elsewhere;
mod issuance;
mod partial_crl;
mod process;
mod promise;
mod renewal;
mod role;
mod rollback;
mod status;
mod token;

use std::collections::BTreeMap;

use ca_core::audit::{AuditAction, ChainVerifier};
use ca_core::crl::ListName;
use ca_core::id::{AuthorityId, BulkRevocationId, CertificateId, TokenId};
use ca_core::principal::Role;
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::fake::{FakeClock, MemoryStore, Record, ScriptedIssuer, StoreMethod};
use ca_engine::port::clock::Clock;
use ca_engine::port::store::{CrlIntent, Duty, Lease};

use self::bulk_revocation::Batches;
use self::delivery::Deliveries;
use self::issuance::History;
use self::partial_crl::Partials;
pub(crate) use self::process::Process;
use self::process::Processes;
use self::renewal::Repetitions;
use self::rollback::Past;
pub(crate) use self::rollback::holder;
use crate::foundation::{Foundation, settings};

/// What a check found wrong.
pub(crate) type Finding = Result<(), String>;

/// What is expected of the audit events of a commit: one of these actions, about this subject.
struct Change {
    actions: &'static [AuditAction],
    subject: String,
}

/// How often something was seen, which shows that it happens at all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) delivered: u64,
    pub(crate) remembered: u64,
    /// How often an answer came from where processes share them.
    pub(crate) shared: u64,
    pub(crate) restored: u64,
    /// How many generations were announced.
    pub(crate) generations: u64,
}

/// The memory of a run.
pub(crate) struct Auditor {
    store: MemoryStore,
    truth: FakeClock,
    /// The number of the step under way.
    pub(crate) step: u64,
    /// When each step began, by the true time.
    begun: Vec<Timestamp>,
    processes: Processes,
    violation: Option<String>,
    pub(crate) tally: Tally,
    histories: BTreeMap<CertificateId, History>,
    numbers: BTreeMap<(AuthorityId, Serial), CertificateId>,
    rows: usize,
    events: usize,
    verifier: ChainVerifier,
    crls: BTreeMap<(AuthorityId, u64), (CrlIntent, bool)>,
    bulk_revocations: BTreeMap<BulkRevocationId, Batches>,
    partials: Partials,
    tokens: BTreeMap<TokenId, bool>,
    repetitions: Repetitions,
    lease_holders: BTreeMap<(String, u64), String>,
    roles: BTreeMap<(CertificateId, Role), u64>,
    in_place: BTreeMap<ListName, u64>,
    deliveries: Deliveries,
    /// Who holds the lease under which the transaction wrote that committed last.
    lease_holder: Option<String>,
    past: Past,
    sequence_floor: u64,
    answers: BTreeMap<String, CertificateId>,
    issuers: BTreeMap<AuthorityId, ca_core::certificate::Certificate>,
    /// What each authority does, since when it does so no more than that.
    duties: BTreeMap<AuthorityId, Duty>,
    /// Who issues for the authority that issues elsewhere, where there is one.
    issuer: Option<ScriptedIssuer>,
}

/// How far ahead of the truth something may be dated: the tolerance of the clock's comparison, and how long one counts.
const AHEAD: Lifetime = Lifetime::from_seconds(71);

impl Auditor {
    /// Begins with the record as it stands.
    pub(crate) fn new(store: MemoryStore, truth: FakeClock, foundation: &Foundation) -> Self {
        let hierarchy = foundation.engine.hierarchy();
        let issuers = hierarchy.authorities().iter();
        let issuers = issuers.map(|issuer| (issuer.id().clone(), issuer.certificate().clone())).collect();
        let mut auditor = Self {
            store,
            begun: vec![truth.now()],
            lease_holder: None,
            past: Past::default(),
            sequence_floor: 0,
            truth,
            step: 0,
            processes: Processes::default(),
            violation: None,
            tally: Tally::default(),
            histories: BTreeMap::new(),
            numbers: BTreeMap::new(),
            rows: 0,
            events: 0,
            verifier: ChainVerifier::default(),
            crls: BTreeMap::new(),
            bulk_revocations: BTreeMap::new(),
            partials: Partials::default(),
            tokens: BTreeMap::new(),
            repetitions: Repetitions::new(),
            lease_holders: BTreeMap::new(),
            roles: BTreeMap::new(),
            in_place: BTreeMap::new(),
            deliveries: Deliveries::new(settings().outbox),
            answers: BTreeMap::new(),
            issuers,
            duties: BTreeMap::new(),
            issuer: None,
        };
        let store = auditor.store.clone();
        store.tables(|record| auditor.remember(record));
        auditor
    }

    /// A step begins.
    pub(crate) fn begin_step(&mut self, step: u64) {
        self.step = step;
        self.begun.resize(step as usize, self.truth.now());
        self.begun.push(self.truth.now());
    }

    /// The step that was under way a while before another one began.
    fn step_before(&self, step: u64, lifetime: Lifetime) -> u64 {
        let instant = self.begun[step as usize].minus(lifetime);
        self.begun.partition_point(|begun| *begun <= instant).saturating_sub(1) as u64
    }

    /// The step under way, and the true time.
    pub(crate) fn moment(&self) -> (u64, Timestamp) {
        (self.step, self.truth.now())
    }

    /// Says what went wrong; the first finding stays.
    pub(crate) fn violated(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// What went wrong.
    pub(crate) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// Looks at the record after a transaction that may have changed it; `done` says whether it did what was asked.
    pub(crate) fn after_commit(&mut self, method: StoreMethod, lease: Option<&Lease>, done: bool) {
        self.lease_holder = lease.map(|lease| lease.holder.clone());
        let store = self.store.clone();
        let finding = store.tables(|record| {
            check_fence(record, method, lease, done)?;
            match method {
                // These write to no other table.
                StoreMethod::AcquireLease | StoreMethod::ReleaseLease => self.check_leases(record),
                StoreMethod::AssignMessages
                | StoreMethod::DropUnassigned
                | StoreMethod::SettleDeliveries
                | StoreMethod::HastenDeliveries
                | StoreMethod::DropDeliveries => self.check_deliveries(record, method, &mut Vec::new()),
                _ => self.check(record, method),
            }
        });
        if let Err(what) = finding {
            self.violated(format!("{method:?}: {what}"));
        }
    }

    fn check(&mut self, record: &Record, method: StoreMethod) -> Finding {
        let gone = |what: &str| Err(format!("a {what} is gone from the record"));
        if self.histories.keys().any(|id| !record.issuances.contains_key(id)) {
            return gone("reservation");
        }
        if self.crls.keys().any(|list| !record.crls.contains_key(list)) {
            return gone("CRL");
        }
        if self.tokens.keys().any(|id| !record.tokens.contains_key(id)) {
            return gone("token");
        }
        let mut changes = Vec::new();
        self.check_restoration(record, method, &mut changes)?;
        self.check_authorities(record, &mut changes)?;
        self.check_issuances(record, method, &mut changes)?;
        self.check_bulk_revocations(record, &mut changes)?;
        self.check_successors(record)?;
        self.check_tokens(record, &mut changes)?;
        self.check_repetitions(record, &mut changes)?;
        self.check_crls(record, &mut changes)?;
        self.check_partial_crls(record, &mut changes)?;
        self.check_roles(record, method, &mut changes)?;
        self.check_messages(record, method, &changes)?;
        if method == StoreMethod::ReplayDelivery {
            self.check_deliveries(record, method, &mut changes)?;
        }
        self.check_events(record, &changes)?;
        self.check_chain(record)
    }

    /// Takes the record as it stands for granted.
    fn remember(&mut self, record: &Record) {
        self.rows = record.revocations.len();
        self.events = record.events.len();
        self.sequence_floor = record.sequence_floor;
        self.verifier = ChainVerifier::default();
        self.lease_holders.clear();
        self.tokens = record.tokens.iter().map(|(id, token)| (*id, token.withdrawn)).collect();
        self.repetitions.clone_from(&record.repeated_renewals);
        self.roles = record.roles.keys().map(|binding| (*binding, self.step)).collect();
        self.crls.clear();
        for (key, row) in &record.crls {
            self.crls.insert(key.clone(), (row.intent.clone(), row.der.is_some()));
        }
        self.partials.remember(record);
        self.duties = record.authorities.iter().map(|(id, authority)| (id.clone(), authority.duty())).collect();
        self.remember_issuances(record);
        self.remember_bulk_revocations(record);
        self.remember_deliveries(record);
    }

    /// Two holders never have the same token of a lease: a fence could not tell them apart.
    fn check_leases(&mut self, record: &Record) -> Finding {
        for (name, row) in &record.leases {
            let Some(holder) = &row.holder else { continue };
            let known = self.lease_holders.entry((name.clone(), row.token)).or_insert_with(|| holder.clone());
            if known != holder {
                return Err(format!("lease {name}: {known} and {holder} both have token {}", row.token));
            }
        }
        Ok(())
    }

    /// Whether an instant is further ahead of the true time than any clock that was compared may be.
    fn is_ahead(&self, instant: Timestamp, of: Lifetime) -> bool {
        instant.since(self.truth.now()) > of
    }
}

/// Who writes under a lease has its newest token.
fn check_fence(record: &Record, method: StoreMethod, lease: Option<&Lease>, done: bool) -> Finding {
    let Some(lease) = lease.filter(|_| done && method != StoreMethod::ReleaseLease) else { return Ok(()) };
    let newest = record.leases.get(&lease.name).map(|row| row.token);
    if newest == Some(lease.token) {
        return Ok(());
    }
    Err(format!("{} wrote under token {} of lease {}; the newest is {newest:?}", lease.holder, lease.token, lease.name))
}
