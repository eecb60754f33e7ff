//! A process of the service: its clock, its connections, its engine while it runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use ca_core::id::SinkName;
use ca_core::time::Timestamp;
use ca_engine::anchor_verdict::AnchorVerdict;
use ca_engine::engine::{Engine, Ports};
use ca_engine::error::FlowError;
use ca_engine::fake::{FakeClock, ScriptedAuthorizer};
use ca_engine::flow::follow_anchor::compare;
use ca_engine::flow::watch_clock::watch_clock;
use ca_engine::port::certificate_target::ManagedPorts;
use ca_engine::port::clock::Clock;
use ca_engine::port::external_keys::{ExternalKeys, NoExternalKeys};
use ca_engine::port::shared_answers::SharedAnswers;
use ca_engine::port::sink::Sink;
use ca_engine::port::spool::MemorySpool;

use crate::auditor::{Auditor, Process, holder};
use crate::careless_memory::CarelessMemory;
use crate::database::planted::Planted;
use crate::database::{Connection, Database};
use crate::foundation::{FOUNDATION, FOUNDATION_ELSEWHERE, Foundation, profiles, settings};
use crate::issuer_elsewhere::{IssuerElsewhere, WayToIssuer};
use crate::job::Habits;
use crate::keyring::{KeyPool, WitnessKeyring};
use crate::planted_bug::PlantedBug;
use crate::publisher::SharedFolder;
use crate::random::Random;
use crate::shared_anchor::SharedAnchor;
use crate::shared_place::SharedPlace;
use crate::sink::{Receiver, receivers};
use crate::weak_entropy::WeakEntropy;

/// A clock that goes as the true one does, some way off.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaClock {
    truth: FakeClock,
    off_millis: Arc<AtomicI64>,
}

impl ReplicaClock {
    pub(crate) fn new(truth: FakeClock) -> Self {
        Self { truth, off_millis: Arc::default() }
    }

    /// Sets it that far from the truth.
    pub(crate) fn set_off(&self, millis: i64) {
        self.off_millis.store(millis, Ordering::SeqCst);
    }
}

impl Clock for ReplicaClock {
    fn now(&self) -> Timestamp {
        let off = self.off_millis.load(Ordering::SeqCst);
        Timestamp::from_unix_millis(self.truth.now().unix_millis() + off)
    }
}

/// In one of so many seeds the record is anchored, and may be set back.
const ANCHORED_ONE_IN: usize = 8;

/// In one of so many seeds in which it is not, an authority issues elsewhere.
const ELSEWHERE_ONE_IN: usize = 4;

/// What every process of a seed shares.
pub(crate) struct Surroundings {
    pub(crate) truth: FakeClock,
    pub(crate) store: ca_engine::fake::MemoryStore,
    pub(crate) database: Database,
    pub(crate) keys: Arc<Mutex<KeyPool>>,
    pub(crate) folder: SharedFolder,
    pub(crate) receivers: BTreeMap<SinkName, Receiver>,
    /// Where the record is anchored, in seeds in which it may be set back.
    pub(crate) anchor: Option<SharedAnchor>,
    /// Where signed answers are shared, in seeds in which they are.
    pub(crate) shared_place: Option<SharedPlace>,
    /// Who issues for the authority that issues elsewhere, in seeds in which there is one.
    pub(crate) issuer: Option<IssuerElsewhere>,
    pub(crate) auditor: Arc<Mutex<Auditor>>,
    pub(crate) bug: Option<PlantedBug>,
}

/// A process, running or not.
pub(crate) struct Replica {
    pub(crate) number: usize,
    pub(crate) clock: ReplicaClock,
    /// Whether it answers about status only: it has no data key for authorities.
    status_only: bool,
    /// How often it was started.
    pub(crate) starts: u64,
    /// `None` while it is down or starting.
    pub(crate) engine: Arc<Mutex<Option<Arc<Engine>>>>,
    /// What its jobs remember, from start to death.
    pub(crate) habits: Habits,
    /// What stands before it, where such a bug is planted.
    pub(crate) careless: Option<CarelessMemory>,
}

impl Replica {
    pub(crate) fn new(number: usize, truth: &FakeClock, status_only: bool) -> Self {
        Self {
            number,
            clock: ReplicaClock::new(truth.clone()),
            status_only,
            starts: 0,
            engine: Arc::default(),
            habits: Habits::default(),
            careless: None,
        }
    }

    /// The engine, while it runs.
    pub(crate) fn engine(&self) -> Option<Arc<Engine>> {
        crate::lock(&self.engine).clone()
    }

    /// Which process it is since its last start.
    pub(crate) fn process(&self) -> Process {
        (self.number, self.starts)
    }

    /// The name under which it holds leases: a new one at each start.
    pub(crate) fn holder(&self) -> String {
        holder(self.process())
    }

    /// What a start of this process waits for.
    pub(crate) fn start(
        &mut self,
        surroundings: &Surroundings,
        random: &mut Random,
    ) -> impl Future<Output = Result<Engine, FlowError>> + 'static {
        self.starts += 1;
        self.habits = Habits::of(surroundings.anchor.clone(), self.status_only);
        self.careless = CarelessMemory::of(surroundings.bug, surroundings.shared_place.as_ref());
        let planted = Planted::new(surroundings.store.clone(), surroundings.bug, self.clock.clone());
        let keyring = WitnessKeyring {
            pool: surroundings.keys.clone(),
            witness: Some((surroundings.auditor.clone(), surroundings.store.clone())),
            status_only: self.status_only,
            process: self.process(),
            random: Arc::new(Mutex::new(Random::new(random.next()))),
            bug: surroundings.bug,
        };
        let sinks = surroundings.receivers.iter();
        let sinks = sinks.map(|(name, receiver)| (name.clone(), Arc::new(receiver.clone()) as Arc<dyn Sink>));
        let ports = Ports {
            clock: Arc::new(self.clock.clone()),
            entropy: Arc::new(WeakEntropy::new(random.next(), surroundings.anchor.is_some())),
            store: Arc::new(Connection::new(surroundings.database.clone(), planted, self.number)),
            keyring: Arc::new(keyring),
            external_keys: match &surroundings.issuer {
                Some(issuer) => Arc::new(WayToIssuer { issuer: (!self.status_only).then(|| issuer.clone()) })
                    as Arc<dyn ExternalKeys>,
                None => Arc::new(NoExternalKeys),
            },
            authorizer: Arc::new(ScriptedAuthorizer::allow_all()),
            publisher: Arc::new(surroundings.folder.of_replica()),
            spool: Arc::new(MemorySpool),
            sinks: sinks.collect(),
            shared_answers: surroundings.shared_place.clone().map(|place| Arc::new(place) as Arc<dyn SharedAnswers>),
            managed: ManagedPorts::none(),
        };
        open(ports, surroundings.anchor.clone(), surroundings.bug)
    }

    /// The process dies.
    pub(crate) fn die(&mut self) {
        *crate::lock(&self.engine) = None;
    }
}

/// Opens a record as `ca-runtime` does: nothing is signed before it was compared with its anchor.
async fn open(ports: Ports, anchor: Option<SharedAnchor>, bug: Option<PlantedBug>) -> Result<Engine, FlowError> {
    let engine = Engine::start(ports, profiles().to_vec(), settings()).await?;
    let Some(anchor) = anchor.filter(|_| bug != Some(PlantedBug::AnchorNotAsked)) else { return Ok(engine) };
    watch_clock(&engine).await?;
    engine.set_anchor_verdict(AnchorVerdict::Unreadable("it was not compared yet".to_owned()));
    compare(&engine, &anchor).await?;
    Ok(engine)
}

/// The record and keys of a seed before its first step.
pub(crate) fn surroundings(seed: u64, bug: Option<PlantedBug>) -> Surroundings {
    let anchored = Random::new(seed ^ 0x5e7_bac).one_in(ANCHORED_ONE_IN);
    // A record that is set back has forgotten serials that its issuer knows: that is not played.
    let elsewhere =
        !anchored && (Random::new(seed ^ 0x1924).one_in(ELSEWHERE_ONE_IN) || bug.is_some_and(PlantedBug::is_elsewhere));
    let foundation: &Foundation = if elsewhere { &FOUNDATION_ELSEWHERE } else { &FOUNDATION };
    let truth = FakeClock::at(foundation.clock.now());
    let store = foundation.store.forked(truth.clone());
    let auditor = Arc::new(Mutex::new(Auditor::new(store.clone(), truth.clone(), foundation)));
    let folder = SharedFolder::new(seed, auditor.clone(), bug);
    let issuer = elsewhere.then(|| IssuerElsewhere::new(seed, truth.clone(), bug));
    if let Some(elsewhere) = &issuer {
        crate::lock(&auditor).watch_issuer(elsewhere.issuer.clone());
    }
    Surroundings {
        issuer,
        anchor: anchored.then(|| SharedAnchor::new(seed, folder.clone(), auditor.clone(), bug)),
        folder,
        shared_place: SharedPlace::of(seed, bug),
        receivers: receivers(seed, &auditor),
        keys: Arc::new(Mutex::new(crate::lock(&foundation.keys).forked())),
        database: Database::default(),
        truth,
        store,
        auditor,
        bug,
    }
}
