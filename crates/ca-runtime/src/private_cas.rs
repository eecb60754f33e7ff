//! The way to authorities that AWS Private CA holds, where this build has one: wiring, as [`crate::token_keys`].

use std::sync::Arc;

use ca_backends::aws::PrivateCaArn;
#[cfg(feature = "backend-acm-pca")]
use ca_backends::aws::{AwsAccess, AwsPlace};
#[cfg(feature = "backend-acm-pca")]
use ca_backends::issuer::acm_pca::{AcmPca, Limits};
use ca_core::certificate::Certificate;
use ca_engine::port::certificate_issuer::{CertificateIssuer, IssuerError};
use ca_engine::port::signer::SignerError;
#[cfg(feature = "backend-acm-pca")]
use ca_engine::port::store::KeyHome;
use ca_engine::port::store::{Store, StoreError};
#[cfg(feature = "backend-acm-pca")]
use tokio::sync::OnceCell;

use crate::aws_calls::AwsCalls;
use crate::config::{Config, KeyPlan};

/// Opened at the start if an authority is known of by then, else by the first that comes on record: another replica may put one there
/// at any time.
pub(crate) struct PrivateCas {
    /// Whether this process may use authorities.
    #[cfg(feature = "backend-acm-pca")]
    may_use: bool,
    #[cfg(feature = "backend-acm-pca")]
    place: AwsPlace,
    #[cfg(feature = "backend-acm-pca")]
    limits: Limits,
    #[cfg(feature = "backend-acm-pca")]
    authorities: OnceCell<AcmPca>,
}

/// An authority as it is at AWS.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PrivateCa {
    pub(crate) certificate: Certificate,
    /// Those above it, its issuer's first.
    pub(crate) above: Vec<Certificate>,
    pub(crate) publishes_list: bool,
}

#[cfg(feature = "backend-acm-pca")]
impl PrivateCas {
    /// Nothing is asked.
    pub(crate) async fn open(config: &Config, store: &dyn Store, may_use: bool) -> Result<Self, StoreError> {
        let limits = Limits { issue: config.acm_pca.issue, get: config.acm_pca.get, revoke: config.acm_pca.revoke };
        let way = Self { may_use, place: config.aws.clone(), limits, authorities: OnceCell::new() };
        if !may_use {
            return Ok(way);
        }
        let recorded = store.authorities().await?.into_iter().filter_map(|record| match record.key_home {
            KeyHome::AcmPca(arn) => Some(arn),
            _ => None,
        });
        // What is no ARN is refused when it is used, with a reason.
        let mut known = planned(config).map(ToString::to_string).chain(recorded);
        if let Some(arn) = known.find_map(|arn| PrivateCaArn::parse(&arn).ok()) {
            way.authorities(&arn).await;
        }
        Ok(way)
    }

    /// `arn` is one of them.
    async fn authorities(&self, arn: &PrivateCaArn) -> &AcmPca {
        let open = || async { AcmPca::new(AwsAccess::find_for(&self.place, arn.region()).await, self.limits) };
        self.authorities.get_or_init(open).await
    }

    /// An authority that issues, with its certificate and those above it.
    pub(crate) async fn find(&self, arn: &PrivateCaArn) -> Result<PrivateCa, IssuerError> {
        if !self.may_use {
            return Err(IssuerError::Unavailable { detail: absence(arn.as_str()) });
        }
        let found = self.authorities(arn).await.find(arn).await?;
        Ok(PrivateCa { certificate: found.certificate, above: found.above, publishes_list: found.publishes_list })
    }

    /// An authority on record. Nothing is asked.
    pub(crate) async fn issuer(&self, arn: &str) -> Result<Arc<dyn CertificateIssuer>, SignerError> {
        if !self.may_use {
            return Err(SignerError::Unavailable { detail: absence(arn) });
        }
        let parsed = PrivateCaArn::parse(arn)
            .map_err(|problem| SignerError::Refused { detail: format!("`{arn}` on record: {problem}") })?;
        Ok(Arc::new(self.authorities(&parsed).await.open(&parsed)))
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> Vec<AwsCalls> {
        let count = |count: ca_backends::aws::CallCount| AwsCalls {
            service: "acm-pca",
            operation: count.operation,
            outcome: count.outcome.as_str(),
            calls: count.calls,
            micro_dollars: count.micro_dollars,
        };
        let counts = self.authorities.get().map(AcmPca::calls).unwrap_or_default();
        counts.into_iter().map(count).collect()
    }
}

#[cfg(not(feature = "backend-acm-pca"))]
impl PrivateCas {
    /// There is no way to any.
    pub(crate) async fn open(_: &Config, _: &dyn Store, _: bool) -> Result<Self, StoreError> {
        Ok(Self {})
    }

    /// Refused: what is asked for is never left out in silence.
    pub(crate) async fn find(&self, arn: &PrivateCaArn) -> Result<PrivateCa, IssuerError> {
        Err(IssuerError::Unavailable { detail: absence(arn.as_str()) })
    }

    /// Refused as well.
    pub(crate) async fn issuer(&self, arn: &str) -> Result<Arc<dyn CertificateIssuer>, SignerError> {
        Err(SignerError::Unavailable { detail: absence(arn) })
    }

    /// None are made.
    pub(crate) fn calls(&self) -> Vec<AwsCalls> {
        Vec::new()
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

fn absence(arn: &str) -> String {
    match cfg!(feature = "backend-acm-pca") {
        true => format!("this process is not meant to use authorities, and does not reach {arn}"),
        false => format!("this program was built without AWS Private CA, which holds {arn}"),
    }
}

/// What must be so at AWS that only AWS can say, of each authority that a configuration names: for `check-config`, which asks nobody.
pub(crate) fn left_to_init(config: &Config) -> Vec<String> {
    let say = |arn: &PrivateCaArn| {
        format!(
            "not asked here, `ca-server init` asks AWS: {arn} must be active, of the usage mode GENERAL_PURPOSE (one that is \
             SHORT_LIVED_CERTIFICATE issues for seven days at the most and is refused), and must not write OCSP of its own into \
             certificates"
        )
    };
    planned(config).map(say).collect()
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
