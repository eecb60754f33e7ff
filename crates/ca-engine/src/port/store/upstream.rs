//! Issuances that an issuer elsewhere was asked for: what must be known of each after a crash.
//!
//! Each is a reservation whose serial is provisional ([`Serial::is_provisional`]) until the issuer has chosen one.

use std::fmt;

use async_trait::async_trait;
use ca_core::id::{AuthorityId, CertificateId, ProfileName};
use ca_core::serial::Serial;
use ca_core::time::Timestamp;

use super::StoreError;

/// What is put on record before an issuer elsewhere is asked.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamIntent {
    /// The reservation.
    pub id: CertificateId,
    /// The DER of the CSR, so that the issuer can be asked again; `None` where it may be personal data.
    pub csr: Option<Vec<u8>>,
    /// Whether the roles of the predecessor are to pass on.
    pub inherit_roles: bool,
    /// The request it came with.
    pub request_id: Option<String>,
    /// When.
    pub asked_at: Timestamp,
}

/// Without the CSR, which says names.
impl fmt::Debug for UpstreamIntent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamIntent")
            .field("id", &self.id)
            .field("inherit_roles", &self.inherit_roles)
            .field("request_id", &self.request_id)
            .field("asked_at", &self.asked_at)
            .finish_non_exhaustive()
    }
}

/// What was asked for, where it is no personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamOrder {
    /// The DER of the CSR.
    pub csr: Vec<u8>,
    /// The DER of the TBSCertificate that the reservation holds.
    pub to_be_signed: Vec<u8>,
}

/// An issuance that an issuer elsewhere was asked for and that is neither completed nor abandoned.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenUpstream {
    /// The certificate to come.
    pub id: CertificateId,
    /// Its issuer.
    pub authority: AuthorityId,
    /// Its serial: provisional, or the one that the issuer has chosen.
    pub serial: Serial,
    /// Its profile.
    pub profile: ProfileName,
    /// Principal reference of who asked.
    pub requested_by: String,
    /// The certificate it succeeds.
    pub renews: Option<CertificateId>,
    /// Since when it is reserved.
    pub reserved_at: Timestamp,
    /// What was asked for; `None` where it is personal data.
    pub order: Option<UpstreamOrder>,
    /// Whether the roles of the predecessor are to pass on.
    pub inherit_roles: bool,
    /// The request it came with.
    pub request_id: Option<String>,
    /// When the issuer was first asked, at the earliest.
    pub asked_at: Timestamp,
    /// The name by which the issuer hands the certificate out, once it has said so.
    pub name: Option<String>,
}

/// Without what was asked for.
impl fmt::Debug for OpenUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenUpstream")
            .field("id", &self.id)
            .field("authority", &self.authority)
            .field("serial", &self.serial)
            .field("profile", &self.profile)
            .field("asked_at", &self.asked_at)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What became of a serial that an issuer has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptOutcome {
    /// It is the reservation's from now on; adopting it again is harmless.
    Adopted,
    /// Another reservation or certificate of the authority has it.
    SerialTaken,
    /// There is no such open reservation.
    NotReserved,
}

/// Issuances at issuers elsewhere.
#[async_trait]
pub trait UpstreamStore: Send + Sync {
    /// Puts on record that an issuer elsewhere will be asked for a reservation. `false`, and nothing changes, when the reservation is
    /// not open. From then on [`super::CertificateStore::open_reservations`] passes it over, and [`Self::open_upstream`] has it.
    async fn intend_upstream(&self, intent: UpstreamIntent) -> Result<bool, StoreError>;

    /// Records the name by which the certificate can be collected. The same name again is harmless; [`StoreError::Conflict`] when
    /// there is another, or no such intent.
    async fn name_upstream(&self, id: CertificateId, name: &str) -> Result<(), StoreError>;

    /// Gives a reservation the serial that its issuer has chosen, in place of the provisional one, which is as if it had never been.
    /// [`StoreError::Conflict`] when it has another that is not provisional.
    async fn adopt_serial(&self, id: CertificateId, serial: &Serial) -> Result<AdoptOutcome, StoreError>;

    /// Open issuances that were reserved before `before`, oldest first, after `after` in that order, at most 100.
    async fn open_upstream(
        &self,
        before: Timestamp,
        after: Option<(Timestamp, CertificateId)>,
    ) -> Result<Vec<OpenUpstream>, StoreError>;

    /// One of them; `None` when it is not open, or its issuer was not asked yet.
    async fn open_upstream_of(&self, id: CertificateId) -> Result<Option<OpenUpstream>, StoreError>;

    /// Forgets what was asked for of issuances that are completed or abandoned; returns how many.
    async fn forget_settled_upstream(&self) -> Result<u64, StoreError>;
}
