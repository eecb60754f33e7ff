//! An issuer elsewhere: it holds an authority's key, gives out neither the key nor any signature but those on certificates, and
//! chooses serial numbers by itself (AWS Private CA).

use std::fmt;

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
    /// What the certificate is for: such an issuer may have a template for each purpose.
    pub purpose: OrderPurpose,
}

/// What a certificate that is ordered is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderPurpose {
    /// An end entity's.
    EndEntity,
    /// Of our delegated OCSP responder for this authority (RFC 6960 §4.2.2.2): its one purpose is OCSPSigning, and it carries
    /// id-pkix-ocsp-nocheck.
    OcspResponder,
}

/// The longest list that is taken from an issuer, in octets: more than a million entries need.
pub const LONGEST_LIST: usize = 64 << 20;

/// The list that an issuer publishes by itself, as it was found.
#[derive(Clone, PartialEq, Eq)]
pub enum IssuerList {
    /// It is configured to publish none.
    NotPublished,
    /// It publishes one, and has made none yet.
    NotMadeYet,
    /// It is the one that the caller has seen.
    Unchanged,
    /// What lies where it publishes its list.
    Found {
        /// The octets as they lie there, at most [`LONGEST_LIST`]; a DER CertificateList, if all is well.
        der: Vec<u8>,
        /// What names this version of it where it lies, like an ETag.
        version: Option<String>,
    },
}

/// Without the octets.
impl fmt::Debug for IssuerList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPublished => f.write_str("NotPublished"),
            Self::NotMadeYet => f.write_str("NotMadeYet"),
            Self::Unchanged => f.write_str("Unchanged"),
            Self::Found { der, version } => {
                f.debug_struct("Found").field("octets", &der.len()).field("version", version).finish()
            }
        }
    }
}

/// What an issuer says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerState {
    /// Whether it issues.
    pub condition: IssuerCondition,
    /// What its operator should know or do, in a sentence; empty when there is nothing.
    pub detail: String,
    /// Whether it publishes a list by itself.
    pub publishes_list: bool,
}

impl IssuerState {
    /// Why it issues nothing; `None` when it issues.
    pub fn obstacle(&self) -> Option<String> {
        let what = match self.condition {
            IssuerCondition::Active => return None,
            IssuerCondition::Pending => "the issuer has no certificate yet",
            IssuerCondition::Disabled => "the issuer is disabled",
            IssuerCondition::Expired => "the issuer's certificate has ended",
            IssuerCondition::Gone => "the issuer was deleted, or its making failed",
        };
        Some(if self.detail.is_empty() { what.to_owned() } else { format!("{what}: {}", self.detail) })
    }
}

/// Whether an issuer issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerCondition {
    /// It does.
    Active,
    /// It has no certificate yet.
    Pending,
    /// Its owner has switched it off, and can switch it on again.
    Disabled,
    /// Its certificate has ended.
    Expired,
    /// It was deleted, or its making failed.
    Gone,
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

    /// Fetches the complete list that the issuer publishes by itself, from wherever that is (an object in a bucket, a URL). `seen` is
    /// the version that came last: where that one is still in place, the octets need not be fetched. A list of more than
    /// [`LONGEST_LIST`] octets, or lists in parts only, are [`IssuerError::Refused`], which says how to set the issuer up.
    async fn list(&self, seen: Option<&str>) -> Result<IssuerList, IssuerError>;

    /// Asks whether it issues, and whether it publishes a list. Makes nothing and costs nothing.
    async fn state(&self) -> Result<IssuerState, IssuerError>;
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
