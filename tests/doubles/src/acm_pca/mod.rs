//! AWS Private CA (ACM PCA): authorities with real keys, whose certificates are made by an encoder that is not ours.
//!
//! What the service relies on is done as AWS describes it: states, templates, the precedence of template over API over CSR,
//! absolute validity, tokens that live five minutes, certificates that are ready later, revocations that are listed later still.
//! The time is what a test says it is. An operation or template that is not here is refused loudly.

mod authority;
mod extension;
mod issue;
mod request;
mod template;

use std::collections::BTreeMap;

use serde_json::Value;

use self::authority::PrivateAuthority;
pub use self::authority::{AuthorityPlan, AuthorityStatus, KeyAlgorithm};
use crate::json_protocol::{AwsError, Input, JsonDouble, JsonService};

/// A certificate that was issued here, whoever knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedHere {
    /// Its ARN.
    pub arn: String,
    /// Its serial number, in lower-case hexadecimal.
    pub serial: String,
    /// The idempotency token that it was asked with.
    pub token: Option<String>,
    /// Its DER.
    pub der: Vec<u8>,
    /// The reason it was revoked for.
    pub revoked: Option<String>,
}

/// The authorities of one account in one region.
pub struct AcmPca {
    /// Seconds since 1970.
    now: i64,
    authorities: BTreeMap<String, PrivateAuthority>,
    /// How often a new certificate is not ready yet when it is asked for.
    waits: u32,
}

/// AWS Private CA in memory.
pub type AcmPcaDouble = JsonDouble<AcmPca>;

impl AcmPcaDouble {
    /// Without authorities, at this time in seconds since 1970.
    pub fn start(now: i64) -> anyhow::Result<Self> {
        Self::of(AcmPca::new(now))
    }
}

impl AcmPca {
    fn new(now: i64) -> Self {
        Self { now, authorities: BTreeMap::new(), waits: 1 }
    }

    /// Makes an authority, active; its ARN.
    pub fn add_authority(&mut self, plan: &AuthorityPlan) -> anyhow::Result<String> {
        let parent = plan.parent.as_ref().map(|arn| {
            self.authorities.get(arn).ok_or_else(|| anyhow::anyhow!("there is no authority {arn} to be its parent"))
        });
        let authority = PrivateAuthority::make(self.authorities.len(), plan, parent.transpose()?, self.now)?;
        let arn = authority.arn.clone();
        self.authorities.insert(arn.clone(), authority);
        Ok(arn)
    }

    /// The ARN of who issued an authority's certificate; `None` for a root.
    pub fn parent_of(&self, arn: &str) -> Option<String> {
        self.authorities.get(arn)?.plan.parent.clone()
    }

    /// The certificate of an authority, in DER.
    pub fn certificate_of(&self, arn: &str) -> Option<Vec<u8>> {
        self.authorities.get(arn).map(|authority| authority.der.clone())
    }

    /// Where an authority's list is published, as its owner configures it; `host` is where the double listens.
    pub fn publish_list(&mut self, arn: &str, host: &str) {
        if let Some(authority) = self.authorities.get_mut(arn) {
            let id = arn.rsplit('/').next().unwrap_or_default();
            authority.plan.list_url = Some(format!("http://{host}/crl/{id}.crl"));
        }
    }

    /// Whether AuthorityInfoAccess from the API gets into an authority's certificates from now on.
    pub fn take_access(&mut self, arn: &str, takes: bool) {
        if let Some(authority) = self.authorities.get_mut(arn) {
            authority.plan.takes_access = takes;
        }
    }

    /// Changes the state of an authority, as its owner does at the console.
    pub fn set_status(&mut self, arn: &str, status: AuthorityStatus) {
        if let Some(authority) = self.authorities.get_mut(arn) {
            authority.status = status;
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, seconds: i64) {
        self.now += seconds;
    }

    /// How often a new certificate is not ready yet when it is asked for; 1 unless said otherwise.
    pub fn hold_back(&mut self, times: u32) {
        self.waits = times;
    }

    /// Makes everything ready that was held back, and what comes from now on.
    pub fn make_ready(&mut self) {
        self.waits = 0;
        for authority in self.authorities.values_mut() {
            authority.make_ready();
        }
    }

    /// Every certificate that an authority has issued, oldest first.
    pub fn issued(&self, arn: &str) -> Vec<IssuedHere> {
        self.authorities.get(arn).map(PrivateAuthority::issued).unwrap_or_default()
    }

    /// The list that lies in the bucket of an authority by now; `None` where it keeps none.
    pub fn list(&mut self, arn: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let now = self.now;
        self.authorities.get_mut(arn).map_or(Ok(None), |authority| authority.list(now))
    }
}

impl JsonService for AcmPca {
    const TARGET: &'static str = "ACMPrivateCA";
    const SIGNING_NAME: &'static str = "acm-pca";

    /// Lists, by the last part of their authority's ARN.
    fn published(&mut self, path: &str) -> Option<Vec<u8>> {
        let id = path.strip_prefix("/crl/")?.strip_suffix(".crl")?;
        let arn = self.authorities.keys().find(|arn| arn.ends_with(id)).cloned()?;
        self.list(&arn).ok().flatten()
    }

    fn serve(&mut self, operation: &str, input: &Input) -> Result<Value, AwsError> {
        let mut known = vec!["CertificateAuthorityArn"];
        known.extend_from_slice(match operation {
            "DescribeCertificateAuthority" | "GetCertificateAuthorityCertificate" => &[][..],
            "IssueCertificate" => &[
                "ApiPassthrough",
                "Csr",
                "SigningAlgorithm",
                "TemplateArn",
                "Validity",
                "ValidityNotBefore",
                "IdempotencyToken",
            ],
            "GetCertificate" => &["CertificateArn"],
            "RevokeCertificate" => &["CertificateSerial", "RevocationReason"],
            other => return Err(AwsError::new("UnknownOperationException", format!("the double has no {other}"))),
        });
        input.check_names(&known)?;
        let arn = input.required_text("CertificateAuthorityArn")?;
        let (now, waits) = (self.now, self.waits);
        let unknown = || AwsError::new("ResourceNotFoundException", format!("there is no certificate authority {arn}"));
        let authority = self.authorities.get_mut(arn).ok_or_else(unknown)?;
        match operation {
            "DescribeCertificateAuthority" => Ok(authority.describe(now)),
            "GetCertificateAuthorityCertificate" => authority.own_certificate(),
            "IssueCertificate" => authority.issue(&input.whole(), now, waits),
            "GetCertificate" => authority.hand_out(input.required_text("CertificateArn")?),
            _ => {
                let serial = input.required_text("CertificateSerial")?;
                authority.revoke(serial, input.required_text("RevocationReason")?, now).map(|()| Value::Null)
            }
        }
    }
}

#[cfg(test)]
mod tests;
