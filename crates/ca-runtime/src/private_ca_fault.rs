//! Why an authority of AWS Private CA was not taken on record.

use ca_core::chain::ChainFinding;
use ca_core::id::IdError;
use ca_engine::error::FlowError;
use ca_engine::port::certificate_issuer::IssuerError;
use thiserror::Error;

use crate::operator_message::operator_message;

/// Why an authority of AWS Private CA was not taken on record.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrivateCaError {
    /// AWS does not show it, or it does not issue.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// Its chain does not hold, or is not what the configuration asks for.
    #[error("{arn} cannot be used as it is:{}", lines(.findings))]
    Chain {
        /// Which.
        arn: String,
        /// Everything that is wrong.
        findings: Vec<ChainFinding>,
    },
    /// What it issues does not say where our OCSP is.
    #[error(
        "{arn}: the first certificate that it made does not say where OCSP and the issuer's certificate of this service are, so no \
         relying party would hear of a revocation in time; the certificate was put on record as revoked. Give this authority OCSP \
         of no name of its own (`aws acm-pca update-certificate-authority --revocation-configuration \
         OcspConfiguration={{Enabled=false}}`), and run `ca-server init` again"
    )]
    NoStatus {
        /// Which.
        arn: String,
    },
    /// A flow; the operator sees what callers do not.
    #[error("{}", operator_message(.0))]
    Flow(FlowError),
    /// An id that is none.
    #[error(transparent)]
    Id(#[from] IdError),
}

fn lines(findings: &[ChainFinding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}
