//! A certificate authority in memory: root, `tls` and `document` over the fakes, with the shipped profiles.

pub(crate) mod ask;
mod authorizer;
pub(crate) mod elsewhere;
mod hierarchy;
mod soundness;
mod witness;

use std::collections::BTreeMap;
use std::sync::Arc;

use ca_core::id::{AuthorityId, SinkName};
use ca_core::profile::{self, Profile};
use ca_core::time::Lifetime;
use ca_engine::engine::{Engine, ManagedSettings, NoncePolicy, OutboxSettings, Ports, Settings};
use ca_engine::error::FlowErrorKind;
use ca_engine::fake::{
    FakeClock, FlakyPublisher, MemoryKeyring, MemoryManagedPorts, MemorySharedAnswers, MemoryStore, ScriptedAuthorizer,
    ScriptedIssuer, ScriptedSigner, ScriptedSink, SeededEntropy,
};
use ca_engine::port::clock::Clock;
use ca_engine::port::external_keys::NoExternalKeys;
use ca_engine::port::publisher::Publisher;
use ca_engine::port::shared_answers::SharedAnswers;
use ca_engine::port::sink::Sink;
use ca_engine::port::spool::MemorySpool;
use futures::executor::block_on;

pub(crate) use self::ask::{csr, dn, holder, key, name, names, server, spki_request};
pub(crate) use self::authorizer::shipped_rules;
pub(crate) use self::hierarchy::plan;
pub(crate) use self::witness::{WitnessKeyring, WitnessSigner};

/// A day.
pub(crate) const DAY: Lifetime = Lifetime::from_days(1);
/// A second.
pub(crate) const SECOND: Lifetime = Lifetime::from_seconds(1);
/// An hour.
pub(crate) const HOUR: Lifetime = Lifetime::from_seconds(3_600);

/// One process of the service, and everything it stands on.
pub(crate) struct World {
    pub(crate) clock: FakeClock,
    pub(crate) entropy: SeededEntropy,
    pub(crate) store: MemoryStore,
    pub(crate) keyring: MemoryKeyring,
    pub(crate) publisher: FlakyPublisher,
    pub(crate) root: ScriptedSigner,
    pub(crate) engine: Engine,
    parts: Parts,
}

/// What a process is made from besides its ports.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) authorizer: ScriptedAuthorizer,
    pub(crate) profiles: Vec<Profile>,
    pub(crate) settings: Settings,
    pub(crate) sinks: BTreeMap<SinkName, ScriptedSink>,
    pub(crate) shared_answers: Option<MemorySharedAnswers>,
    pub(crate) managed: MemoryManagedPorts,
    /// Who issues for authorities whose keys are elsewhere.
    pub(crate) issuer: Option<ScriptedIssuer>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            authorizer: shipped_rules(),
            profiles: profile::built_in().iter().map(|text| text.profile().expect("a shipped profile")).collect(),
            settings: Settings {
                base_url: Some("http://pki.example.org".to_owned()),
                api_names: vec![name("dns:ca.example.org")],
                ocsp_validity: HOUR,
                nonce: NoncePolicy::Allow,
                answer_cache_octets: 1 << 20,
                shared_lifetime: Lifetime::from_seconds(300),
                crl_validity: Lifetime::from_days(7),
                partial_lists: BTreeMap::new(),
                signatures: BTreeMap::new(),
                delta_validity: DAY,
                offline_crl_validity: Lifetime::from_days(395),
                outbox: OutboxSettings::default(),
                keep_expired: None,
                bulk_batch: 2,
                managed: ManagedSettings::default(),
            },
            sinks: BTreeMap::new(),
            shared_answers: None,
            managed: MemoryManagedPorts::default(),
            issuer: None,
        }
    }
}

impl Parts {
    /// The same parts with a sink.
    pub(crate) fn with_sink(mut self, name: &str, sink: &ScriptedSink) -> Self {
        self.sinks.insert(name.parse().expect("a sink's name"), sink.clone());
        self
    }

    fn sinks(&self) -> BTreeMap<SinkName, Arc<dyn Sink>> {
        self.sinks.iter().map(|(name, sink)| (name.clone(), Arc::new(sink.clone()) as Arc<dyn Sink>)).collect()
    }

    /// The same parts with one profile replaced by what `change` makes of its text.
    pub(crate) fn with_profile(mut self, profile_name: &str, change: impl FnOnce(String) -> String) -> Self {
        let text = profile::built_in().iter().find(|text| text.name == profile_name).expect("a shipped profile").text;
        let changed = Profile::from_toml(&change(text.to_owned())).expect("a profile");
        self.profiles.retain(|profile| profile.name() != changed.name());
        self.profiles.push(changed);
        self
    }
}

impl World {
    /// Root, `tls` and `document`, the root's key put away; the shipped access rules.
    pub(crate) fn new() -> Self {
        Self::of(Parts::default())
    }

    /// As [`Self::new`], from other parts.
    pub(crate) fn of(parts: Parts) -> Self {
        let world = Self::empty(parts);
        world.establish("root", None);
        world.establish("tls", Some("root"));
        world.establish("document", Some("root"));
        block_on(world.engine.return_signer(&id("root"))).expect("the root's key is put away");
        world
    }

    /// A service without authorities.
    pub(crate) fn empty(parts: Parts) -> Self {
        let clock = FakeClock::default();
        let store = MemoryStore::new(clock.clone());
        let keyring = MemoryKeyring::new(clock.clone());
        let (entropy, publisher) = (SeededEntropy::new(1), FlakyPublisher::default());
        let root = ScriptedSigner::generate(ca_core::key::KeyType::P256);
        let engine = start(&clock, &entropy, &store, &keyring, &publisher, &parts);
        Self { clock, entropy, store, keyring, publisher, root, engine, parts }
    }

    /// Another process over the same record and keys: after a crash, or beside this one.
    pub(crate) fn restarted(&self) -> Engine {
        self.restarted_with(self.parts.clone())
    }

    /// As [`Self::restarted`], from other parts, as after an operator's change of the configuration.
    pub(crate) fn restarted_with(&self, parts: Parts) -> Engine {
        start(&self.clock, &self.entropy, &self.store, &self.keyring, &self.publisher, &parts)
    }

    /// A process whose clock, and whose keys, are its own.
    pub(crate) fn replica(&self, clock: &FakeClock, keyring: &MemoryKeyring) -> Engine {
        start(clock, &self.entropy, &self.store, keyring, &self.publisher, &self.parts)
    }

    /// What a process of this world is made from.
    pub(crate) fn parts(&self) -> Parts {
        self.parts.clone()
    }

    /// The key of an authority, to be scripted.
    pub(crate) fn signer(&self, authority: &str) -> ScriptedSigner {
        if authority == "root" {
            return self.root.clone();
        }
        let authority = self.engine.authority(&id(authority)).expect("an authority");
        let key_id = hex::encode(authority.certificate().public_key().spki_sha256());
        self.keyring.signer(&key_id).expect("a key made here")
    }

    /// The key of the responder that answers for an authority, to be scripted.
    pub(crate) fn responder_signer(&self, authority: &str) -> ScriptedSigner {
        let hierarchy = self.engine.hierarchy();
        let responder = hierarchy.responder(&id(authority), self.now()).expect("a responder");
        let key_id = hex::encode(responder.signer().public_key().spki_sha256());
        self.keyring.signer(&key_id).expect("a key made here")
    }

    /// Asks the record.
    pub(crate) fn store(&self) -> &dyn ca_engine::port::store::Store {
        self.engine.store()
    }

    /// The present instant.
    pub(crate) fn now(&self) -> ca_core::time::Timestamp {
        self.clock.now()
    }
}

fn start(
    clock: &FakeClock,
    entropy: &SeededEntropy,
    store: &MemoryStore,
    keyring: &MemoryKeyring,
    publisher: &FlakyPublisher,
    parts: &Parts,
) -> Engine {
    let ports = Ports {
        spool: Arc::new(MemorySpool),
        clock: Arc::new(clock.clone()) as Arc<dyn Clock>,
        entropy: Arc::new(entropy.clone()),
        store: Arc::new(store.clone()),
        keyring: Arc::new(WitnessKeyring::new(keyring.clone(), store.clone())),
        external_keys: match &parts.issuer {
            Some(issuer) => Arc::new(issuer.clone()),
            None => Arc::new(NoExternalKeys),
        },
        authorizer: Arc::new(parts.authorizer.clone()),
        publisher: Arc::new(publisher.clone()) as Arc<dyn Publisher>,
        sinks: parts.sinks(),
        shared_answers: parts.shared_answers.clone().map(|place| Arc::new(place) as Arc<dyn SharedAnswers>),
        managed: parts.managed.ports(),
    };
    block_on(Engine::start(ports, parts.profiles.clone(), parts.settings.clone())).expect("the record is readable")
}

/// An authority's id.
pub(crate) fn id(text: &str) -> AuthorityId {
    text.parse().expect("an authority id")
}

/// The kind of a refusal.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, ca_engine::error::FlowError>) -> FlowErrorKind {
    outcome.expect_err("this must be refused").kind
}

/// The codes of the violations of a refusal.
pub(crate) fn codes<T: std::fmt::Debug>(outcome: Result<T, ca_engine::error::FlowError>) -> Vec<String> {
    outcome.expect_err("this must be refused").faults.into_iter().map(|fault| fault.code).collect()
}
