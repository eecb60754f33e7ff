//! What the agent asks the service: when to renew, the successor by mutual TLS or by a proof of the old key, the first certificate by a token.

use ca_api::certificate::Certificate as Record;
use ca_api::problem::ProblemType;
use ca_core::certificate::Certificate;
use ca_core::csr::ParsedCsr;
use ca_core::renewal_proof::{ProofClaims, signed_proof};
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::flow::issue::IssueRequest;
use ca_engine::flow::query::CertificateName;
use secrecy::SecretString;

use super::settings::{Enrolment, KeptCertificate};
use crate::exit::Failure;
use crate::key::PrivateKey;
use crate::service::remote::{Credential, Remote};
use crate::service::{Renewal, Service as _};
use crate::settings::{IdentityFiles, RemoteSettings};

/// How the next certificate is asked for.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// By mutual TLS with the one in place.
    Holder(Certificate),
    /// By a proof of the key of the one in place, which has ended.
    Proof(Certificate),
    /// By a token.
    Token(Enrolment),
}

/// The service that one certificate comes from.
pub(super) struct Issuer<'a> {
    kept: &'a KeptCertificate,
    timeout: std::time::Duration,
}

/// When the service wants a certificate renewed.
pub(super) struct Window {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) ask_again_after: Lifetime,
}

/// The shortest and the longest time after which the window is asked for again.
const ASK_AGAIN: std::ops::RangeInclusive<u64> = 60..=86_400;

impl<'a> Issuer<'a> {
    pub(super) fn new(kept: &'a KeptCertificate, timeout: std::time::Duration) -> Self {
        Self { kept, timeout }
    }

    /// The window of the certificate in place.
    pub(super) async fn window(&self, certificate: &Certificate) -> Result<Window, Failure> {
        let (info, after) = self.remote(self.own())?.renewal_info(&name_of(certificate)).await?;
        let instant = |text: &str| Timestamp::parse_rfc3339(text).map_err(Failure::failed);
        let seconds = after.unwrap_or(*ASK_AGAIN.end()).clamp(*ASK_AGAIN.start(), *ASK_AGAIN.end());
        Ok(Window {
            start: instant(&info.suggested_window.start)?,
            end: instant(&info.suggested_window.end)?,
            ask_again_after: Lifetime::from_seconds(seconds),
        })
    }

    /// The certificate over a request. Under the same idempotency key it is the same one.
    pub(super) async fn ask(
        &self,
        way: &Way,
        csr: &ParsedCsr,
        idempotency_key: &str,
        now: Timestamp,
    ) -> Result<Record, Failure> {
        match way {
            Way::Holder(certificate) => self.renew(certificate, csr, idempotency_key).await,
            Way::Proof(certificate) => match self.renew_by_proof(certificate, csr, idempotency_key, now).await {
                // By the service's clock it has not ended.
                Err(failure) if failure.is(ProblemType::RenewalTooEarly) => {
                    self.renew(certificate, csr, idempotency_key).await
                }
                renewed => renewed,
            },
            Way::Token(enrolment) => self.enrol(enrolment, csr, idempotency_key).await,
        }
    }

    async fn renew(
        &self,
        certificate: &Certificate,
        csr: &ParsedCsr,
        idempotency_key: &str,
    ) -> Result<Record, Failure> {
        let renewal = Renewal { csr: Some(csr.clone()), validity: None, idempotency_key: idempotency_key.to_owned() };
        self.remote(self.own())?.renew(&name_of(certificate), renewal).await
    }

    async fn renew_by_proof(
        &self,
        certificate: &Certificate,
        csr: &ParsedCsr,
        idempotency_key: &str,
        now: Timestamp,
    ) -> Result<Record, Failure> {
        let path = self.kept.directory.join("key.pem");
        let key = PrivateKey::from_file(&path).map_err(Failure::failed)?;
        if key.subject_public_key() != certificate.public_key().subject_public_key() {
            return Err(Failure::of_file(&path, "this is not the key of the certificate beside it"));
        }
        let (remote, name) = (self.remote(Credential::None)?, name_of(certificate));
        let nonce = remote.renewal_nonce().await?;
        let url = remote.renew_expired_url(&name);
        let claims = ProofClaims {
            algorithm: key.proof_algorithm(),
            certificate: certificate.der(),
            nonce: &nonce.nonce,
            url: &url,
            csr: csr.der(),
            issued_at: now,
        };
        let input = claims.signing_input().map_err(Failure::failed)?;
        let proof = signed_proof(&input, &key.sign_proof(input.as_bytes()).map_err(Failure::failed)?);
        remote.renew_expired(&name, csr, proof, idempotency_key).await
    }

    async fn enrol(&self, enrolment: &Enrolment, csr: &ParsedCsr, idempotency_key: &str) -> Result<Record, Failure> {
        let path = &enrolment.token_file;
        let token = std::fs::read_to_string(path).map_err(|error| Failure::of_file(path, error))?;
        let token = SecretString::from(token.trim().to_owned());
        let request = IssueRequest {
            profile: enrolment.profile.clone(),
            csr: csr.clone(),
            subject: enrolment.subject.clone(),
            names: Some(enrolment.names.clone()),
            validity: enrolment.validity,
            idempotency_key: Some(idempotency_key.to_owned()),
            request_id: None,
        };
        self.remote(Credential::Token(token))?.issue(request).await
    }

    fn own(&self) -> Credential {
        Credential::Certificate(IdentityFiles {
            certificate: self.kept.directory.join("fullchain.pem"),
            key: self.kept.directory.join("key.pem"),
        })
    }

    fn remote(&self, credential: Credential) -> Result<Remote, Failure> {
        let settings =
            RemoteSettings { url: self.kept.url.clone(), root: Some(self.kept.root.clone()), identity: None };
        Remote::new(&settings, credential, self.timeout)
    }
}

fn name_of(certificate: &Certificate) -> CertificateName {
    CertificateName::BareSerial(certificate.serial().clone())
}
