//! An issuer elsewhere: it holds an authority's key, gives out neither the key nor any signature but those on certificates, and
//! chooses serial numbers by itself (AWS Private CA).

use async_trait::async_trait;
use ca_core::certificate::AskedFor;
use ca_core::id::CertificateId;
use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use thiserror::Error;

/// What an issuer is asked for.
#[derive(Clone, Copy, Debug)]
pub struct IssuerOrder<'a> {
    /// Our id: whoever asks again with it within [`CertificateIssuer::remembers_for`] is told of the same certificate.
    pub id: CertificateId,
    /// The DER of a CSR of the key; of it nothing counts but the key, and that its holder has it.
    pub csr: &'a [u8],
    /// What the certificate is to say.
    pub asked_for: &'a AskedFor,
}

/// The way to an issuer. Nothing it answers is believed: the flow verifies signatures and holds certificates against their orders.
#[async_trait]
pub trait CertificateIssuer: Send + Sync {
    /// How long an order is remembered by its id, with a margin.
    fn remembers_for(&self) -> Lifetime;

    /// Orders a certificate and returns the name by which it can be collected: text of at most 512 octets.
    async fn order(&self, order: &IssuerOrder<'_>) -> Result<String, IssuerError>;

    /// The DER of a certificate that was ordered; `None` when it was not ready for as long as a caller would wait.
    async fn collect(&self, name: &str) -> Result<Option<Vec<u8>>, IssuerError>;

    /// Tells of a revocation. One that was told before is told with success; of a serial that it does not know, with
    /// [`IssuerError::Refused`].
    async fn revoke(&self, serial: &Serial, reason: RevocationReason) -> Result<(), IssuerError>;
}

/// Why an issuer did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// Throttled; nothing was done, and the same call may succeed later.
    #[error("the issuer is busy: {detail}")]
    Busy {
        /// What it said.
        detail: String,
        /// When to try again, if it said so.
        retry_after: Option<Lifetime>,
    },
    /// It could not be reached, or may not be used now; nothing was done.
    #[error("the issuer cannot be used: {detail}")]
    Unavailable {
        /// What went wrong.
        detail: String,
    },
    /// It will not do this, however often it is asked; nothing was done.
    #[error("the issuer refused: {detail}")]
    Refused {
        /// Why.
        detail: String,
    },
    /// There was no answer: it may have been done, or not.
    #[error("the issuer did not answer: {detail}")]
    Unknown {
        /// What went wrong.
        detail: String,
    },
}
