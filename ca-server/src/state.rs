//! What handlers and jobs may reach.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ca_core::id::AuthorityId;
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::port::anchor::Anchor;
use ca_engine::port::store::Lease;
use ca_runtime::open::{AwsCalls, Mirror};
use ca_runtime::scheduled_rollover::RolloverSchedule;

use crate::crl_files::CrlFiles;

/// Shared by every request and job; cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<Engine>,
    holder: String,
    /// The leases that this process took last, by name.
    leases: Mutex<BTreeMap<String, Lease>>,
    max_age: Lifetime,
    crl_files: ArcSwap<CrlFiles>,
    store_answers: AtomicBool,
    read_only: AtomicBool,
    answers_only: AtomicBool,
    anchor: Arc<dyn Anchor>,
    mirrors: Vec<Mirror>,
    /// Keys of authorities that would not sign when they were last asked, and why.
    unusable_keys: Mutex<BTreeMap<AuthorityId, String>>,
    aws_calls: Box<AwsCallsSoFar>,
    rollover_schedule: Option<RolloverSchedule>,
}

/// Tells of the calls of AWS so far.
pub(crate) type AwsCallsSoFar = dyn Fn() -> Vec<AwsCalls> + Send + Sync;

impl AppState {
    /// `holder` names this process among replicas.
    pub(crate) fn new(
        engine: Arc<Engine>,
        holder: String,
        max_age: Lifetime,
        anchor: Arc<dyn Anchor>,
        mirrors: Vec<Mirror>,
        aws_calls: Box<AwsCallsSoFar>,
        rollover_schedule: Option<RolloverSchedule>,
    ) -> Self {
        let inner = Inner {
            engine,
            holder,
            leases: Mutex::default(),
            max_age,
            crl_files: ArcSwap::from_pointee(CrlFiles::default()),
            store_answers: AtomicBool::new(false),
            read_only: AtomicBool::new(false),
            answers_only: AtomicBool::new(false),
            anchor,
            mirrors,
            unusable_keys: Mutex::default(),
            aws_calls,
            rollover_schedule,
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// What was published, outside the database.
    pub(crate) fn anchor(&self) -> &dyn Anchor {
        &*self.inner.anchor
    }

    /// Where lists are put too, beside the data folder.
    pub(crate) fn mirrors(&self) -> &[Mirror] {
        &self.inner.mirrors
    }

    /// The rollovers that the configuration asks for, if it asks for any.
    pub(crate) fn rollover_schedule(&self) -> Option<&RolloverSchedule> {
        self.inner.rollover_schedule.as_ref()
    }

    /// Calls of AWS so far.
    pub(crate) fn aws_calls(&self) -> Vec<AwsCalls> {
        (self.inner.aws_calls)()
    }

    /// Why the key of an authority would not sign when it was last asked; `None` when it would.
    pub(crate) fn unusable_key(&self, authority: &AuthorityId) -> Option<String> {
        self.inner.unusable_keys.lock().unwrap_or_else(PoisonError::into_inner).get(authority).cloned()
    }

    /// Takes note of why a key would not sign, or that it would; returns whether that is something else than before.
    pub(crate) fn set_unusable_key(&self, authority: &AuthorityId, why: Option<String>) -> bool {
        let mut keys = self.inner.unusable_keys.lock().unwrap_or_else(PoisonError::into_inner);
        let is_unusable = why.is_some();
        let was_unusable = match why {
            Some(why) => keys.insert(authority.clone(), why),
            None => keys.remove(authority),
        }
        .is_some();
        is_unusable != was_unusable
    }

    /// The name under which this process holds leases.
    pub(crate) fn holder(&self) -> &str {
        &self.inner.holder
    }

    /// Remembers a lease, so that it can be given back.
    pub(crate) fn keep_lease(&self, lease: Lease) {
        self.inner.leases.lock().unwrap_or_else(PoisonError::into_inner).insert(lease.name.clone(), lease);
    }

    /// The leases to be given back.
    pub(crate) fn take_leases(&self) -> BTreeMap<String, Lease> {
        std::mem::take(&mut *self.inner.leases.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For how long clients and proxies may keep an OCSP answer or a CRL.
    pub(crate) fn max_age(&self) -> Lifetime {
        self.inner.max_age
    }

    /// The published lists, ready to be served.
    pub(crate) fn crl_files(&self) -> Arc<CrlFiles> {
        self.inner.crl_files.load_full()
    }

    pub(crate) fn set_crl_files(&self, files: CrlFiles) {
        self.inner.crl_files.store(Arc::new(files));
    }

    /// Whether the record could only be read when it was last asked.
    pub(crate) fn is_read_only(&self) -> bool {
        self.inner.read_only.load(Ordering::Relaxed)
    }

    /// Takes note of what can be done with the record; returns whether that is something else than before.
    pub(crate) fn set_read_only(&self, read_only: bool) -> bool {
        self.inner.read_only.swap(read_only, Ordering::Relaxed) != read_only
    }

    /// Whether this process has the status role: nobody expects authorities' keys of it.
    pub(crate) fn answers_only(&self) -> bool {
        self.inner.answers_only.load(Ordering::Relaxed)
    }

    pub(crate) fn set_answers_only(&self) {
        self.inner.answers_only.store(true, Ordering::Relaxed);
    }

    /// Whether the record answered when it was last asked.
    pub(crate) fn store_answers(&self) -> bool {
        self.inner.store_answers.load(Ordering::Relaxed)
    }

    pub(crate) fn set_store_answers(&self, answers: bool) {
        self.inner.store_answers.store(answers, Ordering::Relaxed);
    }
}
