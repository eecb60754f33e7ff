//! Callers that issue and revoke, each over a connection of its own, until they are told to stop or the service dies under
//! them; and the ledger of what they were promised.
//!
//! Whether the promises were kept is judged elsewhere ([`crate::outage`]).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use ca_api::certificate::{Certificate, IDEMPOTENCY_KEY, NewCertificate};
use ca_api::route;
use ca_api::token::{CreatedEnrolmentToken, NewEnrolmentToken};
use reqwest::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::JoinSet;

use crate::client::{Answer, Client, send};
use crate::identity::{SubjectKey, dns};
use crate::stack::Stack;

/// Reasons that block no key: callers use theirs again.
const REASONS: [&str; 4] = ["superseded", "cessationOfOperation", "affiliationChanged", "privilegeWithdrawn"];

/// How many certificates the callers leave alone for each that they revoke.
const REVOKED_ONE_IN: usize = 3;

/// A certificate that a caller received.
#[derive(Debug, PartialEq, Eq)]
pub struct Promise {
    /// Its id.
    pub id: String,
    /// Its authority.
    pub authority: String,
    /// Its serial, lower-case hexadecimal.
    pub serial: String,
    /// Its octets.
    pub der: Vec<u8>,
}

/// What a caller asked for: it can be asked for again, by the same caller under the same key.
#[derive(Clone, Debug)]
pub struct Application {
    /// Which of the callers.
    pub caller: usize,
    /// The name that it is for.
    pub name: String,
    /// The idempotency key.
    pub key: String,
}

/// What callers were promised, and what they never heard of.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Certificates received.
    pub issued: Vec<(Application, Arc<Promise>)>,
    /// Revocations acknowledged, with their reasons.
    pub revoked: Vec<(Arc<Promise>, &'static str)>,
    /// Applications whose answer never came.
    pub unheard: Vec<Application>,
    /// Revocations whose answer never came.
    pub unheard_revocations: Vec<(Arc<Promise>, &'static str)>,
    /// How often a caller was told to come again later.
    pub turned_away: u64,
}

impl Ledger {
    /// Adds another one's promises.
    pub fn take_in(&mut self, other: Self) {
        self.issued.extend(other.issued);
        self.revoked.extend(other.revoked);
        self.unheard.extend(other.unheard);
        self.unheard_revocations.extend(other.unheard_revocations);
        self.turned_away += other.turned_away;
    }
}

/// The callers of a service: administrators over mTLS, and some bearers of enrolment tokens.
pub struct Callers {
    issuers: Vec<Arc<Issuer>>,
    revokers: Vec<Client>,
    applications: Arc<AtomicU64>,
}

struct Issuer {
    number: usize,
    client: Client,
    csr: String,
    /// The one name it may ask for; any name where there is none.
    bound_to: Option<String>,
}

impl Callers {
    /// `issuers` callers that issue, one in five of them with a token, and `revokers` that revoke. Their keys are made here,
    /// before the load.
    pub async fn new(stack: &Stack, issuers: usize, revokers: usize) -> anyhow::Result<Self> {
        let administrator = stack.administrator()?;
        let mut all = Vec::with_capacity(issuers);
        for number in 0..issuers {
            let csr = SubjectKey::generate()?.csr(&format!("caller-{number}.example"), &[])?;
            let bound_to = (number % 5 == 4).then(|| format!("bearer-{number}.example"));
            let client = match &bound_to {
                Some(name) => stack.bearer(&token(&administrator, name).await?)?,
                None => stack.administrator()?,
            };
            all.push(Arc::new(Issuer { number, client, csr, bound_to }));
        }
        let revokers = (0..revokers).map(|_| stack.administrator()).collect::<anyhow::Result<_>>()?;
        Ok(Self { issuers: all, revokers, applications: Arc::default() })
    }

    /// Starts every caller.
    pub fn start(&self) -> Load {
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for issuer in &self.issuers {
            let (issuer, shared) = (Arc::clone(issuer), Arc::clone(&shared));
            let applications = Arc::clone(&self.applications);
            tasks.spawn(async move { issuer.work(&shared, &applications).await });
        }
        for (number, revoker) in self.revokers.iter().enumerate() {
            let (revoker, shared) = (revoker.clone(), Arc::clone(&shared));
            tasks.spawn(async move { revoke(&revoker, number, &shared).await });
        }
        Load { shared, tasks }
    }

    /// Asks for the same again, as the same caller and under the same key.
    pub async fn ask_again(&self, application: &Application) -> anyhow::Result<Promise> {
        let issuer = self.issuers.get(application.caller).context("no such caller")?;
        promise(&issuer.ask(application).await?.expect(201)?)
    }

    /// Whether a caller's names are its own alone, one for each application.
    pub fn has_unique_names(&self, caller: usize) -> bool {
        self.issuers.get(caller).is_some_and(|issuer| issuer.bound_to.is_none())
    }
}

/// Callers at work.
pub struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Load {
    /// Lets every caller end the request it is at, and gives the ledger. Fails if any was answered what no caller should be.
    pub async fn finish(mut self) -> anyhow::Result<Ledger> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a caller panicked")??;
        }
        Ok(std::mem::take(&mut *self.shared.ledger()))
    }

    /// How many certificates were received so far.
    pub fn issued(&self) -> usize {
        self.shared.ledger().issued.len()
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    ledger: Mutex<Ledger>,
    revocable: Mutex<Vec<Arc<Promise>>>,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn revocable(&self) -> MutexGuard<'_, Vec<Arc<Promise>>> {
        self.revocable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Issuer {
    async fn work(&self, shared: &Shared, applications: &AtomicU64) -> anyhow::Result<()> {
        while !shared.stopped() {
            let count = applications.fetch_add(1, Ordering::Relaxed);
            let name = self.bound_to.clone().unwrap_or_else(|| format!("n{count}.example"));
            let application = Application { caller: self.number, name, key: format!("application-{count}") };
            match outcome(self.ask(&application).await, 201)? {
                Outcome::Done(answer) => {
                    let promise = Arc::new(promise(&answer)?);
                    let mut ledger = shared.ledger();
                    ledger.issued.push((application, Arc::clone(&promise)));
                    if ledger.issued.len().is_multiple_of(REVOKED_ONE_IN) {
                        shared.revocable().push(promise);
                    }
                }
                Outcome::Later => turned_away(shared).await,
                Outcome::Unheard => {
                    shared.ledger().unheard.push(application);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn ask(&self, application: &Application) -> anyhow::Result<Answer> {
        let body = NewCertificate {
            profile: "server".to_owned(),
            csr: self.csr.clone(),
            subject: Some(format!("CN={}", application.name)),
            subject_alternative_names: Some(vec![dns(&application.name)]),
            validity: None,
        };
        let request = self.client.request(Method::POST, route::CERTIFICATES);
        send(request.header(IDEMPOTENCY_KEY, &application.key).json(&body)).await
    }
}

async fn revoke(revoker: &Client, number: usize, shared: &Shared) -> anyhow::Result<()> {
    while !shared.stopped() {
        // Newest first: those are the ones that a crash could lose.
        let Some(promise) = shared.revocable().pop() else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let reason = REASONS[number % REASONS.len()];
        let path = format!("/v1/certificates/{}/revoke", promise.id);
        match outcome(revoker.post(&path, &serde_json::json!({ "reason": reason })).await, 200)? {
            Outcome::Done(_) => shared.ledger().revoked.push((promise, reason)),
            Outcome::Later => turned_away(shared).await,
            Outcome::Unheard => {
                shared.ledger().unheard_revocations.push((promise, reason));
                return Ok(());
            }
        }
    }
    Ok(())
}

enum Outcome {
    Done(Answer),
    Later,
    Unheard,
}

/// A promise, "come again later", or silence; any other answer fails the caller.
fn outcome(answer: anyhow::Result<Answer>, done: u16) -> anyhow::Result<Outcome> {
    match answer {
        Err(_) => Ok(Outcome::Unheard),
        Ok(answer) if answer.status == done => Ok(Outcome::Done(answer)),
        Ok(answer) if answer.status == 503 => {
            answer.problem()?;
            Ok(Outcome::Later)
        }
        Ok(answer) => bail!("unexpected: {} {}", answer.status, answer.text()),
    }
}

async fn turned_away(shared: &Shared) {
    shared.ledger().turned_away += 1;
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn promise(answer: &Answer) -> anyhow::Result<Promise> {
    let certificate: Certificate = answer.json()?;
    let der = CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).context("not a certificate in PEM")?;
    Ok(Promise {
        id: certificate.id,
        authority: certificate.authority,
        serial: certificate.serial,
        der: der.as_ref().to_vec(),
    })
}

/// A token for one name, good for more certificates than a test issues.
async fn token(administrator: &Client, name: &str) -> anyhow::Result<String> {
    let wanted = NewEnrolmentToken {
        profile: "server".to_owned(),
        subject_alternative_names: vec![dns(name)],
        common_name: None,
        validity: None,
        uses: Some(10_000),
    };
    let made: CreatedEnrolmentToken =
        administrator.post(route::ENROLMENT_TOKENS, &wanted).await?.expect(201)?.json()?;
    Ok(made.secret.expose().to_owned())
}
