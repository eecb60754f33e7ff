//! Certificates and the reservations they begin as.

use std::fmt;

use async_trait::async_trait;
use ca_core::id::{AuthorityId, CertificateId, ProfileName, TokenId};
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::revocation::Standing;
use ca_core::serial::Serial;
use ca_core::time::{Timestamp, Validity};

use super::{Journal, PersonalData, StoreError};

/// What is put on record before a key is used: the exact octets to be signed, and everything that must hold.
#[derive(Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The id of the certificate to come.
    pub id: CertificateId,
    /// Its issuer.
    pub authority: AuthorityId,
    /// Its serial number, unique within the issuer for ever.
    pub serial: Serial,
    /// Its profile.
    pub profile: ProfileName,
    /// Its validity.
    pub validity: Validity,
    /// Its subject.
    pub subject: DistinguishedName,
    /// Its subject alternative names.
    pub names: Vec<GeneralName>,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
    /// The exact DER of the TBSCertificate.
    pub to_be_signed: Vec<u8>,
    /// Principal reference of its owner.
    pub owner: String,
    /// Principal reference of who asked.
    pub requested_by: String,
    /// The certificate it succeeds.
    pub renews: Option<CertificateId>,
    /// The enrolment token whose use it consumes.
    pub token: Option<TokenId>,
    /// The idempotency key it was asked with.
    pub idempotency: Option<Idempotency>,
    /// Present when subject, names and octets are personal data.
    pub personal_data: Option<PersonalData>,
    /// When it was reserved.
    pub reserved_at: Timestamp,
}

/// Without subject and names: they may be personal data, and this goes to logs.
impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("id", &self.id)
            .field("authority", &self.authority)
            .field("serial", &self.serial)
            .field("profile", &self.profile)
            .field("validity", &self.validity)
            .field("requested_by", &self.requested_by)
            .field("renews", &self.renews)
            .field("reserved_at", &self.reserved_at)
            .finish_non_exhaustive()
    }
}

/// An idempotency key in its scope, and what was asked with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// SHA-256 over principal, route and key.
    pub scope_sha256: [u8; 32],
    /// SHA-256 over the request.
    pub request_sha256: [u8; 32],
    /// Until when it is kept. An expired one is as good as absent.
    pub expires_at: Timestamp,
}

/// What became of a reservation. Checked in this order, in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReserveOutcome {
    /// On record: the key may be used once, for exactly these octets.
    Reserved,
    /// The same request was done before with the same idempotency key: this certificate was its answer.
    Replay(CertificateId),
    /// The same request with the same key is being worked on: this certificate is to be its answer.
    InProgress(CertificateId),
    /// The idempotency key was used for another request.
    IdempotencyConflict,
    /// The public key is blocked (`keyCompromise`).
    KeyBlocked,
    /// The token is withdrawn, expired at `reserved_at`, unknown, or has no use left.
    TokenSpent,
    /// The predecessor has a successor already that is reserved, or issued and not revoked.
    SuccessorExists(CertificateId),
    /// The predecessor is not on record as issued, or it is revoked or held.
    PredecessorNotActive,
    /// The serial (or id) is taken; draw another.
    SerialTaken,
}

/// The end of a reservation: the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Which reservation.
    pub id: CertificateId,
    /// The DER of the certificate.
    pub certificate: Vec<u8>,
    /// When.
    pub completed_at: Timestamp,
    /// Whether the roles of the predecessor are bound to this certificate as well.
    pub inherit_roles: bool,
    /// Whether the certificate is personal data, as its reservation was.
    pub personal_data: bool,
    /// The event `certificate-issued` or `certificate-renewed`.
    pub journal: Journal,
}

/// What became of a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompleteOutcome {
    /// On record; it may leave the service.
    Completed(Box<StoredCertificate>),
    /// The key was blocked, or the predecessor revoked or held, since the reservation. The reservation is abandoned in the
    /// same transaction, with an event of its own: the certificate must not leave.
    Overtaken,
    /// The reservation was abandoned already, or never was: the certificate must not leave.
    NotReserved,
}

/// A reservation that has neither been completed nor abandoned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenReservation {
    /// The certificate to come.
    pub id: CertificateId,
    /// Its issuer.
    pub authority: AuthorityId,
    /// Its serial.
    pub serial: Serial,
    /// Since when.
    pub reserved_at: Timestamp,
}

/// A certificate on record.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredCertificate {
    /// Its name in the API.
    pub id: CertificateId,
    /// Its issuer.
    pub authority: AuthorityId,
    /// Its serial number.
    pub serial: Serial,
    /// Its profile.
    pub profile: ProfileName,
    /// Its subject.
    pub subject: DistinguishedName,
    /// Its subject alternative names.
    pub names: Vec<GeneralName>,
    /// Its validity.
    pub validity: Validity,
    /// Whether it stands.
    pub standing: Standing,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
    /// SHA-256 of its DER.
    pub fingerprint_sha256: [u8; 32],
    /// Its DER.
    pub der: Vec<u8>,
    /// Principal reference of its owner.
    pub owner: String,
    /// Principal reference of who asked for it.
    pub requested_by: String,
    /// When it was completed.
    pub issued_at: Timestamp,
    /// The certificate it succeeds.
    pub renews: Option<CertificateId>,
}

/// Without subject, names and DER: they may be personal data, and this goes to logs.
impl fmt::Debug for StoredCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredCertificate")
            .field("id", &self.id)
            .field("authority", &self.authority)
            .field("serial", &self.serial)
            .field("profile", &self.profile)
            .field("validity", &self.validity)
            .field("standing", &self.standing)
            .field("fingerprint_sha256", &hex::encode(self.fingerprint_sha256))
            .field("issued_at", &self.issued_at)
            .field("renews", &self.renews)
            .finish_non_exhaustive()
    }
}

/// A status as lists show it; expiry is judged at [`CertificateFilter::now`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Neither revoked, held nor expired.
    Active,
    /// Revoked for good, expired or not.
    Revoked,
    /// On hold, expired or not.
    Held,
    /// Past its `not_after`, neither revoked nor held.
    Expired,
}

/// Which certificates to list; absent fields do not restrict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFilter {
    /// The instant at which expiry is judged.
    pub now: Timestamp,
    /// By status.
    pub status: Option<StatusFilter>,
    /// By profile.
    pub profile: Option<ProfileName>,
    /// By issuer.
    pub authority: Option<AuthorityId>,
    /// `not_after` before this instant.
    pub expires_before: Option<Timestamp>,
    /// `not_after` at or after this instant.
    pub ends_from: Option<Timestamp>,
    /// Issued at or after this instant.
    pub issued_after: Option<Timestamp>,
    /// Issued before this instant.
    pub issued_before: Option<Timestamp>,
    /// By the owner's principal reference.
    pub owner: Option<String>,
    /// By serial, of any issuer.
    pub serial: Option<Serial>,
    /// By name; exact.
    pub name: Option<NameQuery>,
    /// By SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: Option<[u8; 32]>,
}

impl CertificateFilter {
    /// A filter that lets everything through.
    pub fn all(now: Timestamp) -> Self {
        Self {
            now,
            status: None,
            profile: None,
            authority: None,
            expires_before: None,
            ends_from: None,
            issued_after: None,
            issued_before: None,
            owner: None,
            serial: None,
            name: None,
            spki_sha256: None,
        }
    }
}

/// A name to search for; matched without regard to case, exactly otherwise.
#[derive(Clone, PartialEq, Eq)]
pub enum NameQuery {
    /// A subject alternative name's text, of any type, or a common name.
    AnyName(String),
    /// The whole subject, as RFC 4514 text.
    Subject(String),
}

/// Without the text: it may be personal data, and this goes to logs.
impl fmt::Debug for NameQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnyName(_) => "AnyName(…)",
            Self::Subject(_) => "Subject(…)",
        })
    }
}

/// Where the next page begins: after this certificate. Lists run from the newest id to the oldest.
pub type PageCursor = CertificateId;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// At most as many as asked for.
    pub items: Vec<T>,
    /// Present when more may follow.
    pub next: Option<PageCursor>,
}

/// Certificates, from reservation to record.
#[async_trait]
pub trait CertificateStore: Send + Sync {
    /// Puts an issuance on record before the key is used.
    async fn reserve(&self, reservation: Reservation) -> Result<ReserveOutcome, StoreError>;

    /// Turns a reservation into a certificate on record. Repeating an acknowledged completion returns it again.
    async fn complete(&self, completion: Completion) -> Result<CompleteOutcome, StoreError>;

    /// Closes a reservation for good: its serial answers as revoked from then on (reason unspecified, `revoked_at` =
    /// `journal.event.at`), its idempotency key is freed and its token's use given back. `false` when it was not open.
    async fn abandon(&self, id: CertificateId, journal: Journal) -> Result<bool, StoreError>;

    /// Reservations still open that were made before `before`, oldest first, at most 1,000; without those that an issuer elsewhere
    /// was asked for, which may still become certificates ([`super::UpstreamStore`]).
    async fn open_reservations(&self, before: Timestamp) -> Result<Vec<OpenReservation>, StoreError>;

    /// One certificate by id. Reservations are not certificates.
    async fn certificate(&self, id: CertificateId) -> Result<Option<StoredCertificate>, StoreError>;

    /// One certificate by issuer and serial.
    async fn certificate_by_serial(
        &self,
        authority: &AuthorityId,
        serial: &Serial,
    ) -> Result<Option<StoredCertificate>, StoreError>;

    /// A page of certificates, newest id first. `limit` is 1 to 1,000.
    async fn list(
        &self,
        filter: &CertificateFilter,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<StoredCertificate>, StoreError>;

    /// The live successor of a certificate (issued and not revoked), if it has one.
    async fn successor(&self, id: CertificateId) -> Result<Option<CertificateId>, StoreError>;

    /// The certificates that descend from one by a renewal completed at or after `since`, and by any further renewals, whatever
    /// became of them; in order of id, at most 1,000. A successor that was removed after its retention counts as completed since
    /// then: nobody knows any more that it was not.
    async fn descendants(&self, id: CertificateId, since: Timestamp) -> Result<Vec<CertificateId>, StoreError>;

    /// Deletes idempotency keys that expired before `now`; returns how many.
    async fn drop_expired_idempotency(&self, now: Timestamp) -> Result<u64, StoreError>;
}
