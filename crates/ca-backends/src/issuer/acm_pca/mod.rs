//! A certificate authority of AWS Private CA. It issues by templates and signs nothing else; what is asked of it is worded in
//! `template`, and what it makes is judged by the flow that asked.
//!
//! An order is placed under our id as its idempotency token, so whoever asks again within five minutes is told of the same
//! certificate. Certificates are made later, and asked for at a pace of our own: the SDK's waiter looks once a second.

mod authorities;
mod list;
mod refusal;
mod template;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_acmpca::Client;
use aws_sdk_acmpca::primitives::Blob;
use aws_sdk_acmpca::types::{CertificateAuthority, CertificateAuthorityUsageMode};
use ca_core::pem;
use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use ca_engine::port::certificate_issuer::{
    CertificateIssuer, IssuerCondition, IssuerError, IssuerList, IssuerOrder, IssuerState,
};
use tokio::time::Instant;

use self::authorities::Callers;
pub use self::authorities::{AcmPca, FoundAuthority, Limits};
use self::list::ListFetcher;
use self::refusal::{Meaning, in_words, may_have_been_done};
use crate::aws::{Call, CallError, Failure, PrivateCaArn};

/// AWS remembers an idempotency token for five minutes; a minute is for clocks that differ and answers that are late.
const REMEMBERED: Lifetime = Lifetime::from_seconds(240);

/// How long a certificate is waited for, and how long the pauses between two looks are.
const LONGEST_COLLECT: Duration = Duration::from_secs(15);
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// AWS says that it failed to issue, without a reason; only the third time it is believed.
const FAILED_ISSUES: u32 = 3;

/// A certificate, in millionths of a US dollar: 0.75 for the first thousand of a month, 0.058 in short-lived mode.
const PRICE: u64 = 750_000;
const PRICE_OF_SHORT_LIVED: u64 = 58_000;

/// A CSR that is none: who may call IssueCertificate is told so, and nothing is made.
const NO_CSR: &str = "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n";

/// A certificate authority of AWS Private CA.
pub struct AcmPcaIssuer {
    client: Client,
    callers: Arc<Callers>,
    arn: PrivateCaArn,
    lists: ListFetcher,
    standing: Arc<Standing>,
}

/// What is known of an authority in this process, however often it is opened.
#[derive(Default)]
struct Standing {
    /// Whether AWS let this process issue when it last asked.
    may_issue: AtomicBool,
    short_lived: AtomicBool,
}

impl fmt::Debug for AcmPcaIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcmPcaIssuer").field("authority", &self.arn).finish_non_exhaustive()
    }
}

#[async_trait]
impl CertificateIssuer for AcmPcaIssuer {
    fn remembers_for(&self) -> Lifetime {
        REMEMBERED
    }

    async fn order(&self, order: &IssuerOrder<'_>) -> Result<String, IssuerError> {
        let wording = template::word(self.arn.partition(), order)?;
        let short_lived = self.standing.short_lived.load(Ordering::Relaxed);
        let price = if short_lived { PRICE_OF_SHORT_LIVED } else { PRICE };
        let call = Call { operation: "IssueCertificate", micro_dollars: price };
        // Whether any attempt may have reached AWS without an answer.
        let is_open = AtomicBool::new(false);
        let attempt = || async {
            let sent = self
                .client
                .issue_certificate()
                .certificate_authority_arn(self.arn.as_str())
                .csr(Blob::new(wording.csr.clone()))
                .signing_algorithm(wording.algorithm.clone())
                .template_arn(&wording.template_arn)
                .validity(wording.not_after.clone())
                .validity_not_before(wording.not_before.clone())
                .api_passthrough(wording.passthrough.clone())
                .idempotency_token(order.id.to_string())
                .send()
                .await;
            sent.map_err(|error| {
                let failure = Failure::of(&error);
                is_open.fetch_or(may_have_been_done(&failure), Ordering::Relaxed);
                failure
            })
        };
        match self.callers.issue.call(call, attempt).await {
            Ok(answer) => {
                self.standing.may_issue.store(true, Ordering::Relaxed);
                answer.certificate_arn.ok_or_else(|| IssuerError::Unknown {
                    detail: format!("{}: IssueCertificate was answered without the ARN of a certificate", self.arn),
                })
            }
            Err(error) => Err(self.not_ordered(&error, is_open.load(Ordering::Relaxed))),
        }
    }

    async fn collect(&self, name: &str) -> Result<Option<Vec<u8>>, IssuerError> {
        let begun = Instant::now();
        let (mut pause, mut failed) = (FIRST_LOOK, 0);
        loop {
            match self.look(name).await {
                Ok(Some(text)) => return self.read(&text).map(Some),
                Ok(None) => {}
                Err(CallError::Refused(refusal)) if refusal.code == "RequestFailedException" => {
                    failed += 1;
                    if failed >= FAILED_ISSUES {
                        let detail = format!("{}: AWS could not make the certificate {name}: {refusal}", self.arn);
                        return Err(IssuerError::Refused { detail });
                    }
                }
                Err(CallError::Refused(refusal)) if refusal.code == "ResourceNotFoundException" => {
                    // Of an authority that is there; where it is not, the ARN or the endpoint is wrong, and the certificate may exist.
                    self.describe().await?;
                    let detail = format!("{}: there is no certificate {name}", self.arn);
                    return Err(IssuerError::Refused { detail });
                }
                Err(error) => return Err(in_words(&self.arn, "GetCertificate", &error, Meaning::Collect)),
            }
            if begun.elapsed() + pause > LONGEST_COLLECT {
                return Ok(None);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }

    async fn revoke(&self, serial: &Serial, reason: RevocationReason) -> Result<(), IssuerError> {
        let reason = reason_of(reason).ok_or_else(|| IssuerError::Refused {
            detail: format!("{}: AWS Private CA knows no {}: what it revokes stays revoked", self.arn, reason.as_str()),
        })?;
        let call = Call { operation: "RevokeCertificate", micro_dollars: 0 };
        let attempt = || async {
            let sent = self
                .client
                .revoke_certificate()
                .certificate_authority_arn(self.arn.as_str())
                .certificate_serial(serial.to_string())
                .revocation_reason(reason.into())
                .send()
                .await;
            match sent.map_err(|error| Failure::of(&error)) {
                Err(Failure::Refused(refusal)) if refusal.code == "RequestAlreadyProcessedException" => Ok(()),
                sent => sent.map(|_| ()),
            }
        };
        match self.callers.revoke.call(call, attempt).await {
            Err(CallError::Refused(refusal)) if refusal.code == "ResourceNotFoundException" => {
                self.describe().await?;
                Err(IssuerError::Refused {
                    detail: format!("{}: there is no certificate of serial {serial}", self.arn),
                })
            }
            told => told.map_err(|error| in_words(&self.arn, "RevokeCertificate", &error, Meaning::Revoke)),
        }
    }

    async fn list(&self, seen: Option<&str>) -> Result<IssuerList, IssuerError> {
        let found = self.describe().await?;
        match list::place(&self.arn, &found)? {
            None => Ok(IssuerList::NotPublished),
            Some(url) => self.lists.fetch(&url, seen).await,
        }
    }

    async fn state(&self) -> Result<IssuerState, IssuerError> {
        let found = self.describe().await?;
        let (condition, detail) = refusal::condition(&self.arn, &found);
        if condition == IssuerCondition::Active && !self.standing.may_issue.load(Ordering::Relaxed) {
            self.ask_whether_it_may().await?;
        }
        Ok(IssuerState { condition, detail, publishes_list: list::is_published(&found) })
    }
}

impl AcmPcaIssuer {
    fn not_ordered(&self, error: &CallError, is_open: bool) -> IssuerError {
        if let CallError::Refused(_) = error {
            // Asked for again by `state`, which says so when it is put right.
            self.standing.may_issue.store(false, Ordering::Relaxed);
        }
        match in_words(&self.arn, "IssueCertificate", error, Meaning::Order) {
            error if is_open => IssuerError::Unknown { detail: error.to_string() },
            error => error,
        }
    }

    /// One look for a certificate: its PEM, or `None` while it is being made.
    async fn look(&self, name: &str) -> Result<Option<String>, CallError> {
        let call = Call { operation: "GetCertificate", micro_dollars: 0 };
        let attempt = || async {
            let sent = self
                .client
                .get_certificate()
                .certificate_authority_arn(self.arn.as_str())
                .certificate_arn(name)
                .send()
                .await;
            match sent.map_err(|error| Failure::of(&error)) {
                Err(Failure::Refused(refusal)) if refusal.code == "RequestInProgressException" => Ok(None),
                sent => sent.map(|answer| answer.certificate),
            }
        };
        self.callers.get.call(call, attempt).await
    }

    fn read(&self, text: &str) -> Result<Vec<u8>, IssuerError> {
        let unreadable =
            |why: &dyn fmt::Display| IssuerError::Unknown { detail: format!("{}: GetCertificate: {why}", self.arn) };
        let found = pem::decode_all("CERTIFICATE", text).map_err(|error| unreadable(&error))?;
        found.into_iter().next().ok_or_else(|| unreadable(&"there is no certificate in the answer"))
    }

    async fn describe(&self) -> Result<CertificateAuthority, IssuerError> {
        let found = authorities::describe(&self.client, &self.callers.describe, &self.arn).await?;
        let short_lived = found.usage_mode() == Some(&CertificateAuthorityUsageMode::ShortLivedCertificate);
        self.standing.short_lived.store(short_lived, Ordering::Relaxed);
        Ok(found)
    }

    /// Calls IssueCertificate with what is no CSR: permissions are judged first.
    async fn ask_whether_it_may(&self) -> Result<(), IssuerError> {
        let call = Call { operation: "IssueCertificate", micro_dollars: 0 };
        let partition = self.arn.partition();
        let attempt = || async {
            let not_after = template::a_day().map_err(|error| Failure::NotSent(error.to_string()))?;
            let sent = self
                .client
                .issue_certificate()
                .certificate_authority_arn(self.arn.as_str())
                .csr(Blob::new(NO_CSR))
                .signing_algorithm("SHA256WITHECDSA".into())
                .template_arn(template::end_entity(partition))
                .validity(not_after)
                .send()
                .await;
            match sent.map_err(|error| Failure::of(&error)) {
                Err(Failure::Refused(refusal)) if refusal::is_about_the_request(&refusal) => Ok(()),
                sent => sent.map(|_| ()),
            }
        };
        let asked = self.callers.issue.call(call, attempt).await;
        asked.map_err(|error| in_words(&self.arn, "IssueCertificate", &error, Meaning::Order))?;
        self.standing.may_issue.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// As RevokeCertificate has it; `None` for a hold, which AWS does not know.
const fn reason_of(reason: RevocationReason) -> Option<&'static str> {
    match reason {
        RevocationReason::Unspecified => Some("UNSPECIFIED"),
        RevocationReason::KeyCompromise => Some("KEY_COMPROMISE"),
        RevocationReason::CaCompromise => Some("CERTIFICATE_AUTHORITY_COMPROMISE"),
        RevocationReason::AffiliationChanged => Some("AFFILIATION_CHANGED"),
        RevocationReason::Superseded => Some("SUPERSEDED"),
        RevocationReason::CessationOfOperation => Some("CESSATION_OF_OPERATION"),
        RevocationReason::CertificateHold => None,
        RevocationReason::PrivilegeWithdrawn => Some("PRIVILEGE_WITHDRAWN"),
        RevocationReason::AaCompromise => Some("A_A_COMPROMISE"),
    }
}

#[cfg(test)]
mod tests;
