//! Callers that issue and revoke, each over connections of its own, until they are told to stop; the [ledger](crate::ledger) has
//! what they were promised.
//!
//! Those of one service end when it dies under them. Those of replicas are as patient as a client should be: they ask for the same
//! again, under the same key, through the other replica.
//!
//! Whether the promises were kept is judged elsewhere ([`crate::outage`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ca_api::certificate::{Certificate, IDEMPOTENCY_KEY, NewCertificate};
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_api::token::{CreatedEnrolmentToken, NewEnrolmentToken};
use reqwest::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Answer, Client, send};
use crate::identity::{SubjectKey, dns};
use crate::ledger::{Application, Ledger, Promise, Promises, SharedLedger};
use crate::stack::Stack;

/// Reasons that block no key: callers use theirs again.
const REASONS: [&str; 4] = ["superseded", "cessationOfOperation", "affiliationChanged", "privilegeWithdrawn"];

/// How many certificates the callers leave alone for each that they revoke.
const REVOKED_ONE_IN: usize = 3;

/// How often a patient caller asks for the same before it turns to something else.
const PATIENT_ATTEMPTS: usize = 60;

/// How often it asks again when the first request is still at work, as it may be for minutes when its replica died.
const PATIENT_REPETITIONS: usize = 8;

/// How long it rests between two attempts.
const REST: Duration = Duration::from_millis(250);

/// The callers of a service: administrators over mTLS, and some bearers of enrolment tokens.
pub struct Callers {
    issuers: Vec<Arc<Issuer>>,
    revokers: Vec<Way>,
    applications: Arc<AtomicU64>,
}

/// How a caller reaches the service: one client for each replica.
#[derive(Clone)]
struct Way {
    clients: Vec<Client>,
    next: Arc<AtomicUsize>,
}

struct Issuer {
    number: usize,
    way: Way,
    csr: String,
    /// The one name it may ask for; any name where there is none.
    bound_to: Option<String>,
}

impl Callers {
    /// `issuers` callers that issue, one in five of them with a token, and `revokers` that revoke. Their keys are made here,
    /// before the load.
    pub async fn new(stack: &Stack, issuers: usize, revokers: usize) -> anyhow::Result<Self> {
        Self::of_replicas(&[stack], issuers, revokers).await
    }

    /// The same for replicas of one service, each asked in turn by each caller.
    pub async fn of_replicas(replicas: &[&Stack], issuers: usize, revokers: usize) -> anyhow::Result<Self> {
        let administrator = replicas.first().context("no replica")?.administrator()?;
        let mut all = Vec::with_capacity(issuers);
        for number in 0..issuers {
            let csr = SubjectKey::generate()?.csr(&format!("caller-{number}.example"), &[])?;
            let bound_to = (number % 5 == 4).then(|| format!("bearer-{number}.example"));
            let clients = match &bound_to {
                Some(name) => {
                    let token = token(&administrator, name).await?;
                    replicas.iter().map(|replica| replica.bearer(&token)).collect::<anyhow::Result<_>>()?
                }
                None => administrators(replicas)?,
            };
            all.push(Arc::new(Issuer { number, way: Way::new(clients, number), csr, bound_to }));
        }
        let revokers = (0..revokers)
            .map(|number| Ok(Way::new(administrators(replicas)?, number)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { issuers: all, revokers, applications: Arc::default() })
    }

    /// Starts every caller.
    pub fn start(&self) -> Load {
        let shared = Arc::new(SharedLedger::default());
        let mut tasks = JoinSet::new();
        for issuer in &self.issuers {
            let (issuer, shared) = (Arc::clone(issuer), Arc::clone(&shared));
            let applications = Arc::clone(&self.applications);
            tasks.spawn(async move { issuer.work(&shared, &applications).await });
        }
        for (number, revoker) in self.revokers.iter().enumerate() {
            let (revoker, shared) = (revoker.clone(), Arc::clone(&shared));
            tasks.spawn(async move { revoke_some(&revoker, number, &shared).await });
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
    shared: Arc<SharedLedger>,
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

    /// How many certificates were received and revocations acknowledged so far.
    pub fn operations(&self) -> usize {
        let ledger = self.shared.ledger();
        ledger.issued.len() + ledger.revoked.len()
    }

    /// What was promised so far, for those who watch meanwhile.
    pub fn promises(&self) -> Promises {
        Promises(Arc::clone(&self.shared))
    }

    /// Whether a caller has given up already: then it was answered what no caller should be, and [`Load::finish`] says what.
    pub fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }
}

impl Way {
    fn new(clients: Vec<Client>, first: usize) -> Self {
        Self { clients, next: Arc::new(AtomicUsize::new(first)) }
    }

    /// The replica whose turn it is.
    fn client(&self) -> &Client {
        &self.clients[self.next.fetch_add(1, Ordering::Relaxed) % self.clients.len()]
    }

    /// Whether it has another replica to ask.
    fn is_patient(&self) -> bool {
        self.clients.len() > 1
    }
}

impl Issuer {
    async fn work(&self, shared: &SharedLedger, applications: &AtomicU64) -> anyhow::Result<()> {
        while !shared.stopped() {
            let count = applications.fetch_add(1, Ordering::Relaxed);
            let name = self.bound_to.clone().unwrap_or_else(|| format!("n{count}.example"));
            let application = Application { caller: self.number, name, key: format!("application-{count}") };
            match shared.obtain(self.way.is_patient(), 201, || self.ask(&application)).await? {
                Outcome::Done(answer) => {
                    let promise = Arc::new(promise(&answer)?);
                    let mut ledger = shared.ledger();
                    ledger.issued.push((application, Arc::clone(&promise)));
                    if ledger.issued.len().is_multiple_of(REVOKED_ONE_IN) {
                        shared.revocable().push_back(promise);
                    }
                }
                Outcome::Later if !self.way.is_patient() => {}
                Outcome::Later | Outcome::InProgress => shared.ledger().unheard.push(application),
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
        let request = self.way.client().request(Method::POST, route::CERTIFICATES);
        send(request.header(IDEMPOTENCY_KEY, &application.key).json(&body)).await
    }
}

async fn revoke_some(revoker: &Way, number: usize, shared: &SharedLedger) -> anyhow::Result<()> {
    while !shared.stopped() {
        let Some(promise) = shared.next_to_revoke(revoker.is_patient()) else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let reason = REASONS[number % REASONS.len()];
        let path = format!("/v1/certificates/{}/revoke", promise.id);
        let body = serde_json::json!({ "reason": reason });
        let asked = || async { revoker.client().post(&path, &body).await };
        match shared.obtain(revoker.is_patient(), 200, asked).await? {
            Outcome::Done(_) => {
                let mut ledger = shared.ledger();
                ledger.revoked.push((promise, reason));
                ledger.acknowledged.push(Instant::now());
            }
            Outcome::Later if !revoker.is_patient() => {}
            Outcome::Later | Outcome::InProgress => shared.ledger().unheard_revocations.push((promise, reason)),
            Outcome::Unheard => {
                shared.ledger().unheard_revocations.push((promise, reason));
                return Ok(());
            }
        }
    }
    Ok(())
}

impl SharedLedger {
    /// Asks once, or, if patient, until it is done or has taken too long. One who is not patient ends with the silence of its
    /// service.
    async fn obtain<F>(&self, patient: bool, done: u16, mut ask: impl FnMut() -> F) -> anyhow::Result<Outcome>
    where
        F: Future<Output = anyhow::Result<Answer>>,
    {
        let mut repetitions = 0;
        for attempt in 0..if patient { PATIENT_ATTEMPTS } else { 1 } {
            let outcome = self.outcome(ask().await, done, attempt > 0);
            match outcome.inspect_err(|_| self.failed.store(true, Ordering::Relaxed))? {
                Outcome::Unheard if patient => {}
                Outcome::InProgress => repetitions += 1,
                Outcome::Later => {}
                other => return Ok(other),
            }
            if patient && (self.stopped() || repetitions == PATIENT_REPETITIONS) {
                break;
            }
            tokio::time::sleep(if patient { REST } else { Duration::from_millis(100) }).await;
        }
        Ok(Outcome::Later)
    }

    /// A promise, "come again later", or silence; any other answer fails the caller.
    fn outcome(&self, answer: anyhow::Result<Answer>, done: u16, is_repeated: bool) -> anyhow::Result<Outcome> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let timed_out = error
                    .chain()
                    .filter_map(|cause| cause.downcast_ref::<reqwest::Error>())
                    .any(reqwest::Error::is_timeout);
                let mut ledger = self.ledger();
                *(if timed_out { &mut ledger.timed_out } else { &mut ledger.cut_off }) += 1;
                return Ok(Outcome::Unheard);
            }
        };
        if answer.status == done {
            return Ok(Outcome::Done(answer));
        }
        let unexpected = || format!("unexpected: {} {}", answer.status, answer.text());
        let (outcome, is_hinted) = match answer.problem().with_context(unexpected)?.kind {
            // The service's own limit of time.
            ProblemType::RequestTimeout => {
                self.ledger().timed_out += 1;
                return Ok(Outcome::Later);
            }
            ProblemType::RequestInProgress if is_repeated => {
                self.ledger().in_progress += 1;
                (Outcome::InProgress, !answer.header("retry-after").is_empty())
            }
            _ if answer.status == 503 => {
                self.ledger().turned_away += 1;
                (Outcome::Later, !answer.header("retry-after").is_empty())
            }
            _ => bail!(unexpected()),
        };
        ensure!(is_hinted, "no hint when to come again: {} {}", answer.status, answer.text());
        Ok(outcome)
    }
}

enum Outcome {
    Done(Answer),
    Later,
    /// The first request is still at work: only who asks again is told so.
    InProgress,
    Unheard,
}

fn administrators(replicas: &[&Stack]) -> anyhow::Result<Vec<Client>> {
    replicas.iter().map(|replica| replica.administrator()).collect()
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
