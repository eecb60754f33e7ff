//! What every flow is given: the ports, the profiles, the settings and the hierarchy as it stands.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use ca_core::crl::ListName;
use ca_core::id::{AuthorityId, ProfileName, SinkName};
use ca_core::profile::Profile;
use ca_core::serial::{Serial, ShardNumber};
use ca_core::template::Endpoints;
use ca_core::time::{Lifetime, Timestamp};

use crate::anchor_verdict::{AnchorVerdict, refuse_old_record};
use crate::answer_cache::AnswerCache;
use crate::answer_cache::flight::Flights;
use crate::changed_serials::ChangedSerials;
use crate::clock_verdict::{ClockVerdict, refuse_wrong_clock};
use crate::error::{FlowError, FlowErrorKind};
use crate::following::Following;
use crate::generation::line_of;
use crate::hierarchy::{Authority, Hierarchy};
use crate::lineage::Lineage;
use crate::port::authorizer::Authorizer;
use crate::port::certificate_target::ManagedPorts;
use crate::port::clock::Clock;
use crate::port::entropy::{Entropy, EntropyUnavailable};
use crate::port::external_keys::ExternalKeys;
use crate::port::keyring::Keyring;
use crate::port::publisher::Publisher;
use crate::port::shared_answers::SharedAnswers;
use crate::port::signer::{Signer, signing_by};
use crate::port::sink::Sink;
use crate::port::spool::Spool;
use crate::port::store::{PublishedCrl, PublishedPartial, Store};
use crate::published_lists::PublishedLists;
pub use crate::settings::{ManagedSettings, NoncePolicy, OutboxSettings, PartialLists, Settings};
use crate::shard_news::ShardNews;
use crate::shard_plan::ShardPlan;
use crate::shared_use::SharedUse;

/// The adapters behind the ports.
#[derive(Clone)]
pub struct Ports {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The record.
    pub store: Arc<dyn Store>,
    /// Private keys.
    pub keyring: Arc<dyn Keyring>,
    /// Keys that are held elsewhere.
    pub external_keys: Arc<dyn ExternalKeys>,
    /// The access policy.
    pub authorizer: Arc<dyn Authorizer>,
    /// Where CRLs are put.
    pub publisher: Arc<dyn Publisher>,
    /// Where they lie while they are made.
    pub spool: Arc<dyn Spool>,
    /// Where events go; none where nobody is to be told.
    pub sinks: BTreeMap<SinkName, Arc<dyn Sink>>,
    /// Where replicas share signed answers; `None` where each signs its own.
    pub shared_answers: Option<Arc<dyn SharedAnswers>>,
    /// What rotations of managed certificates need.
    pub managed: ManagedPorts,
}

/// How old what a process knows of the authorities may be when it issues. A server looks twice a second; this bounds one that stood
/// still, and only has to be shorter than the time until a generation retires ([`crate::flow::retire::SETTLING`]).
pub const HIERARCHY_AGE: Lifetime = Lifetime::from_seconds(1_800);

/// The certificate authority: shared by every request and job of a process.
pub struct Engine {
    ports: Ports,
    profiles: BTreeMap<ProfileName, Arc<Profile>>,
    settings: Settings,
    hierarchy: ArcSwap<Hierarchy>,
    offline_signers: Mutex<BTreeMap<AuthorityId, Arc<dyn Signer>>>,
    clock_verdict: ArcSwap<ClockVerdict>,
    anchor_verdict: ArcSwap<AnchorVerdict>,
    /// How often the record was found to be another; held while a verdict is given.
    replacements: Mutex<u64>,
    /// Where the record comes from, as it was read with the last comparison.
    lineage: ArcSwapOption<Lineage>,
    /// When the clock was compared last, by itself, in milliseconds.
    clock_compared_at: AtomicI64,
    /// The number of each list that this process knows to be in place.
    lists_in_place: Mutex<BTreeMap<ListName, u64>>,
    /// Up to which number of the revocation sequence nothing new concerns a list.
    quiet_until: Mutex<BTreeMap<ListName, u64>>,
    /// The plans of shards, as they were read last.
    shard_plans: Mutex<BTreeMap<AuthorityId, Arc<ShardPlan>>>,
    shard_news: Mutex<BTreeMap<AuthorityId, ShardNews>>,
    published_lists: PublishedLists,
    following: Following,
    answer_cache: AnswerCache,
    flights: Flights,
    changed_serials: ChangedSerials,
    shared_use: SharedUse,
}

impl Engine {
    /// Reads the hierarchy from the record. Nothing is signed before the clock was compared
    /// ([`crate::flow::watch_clock`]).
    pub async fn start(ports: Ports, profiles: Vec<Profile>, settings: Settings) -> Result<Self, FlowError> {
        let read_at = ports.clock.now();
        let hierarchy =
            Hierarchy::load(&*ports.store, &*ports.keyring, &*ports.external_keys, &BTreeMap::new(), &settings).await?;
        hierarchy.set_read_at(read_at);
        let profiles = profiles.into_iter().map(|profile| (profile.name().clone(), Arc::new(profile))).collect();
        Ok(Self {
            ports,
            profiles,
            answer_cache: AnswerCache::new(settings.answer_cache_octets),
            settings,
            hierarchy: ArcSwap::from_pointee(hierarchy),
            offline_signers: Mutex::new(BTreeMap::new()),
            clock_verdict: ArcSwap::from_pointee(ClockVerdict::Unknown),
            anchor_verdict: ArcSwap::from_pointee(AnchorVerdict::NotKept),
            replacements: Mutex::default(),
            lineage: ArcSwapOption::empty(),
            clock_compared_at: AtomicI64::new(i64::MIN),
            lists_in_place: Mutex::default(),
            quiet_until: Mutex::default(),
            shard_plans: Mutex::default(),
            shard_news: Mutex::default(),
            published_lists: PublishedLists::default(),
            following: Following::default(),
            flights: Flights::default(),
            changed_serials: ChangedSerials::default(),
            shared_use: SharedUse::default(),
        })
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// The record.
    pub fn store(&self) -> &dyn Store {
        &*self.ports.store
    }

    /// Private keys.
    pub fn keyring(&self) -> &dyn Keyring {
        &*self.ports.keyring
    }

    /// What rotations of managed certificates need.
    pub fn managed(&self) -> &ManagedPorts {
        &self.ports.managed
    }

    /// The access policy.
    pub fn authorizer(&self) -> &dyn Authorizer {
        &*self.ports.authorizer
    }

    /// Where CRLs are put.
    pub fn publisher(&self) -> &dyn Publisher {
        &*self.ports.publisher
    }

    /// Where lists lie while they are made.
    pub fn spool(&self) -> &Arc<dyn Spool> {
        &self.ports.spool
    }

    /// Where events go, by name.
    pub fn sinks(&self) -> &BTreeMap<SinkName, Arc<dyn Sink>> {
        &self.ports.sinks
    }

    /// What the operator decided.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The profiles, by name.
    pub fn profiles(&self) -> &BTreeMap<ProfileName, Arc<Profile>> {
        &self.profiles
    }

    /// The names of the profiles that may be asked for, as a list for people.
    pub fn profile_names(&self) -> String {
        let names: Vec<&str> = self
            .profiles
            .values()
            .filter(|profile| !profile.is_internal())
            .map(|profile| profile.name().as_str())
            .collect();
        names.join(", ")
    }

    /// The authorities and responders as they stand.
    pub fn hierarchy(&self) -> Arc<Hierarchy> {
        self.hierarchy.load_full()
    }

    /// Keys that are held elsewhere.
    pub fn external_keys(&self) -> &dyn ExternalKeys {
        &*self.ports.external_keys
    }

    /// An authority by its id.
    pub fn authority(&self, id: &AuthorityId) -> Result<Arc<Authority>, FlowError> {
        self.hierarchy
            .load()
            .authority(id)
            .cloned()
            .ok_or_else(|| FlowError::new(FlowErrorKind::NotFound, format!("there is no authority `{id}`")))
    }

    /// Reads the record again, after an authority or responder was added here or elsewhere.
    pub async fn reload_hierarchy(&self) -> Result<(), FlowError> {
        let offline = self.offline_signers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let read_at = self.now();
        let external = &*self.ports.external_keys;
        let hierarchy = Hierarchy::load(self.store(), self.keyring(), external, &offline, self.settings()).await?;
        hierarchy.set_read_at(read_at);
        let before = self.hierarchy.swap(Arc::new(hierarchy));
        // A responder is not asked for its own status: what a revoked one has signed must fall silent with it.
        if !self.hierarchy.load().has_responders_of(&before) {
            self.answer_cache.clear();
        }
        Ok(())
    }

    /// Reads the record again if it has other authorities than this process knows, or has them do otherwise; returns whether it had.
    /// Cheap when nothing changed, so that it can be called every second.
    pub async fn follow_hierarchy(&self) -> Result<bool, FlowError> {
        let (read_at, known) = (self.now(), self.hierarchy());
        if known.is_of(&self.store().authorities().await?) {
            known.set_read_at(read_at);
            return Ok(false);
        }
        self.reload_hierarchy().await?;
        Ok(true)
    }

    /// The authorities as they stood at most [`HIERARCHY_AGE`] ago: for whoever is about to issue. A process that has not heard for
    /// long that another generation issues now asks before it goes on.
    pub(crate) async fn recent_hierarchy(&self) -> Result<Arc<Hierarchy>, FlowError> {
        let (now, read_at) = (self.now(), self.hierarchy().read_at());
        // Either way: the clock may have been set.
        if now.since(read_at).max(read_at.since(now)) > HIERARCHY_AGE {
            self.follow_hierarchy().await?;
        }
        Ok(self.hierarchy())
    }

    /// Lends a key that lives outside the store (the root's, from its file) for as long as it is needed. One that is not the
    /// authority's is refused.
    pub async fn lend_signer(&self, authority: AuthorityId, signer: Arc<dyn Signer>) -> Result<(), FlowError> {
        self.offline_signers.lock().unwrap_or_else(PoisonError::into_inner).insert(authority.clone(), signer);
        let lent = self.reload_hierarchy().await;
        if lent.is_err() {
            // Else every later reading would fail by it.
            self.offline_signers.lock().unwrap_or_else(PoisonError::into_inner).remove(&authority);
        }
        lent
    }

    /// The key of an authority to come, signing by what its line was told; refused when the key has no such algorithm, since whoever
    /// chose it would rely on it.
    pub fn as_chosen(&self, authority: &AuthorityId, signer: Arc<dyn Signer>) -> Result<Arc<dyn Signer>, FlowError> {
        let key_type = signer.public_key().key_type();
        let chosen = self.settings().signatures.get(&line_of(authority)).copied();
        if let Some(algorithm) = chosen.filter(|algorithm| !algorithm.fits(key_type)) {
            let message = format!(
                "authority {authority} is told to sign by {algorithm}, and its key is {key_type}, which cannot; take an RSA key, or \
                 leave `signature` out"
            );
            return Err(FlowError::new(FlowErrorKind::AuthorityCannotSign, message));
        }
        Ok(signing_by(signer, self.settings().signature_of(authority, key_type))?)
    }

    /// Takes such a key back.
    pub async fn return_signer(&self, authority: &AuthorityId) -> Result<(), FlowError> {
        self.offline_signers.lock().unwrap_or_else(PoisonError::into_inner).remove(authority);
        self.reload_hierarchy().await
    }

    /// What the last comparison of the clock found.
    pub fn clock_verdict(&self) -> Arc<ClockVerdict> {
        self.clock_verdict.load_full()
    }

    pub(crate) fn set_clock_verdict(&self, verdict: ClockVerdict, compared_at: Timestamp) {
        self.clock_verdict.store(Arc::new(verdict));
        self.clock_compared_at.store(compared_at.unix_millis(), Ordering::Release);
    }

    /// How far the clock is from where it stood when it was compared, either way; a clock that was set is far.
    pub(crate) fn since_clock_comparison(&self) -> Lifetime {
        let now = self.now();
        let compared_at = Timestamp::from_unix_millis(self.clock_compared_at.load(Ordering::Acquire));
        now.since(compared_at).max(compared_at.since(now))
    }

    /// Refuses while the clock is not known to be right.
    pub(crate) fn check_clock(&self) -> Result<(), FlowError> {
        refuse_wrong_clock(&self.clock_verdict.load(), self.now())
    }

    /// What the last comparison with the anchor found.
    pub fn anchor_verdict(&self) -> Arc<AnchorVerdict> {
        self.anchor_verdict.load_full()
    }

    /// Closes the engine, or opens it, for everything that signs or changes certificates. A process that keeps an anchor calls this
    /// before it does anything else: until the first comparison the record is not known to be the newest.
    pub fn set_anchor_verdict(&self, verdict: AnchorVerdict) {
        self.anchor_verdict.store(Arc::new(verdict));
    }

    /// How often the record was found to be another, for [`Self::conclude`].
    pub(crate) fn replacements(&self) -> u64 {
        *self.replacements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the verdict of a comparison that began when there had been so many `replacements`; none when there was one since, since
    /// it may be about the record before.
    pub(crate) fn conclude(&self, verdict: AnchorVerdict, replacements: u64) {
        let since = self.replacements.lock().unwrap_or_else(PoisonError::into_inner);
        if *since == replacements {
            self.set_anchor_verdict(verdict);
        }
    }

    /// Closes the engine until the record was compared with its anchor, since it is another than the one that was followed. Nothing
    /// where no anchor is kept, or what was found is worse.
    pub(crate) fn record_was_replaced(&self, why: &str) {
        let mut replacements = self.replacements.lock().unwrap_or_else(PoisonError::into_inner);
        *replacements += 1;
        if **self.anchor_verdict.load() == AnchorVerdict::Agrees {
            self.set_anchor_verdict(AnchorVerdict::Uncompared(why.to_owned()));
        }
    }

    /// Refuses while the record is not known to hold everything that was published.
    pub fn check_anchor(&self) -> Result<(), FlowError> {
        refuse_old_record(&self.anchor_verdict.load())
    }

    /// Where the record comes from; `None` before the first comparison, and for a record that was never anchored.
    pub(crate) fn lineage(&self) -> Option<Arc<Lineage>> {
        self.lineage.load_full()
    }

    pub(crate) fn set_lineage(&self, lineage: Option<Lineage>) {
        self.lineage.store(lineage.map(Arc::new));
    }

    /// The number of the list of this name that this process put in place last.
    pub(crate) fn list_in_place(&self, list: &ListName) -> Option<u64> {
        self.lists_in_place().get(list).copied()
    }

    pub(crate) fn set_list_in_place(&self, list: &ListName, number: u64) {
        let mut lists = self.lists_in_place();
        let newest = lists.entry(list.clone()).or_insert(number);
        *newest = number.max(*newest);
    }

    /// Up to which number of the revocation sequence this process has looked in vain for changes of the list's authority after
    /// `sequence`; at least `sequence`. Spares asking for the same rows of other authorities again and again.
    pub(crate) fn quiet_until(&self, list: &ListName, sequence: u64) -> u64 {
        let quiet = self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        quiet.get(list).copied().unwrap_or(0).max(sequence)
    }

    pub(crate) fn set_quiet_until(&self, list: &ListName, sequence: u64) {
        self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner).insert(list.clone(), sequence);
    }

    /// The plan of an authority's shards as this process read it last.
    pub(crate) fn shard_plan(&self, authority: &AuthorityId) -> Option<Arc<ShardPlan>> {
        self.shard_plans.lock().unwrap_or_else(PoisonError::into_inner).get(authority).cloned()
    }

    pub(crate) fn set_shard_plan(&self, authority: &AuthorityId, plan: ShardPlan) -> Arc<ShardPlan> {
        let plan = Arc::new(plan);
        self.shard_plans.lock().unwrap_or_else(PoisonError::into_inner).insert(authority.clone(), Arc::clone(&plan));
        plan
    }

    /// What this process has read of the changes in an authority's shards.
    pub(crate) fn shard_news(&self, authority: &AuthorityId) -> ShardNews {
        let news = self.shard_news.lock().unwrap_or_else(PoisonError::into_inner);
        news.get(authority).cloned().unwrap_or_default()
    }

    pub(crate) fn set_shard_news(&self, authority: &AuthorityId, news: ShardNews) {
        self.shard_news.lock().unwrap_or_else(PoisonError::into_inner).insert(authority.clone(), news);
    }

    /// The newest published lists.
    pub(crate) fn published_lists(&self) -> &PublishedLists {
        &self.published_lists
    }

    /// The published list of an authority, of which the record said that it has this number; a newer one when there is one
    /// meanwhile.
    pub async fn published_list(
        &self,
        authority: &AuthorityId,
        number: u64,
    ) -> Result<Option<Arc<PublishedCrl>>, FlowError> {
        self.published_lists.read(self.store(), authority, number).await
    }

    /// As [`Self::published_list`], of a shard or a delta.
    pub async fn published_partial(
        &self,
        list: &ListName,
        number: u64,
    ) -> Result<Option<Arc<PublishedPartial>>, FlowError> {
        self.published_lists.read_partial(self.store(), list, number).await
    }

    /// How far the sequence of revocations is followed.
    pub fn following(&self) -> &Following {
        &self.following
    }

    /// Signed answers in memory.
    pub fn answer_cache(&self) -> &AnswerCache {
        &self.answer_cache
    }

    /// Where replicas share signed answers, if they do.
    pub fn shared_answers(&self) -> Option<&dyn SharedAnswers> {
        self.ports.shared_answers.as_deref()
    }

    /// How often that was asked, and what became of it.
    pub fn shared_use(&self) -> &SharedUse {
        &self.shared_use
    }

    /// The serials whose standing has changed, as far as this process knows; nothing where no answers are shared.
    pub fn changed_serials(&self) -> &ChangedSerials {
        &self.changed_serials
    }

    /// A certificate stands otherwise than before, or may: nothing is believed of it any more that was signed until now.
    pub(crate) fn standing_changed(&self, authority: &AuthorityId, serial: &Serial) {
        if self.ports.shared_answers.is_some() {
            self.changed_serials.add(authority, serial);
        }
        self.answer_cache.drop_serial(authority, serial);
    }

    /// What is being signed.
    pub(crate) fn flights(&self) -> &Flights {
        &self.flights
    }

    fn lists_in_place(&self) -> MutexGuard<'_, BTreeMap<ListName, u64>> {
        self.lists_in_place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `N` random octets.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], EntropyUnavailable> {
        let mut octets = [0; N];
        self.ports.entropy.fill(&mut octets)?;
        Ok(octets)
    }

    /// A fresh serial number; in a shard, where the certificate belongs to one.
    pub(crate) fn new_serial(&self, shard: Option<ShardNumber>) -> Result<Serial, EntropyUnavailable> {
        let octets = self.random()?;
        Ok(shard.map_or_else(|| Serial::from_random(octets), |shard| Serial::in_shard(shard, octets)))
    }

    /// Where the status of what `authority` issues can be looked up: its list at `shard`, for what is in one.
    pub(crate) fn endpoints(&self, authority: &AuthorityId, shard: Option<&str>) -> Endpoints {
        let Some(base) = self.settings.base_url.as_deref() else { return Endpoints::default() };
        Endpoints {
            crl: Some(shard.map_or_else(|| format!("{base}/crl/{authority}.crl"), str::to_owned)),
            ca_issuers: Some(format!("{base}/ca/{authority}.crt")),
            ocsp: Some(format!("{base}/ocsp")),
        }
    }
}
