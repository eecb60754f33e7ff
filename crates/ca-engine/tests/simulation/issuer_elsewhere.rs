//! The issuer of an authority that issues elsewhere, as every process reaches it: away, busy, late; it loses answers, makes something
//! else than was asked for, revokes by itself and publishes its list in its own time.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ca_core::key::{KeyType, PublicKey};
use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use ca_engine::fake::{FakeClock, IssuerCall, IssuerFault, ScriptedIssuer, ScriptedSigner};
use ca_engine::port::certificate_issuer::{CertificateIssuer, IssuerError, IssuerList, IssuerOrder, IssuerState};
use ca_engine::port::external_keys::ExternalKeys;
use ca_engine::port::signer::{Signer, SignerError};
use ca_engine::port::store::KeyHome;

use crate::executor::{at_once, naps};
use crate::keyring::pkcs8;
use crate::lock;
use crate::planted_bug::PlantedBug;
use crate::random::Random;

/// How long its lists last.
const LIFE: Lifetime = Lifetime::from_days(7);

/// The key of the issuer: no process has it.
pub(crate) fn key() -> ScriptedSigner {
    ScriptedSigner::from_pkcs8(KeyType::Ed25519, &pkcs8("issuer", 1))
}

/// The issuer, and what is between it and the processes. Clones share all of it.
#[derive(Clone)]
pub(crate) struct IssuerElsewhere {
    /// What it has made and was told.
    pub(crate) issuer: ScriptedIssuer,
    state: Arc<Mutex<State>>,
    bug: Option<PlantedBug>,
}

struct State {
    random: Random,
    lists: u64,
    is_repaired: bool,
}

impl IssuerElsewhere {
    pub(crate) fn new(seed: u64, truth: FakeClock, bug: Option<PlantedBug>) -> Self {
        let issuer = ScriptedIssuer::new(key(), truth);
        issuer.publish_lists();
        let state = State { random: Random::new(seed ^ 0x15_54e4), lists: 0, is_repaired: false };
        Self { issuer, state: Arc::new(Mutex::new(state)), bug }
    }

    /// From now on it does what it is asked.
    pub(crate) fn repair(&self) {
        lock(&self.state).is_repaired = true;
    }

    async fn reach(&self) -> Result<(), IssuerError> {
        let polls = lock(&self.state).random.below(4);
        naps(polls).await;
        let detail = || "no route".to_owned();
        match self.drawn(14) {
            Some(0..7) => Err(IssuerError::Unavailable { detail: detail() }),
            Some(_) => Err(IssuerError::Busy { detail: detail(), retry_after: None }),
            None => Ok(()),
        }
    }

    /// Once in so many times, until it is repaired, a number below 14.
    fn drawn(&self, one_in: usize) -> Option<usize> {
        let mut state = lock(&self.state);
        (!state.is_repaired && state.random.one_in(one_in)).then(|| state.random.below(14))
    }

    /// A list of all that it was told by now.
    fn make_list(&self) {
        if self.issuer.made().is_empty() {
            return;
        }
        let number = {
            let mut state = lock(&self.state);
            state.lists += 1;
            state.lists
        };
        self.issuer.make_list(number, LIFE);
    }
}

#[async_trait]
impl CertificateIssuer for IssuerElsewhere {
    fn remembers_for(&self) -> Lifetime {
        self.issuer.remembers_for()
    }

    async fn order(&self, order: &IssuerOrder<'_>) -> Result<String, IssuerError> {
        self.reach().await?;
        match self.drawn(7) {
            Some(0..2) => self.issuer.script(IssuerCall::Order, IssuerFault::Another),
            Some(_) => self.issuer.script(IssuerCall::Order, IssuerFault::AnswerLost),
            None => {}
        }
        let answer = at_once(self.issuer.order(order));
        naps(1).await;
        answer
    }

    async fn collect(&self, name: &str) -> Result<Option<Vec<u8>>, IssuerError> {
        self.reach().await?;
        match self.drawn(5) {
            Some(_) => Ok(None),
            None => at_once(self.issuer.collect(name)),
        }
    }

    async fn revoke(&self, serial: &Serial, reason: RevocationReason) -> Result<(), IssuerError> {
        self.reach().await?;
        if self.bug == Some(PlantedBug::RevocationNotPassedOn) && self.drawn(3).is_some() {
            return Ok(());
        }
        if self.drawn(8).is_some() {
            self.issuer.script(IssuerCall::Revoke, IssuerFault::AnswerLost);
        }
        let answer = at_once(self.issuer.revoke(serial, reason));
        naps(1).await;
        answer
    }

    async fn list(&self, seen: Option<&str>) -> Result<IssuerList, IssuerError> {
        self.reach().await?;
        // Somebody revokes there and tells nobody here.
        if self.drawn(6).is_some()
            && let Some(made) = self.issuer.made().last()
        {
            at_once(self.issuer.revoke(&made.serial, RevocationReason::Superseded))?;
        }
        let is_made = {
            let mut state = lock(&self.state);
            state.is_repaired || state.random.one_in(2)
        };
        if is_made {
            self.make_list();
        }
        at_once(self.issuer.list(seen))
    }

    async fn state(&self) -> Result<IssuerState, IssuerError> {
        self.reach().await?;
        CertificateIssuer::state(&self.issuer).await
    }
}

/// The way of a process to keys outside of it: to this issuer, if it may issue, and to nothing else.
pub(crate) struct WayToIssuer {
    pub(crate) issuer: Option<IssuerElsewhere>,
}

#[async_trait]
impl ExternalKeys for WayToIssuer {
    async fn find(&self, home: &KeyHome) -> Result<Arc<dyn Signer>, SignerError> {
        Err(SignerError::Unavailable { detail: format!("no key is in {home}") })
    }

    async fn open(&self, home: &KeyHome, _: &PublicKey) -> Result<Option<Arc<dyn Signer>>, SignerError> {
        Err(SignerError::Unavailable { detail: format!("no key is in {home}") })
    }

    async fn issuer(&self, _: &KeyHome) -> Result<Option<Arc<dyn CertificateIssuer>>, SignerError> {
        Ok(self.issuer.clone().map(|issuer| Arc::new(issuer) as Arc<dyn CertificateIssuer>))
    }
}
