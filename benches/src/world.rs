//! A certificate authority whose record is in memory, with real keys: what is measured "without the database" runs in it.
//!
//! Root and `tls`, both P-256, made by the flows that make them in the service. Clock and entropy are the engine's fakes, which
//! cost next to nothing; the keys are those of `ca-backends`, unsealed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use async_trait::async_trait;
use ca_backends::signer::{PrivateKeyInfo, SoftwareSigner};
use ca_core::key::KeyType;
use ca_core::name::DistinguishedName;
use ca_core::policy::AuthorityConstraints;
use ca_core::principal::Principal;
use ca_core::profile;
use ca_core::time::Lifetime;
use ca_core::usage::ExtendedKeyUsage;
use ca_engine::engine::{Engine, ManagedSettings, NoncePolicy, OutboxSettings, Ports, Settings};
use ca_engine::fake::{FakeClock, FlakyPublisher, MemoryStore, ScriptedAuthorizer, SeededEntropy};
use ca_engine::flow::establish::{AuthorityPlan, establish_authority};
use ca_engine::flow::issue::IssueRequest;
use ca_engine::hierarchy::Authority;
use ca_engine::port::certificate_target::ManagedPorts;
use ca_engine::port::clock::Clock;
use ca_engine::port::external_keys::NoExternalKeys;
use ca_engine::port::keyring::{KeyRoom, Keyring, KeyringError, SealedKey};
use ca_engine::port::signer::Signer;
use ca_engine::port::spool::MemorySpool;
use ca_engine::port::store::{KeyHome, Store};
use futures::executor::block_on;

/// The authority that issues.
pub(crate) const AUTHORITY: &str = "tls";

/// An engine and what a peer needs of it.
pub(crate) struct World {
    pub(crate) engine: Engine,
    keyring: Arc<UnsealedKeyring>,
}

impl World {
    /// A service over a record in memory.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let clock = FakeClock::default();
        Self::over(Arc::new(MemoryStore::new(clock.clone())), clock)
    }

    /// A service over any empty record, judged by `clock`.
    pub(crate) fn over(store: Arc<dyn Store>, clock: FakeClock) -> anyhow::Result<Self> {
        let keyring = Arc::new(UnsealedKeyring { clock: clock.clone(), keys: Mutex::default() });
        let profiles = profile::built_in().iter().map(profile::BuiltIn::profile).collect::<Result<Vec<_>, _>>();
        let ports = Ports {
            clock: Arc::new(clock),
            entropy: Arc::new(SeededEntropy::new(1)),
            store,
            keyring: keyring.clone(),
            external_keys: Arc::new(NoExternalKeys),
            authorizer: Arc::new(ScriptedAuthorizer::allow_all()),
            publisher: Arc::new(FlakyPublisher::default()),
            spool: Arc::new(MemorySpool),
            sinks: BTreeMap::new(),
            shared_answers: None,
            managed: ManagedPorts::none(),
        };
        let settings = Settings {
            base_url: Some("http://pki.example.org".to_owned()),
            api_names: Vec::new(),
            ocsp_validity: Lifetime::from_seconds(3_600),
            nonce: NoncePolicy::Allow,
            // What an answer costs that is in no cache is measured.
            answer_cache_octets: 0,
            shared_lifetime: Lifetime::from_seconds(300),
            crl_validity: Lifetime::from_days(7),
            partial_lists: Default::default(),
            signatures: Default::default(),
            delta_validity: Lifetime::from_days(1),
            offline_crl_validity: Lifetime::from_days(395),
            outbox: OutboxSettings::default(),
            keep_expired: None,
            bulk_batch: 100,
            managed: ManagedSettings::default(),
        };
        let profiles = profiles.context("a built-in profile is refused")?;
        let engine = block_on(Engine::start(ports, profiles, settings)).context("the record cannot be read")?;
        let world = Self { engine, keyring };
        world.establish("root", None)?;
        world.establish(AUTHORITY, Some("root"))?;
        Ok(world)
    }

    /// The authority that issues.
    pub(crate) fn authority(&self) -> anyhow::Result<Arc<Authority>> {
        Ok(self.engine.authority(&AUTHORITY.parse()?)?)
    }

    /// The PKCS#8 of the private key with this public key, for a peer that is to use the same.
    pub(crate) fn private_key(&self, spki_sha256: [u8; 32]) -> anyhow::Result<Vec<u8>> {
        let keys = self.keyring.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let (pkcs8, _) = keys.get(&hex::encode(spki_sha256)).context("no key of that name was made here")?;
        Ok(pkcs8.as_der().to_vec())
    }

    fn establish(&self, id: &str, parent: Option<&str>) -> anyhow::Result<()> {
        let (sealed, signer) = block_on(self.engine.keyring().generate(KeyRoom::Authorities, KeyType::P256))?;
        let key_home = KeyHome::Sealed(sealed.id.clone());
        block_on(self.engine.store().add_key(sealed))?;
        let purposes = vec![ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH];
        let plan = AuthorityPlan {
            id: id.parse()?,
            subject: DistinguishedName::from_rfc4514(&format!("CN=Bench {id} CA,O=Bench,C=BR"))?,
            parent: parent.map(str::parse).transpose()?,
            validity: None,
            constraints: AuthorityConstraints {
                extended_key_usage: if parent.is_some() { purposes } else { Vec::new() },
                ..AuthorityConstraints::default()
            },
            key_home,
        };
        block_on(establish_authority(&self.engine, &Principal::LocalOperator, &plan, signer))
            .with_context(|| format!("authority {id} cannot be made"))
    }
}

/// A subscriber's CSR, PEM: a new P-256 key, a common name and two DNS names, signed by rcgen.
pub(crate) fn csr() -> anyhow::Result<String> {
    let names = ["api.example.org", "www.example.org"];
    let mut parameters = rcgen::CertificateParams::new(names.map(str::to_owned))?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, names[0]);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    Ok(parameters.serialize_request(&key)?.pem()?)
}

/// A request for a `server` certificate by this CSR.
pub(crate) fn request(csr: &str) -> anyhow::Result<IssueRequest> {
    Ok(IssueRequest {
        profile: "server".parse()?,
        csr: ca_core::csr::ParsedCsr::from_pem(csr)?,
        subject: None,
        names: None,
        validity: None,
        idempotency_key: None,
        request_id: None,
    })
}

/// Software keys that were never sealed, under the names of their records.
struct UnsealedKeyring {
    clock: FakeClock,
    keys: Mutex<BTreeMap<String, (PrivateKeyInfo, Arc<SoftwareSigner>)>>,
}

#[async_trait]
impl Keyring for UnsealedKeyring {
    async fn generate(&self, room: KeyRoom, key_type: KeyType) -> Result<(SealedKey, Arc<dyn Signer>), KeyringError> {
        let made = SoftwareSigner::generate(key_type);
        let (pkcs8, signer) = made.map_err(|error| KeyringError::Generation { detail: error.to_string() })?;
        let signer = Arc::new(signer);
        let id = hex::encode(signer.public_key().spki_sha256());
        let spki = signer.public_key().spki_der().to_vec();
        let sealed =
            SealedKey { id: id.clone(), room, key_type, spki, sealed: Vec::new(), created_at: self.clock.now() };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(id, (pkcs8, Arc::clone(&signer)));
        Ok((sealed, signer))
    }

    async fn open(&self, sealed: &SealedKey) -> Result<Arc<dyn Signer>, KeyringError> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        match keys.get(&sealed.id) {
            Some((_, signer)) => Ok(Arc::clone(signer) as Arc<dyn Signer>),
            None => Err(KeyringError::WrongSeal { id: sealed.id.clone() }),
        }
    }
}
