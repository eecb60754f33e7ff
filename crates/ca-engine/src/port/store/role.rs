//! Roles, bound to certificates.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_core::principal::Role;
use ca_core::time::Timestamp;

use super::{Journal, StoreError};

/// A role bound to a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleBinding {
    /// The certificate.
    pub certificate: CertificateId,
    /// Its role.
    pub role: Role,
    /// Since when.
    pub granted_at: Timestamp,
}

/// Roles on record.
#[async_trait]
pub trait RoleStore: Send + Sync {
    /// The roles of a certificate, in order.
    async fn roles(&self, certificate: CertificateId) -> Result<Vec<Role>, StoreError>;

    /// Every binding, in order of certificate and role.
    async fn role_bindings(&self) -> Result<Vec<RoleBinding>, StoreError>;

    /// Binds a role; harmless when it is bound already (no second event then).
    async fn grant_role(&self, binding: RoleBinding, journal: Journal) -> Result<(), StoreError>;

    /// Takes a role away; `false` when it was not bound.
    async fn withdraw_role(&self, certificate: CertificateId, role: Role, journal: Journal)
    -> Result<bool, StoreError>;
}
