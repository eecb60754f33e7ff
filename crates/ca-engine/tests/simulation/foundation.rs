//! What every seed starts from, made once: root, `tls` and `document` on record, and subscribers' keys with their CSRs.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use ca_core::csr::ParsedCsr;
use ca_core::id::AuthorityId;
use ca_core::key::KeyType;
use ca_core::name::DistinguishedName;
use ca_core::policy::AuthorityConstraints;
use ca_core::principal::Principal;
use ca_core::profile::{self, Profile};
use ca_core::time::Lifetime;
use ca_core::usage::ExtendedKeyUsage;
use ca_engine::engine::{Engine, ManagedSettings, NoncePolicy, OutboxSettings, PartialLists, Ports, Settings};
use ca_engine::error::FlowError;
use ca_engine::fake::{FakeClock, FlakyPublisher, MemoryStore, ScriptedAuthorizer, ScriptedSigner, SeededEntropy};
use ca_engine::flow::establish::{AuthorityPlan, establish_authority};
use ca_engine::port::certificate_target::ManagedPorts;
use ca_engine::port::external_keys::NoExternalKeys;
use ca_engine::port::keyring::KeyRoom;
use ca_engine::port::signer::Signer;
use ca_engine::port::spool::MemorySpool;
use ca_engine::port::store::KeyHome;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};

use crate::executor::at_once;
use crate::issuer_elsewhere;
use crate::keyring::{KeyPool, WitnessKeyring, pkcs8};
use crate::random::Random;

/// A service just set up.
pub(crate) struct Foundation {
    pub(crate) clock: FakeClock,
    pub(crate) store: MemoryStore,
    pub(crate) keys: Arc<Mutex<KeyPool>>,
    pub(crate) engine: Engine,
    /// CSRs of subscribers, each of another key.
    pub(crate) requests: Vec<ParsedCsr>,
}

/// The authorities whose keys are in the record.
pub(crate) const ONLINE: [&str; 2] = ["tls", "document"];

/// Where events go.
pub(crate) const SINKS: [&str; 2] = ["gateway", "ledger"];

/// How many subscribers' keys there are: few, so that the same key is certified again.
const SUBSCRIBERS: u64 = 24;

pub(crate) static FOUNDATION: LazyLock<Foundation> = LazyLock::new(|| Foundation::lay(false));

/// The same with the authority [`ELSEWHERE`].
pub(crate) static FOUNDATION_ELSEWHERE: LazyLock<Foundation> = LazyLock::new(|| Foundation::lay(true));

/// The authority that issues elsewhere, and the profile of what it issues.
pub(crate) const ELSEWHERE: &str = "device";

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    let shipped = profile::built_in();
    let server = shipped.iter().find(|text| text.name == "server").expect("a shipped profile").text;
    let device = server.replace("\"server\"", "\"device\"").replace("authority = \"tls\"", "authority = \"device\"");
    let device = Profile::from_toml(&device).expect("a profile");
    shipped.iter().map(|text| text.profile().expect("a shipped profile")).chain([device]).collect()
});

/// The shipped profiles, and that of what is issued elsewhere.
pub(crate) fn profiles() -> &'static [Profile] {
    &PROFILES
}

/// What the operator decided.
pub(crate) fn settings() -> Settings {
    Settings {
        base_url: Some("http://pki.example.org".to_owned()),
        api_names: Vec::new(),
        ocsp_validity: Lifetime::from_seconds(3_600),
        nonce: NoncePolicy::Allow,
        answer_cache_octets: 1 << 14,
        shared_lifetime: Lifetime::from_seconds(300),
        crl_validity: Lifetime::from_days(7),
        signatures: BTreeMap::new(),
        partial_lists: BTreeMap::from([(authority("tls"), PartialLists { shards: 2, delta: true })]),
        delta_validity: Lifetime::from_days(1),
        offline_crl_validity: Lifetime::from_days(395),
        outbox: OutboxSettings {
            max_attempts: 4,
            first_retry: Lifetime::from_seconds(2),
            longest_retry: Lifetime::from_seconds(60),
            keep_undelivered: Lifetime::from_days(20),
            keep_unassigned: Lifetime::from_days(1),
        },
        keep_expired: None,
        bulk_batch: 2,
        managed: ManagedSettings::default(),
    }
}

/// An authority's id.
pub(crate) fn authority(text: &str) -> AuthorityId {
    text.parse().expect("an authority's id")
}

impl Foundation {
    fn lay(elsewhere: bool) -> Self {
        let clock = FakeClock::default();
        let store = MemoryStore::new(clock.clone());
        let keys: Arc<Mutex<KeyPool>> = Arc::default();
        let ports = Ports {
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(SeededEntropy::new(1)),
            store: Arc::new(store.clone()),
            keyring: Arc::new(WitnessKeyring {
                pool: keys.clone(),
                witness: None,
                process: (0, 0),
                status_only: false,
                random: Arc::new(Mutex::new(Random::new(1))),
                bug: None,
            }),
            external_keys: Arc::new(NoExternalKeys),
            authorizer: Arc::new(ScriptedAuthorizer::allow_all()),
            publisher: Arc::new(FlakyPublisher::default()),
            spool: Arc::new(MemorySpool),
            sinks: BTreeMap::new(),
            shared_answers: None,
            managed: ManagedPorts::none(),
        };
        let engine = at_once(Engine::start(ports, profiles().to_vec(), settings())).expect("an empty record");
        let root = Arc::new(ScriptedSigner::from_pkcs8(KeyType::Ed25519, &pkcs8("root", 1)));
        establish(&engine, "root", None, KeyHome::File, root).expect("an authority");
        for id in ONLINE {
            let (sealed, signer) =
                at_once(engine.keyring().generate(KeyRoom::Authorities, KeyType::Ed25519)).expect("a key");
            let home = KeyHome::Sealed(sealed.id.clone());
            at_once(engine.store().add_key(sealed)).expect("a key on record");
            establish(&engine, id, Some("root"), home, signer).expect("an authority");
        }
        if elsewhere {
            let home = KeyHome::AcmPca("arn:aws:acm-pca:sa-east-1:111122223333:certificate-authority/1".to_owned());
            // It is on record; who has made it has no way to its issuer.
            establish(&engine, ELSEWHERE, Some("root"), home, Arc::new(issuer_elsewhere::key()))
                .expect_err("no responder");
            engine.authority(&authority(ELSEWHERE)).expect("an authority");
        }
        Self { clock, store, keys, engine, requests: (0..SUBSCRIBERS).map(request).collect() }
    }
}

fn establish(
    engine: &Engine,
    id: &str,
    parent: Option<&str>,
    key_home: KeyHome,
    signer: Arc<dyn Signer>,
) -> Result<(), FlowError> {
    let purposes = match id {
        "root" => Vec::new(),
        "document" => vec![ExtendedKeyUsage::DOCUMENT_SIGNING, ExtendedKeyUsage::EMAIL_PROTECTION],
        _ => vec![ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH],
    };
    let plan = AuthorityPlan {
        id: authority(id),
        subject: DistinguishedName::from_rfc4514(&format!("CN=Test {id}")).expect("a name"),
        parent: parent.map(authority),
        validity: None,
        constraints: AuthorityConstraints { extended_key_usage: purposes, ..AuthorityConstraints::default() },
        key_home,
    };
    at_once(establish_authority(engine, &Principal::LocalOperator, &plan, signer))
}

/// A CSR that names nobody, of the `number`th subscriber's key.
fn request(number: u64) -> ParsedCsr {
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8("subscriber", number).into(), &PKCS_ED25519).expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let der = params.serialize_request(&key).expect("a CSR");
    ParsedCsr::from_der(der.der()).expect("a CSR that proves possession")
}
