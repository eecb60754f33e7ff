//! What clients ask of a replica, and what they hold it to afterwards.

use std::fmt::{self, Debug};
use std::sync::{Arc, LazyLock, Mutex};

use ca_core::certificate::Certificate;
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::ocsp::{CertId, CertIdHash, request};
use ca_core::principal::{Principal, Role};
use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::error::{FlowError, FlowErrorKind};
use ca_engine::flow::answer_status::answer_status;
use ca_engine::flow::authenticate::{certificate_holder, token_bearer};
use ca_engine::flow::bulk_revoke::{
    BulkRevokeRequest, BulkSelection, begin_bulk_revocation, cancel_bulk_revocation, count_bulk_revocation,
    list_bulk_revocations,
};
use ca_engine::flow::issue::{IssueRequest, Issued, issue};
use ca_engine::flow::outbox::replay_delivery;
use ca_engine::flow::query::CertificateName;
use ca_engine::flow::renew::{RenewRequest, renew};
use ca_engine::flow::revoke::{RevokeRequest, revoke, unhold};
use ca_engine::flow::role::grant_role;
use ca_engine::flow::token::{TokenRequest, create_token, delete_token};
use ca_engine::port::store::ShownCertificate;

use crate::auditor::{Auditor, Process};
use crate::careless_memory::CarelessMemory;
use crate::foundation::FOUNDATION;
use crate::lock;
use crate::trace::Trace;

/// What clients know: certificates they were given, tokens they were shown.
#[derive(Default)]
pub(crate) struct Population {
    pub(crate) certificates: Vec<Known>,
    pub(crate) tokens: Vec<(ca_core::id::TokenId, String)>,
}

/// A certificate that left the service.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: CertificateId,
    pub(crate) authority: AuthorityId,
    pub(crate) serial: Serial,
    pub(crate) der: Vec<u8>,
}

impl Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// A certificate for the subscriber's key of that number, with an idempotency key or without.
    Issue { profile: &'static str, subscriber: usize, days: u64, idempotency: Option<usize> },
    /// The successor of a certificate, for another key or the same; asked for by its holder or on the host.
    Renew { known: Known, by_holder: bool, subscriber: Option<usize>, idempotency: Option<usize> },
    /// A revocation or a hold; the key is not to be trusted since so many hours.
    Revoke { certificate: CertificateId, reason: RevocationReason, hours: Option<u64> },
    /// The revocation of all of these, or holds, with an idempotency key or without.
    RevokeBulk { certificates: Vec<CertificateId>, reason: RevocationReason, idempotency: Option<usize> },
    /// The end of the newest bulk revocation.
    CancelBulk,
    /// The end of a hold.
    Unhold { certificate: CertificateId },
    /// The status of a certificate, by OCSP.
    Ocsp { known: Known },
    /// A certificate as a credential.
    Authenticate { known: Known },
    /// A role for a certificate.
    Grant { certificate: CertificateId },
    /// A token.
    CreateToken { uses: u32 },
    /// A certificate by a token.
    UseToken { token: String, subscriber: usize },
    /// The end of a token.
    WithdrawToken { token: ca_core::id::TokenId },
    /// Another try of the dead letter that is found at this place.
    Replay { place: usize },
}

/// What an operation needs around it.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) auditor: Arc<Mutex<Auditor>>,
    pub(crate) population: Arc<Mutex<Population>>,
    pub(crate) trace: Arc<Mutex<Trace>>,
    /// Whom it asks.
    pub(crate) process: Process,
    /// What stands before it, where such a bug is planted.
    pub(crate) careless: Option<CarelessMemory>,
}

/// How often a client asks again when it was told to.
const ATTEMPTS: usize = 3;

impl Client {
    /// Asks, again where that may help, and holds the service to its answer.
    pub(crate) async fn ask(self, engine: Arc<Engine>, operation: Operation) {
        for _ in 0..ATTEMPTS {
            let outcome = self.ask_once(&engine, &operation).await;
            self.note(&operation, &outcome);
            let again = outcome
                .is_err_and(|error| matches!(error.kind, FlowErrorKind::Unavailable | FlowErrorKind::Overloaded));
            if !again {
                return;
            }
        }
    }

    async fn ask_once(&self, engine: &Engine, operation: &Operation) -> Result<(), FlowError> {
        let local = Principal::LocalOperator;
        let since = lock(&self.auditor).step;
        match operation {
            Operation::Issue { profile, subscriber, days, idempotency } => {
                let asked = issue_request(profile, *subscriber, *days, *idempotency);
                let request = idempotency.map(|key| format!("issue {key}"));
                self.given(&issue(engine, &local, asked).await?, request.as_deref());
            }
            Operation::Renew { known, by_holder, subscriber, idempotency } => {
                let principal = if *by_holder { self.authenticated(engine, known).await? } else { local };
                let asked = RenewRequest {
                    certificate: CertificateName::Id(known.id),
                    csr: subscriber.map(|number| FOUNDATION.requests[number].clone()),
                    validity: None,
                    idempotency_key: idempotency.map(|key| key.to_string()),
                    request_id: None,
                };
                let request = idempotency.map(|key| format!("renew {} {key} {subscriber:?} {by_holder}", known.id));
                self.given(&renew(engine, &principal, asked).await?, request.as_deref());
            }
            Operation::Revoke { certificate, reason, hours } => {
                let before = |hours: &u64| engine.now().minus(Lifetime::from_seconds(hours * 3_600));
                let asked = RevokeRequest {
                    certificate: *certificate,
                    reason: *reason,
                    invalidity_date: hours.as_ref().map(before),
                    request_id: None,
                };
                revoke(engine, &local, &asked).await?;
                if let Some(careless) = &self.careless {
                    careless.revoked(*certificate);
                }
                lock(&self.auditor).revocation_told(self.process, *certificate, *reason, since);
            }
            Operation::RevokeBulk { certificates, reason, idempotency } => {
                let key = idempotency.map(|key| key.to_string());
                self.revoke_bulk(engine, certificates, *reason, key.as_deref()).await?;
            }
            Operation::CancelBulk => {
                if let Some(newest) = list_bulk_revocations(engine, &local, None, 1).await?.first() {
                    cancel_bulk_revocation(engine, &local, newest.id, None).await?;
                }
            }
            Operation::Unhold { certificate } => {
                unhold(engine, &local, *certificate, None).await?;
                lock(&self.auditor).release_told(self.process, *certificate, since);
            }
            Operation::Ocsp { known } => self.ask_status(engine, known).await?,
            Operation::Authenticate { known } => drop(self.authenticated(engine, known).await?),
            Operation::Grant { certificate } => grant_role(engine, &local, *certificate, Role::Registrar).await?,
            Operation::Replay { place } => {
                let dead = lock(&self.auditor).dead_letter(*place);
                if let Some(id) = dead {
                    replay_delivery(engine, &local, id, None).await?;
                }
            }
            Operation::CreateToken { uses } => self.make_token(engine, *uses).await?,
            Operation::UseToken { token, subscriber } => {
                let bearer = token_bearer(engine, token).await?;
                let asked = issue_request("server", *subscriber, 30, None);
                self.given(&issue(engine, &bearer, asked).await?, None);
            }
            Operation::WithdrawToken { token } => {
                delete_token(engine, &local, *token, None).await?;
                lock(&self.auditor).token_told(*token, true);
            }
        }
        Ok(())
    }

    /// Counts, and revokes as many as were counted.
    async fn revoke_bulk(
        &self,
        engine: &Engine,
        certificates: &[CertificateId],
        reason: RevocationReason,
        idempotency_key: Option<&str>,
    ) -> Result<(), FlowError> {
        let names = certificates.iter().map(|id| CertificateName::Id(*id)).collect();
        let selection = BulkSelection::Certificates(names);
        let asked = BulkRevokeRequest { selection, reason, invalidity_date: None, request_id: None };
        let count = count_bulk_revocation(engine, &Principal::LocalOperator, &asked).await?.count;
        begin_bulk_revocation(engine, &Principal::LocalOperator, &asked, count, idempotency_key).await?;
        Ok(())
    }

    async fn make_token(&self, engine: &Engine, uses: u32) -> Result<(), FlowError> {
        let asked = TokenRequest {
            profile: "server".parse().map_err(FlowError::internal)?,
            names: vec![NAME.clone()],
            common_name: None,
            lifetime: Lifetime::from_days(2),
            uses,
            request_id: None,
        };
        let (record, secret) = create_token(engine, &Principal::LocalOperator, asked).await?;
        lock(&self.auditor).token_told(record.id, false);
        lock(&self.population).tokens.push((record.id, secret.expose().to_owned()));
        Ok(())
    }

    /// Asks OCSP, and reads the answer as a relying party does.
    pub(crate) async fn ask_status(&self, engine: &Engine, known: &Known) -> Result<(), FlowError> {
        let question = lock(&self.auditor).asked(self.process, &known.authority, &known.serial);
        let identity = engine.authority(&known.authority)?;
        let cert_id = CertId::new(CertIdHash::Sha1, identity.identity(), &known.serial);
        let asked = request::encode(&[cert_id], None);
        let answer = match &self.careless {
            Some(careless) => careless.answer(engine, known, &asked).await,
            None => answer_status(engine, &asked, |_| {}).await,
        };
        lock(&self.auditor).answered(&question, &answer, engine.now());
        Ok(())
    }

    /// The process has followed the sequence of revocations, with a look that began at the step `since`.
    pub(crate) fn followed(&self, since: u64) {
        if let Some(careless) = &self.careless {
            careless.followed();
        }
        lock(&self.auditor).followed(self.process, since);
    }

    /// The holder of a certificate, as the service sees it.
    async fn authenticated(&self, engine: &Engine, known: &Known) -> Result<Principal, FlowError> {
        let question = lock(&self.auditor).asked(self.process, &known.authority, &known.serial);
        let certificate = Certificate::from_der(&known.der).expect("a certificate");
        let shown = ShownCertificate::new(&known.authority, &certificate);
        let principal = certificate_holder(engine, &shown, &known.der).await?;
        lock(&self.auditor).admitted(&question);
        Ok(principal)
    }

    fn given(&self, issued: &Issued, request: Option<&str>) {
        let stored = &issued.certificate;
        lock(&self.auditor).certificate_left(stored, request);
        let known = Known {
            id: stored.id,
            authority: stored.authority.clone(),
            serial: stored.serial.clone(),
            der: stored.der.clone(),
        };
        lock(&self.population).certificates.push(known);
    }

    pub(crate) fn note(&self, what: &dyn Debug, outcome: &Result<(), FlowError>) {
        let step = lock(&self.auditor).step;
        let outcome = match outcome {
            Ok(()) => "done".to_owned(),
            Err(error) => format!("{:?} {}", error.kind, error.detail.as_deref().unwrap_or_default()),
        };
        lock(&self.trace).note(step, format!("{what:?}: {outcome}"));
    }
}

/// The name that every certificate carries.
static NAME: LazyLock<GeneralName> =
    LazyLock::new(|| GeneralName::parse("dns:api.example.com").expect("a general name"));

/// The subject of every certificate.
static SUBJECT: LazyLock<DistinguishedName> =
    LazyLock::new(|| DistinguishedName::from_rfc4514("CN=api.example.com").expect("a name"));

/// The same request for the same numbers.
fn issue_request(profile: &str, subscriber: usize, days: u64, idempotency: Option<usize>) -> IssueRequest {
    IssueRequest {
        profile: profile.parse().expect("a profile's name"),
        csr: FOUNDATION.requests[subscriber].clone(),
        subject: Some(SUBJECT.clone()),
        names: Some(vec![NAME.clone()]),
        validity: Some(Lifetime::from_days(days)),
        idempotency_key: idempotency.map(|key| key.to_string()),
        request_id: None,
    }
}
