//! The way to authorities that AWS Private CA holds, where this build has one: wiring, as [`crate::token_keys`].

use std::sync::Arc;

use ca_backends::aws::PrivateCaArn;
use ca_core::certificate::Certificate;
use ca_engine::port::certificate_issuer::{CertificateIssuer, IssuerError};
use ca_engine::port::signer::SignerError;
use ca_engine::port::store::{KeyHome, Store, StoreError};

use crate::aws_calls::AwsCalls;
use crate::config::{Config, KeyPlan};

#[cfg(feature = "backend-acm-pca")]
type Authorities = ca_backends::issuer::acm_pca::AcmPca;
/// There is none.
#[cfg(not(feature = "backend-acm-pca"))]
type Authorities = std::convert::Infallible;

/// Opened when an authority is known to be there.
pub(crate) struct PrivateCas(Option<Authorities>);

/// An authority as it is at AWS.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PrivateCa {
    pub(crate) certificate: Certificate,
    /// Those above it, its issuer's first.
    pub(crate) above: Vec<Certificate>,
    pub(crate) publishes_list: bool,
}

impl PrivateCas {
    /// Opens the way if the configuration or the record names an authority there and this process `may_use` it. Nothing is asked.
    pub(crate) async fn open(config: &Config, store: &dyn Store, may_use: bool) -> Result<Self, StoreError> {
        if !may_use {
            return Ok(Self(None));
        }
        let recorded = store.authorities().await?.into_iter().filter_map(|record| match record.key_home {
            KeyHome::AcmPca(arn) => Some(arn),
            _ => None,
        });
        let first = planned(config).map(|arn| arn.to_string()).chain(recorded).next();
        Ok(Self(match first {
            Some(arn) => open(config, &arn).await,
            None => None,
        }))
    }

    /// An authority that issues, with its certificate and those above it.
    pub(crate) async fn find(&self, arn: &PrivateCaArn) -> Result<PrivateCa, IssuerError> {
        match &self.0 {
            Some(authorities) => find(authorities, arn).await,
            None => Err(IssuerError::Unavailable { detail: absence(arn.as_str()) }),
        }
    }

    /// An authority on record. Nothing is asked.
    pub(crate) fn issuer(&self, arn: &str) -> Result<Arc<dyn CertificateIssuer>, SignerError> {
        let parsed = PrivateCaArn::parse(arn)
            .map_err(|problem| SignerError::Refused { detail: format!("`{arn}` on record: {problem}") })?;
        match &self.0 {
            Some(authorities) => Ok(issuer(authorities, &parsed)),
            None => Err(SignerError::Unavailable { detail: absence(arn) }),
        }
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> Vec<AwsCalls> {
        self.0.as_ref().map(calls_of).unwrap_or_default()
    }
}

/// Authorities that the configuration names.
fn planned(config: &Config) -> impl Iterator<Item = &PrivateCaArn> {
    let authorities = &config.authorities;
    [&authorities.root, &authorities.tls, &authorities.document].into_iter().filter_map(|authority| {
        match &authority.key {
            KeyPlan::PrivateCa(arn) => Some(arn),
            _ => None,
        }
    })
}

#[cfg(feature = "backend-acm-pca")]
async fn open(config: &Config, arn: &str) -> Option<Authorities> {
    use ca_backends::aws::AwsAccess;
    use ca_backends::issuer::acm_pca::Limits;

    // What is no ARN is refused when it is used, with a reason.
    let region = PrivateCaArn::parse(arn).map_or_else(|_| String::new(), |arn| arn.region().to_owned());
    let limits = Limits { issue: config.acm_pca.issue, get: config.acm_pca.get, revoke: config.acm_pca.revoke };
    Some(Authorities::new(AwsAccess::find_for(&config.aws, &region).await, limits))
}

#[cfg(not(feature = "backend-acm-pca"))]
async fn open(_: &Config, _: &str) -> Option<Authorities> {
    None
}

#[cfg(feature = "backend-acm-pca")]
async fn find(authorities: &Authorities, arn: &PrivateCaArn) -> Result<PrivateCa, IssuerError> {
    let found = authorities.find(arn).await?;
    Ok(PrivateCa { certificate: found.certificate, above: found.above, publishes_list: found.publishes_list })
}

#[cfg(not(feature = "backend-acm-pca"))]
async fn find(authorities: &Authorities, _: &PrivateCaArn) -> Result<PrivateCa, IssuerError> {
    match *authorities {}
}

#[cfg(feature = "backend-acm-pca")]
fn issuer(authorities: &Authorities, arn: &PrivateCaArn) -> Arc<dyn CertificateIssuer> {
    Arc::new(authorities.open(arn))
}

#[cfg(not(feature = "backend-acm-pca"))]
fn issuer(authorities: &Authorities, _: &PrivateCaArn) -> Arc<dyn CertificateIssuer> {
    match *authorities {}
}

#[cfg(feature = "backend-acm-pca")]
fn calls_of(authorities: &Authorities) -> Vec<AwsCalls> {
    let count = |count: ca_backends::aws::CallCount| AwsCalls {
        service: "acm-pca",
        operation: count.operation,
        outcome: count.outcome.as_str(),
        calls: count.calls,
        micro_dollars: count.micro_dollars,
    };
    authorities.calls().into_iter().map(count).collect()
}

#[cfg(not(feature = "backend-acm-pca"))]
fn calls_of(authorities: &Authorities) -> Vec<AwsCalls> {
    match *authorities {}
}

fn absence(arn: &str) -> String {
    match cfg!(feature = "backend-acm-pca") {
        true => format!(
            "there was no authority of AWS Private CA when this process started, and now there is {arn}; start it again"
        ),
        false => format!("this program was built without AWS Private CA, which holds {arn}"),
    }
}

/// What a configuration asks for that this build does not have: for `check-config`.
pub(crate) fn check(config: &Config) -> Result<(), NotBuiltIn> {
    match planned(config).next() {
        Some(_) if !cfg!(feature = "backend-acm-pca") => Err(NotBuiltIn),
        _ => Ok(()),
    }
}

/// An authority of AWS Private CA is wanted of a program that cannot reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "authority: this program was built without AWS Private CA; keys are made by the service, as in `software:p256`"
)]
pub struct NotBuiltIn;
