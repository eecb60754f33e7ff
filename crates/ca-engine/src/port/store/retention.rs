//! Removing what has expired long ago, month by month of `not_after`, and what is known of it afterwards.

use async_trait::async_trait;
use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::{AuthorityId, CertificateId, ProfileName};
use ca_core::month::Month;
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};

use super::{Lease, StoreError};

/// No certificate of a month is removed before so much time has passed since the month's end, by the database's clock: lists name a
/// revoked one until they are made after its end, idempotency keys lead to one for a day, and people look for what has just expired.
pub const LEAST_RETENTION: Lifetime = Lifetime::from_days(30);

/// Why a certificate stays on record, whatever its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeptFor {
    /// It is an authority's.
    Authority,
    /// It is an OCSP responder's.
    Responder,
    /// A role is bound to it.
    Role,
    /// An issuance that renews it is under way.
    Renewal,
    /// A message about it is on its way to a sink.
    Message,
    /// An audit event about it has no place in the chain yet.
    Event,
}

impl KeptFor {
    /// All of them, in the order in which they are named when several hold.
    pub const ALL: [Self; 6] =
        [Self::Authority, Self::Responder, Self::Role, Self::Renewal, Self::Message, Self::Event];

    /// The name in outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Responder => "responder",
            Self::Role => "role",
            Self::Renewal => "renewal",
            Self::Message => "undelivered-event",
            Self::Event => "unchained-event",
        }
    }
}

/// How many certificates of a month have the same fate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonthShare {
    /// Their profile.
    pub profile: ProfileName,
    /// What keeps them; `None`: nothing but their profile could.
    pub kept_for: Option<KeptFor>,
    /// How many; at least 1.
    pub certificates: u64,
}

/// An order to remove what may go of a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthRemoval {
    /// The month of `not_after`.
    pub month: Month,
    /// The profiles whose certificates may go; those of any other stay.
    pub profiles: Vec<ProfileName>,
    /// Principal reference of who removes.
    pub principal: String,
    /// When, by the service's clock.
    pub at: Timestamp,
}

impl MonthRemoval {
    /// The event of a removal. `fingerprints_sha256` is SHA-256 over the SHA-256 digests of the certificates removed, in order of their
    /// octets, one after the other.
    pub fn event(&self, removed: u64, kept: u64, fingerprints_sha256: &[u8; 32]) -> AuditEvent {
        let subject = format!("month:{}", self.month);
        AuditEvent::new(self.at, AuditAction::CertificatesRemoved, self.principal.clone(), subject)
            .with("fingerprints_sha256", hex::encode(fingerprints_sha256))
            .with("kept", kept)
            .with("month", self.month)
            .with("profiles", self.profiles.iter().map(ProfileName::as_str).collect::<Vec<_>>().join(" "))
            .with("removed", removed)
    }
}

/// What became of an order to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalOutcome {
    /// Nothing of the month may go.
    Nothing,
    /// So many are gone, and so many of the month stay.
    Removed {
        /// How many are gone.
        removed: u64,
        /// How many of the month stay.
        kept: u64,
    },
    /// An issuance that ends in the month is under way, or others work on it: all of the month, or the rest of it, waits for another
    /// run.
    Busy,
}

/// What remains of a certificate that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedCertificate {
    /// Its issuer.
    pub authority: AuthorityId,
    /// Its serial.
    pub serial: Serial,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// Removal of what has expired. A serial number and its standing stay for ever, and so do audit events, sequence and blocked keys; what
/// goes is the certificate, what it is found by, and what is kept of it as personal data.
#[async_trait]
pub trait RetentionStore: Send + Sync {
    /// The months that hold certificates, or held some and may hold more, and that ended at `instant` or before; in order.
    async fn months_before(&self, instant: Timestamp) -> Result<Vec<Month>, StoreError>;

    /// What a month holds: every certificate in one share, under the first of [`KeptFor::ALL`] that holds; in order. Looks at the whole
    /// month.
    async fn review_month(&self, month: Month) -> Result<Vec<MonthShare>, StoreError>;

    /// Removes the certificates of a month whose profile is one of those named, unless [`KeptFor`] keeps them. Each commit has one event
    /// ([`MonthRemoval::event`]), stored with it; there may be several. Nobody who reads or issues is kept waiting for longer than a
    /// moment. It may be cut off at any point and repeated.
    ///
    /// [`StoreError::Conflict`] while the month has not ended for [`LEAST_RETENTION`] by the database's clock; [`StoreError::Fenced`]
    /// when `lease` is not the newest at the moment of removal.
    async fn remove_month(&self, lease: &Lease, removal: MonthRemoval) -> Result<RemovalOutcome, StoreError>;

    /// What remains of a certificate that was removed; `None` when it is on record or never was.
    async fn removed(&self, id: CertificateId) -> Result<Option<RemovedCertificate>, StoreError>;
}
