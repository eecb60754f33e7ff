//! Roles, bound to certificates, and what else the record knows of who shows one.

use async_trait::async_trait;
use ca_core::certificate::Certificate;
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::principal::Role;
use ca_core::revocation::Standing;
use ca_core::serial::Serial;
use ca_core::time::{Timestamp, Validity};

use super::{Journal, StoreError, StoredCertificate};

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

/// What whoever proves possession of a certificate's key is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The certificate.
    pub id: CertificateId,
    /// SHA-256 over its DER.
    pub fingerprint_sha256: [u8; 32],
    /// Its validity.
    pub validity: Validity,
    /// How it stands.
    pub standing: Standing,
    /// Its roles, in order.
    pub roles: Vec<Role>,
}

/// What a certificate that somebody shows says of itself, and so where the record looks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCertificate {
    /// Who signed it.
    pub authority: AuthorityId,
    /// Its serial number.
    pub serial: Serial,
    /// The end of its validity.
    pub not_after: Timestamp,
}

impl ShownCertificate {
    /// What a certificate says that this authority signed.
    pub fn new(authority: &AuthorityId, certificate: &Certificate) -> Self {
        let not_after = certificate.validity().not_after;
        Self { authority: authority.clone(), serial: certificate.serial().clone(), not_after }
    }
}

impl From<&StoredCertificate> for ShownCertificate {
    fn from(stored: &StoredCertificate) -> Self {
        let StoredCertificate { authority, serial, validity, .. } = stored;
        Self { authority: authority.clone(), serial: serial.clone(), not_after: validity.not_after }
    }
}

/// Roles on record.
#[async_trait]
pub trait RoleStore: Send + Sync {
    /// The holder of the certificate with this serial number and this end; `None` unless one was issued. Asked at every
    /// request: one look. Whether it is the same, octet for octet, is the caller's to find out.
    async fn holder(&self, shown: &ShownCertificate) -> Result<Option<Holder>, StoreError>;

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
