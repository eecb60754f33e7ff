//! The way to authorities of AWS Private CA: one client a region, one pace an account and region, and an authority as it is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::Region;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_acmpca::Client;
use aws_sdk_acmpca::types::CertificateAuthority;
use ca_core::certificate::Certificate;
use ca_engine::port::certificate_issuer::{IssuerCondition, IssuerError};

use super::list::ListFetcher;
use super::refusal::{Meaning, condition, in_words};
use super::{AcmPcaIssuer, Standing};
use crate::aws::{AwsAccess, Call, CallCount, Caller, Failure, Patience, PrivateCaArn, Tally};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How long an order may wait for its turn: callers wait half a minute for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How long a job, which comes again, may wait for its turn.
const LONGEST_WAIT_OF_JOBS: Duration = Duration::from_secs(5);
/// AWS gives DescribeCertificateAuthority and GetCertificateAuthorityCertificate 20 a second each.
const DESCRIBE_PER_SECOND: u32 = 5;
const PATIENCE: Patience = Patience {
    attempts: 12,
    first_pause: Duration::from_millis(100),
    longest_pause: Duration::from_secs(2),
    within: Duration::from_secs(60),
    first_rest: Duration::from_secs(1),
};
const PATIENCE_OF_LOOKS: Patience = Patience { attempts: 4, within: Duration::from_secs(10), ..PATIENCE };

/// How many calls a second go out at most, in each account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of IssueCertificate.
    pub issue: u32,
    /// Of GetCertificate.
    pub get: u32,
    /// Of RevokeCertificate.
    pub revoke: u32,
}

impl Default for Limits {
    /// What AWS gives an account in a region, unless Service Quotas say otherwise.
    fn default() -> Self {
        Self { issue: 25, get: 75, revoke: 20 }
    }
}

/// The paces of one account and region.
pub(super) struct Callers {
    pub(super) issue: Caller,
    pub(super) get: Caller,
    pub(super) revoke: Caller,
    pub(super) describe: Caller,
}

impl Callers {
    fn new(limits: Limits, tally: &Arc<Tally>) -> Self {
        let in_line = |per_second, wait, patience| Caller::in_line(per_second, wait, patience, Arc::clone(tally));
        Self {
            issue: in_line(limits.issue, LONGEST_WAIT, PATIENCE),
            get: in_line(limits.get, LONGEST_WAIT, PATIENCE),
            revoke: in_line(limits.revoke, LONGEST_WAIT_OF_JOBS, PATIENCE),
            describe: Caller::new(DESCRIBE_PER_SECOND, LONGEST_WAIT_OF_JOBS, PATIENCE_OF_LOOKS, Arc::clone(tally)),
        }
    }
}

/// Authorities of any account and region that the credentials reach.
pub struct AcmPca {
    access: AwsAccess,
    limits: Limits,
    tally: Arc<Tally>,
    callers: Mutex<BTreeMap<(String, String), Arc<Callers>>>,
    clients: Mutex<BTreeMap<String, Client>>,
    standing: Mutex<BTreeMap<String, Arc<Standing>>>,
    lists: ListFetcher,
}

/// An authority as it is at AWS.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundAuthority {
    /// Its certificate.
    pub certificate: Certificate,
    /// Those above it: its issuer's first, a root last.
    pub above: Vec<Certificate>,
    /// Whether it publishes a list of its own.
    pub publishes_list: bool,
}

impl AcmPca {
    /// Authorities in each account and region of which so many calls a second go out.
    pub fn new(access: AwsAccess, limits: Limits) -> Self {
        Self {
            access,
            limits,
            tally: Arc::default(),
            callers: Mutex::default(),
            clients: Mutex::default(),
            standing: Mutex::default(),
            lists: ListFetcher::new(),
        }
    }

    /// An authority that issues, with its certificate and those above it; one that does not is refused with what helps.
    pub async fn find(&self, arn: &PrivateCaArn) -> Result<FoundAuthority, IssuerError> {
        let (client, callers) = (self.client(arn), self.callers(arn));
        let described = describe(&client, &callers.describe, arn).await?;
        let (state, detail) = condition(arn, &described);
        if state != IssuerCondition::Active {
            return Err(IssuerError::Unavailable { detail });
        }
        super::refusal::check_usage_mode(arn, &described)?;
        super::list::place(arn, &described)?;
        let call = Call { operation: "GetCertificateAuthorityCertificate", micro_dollars: 0 };
        let attempt = || async {
            let sent = client.get_certificate_authority_certificate().certificate_authority_arn(arn.as_str()).send();
            sent.await.map_err(|error| Failure::of(&error))
        };
        let answer = callers.describe.call(call, attempt).await;
        let answer = answer.map_err(|error| in_words(arn, call.operation, &error, Meaning::Look))?;
        let read = |text: Option<&str>| {
            Certificate::all_from_pem(text.unwrap_or_default()).map_err(|error| IssuerError::Unavailable {
                detail: format!("{arn}: what AWS says is its certificate cannot be read: {error}"),
            })
        };
        let own = read(answer.certificate())?.into_iter().next();
        Ok(FoundAuthority {
            certificate: own.ok_or_else(|| IssuerError::Unavailable {
                detail: format!("{arn}: AWS gave no certificate of it; `aws acm-pca import-certificate-authority-certificate` installs it"),
            })?,
            above: match answer.certificate_chain() {
                Some(chain) => read(Some(chain))?,
                None => Vec::new(),
            },
            publishes_list: super::list::is_published(&described),
        })
    }

    /// An authority that is on record. Nothing is asked.
    pub fn open(&self, arn: &PrivateCaArn) -> AcmPcaIssuer {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        AcmPcaIssuer {
            client: self.client(arn),
            callers: self.callers(arn),
            arn: arn.clone(),
            lists: self.lists.clone(),
            standing: Arc::clone(standing.entry(arn.to_string()).or_default()),
        }
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<CallCount> {
        self.tally.counts()
    }

    /// A client of the region that the ARN names, whichever the configuration does.
    fn client(&self, arn: &PrivateCaArn) -> Client {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry(arn.region().to_owned()).or_insert_with(|| {
            let config = aws_sdk_acmpca::config::Builder::from(self.access.config())
                .region(Region::new(arn.region().to_owned()))
                // It waits for seconds, and takes a limit that stays for one that passes: `Caller` does better.
                .retry_config(RetryConfig::disabled())
                .timeout_config(
                    TimeoutConfig::builder().connect_timeout(ATTEMPT).operation_attempt_timeout(ATTEMPT).build(),
                );
            Client::from_conf(config.build())
        });
        client.clone()
    }

    fn callers(&self, arn: &PrivateCaArn) -> Arc<Callers> {
        let place = (arn.account().to_owned(), arn.region().to_owned());
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(callers.entry(place).or_insert_with(|| Arc::new(Callers::new(self.limits, &self.tally))))
    }
}

/// What AWS says of an authority.
pub(super) async fn describe(
    client: &Client,
    caller: &Caller,
    arn: &PrivateCaArn,
) -> Result<CertificateAuthority, IssuerError> {
    let call = Call { operation: "DescribeCertificateAuthority", micro_dollars: 0 };
    let attempt = || async {
        let sent = client.describe_certificate_authority().certificate_authority_arn(arn.as_str()).send();
        sent.await.map_err(|error| Failure::of(&error))
    };
    let answer = caller.call(call, attempt).await;
    let answer = answer.map_err(|error| in_words(arn, call.operation, &error, Meaning::Look))?;
    answer.certificate_authority.ok_or_else(|| IssuerError::Unavailable {
        detail: format!("{arn}: DescribeCertificateAuthority was answered without an authority"),
    })
}
