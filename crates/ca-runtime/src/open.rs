//! The wiring: configuration in, a running engine out. With [`crate::record`], [`crate::sinks`] and [`crate::shared_answers`] the only
//! files that name concrete adapters; so does [`crate::mirrors`].
//!
//! It opens what exists. Making authorities is the business of [`crate::hierarchy`], listening that of the programs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::{fs, io};

use ca_access::CedarAuthorizer;
use ca_backends::anchor::DirectoryAnchor;
use ca_backends::publisher::DirectoryPublisher;
use ca_backends::spool::FileSpool;
use ca_core::id::AuthorityId;
use ca_core::key::SignatureAlgorithm;
use ca_core::name::GeneralName;
use ca_core::profile::Profile;
use ca_core::time::Lifetime;
use ca_engine::anchor_verdict::AnchorVerdict;
use ca_engine::engine::{Engine, PartialLists, Ports, Settings};
use ca_engine::error::{FlowError, FlowErrorKind};
use ca_engine::flow::follow_anchor;
use ca_engine::flow::retention::{self, RetentionFault};
use ca_engine::flow::watch_clock::watch_clock;
use ca_engine::port::anchor::Anchor;
use ca_engine::port::authorizer::Authorizer;
use ca_engine::port::clock::Clock;
use ca_engine::port::entropy::Entropy;
use ca_engine::port::revocation_hints::RevocationHints;
use ca_engine::port::spool::Spool;
use ca_engine::port::store::{Store, StoreError};
use ca_store::OpenMode;
use thiserror::Error;

pub use crate::aws_calls::AwsCalls;
use crate::aws_sinks::AwsSinks;
use crate::clock::SystemClock;
use crate::config::{ApiConfig, Config, PassphraseSource};
use crate::data_folder::{DataFolder, DataFolderError, PASSPHRASE_FILE};
use crate::entropy::SystemEntropy;
pub use crate::external_keys::NotBuiltIn;
use crate::external_keys::{self, HeldKeys};
use crate::lock::{Lock, LockError};
pub use crate::mirrors::{Mirror, MirrorFault};
use crate::operator_message::operator_message;
use crate::private_cas;
use crate::profiles::{self, ProfileLoadFault};
use crate::record::Record;
use crate::root_key::RootKeyFile;
use crate::seal::{
    DataKeys, MissingKeys, Passphrase, PassphraseError, SealError, SealedKeyring, SealedVault, Seals, is_sealed,
};
pub use crate::seal_sources::SealSourceFault;
use crate::shared_answers::{self, RedisFault};
pub use crate::sink_fault::SinkFault;
pub use crate::token_keys::KeyWayFault;
use crate::{managed, mirrors, seal_sources, sinks, token_keys};

/// How long the CRL of the root lives, whose key is offline: 13 months, renewed in a ceremony once a year.
const OFFLINE_CRL_VALIDITY: Lifetime = Lifetime::from_days(395);

/// What the process is going to do. It decides the locks, which keys are opened, and what is made where it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `ca-server serve`, with every role.
    Serve,
    /// `ca-server serve --role status`: answers OCSP, CRL and AIA; opens the responders' keys only.
    ServeStatus,
    /// `ca-server serve --role worker`: runs the jobs.
    ServeWorker,
    /// `ca-server dev`: makes everything that is missing; what it issues lives for a week at most.
    Develop,
    /// `ca-server job`: one job, beside a running server.
    Job,
    /// `ca-server init`: alone; makes the record and the data keys, under a passphrase that the operator gives.
    Initialise,
    /// `ca-server admin reset`: alone, on what exists.
    Administer,
    /// `ca-server restore`: alone, on a record that may be old.
    Restore,
    /// `ca-cli --local`: alone; makes everything that is missing.
    Local,
}

impl Purpose {
    const fn command(self) -> &'static str {
        match self {
            Self::Serve => "ca-server serve",
            Self::ServeStatus => "ca-server serve --role status",
            Self::ServeWorker => "ca-server serve --role worker",
            Self::Develop => "ca-server dev",
            Self::Job => "ca-server job",
            Self::Initialise => "ca-server init",
            Self::Administer => "ca-server admin reset",
            Self::Restore => "ca-server restore",
            Self::Local => "ca-cli --local",
        }
    }

    /// Whether nobody else may work on the folder meanwhile.
    const fn is_alone(self) -> bool {
        matches!(self, Self::Initialise | Self::Administer | Self::Restore | Self::Local)
    }

    /// Whether what is missing is made: software keys come to be by these and never later.
    const fn makes_what_is_missing(self) -> bool {
        matches!(self, Self::Develop | Self::Initialise | Self::Local)
    }

    /// Whether events are delivered.
    const fn delivers_events(self) -> bool {
        matches!(self, Self::Serve | Self::ServeWorker | Self::Develop | Self::Job)
    }

    /// Whether lists are put into mirrors: by servers, and by `ca-server job run mirror`.
    const fn fills_mirrors(self) -> bool {
        self.delivers_events()
    }

    /// Whether OCSP is answered.
    const fn answers_status(self) -> bool {
        matches!(self, Self::Serve | Self::ServeStatus | Self::Develop)
    }

    const fn open_mode(self) -> OpenMode {
        match self {
            Self::Develop | Self::Initialise | Self::Local => OpenMode::Create,
            // It changes nothing, so a user who may change nothing will do.
            Self::ServeStatus => OpenMode::ReadOnly,
            Self::Serve | Self::ServeWorker | Self::Job | Self::Administer | Self::Restore => OpenMode::ReadWrite,
        }
    }

    /// Whether a passphrase is made too; an operator who runs `init` gives one.
    const fn makes_a_passphrase(self) -> bool {
        matches!(self, Self::Develop | Self::Local)
    }
}

/// An opened service: what the programs work with. Dropping it gives the locks back.
pub struct Runtime {
    /// The certificate authority.
    pub engine: Arc<Engine>,
    /// The configuration it was opened with.
    pub config: Config,
    /// Its data folder.
    pub data_folder: DataFolder,
    /// What was published, outside the database.
    pub anchor: Arc<dyn Anchor>,
    /// Where lists are put too, beside the data folder.
    pub mirrors: Vec<Mirror>,
    aws_sinks: AwsSinks,
    pub(crate) external_keys: Arc<HeldKeys>,
    pub(crate) targets: Arc<managed::Targets>,
    pub(crate) keyring: Arc<SealedKeyring>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) root_key: Option<RootKeyFile>,
    record: Record,
    _locks: Vec<Lock>,
}

impl Runtime {
    /// Opens the service that `config` describes.
    pub async fn open(config: Config, purpose: Purpose) -> Result<Self, OpenError> {
        // 1. What needs nothing: all of its faults before anything is touched.
        let profiles = profiles(&config, purpose)?;
        let authorizer = access_policy(&config)?;
        let clock = Arc::new(SystemClock);
        let sinks = match purpose.delivers_events() {
            true => sinks::open(&config, &(clock.clone() as Arc<dyn Clock>)).await.map_err(OpenError::Sinks)?,
            false => sinks::none(),
        };
        // 2. The folder, and nobody else in it who must not be.
        let data_folder = match purpose {
            Purpose::Job | Purpose::Administer | Purpose::Restore => DataFolder::open(&config.data_dir)?,
            _ => DataFolder::create(&config.data_dir)?,
        };
        let locks = lock(&data_folder, purpose)?;
        if purpose.is_alone() {
            data_folder.remove_leftovers()?;
        }
        // 3. The record.
        let record = Record::open(&config.database, purpose.open_mode()).await?;
        // Beside the lists, on the same disk.
        let spool: Arc<dyn Spool> = Arc::new(FileSpool::new(data_folder.crl_folder()));
        record.hold_spool(&spool);
        let store = record.store();
        // 4. The keys.
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
        let seals = seals(&config, purpose, &data_folder, &*store, &*entropy).await?;
        let missing = if purpose.makes_what_is_missing() { MissingKeys::Make } else { MissingKeys::Refuse };
        let data_keys = DataKeys::open(&*store, &seals, missing, &*entropy).await?;
        if let Some(data_key) = data_keys.personal_data() {
            let vault = SealedVault::new(data_key.clone(), Arc::clone(&entropy));
            record.hold_personal_data(Arc::new(vault)).await?;
        }
        let keyring = Arc::new(SealedKeyring::new(data_keys, Arc::clone(&entropy), clock.clone()));
        let root_password = seals.authorities.as_ref().map(seal_sources::root_password);
        let root_key = root_password.map(|password| RootKeyFile::new(data_folder.root_key_file(), password));
        let shared = config.redis.as_ref().filter(|_| purpose.answers_status());
        let shared_answers = shared.map(shared_answers::open).transpose()?;
        let mirrors = if purpose.fills_mirrors() { mirrors::open(&config).await? } else { Vec::new() };
        external_keys::check(&config)?;
        private_cas::check(&config)?;
        let external_keys = Arc::new(HeldKeys::open(&config, &*store, purpose != Purpose::ServeStatus).await?);
        let targets = Arc::new(managed::Targets::new(&config));
        // 5. The engine. A clock that is wrong is no fault of opening: the engine answers, and signs nothing until it is right.
        let ports = Ports {
            clock,
            entropy: Arc::clone(&entropy),
            store,
            keyring: keyring.clone(),
            external_keys: external_keys.clone(),
            authorizer,
            publisher: Arc::new(DirectoryPublisher::new(data_folder.crl_folder())),
            spool,
            sinks: sinks.all,
            shared_answers,
            managed: managed::ports(&targets),
        };
        let engine = Engine::start(ports, profiles, settings(&config)).await?;
        watch_clock(&engine).await?;
        // 6. The record may be old; then, too, the engine answers, and signs and changes nothing.
        let anchor = anchor(&config, &data_folder);
        engine.set_anchor_verdict(AnchorVerdict::Unreadable(
            "the record was not compared with its anchor yet".to_owned(),
        ));
        let verdict = follow_anchor::compare(&engine, &*anchor).await?;
        if let Some(why) = verdict.obstacle() {
            tracing::error!(why, "the record is not known to be the newest: nothing is signed or changed");
        }
        let engine = Arc::new(engine);
        Ok(Self {
            engine,
            config,
            data_folder,
            anchor,
            mirrors,
            aws_sinks: sinks.aws,
            external_keys,
            targets,
            keyring,
            entropy,
            root_key,
            record,
            _locks: locks,
        })
    }

    /// Closes the record: waits for the last commit. The locks are given back when the runtime is dropped.
    pub async fn close(&self) {
        self.record.close().await;
    }

    /// What wakes the follower of the sequence of revocations; must be called inside a tokio runtime, which then listens.
    pub fn revocation_hints(&self) -> Arc<dyn RevocationHints> {
        self.record.revocation_hints(&self.config.database)
    }

    /// What tells of the calls of AWS so far, for as long as it is kept.
    pub fn aws_calls(&self) -> impl Fn() -> Vec<AwsCalls> + Send + Sync + use<> {
        let (keys, targets, sinks) =
            (Arc::clone(&self.external_keys), Arc::clone(&self.targets), self.aws_sinks.clone());
        move || [keys.aws_calls(), targets.aws_calls(), sinks.calls()].concat()
    }

    /// Whether other replicas may be at work on the same record.
    pub fn is_shared(&self) -> bool {
        matches!(self.record, Record::Shared(_))
    }
}

/// Lists lie in the data folder too, as they were published.
fn anchor(config: &Config, data_folder: &DataFolder) -> Arc<dyn Anchor> {
    let (dir, is_whole) = (config.anchor.dir.clone(), config.anchor.is_whole);
    Arc::new(DirectoryAnchor::new(dir, is_whole, vec![data_folder.crl_folder()]))
}

/// Brings the tables of the database to the version of this build, alone; returns the versions before and after.
pub async fn migrate(config: &Config) -> Result<(i64, i64), OpenError> {
    let data_folder = DataFolder::open(&config.data_dir)?;
    let _alone = data_folder.lock_exclusive("ca-server migrate")?;
    Ok(Record::migrate(&config.database).await?)
}

/// Judges what [`Runtime::open`] would refuse before it touches anything: for `check-config`.
pub fn check_policies(config: &Config) -> Result<(), OpenError> {
    profiles(config, Purpose::Serve)?;
    access_policy(config)?;
    sinks::check(config, &(Arc::new(SystemClock) as Arc<dyn Clock>)).map_err(OpenError::Sinks)?;
    config.redis.as_ref().map(shared_answers::check).transpose()?;
    mirrors::check(config)?;
    external_keys::check(config)?;
    private_cas::check(config)?;
    seal_sources::check(config)?;
    token_keys::check(config)?;
    Ok(())
}

/// What `init` will ask others about, a sentence each: for `check-config`, which asks nobody.
pub fn left_to_init(config: &Config) -> Vec<String> {
    private_cas::left_to_init(config)
}

fn profiles(config: &Config, purpose: Purpose) -> Result<Vec<Profile>, OpenError> {
    let profiles = profiles::load(config.policies.dir.as_deref()).map_err(OpenError::Profiles)?;
    let unfit = retention::faults(&profiles, config.keep_expired);
    if !unfit.is_empty() {
        return Err(OpenError::Retention(unfit));
    }
    Ok(if purpose == Purpose::Develop { profiles::shortened_for_development(profiles) } else { profiles })
}

/// The operator's `access.cedar`, else the shipped one; likewise its schema.
fn access_policy(config: &Config) -> Result<Arc<dyn Authorizer>, OpenError> {
    let text = |name: &str, shipped: &str| match &config.policies.dir {
        None => Ok(shipped.to_owned()),
        Some(dir) => match fs::read_to_string(dir.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(shipped.to_owned()),
            read => read
                .map_err(|error| OpenError::AccessPolicy { detail: format!("{}: {error}", dir.join(name).display()) }),
        },
    };
    let policies = text("access.cedar", ca_access::SHIPPED_POLICIES)?;
    let schema = text("access.cedarschema", ca_access::SHIPPED_SCHEMA)?;
    CedarAuthorizer::from_texts(&policies, &schema)
        .map(|authorizer| Arc::new(authorizer) as Arc<dyn Authorizer>)
        .map_err(|error| OpenError::AccessPolicy { detail: error.to_string() })
}

fn lock(data_folder: &DataFolder, purpose: Purpose) -> Result<Vec<Lock>, LockError> {
    let command = purpose.command();
    Ok(match purpose {
        Purpose::Serve | Purpose::ServeStatus | Purpose::ServeWorker | Purpose::Develop => {
            // The second lock first: a second server is told of the first one, not of the jobs beside it.
            vec![data_folder.lock_server(command)?, data_folder.lock_shared(command)?]
        }
        Purpose::Job => vec![data_folder.lock_shared(command)?],
        Purpose::Initialise | Purpose::Administer | Purpose::Restore | Purpose::Local => {
            vec![data_folder.lock_exclusive(command)?]
        }
    })
}

/// The seals this purpose is given: of the status role the responders' only.
async fn seals(
    config: &Config,
    purpose: Purpose,
    data_folder: &DataFolder,
    store: &dyn Store,
    entropy: &dyn Entropy,
) -> Result<Seals, OpenError> {
    let may_make = purpose.makes_a_passphrase();
    // A passphrase is never made for keys that another one sealed: that file is missing, not yet to be made.
    let may_make = may_make && !is_sealed(store).await?;
    let read = |source: &PassphraseSource| match Passphrase::read(source) {
        Err(PassphraseError::Missing { path }) if may_make && path == config.data_dir.join(PASSPHRASE_FILE) => {
            Passphrase::generate(&data_folder.passphrase_file(), entropy)
        }
        read => read,
    };
    Ok(seal_sources::seals(config, purpose == Purpose::ServeStatus, read).await?)
}

fn settings(config: &Config) -> Settings {
    Settings {
        base_url: config.public.base_url.as_ref().map(ToString::to_string),
        api_names: api_names(&config.api),
        ocsp_validity: config.status.ocsp_validity,
        nonce: config.status.nonce,
        answer_cache_octets: config.status.cache,
        shared_lifetime: config.redis.as_ref().map_or(Lifetime::ZERO, |redis| redis.lifetime),
        crl_validity: config.status.crl_validity,
        partial_lists: partial_lists(config),
        signatures: signatures(config),
        delta_validity: config.status.crl_interval,
        offline_crl_validity: OFFLINE_CRL_VALIDITY.max(config.status.crl_validity),
        outbox: config.outbox,
        notices: config.notices.clone(),
        keep_expired: config.keep_expired,
        bulk_batch: BULK_BATCH,
        managed: config.managed.clone(),
    }
}

/// Some hundredths of a second, for which others who revoke wait.
const BULK_BATCH: usize = 100;
/// The lists that authorities have beside their complete ones, by the ids that `init` gives them.
fn partial_lists(config: &Config) -> BTreeMap<AuthorityId, PartialLists> {
    let authorities = &config.authorities;
    let lists = [("tls", &authorities.tls), ("document", &authorities.document)];
    // The ids are ours, and well-formed.
    lists.into_iter().filter_map(|(id, authority)| Some((id.parse().ok()?, authority.partial_lists))).collect()
}

/// By what authorities sign that were told, by the ids that `init` gives them.
fn signatures(config: &Config) -> BTreeMap<AuthorityId, SignatureAlgorithm> {
    let authorities = &config.authorities;
    let told = [("root", &authorities.root), ("tls", &authorities.tls), ("document", &authorities.document)];
    // The ids are ours, and well-formed.
    told.into_iter().filter_map(|(id, authority)| Some((id.parse().ok()?, authority.signature?))).collect()
}

/// The names that nobody may be issued a certificate for, lest it pass for the API. Loopback names are everybody's.
fn api_names(api: &ApiConfig) -> Vec<GeneralName> {
    match api {
        ApiConfig::Own { names } => names.clone(),
        ApiConfig::Given { .. } => Vec::new(),
    }
}

/// Why the service does not open.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The data folder.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// Somebody else is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database.
    #[error(transparent)]
    Database(#[from] ca_store::OpenError),
    /// The database, once opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The place where OCSP answers are shared.
    #[error(transparent)]
    Redis(#[from] RedisFault),
    /// A way to a key that is held elsewhere.
    #[error(transparent)]
    KeyWay(#[from] KeyWayFault),
    /// Where lists are put too.
    #[error(transparent)]
    Mirror(#[from] MirrorFault),
    /// Keys that are held elsewhere.
    #[error(transparent)]
    ExternalKeys(#[from] NotBuiltIn),
    /// Authorities that AWS Private CA holds.
    #[error(transparent)]
    PrivateCas(#[from] private_cas::NotBuiltIn),
    /// What opens the seal.
    #[error(transparent)]
    SealSource(#[from] SealSourceFault),
    /// The sealed keys.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The profiles.
    #[error("{} of the profiles cannot be used:{}", .0.len(), lines(.0))]
    Profiles(Vec<ProfileLoadFault>),
    /// Profiles whose certificates would be removed too early, or that ask for less than all are kept.
    #[error("`retention.expired` does not fit {} of the profiles:{}", .0.len(), lines(.0))]
    Retention(Vec<RetentionFault>),
    /// Where events are to go.
    #[error("{} of the webhooks cannot be used:{}", .0.len(), lines(.0))]
    Sinks(Vec<SinkFault>),
    /// The access policy.
    #[error("the access policy cannot be used: {detail}")]
    AccessPolicy {
        /// What is wrong with it.
        detail: String,
    },
    /// The engine; the operator sees what callers do not.
    #[error("{}", unusable(.0))]
    Engine(FlowError),
}

impl From<FlowError> for OpenError {
    fn from(error: FlowError) -> Self {
        Self::Engine(error)
    }
}

/// An internal error on the way to a running engine is one of the record: nothing else was read.
fn unusable(error: &FlowError) -> String {
    let message = operator_message(error);
    match error.kind {
        FlowErrorKind::InternalError => {
            format!("the record in the database cannot be used: {message}; restore the database from a backup")
        }
        _ => message,
    }
}

fn lines<T: std::fmt::Display>(faults: &[T]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}
