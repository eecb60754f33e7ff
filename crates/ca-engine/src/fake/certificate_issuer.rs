//! An issuer elsewhere that makes real certificates, and whose behaviour a test writes down in advance.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ca_core::certificate::{AskedFor, Certificate};
use ca_core::hash::sha256;
use ca_core::id::CertificateId;
use ca_core::key::{KeyType, PublicKey};
use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::signing::{Signature, assemble};
use ca_core::time::{Lifetime, Timestamp};

use super::{FakeClock, ScriptedSigner, yield_once};
use crate::port::certificate_issuer::{
    CertificateIssuer, IssuerCondition, IssuerError, IssuerList, IssuerOrder, IssuerState, OrderPurpose,
};
use crate::port::clock::Clock;
use crate::port::external_keys::ExternalKeys;
use crate::port::signer::{Signer, SignerError};
use crate::port::store::KeyHome;

/// A call of [`CertificateIssuer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum IssuerCall {
    Order,
    Collect,
    Revoke,
    List,
    State,
}

/// What one call does instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerFault {
    /// Fails; nothing was done.
    Before(IssuerError),
    /// Is done, and its answer is lost.
    AnswerLost,
    /// Of [`IssuerCall::Order`]: a certificate is made that ends a second later than it should.
    Another,
    /// Of [`IssuerCall::Order`]: a certificate is made by another key.
    Stranger,
    /// Of [`IssuerCall::Order`]: a certificate is made with the serial of the one before.
    SerialOfTheLast,
    /// Of [`IssuerCall::Order`]: the certificate says where the issuer's own list is.
    NamesItsList,
}

/// A certificate that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeElsewhere {
    /// By which id it was ordered.
    pub id: CertificateId,
    /// When.
    pub ordered_at: Timestamp,
    /// For what.
    pub purpose: OrderPurpose,
    /// By which name it is collected.
    pub name: String,
    /// Its serial.
    pub serial: Serial,
    /// Its DER.
    pub der: Vec<u8>,
}

/// The list that lies where the issuer publishes its own.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
enum OwnList {
    #[default]
    NotPublished,
    NotMadeYet,
    Made(Vec<u8>),
}

#[derive(Default)]
struct State {
    made: Vec<MadeElsewhere>,
    list: OwnList,
    condition: Option<IssuerCondition>,
    revoked: Vec<(Serial, RevocationReason)>,
    script: VecDeque<(IssuerCall, IssuerFault)>,
    not_ready: u32,
    calls: Vec<IssuerCall>,
}

/// An issuer that forgets orders after five minutes. Clones share all of it.
#[derive(Clone)]
pub struct ScriptedIssuer {
    key: ScriptedSigner,
    clock: FakeClock,
    state: Arc<Mutex<State>>,
}

impl ScriptedIssuer {
    /// An issuer that has this key, of P-256.
    pub fn new(key: ScriptedSigner, clock: FakeClock) -> Self {
        Self { key, clock, state: Arc::default() }
    }

    /// How the next call of a kind goes; several are spent one after the other.
    pub fn script(&self, call: IssuerCall, fault: IssuerFault) {
        self.state().script.push_back((call, fault));
    }

    /// How often certificates are not ready yet.
    pub fn hold_back(&self, times: u32) {
        self.state().not_ready = times;
    }

    /// Has it publish a list, which is made later.
    pub fn publish_lists(&self) {
        self.state().list = OwnList::NotMadeYet;
    }

    /// Lets it speak under the name of another.
    pub fn learn_name_from(&self, other: &Self) {
        let made = other.made();
        self.state().made = made;
    }

    /// Puts octets where its list lies.
    pub fn put_list(&self, der: Vec<u8>) {
        self.state().list = OwnList::Made(der);
    }

    /// What it says of itself from now on; that it is active, before.
    pub fn set_condition(&self, condition: IssuerCondition) {
        self.state().condition = Some(condition);
    }

    /// Makes its list as it is now, with all that it was told of, and puts it in place. Returns the DER.
    pub fn make_list(&self, number: u64, life: Lifetime) -> Vec<u8> {
        let der = self.list_of(number, self.clock.now(), life, &self.revoked());
        self.put_list(der.clone());
        der
    }

    /// A list that its key signed, of any number, instant and entries.
    pub fn list_of(
        &self,
        number: u64,
        this_update: Timestamp,
        life: Lifetime,
        entries: &[(Serial, RevocationReason)],
    ) -> Vec<u8> {
        let made = self.state().made.first().map(|made| made.der.clone());
        let issuer = made.and_then(|der| Certificate::from_der(&der).ok().map(|made| made.issuer().clone()));
        let issuer = issuer.expect("an issuer that has made a certificate knows its name");
        let mut tbs = tlv(0x02, &[1]);
        tbs.extend_from_slice(self.key.algorithm().identifier_der());
        tbs.extend_from_slice(issuer.as_der());
        tbs.extend(time(this_update));
        tbs.extend(time(this_update.plus(life)));
        let entries: Vec<u8> = entries.iter().flat_map(|(serial, _)| entry(serial, this_update)).collect();
        if !entries.is_empty() {
            tbs.extend(tlv(0x30, &entries));
        }
        let number = number.to_be_bytes();
        let octets = [&[0], &number[number.iter().position(|octet| *octet != 0).unwrap_or(7)..]].concat();
        let octets = if octets.len() > 1 && octets[1] < 0x80 { octets[1..].to_vec() } else { octets };
        let extension = tlv(0x30, &[tlv(0x06, &oid("2.5.29.20")), tlv(0x04, &tlv(0x02, &octets))].concat());
        tbs.extend(tlv(0xa0, &tlv(0x30, &extension)));
        let tbs = tlv(0x30, &tbs);
        let signature = Signature { algorithm: self.key.algorithm(), octets: self.key.sign_octets(&tbs) };
        assemble(&tbs, &signature)
    }

    /// Every certificate that was made, oldest first.
    pub fn made(&self) -> Vec<MadeElsewhere> {
        self.state().made.clone()
    }

    /// Every revocation that it was told of, in order.
    pub fn revoked(&self) -> Vec<(Serial, RevocationReason)> {
        self.state().revoked.clone()
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<IssuerCall> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn begin(&self, call: IssuerCall) -> Result<Option<IssuerFault>, IssuerError> {
        yield_once().await;
        let mut state = self.state();
        state.calls.push(call);
        let at = state.script.iter().position(|(on, _)| *on == call);
        match at.and_then(|at| state.script.remove(at)).map(|(_, fault)| fault) {
            Some(IssuerFault::Before(error)) => Err(error),
            fault => Ok(fault),
        }
    }

    /// A caller may go away between what was done and its answer.
    async fn end<T>(fault: Option<IssuerFault>, answer: T) -> Result<T, IssuerError> {
        yield_once().await;
        match fault {
            Some(IssuerFault::AnswerLost) => {
                Err(IssuerError::Unknown { detail: "the test lost the answer".to_owned() })
            }
            _ => Ok(answer),
        }
    }

    fn make(&self, order: &IssuerOrder<'_>, fault: Option<&IssuerFault>) -> String {
        let mut state = self.state();
        let number = state.made.len();
        let digest = sha256(format!("serial {number}").as_bytes());
        let serial = match (fault, state.made.last()) {
            (Some(IssuerFault::SerialOfTheLast), Some(last)) => last.serial.clone(),
            _ => Serial::from_bytes(&digest[..16]).expect("a digest that is not zero"),
        };
        let late = if fault == Some(&IssuerFault::Another) { 1 } else { 0 };
        let stranger = ScriptedSigner::generate(KeyType::P256);
        let key = if fault == Some(&IssuerFault::Stranger) { &stranger } else { &self.key };
        let own = fault == Some(&IssuerFault::NamesItsList);
        let tbs = encode(order.asked_for, &serial, Lifetime::from_seconds(late), own);
        let signature = Signature { algorithm: key.algorithm(), octets: key.sign_octets(&tbs) };
        let name = format!("certificate {number} of {}", order.id);
        state.made.push(MadeElsewhere {
            id: order.id,
            ordered_at: self.clock.now(),
            purpose: order.purpose,
            name: name.clone(),
            serial,
            der: assemble(&tbs, &signature),
        });
        name
    }
}

#[async_trait]
impl CertificateIssuer for ScriptedIssuer {
    fn remembers_for(&self) -> Lifetime {
        Lifetime::from_seconds(240)
    }

    async fn order(&self, order: &IssuerOrder<'_>) -> Result<String, IssuerError> {
        let fault = self.begin(IssuerCall::Order).await?;
        let now = self.clock.now();
        let remembered = self.state().made.iter().rev().find_map(|made| {
            let is_same = made.id == order.id && now < made.ordered_at.plus(Lifetime::from_seconds(300));
            is_same.then(|| made.name.clone())
        });
        let name = remembered.unwrap_or_else(|| self.make(order, fault.as_ref()));
        Self::end(fault, name).await
    }

    async fn collect(&self, name: &str) -> Result<Option<Vec<u8>>, IssuerError> {
        let fault = self.begin(IssuerCall::Collect).await?;
        let der = {
            let mut state = self.state();
            if state.not_ready > 0 {
                state.not_ready -= 1;
                return Ok(None);
            }
            state.made.iter().find(|made| made.name == name).map(|made| made.der.clone())
        };
        let Some(der) = der else {
            return Err(IssuerError::Refused { detail: format!("there is no {name}") });
        };
        Self::end(fault, Some(der)).await
    }

    async fn revoke(&self, serial: &Serial, reason: RevocationReason) -> Result<(), IssuerError> {
        let fault = self.begin(IssuerCall::Revoke).await?;
        {
            let mut state = self.state();
            if !state.made.iter().any(|made| made.serial == *serial) {
                return Err(IssuerError::Refused { detail: format!("there is no certificate of serial {serial}") });
            }
            if !state.revoked.iter().any(|(revoked, _)| revoked == serial) {
                state.revoked.push((serial.clone(), reason));
            }
        }
        Self::end(fault, ()).await
    }

    async fn list(&self, seen: Option<&str>) -> Result<IssuerList, IssuerError> {
        let fault = self.begin(IssuerCall::List).await?;
        let list = match self.state().list.clone() {
            OwnList::NotPublished => IssuerList::NotPublished,
            OwnList::NotMadeYet => IssuerList::NotMadeYet,
            OwnList::Made(der) => {
                let version = hex::encode(sha256(&der));
                match seen == Some(version.as_str()) {
                    true => IssuerList::Unchanged,
                    false => IssuerList::Found { der, version: Some(version) },
                }
            }
        };
        Self::end(fault, list).await
    }

    async fn state(&self) -> Result<IssuerState, IssuerError> {
        let fault = self.begin(IssuerCall::State).await?;
        let answer = {
            let state = Self::state(self);
            IssuerState {
                condition: state.condition.unwrap_or(IssuerCondition::Active),
                detail: String::new(),
                publishes_list: state.list != OwnList::NotPublished,
            }
        };
        Self::end(fault, answer).await
    }
}

/// The way to no key but that of one issuer.
#[async_trait]
impl ExternalKeys for ScriptedIssuer {
    async fn find(&self, home: &KeyHome) -> Result<Arc<dyn Signer>, SignerError> {
        Err(SignerError::Unavailable { detail: format!("no key is in {home}") })
    }

    async fn open(&self, home: &KeyHome, _: &PublicKey) -> Result<Option<Arc<dyn Signer>>, SignerError> {
        Err(SignerError::Unavailable { detail: format!("no key is in {home}") })
    }

    async fn issuer(&self, _: &KeyHome) -> Result<Option<Arc<dyn CertificateIssuer>>, SignerError> {
        Ok(Some(Arc::new(self.clone())))
    }
}

/// A TBSCertificate that says what was asked for, its extensions in another order than ours.
fn encode(asked: &AskedFor, serial: &Serial, late: Lifetime, names_its_list: bool) -> Vec<u8> {
    let mut extensions = Vec::new();
    if names_its_list {
        // cRLDistributionPoints of one URI (RFC 5280 §4.2.1.13).
        let uri = tlv(0x86, b"http://lists.example.org/crl/issuer.crl");
        let points = tlv(0x30, &tlv(0x30, &tlv(0xa0, &tlv(0xa0, &uri))));
        extensions.extend(tlv(0x30, &[tlv(0x06, &oid("2.5.29.31")), tlv(0x04, &points)].concat()));
    }
    for extension in asked.encoded_extensions().iter().rev() {
        let mut content = tlv(0x06, &oid(&extension.identifier));
        if extension.critical {
            content.extend_from_slice(&[0x01, 0x01, 0xff]);
        }
        content.extend(tlv(0x04, &extension.value));
        extensions.extend(tlv(0x30, &content));
    }
    let validity = asked.validity();
    let content = [
        vec![0xa0, 3, 2, 1, 2],
        tlv(0x02, &serial.to_der_content()),
        asked.signature_algorithm().identifier_der().to_vec(),
        asked.issuer().as_der().to_vec(),
        tlv(0x30, &[time(validity.not_before), time(validity.not_after.plus(late))].concat()),
        asked.subject().as_der().to_vec(),
        asked.public_key().spki_der().to_vec(),
        tlv(0xa3, &tlv(0x30, &extensions)),
    ];
    tlv(0x30, &content.concat())
}

/// An entry without extensions (RFC 5280 §5.1.2.6).
fn entry(serial: &Serial, revoked_at: Timestamp) -> Vec<u8> {
    tlv(0x30, &[tlv(0x02, &serial.to_der_content()), time(revoked_at)].concat())
}

/// UTCTime, which reaches to 2049 (RFC 5280 §4.1.2.5.1).
fn time(at: Timestamp) -> Vec<u8> {
    let digits: String = at.to_rfc3339().chars().take(19).filter(char::is_ascii_digit).collect();
    tlv(0x17, format!("{}Z", &digits[2..]).as_bytes())
}

fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().expect("a dotted identifier")).collect();
    let mut octets = Vec::new();
    for arc in std::iter::once(arcs[0] * 40 + arcs[1]).chain(arcs[2..].iter().copied()) {
        let groups = (0..9).rev().map(|group| (arc >> (7 * group) & 0x7f) as u8).skip_while(|group| *group == 0);
        let groups: Vec<u8> = groups.collect();
        let (last, others) = groups.split_last().unwrap_or((&0, &[]));
        octets.extend(others.iter().map(|group| group | 0x80));
        octets.push(*last);
    }
    octets
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().position(|octet| *octet != 0).unwrap_or(length.len() - 1)..];
    let mut der = vec![tag];
    if content.len() > 127 {
        der.push(0x80 | length.len() as u8);
    }
    der.extend_from_slice(length);
    der.extend_from_slice(content);
    der
}
