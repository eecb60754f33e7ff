//! Gateways, and what they say they enforce.

use async_trait::async_trait;
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::time::Timestamp;

use super::{Journal, StoreError};

/// A gateway on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRecord {
    /// Its name: a DNS name, in lower case.
    pub id: String,
    /// The certificate whose holder spoke for it last.
    pub certificate: CertificateId,
    /// When it was heard of first.
    pub registered_at: Timestamp,
    /// When it spoke last, by the service's clock.
    pub stated_at: Timestamp,
    /// Which configuration it runs by, in its own words.
    pub generation: String,
    /// The lists that it judges by, in order of the authorities.
    pub lists: Vec<EnforcedList>,
}

/// A list that a gateway judges by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnforcedList {
    /// Whose list.
    pub authority: AuthorityId,
    /// Its number.
    pub number: u64,
    /// SHA-256 over its DER.
    pub sha256: [u8; 32],
}

/// What gateways say. A statement is a measurement, not a change that anybody asked for: only the newest is kept, and it
/// brings a journal only when a gateway is new or speaks by another certificate.
#[async_trait]
pub trait GatewayStore: Send + Sync {
    /// Every gateway, in order of ids.
    async fn gateways(&self) -> Result<Vec<GatewayRecord>, StoreError>;

    /// One gateway.
    async fn gateway(&self, id: &str) -> Result<Option<GatewayRecord>, StoreError>;

    /// Puts a gateway in the place of what was on record of it. [`StoreError::Conflict`] unless the certificate that spoke
    /// for it last is `spoken_by`; `None`: unless it is not on record.
    async fn put_gateway(
        &self,
        gateway: GatewayRecord,
        spoken_by: Option<CertificateId>,
        journal: Option<Journal>,
    ) -> Result<(), StoreError>;

    /// Takes a gateway from the record; `false`, and nothing is told, when it is not there.
    async fn remove_gateway(&self, id: &str, journal: Journal) -> Result<bool, StoreError>;
}
