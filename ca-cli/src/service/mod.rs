//! The authority as commands see it: at a server, or in a folder of this machine.
//!
//! What is asked is said in the domain's values; answers have the API's shapes, which `--output json` prints.

pub(crate) mod local;
pub(crate) mod remote;

use async_trait::async_trait;
use ca_api::audit::{AuditEvent, AuditFilter};
use ca_api::authority::Authority;
use ca_api::bulk_revocation::{BulkRevocation, RevocationCount};
use ca_api::certificate::Certificate;
use ca_api::gateway::{Gateway, GatewayStatus};
use ca_api::managed::{ManagedCertificate, ManagedStatus};
use ca_api::outbox::{Delivery, DeliveryFilter};
use ca_api::page::Page;
use ca_api::profile::Profile;
use ca_api::renewal_window::RenewalWindowMove;
use ca_api::revoke::RevokedCertificate;
use ca_api::token::{CreatedEnrolmentToken, EnrolmentToken};
use ca_core::crl::ParsedCrl;
use ca_core::csr::ParsedCsr;
use ca_core::id::{AuthorityId, BulkRevocationId, DeliveryId, ProfileName, TokenId, WindowMoveId};
use ca_core::name::DnsName;
use ca_core::revocation::RevocationReason;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::flow::bulk_revoke::BulkRevokeRequest;
use ca_engine::flow::issue::IssueRequest;
use ca_engine::flow::managed::define::ManagedRequest;
use ca_engine::flow::managed::query::ManagedReference;
use ca_engine::flow::query::CertificateName;
use ca_engine::flow::renewal_windows::MoveRequest;
use ca_engine::flow::token::TokenRequest;
use ca_engine::port::store::CertificateFilter;

use crate::exit::Failure;

/// Which part of a list to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageRequest {
    /// At most so many items, 1 to [`ca_api::page::MAXIMUM_LIMIT`].
    pub(crate) limit: u32,
    /// The `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
}

/// A request for the successor of a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Renewal {
    /// The key, proved; `None` keeps the old one.
    pub(crate) csr: Option<ParsedCsr>,
    /// How long it shall be valid; the profile's default when absent.
    pub(crate) validity: Option<Lifetime>,
    /// Under which asking again gives the same certificate.
    pub(crate) idempotency_key: String,
}

/// A certificate authority that can be asked. Every error says what is wrong and what would be right.
#[async_trait]
pub(crate) trait Service: Send + Sync {
    /// Issues a certificate. With an idempotency key, asking again gives the same certificate.
    async fn issue(&self, request: IssueRequest) -> Result<Certificate, Failure>;

    /// Issues the successor of a certificate. Asking again with the same idempotency key gives the same certificate.
    async fn renew(&self, name: &CertificateName, renewal: Renewal) -> Result<Certificate, Failure>;

    /// Revokes a certificate or puts it on hold.
    async fn revoke(
        &self,
        name: &CertificateName,
        reason: RevocationReason,
        invalidity_date: Option<Timestamp>,
    ) -> Result<RevokedCertificate, Failure>;

    /// Counts what would be revoked; nothing is changed.
    async fn count_bulk_revocation(&self, request: &BulkRevokeRequest) -> Result<RevocationCount, Failure>;

    /// Begins to revoke exactly so many certificates. With an idempotency key, asking again gives the same.
    async fn begin_bulk_revocation(
        &self,
        request: &BulkRevokeRequest,
        expected: u64,
        idempotency_key: &str,
    ) -> Result<BulkRevocation, Failure>;

    /// How far a bulk revocation has come.
    async fn bulk_revocation(&self, id: BulkRevocationId) -> Result<BulkRevocation, Failure>;

    /// Lets a bulk revocation go on for a while, and says how far it has come then.
    async fn advance_bulk_revocation(&self, id: BulkRevocationId) -> Result<BulkRevocation, Failure>;

    /// Leaves a bulk revocation that is running, with what is revoked published.
    async fn leave_bulk_revocation(&self, id: BulkRevocationId) -> Result<(), Failure>;

    /// Ends a bulk revocation that is running.
    async fn cancel_bulk_revocation(&self, id: BulkRevocationId) -> Result<BulkRevocation, Failure>;

    /// Ends a hold.
    async fn unhold(&self, name: &CertificateName) -> Result<Certificate, Failure>;

    /// One certificate on record.
    async fn certificate(&self, name: &CertificateName) -> Result<Certificate, Failure>;

    /// Certificates on record, newest first.
    async fn certificates(&self, filter: &CertificateFilter, page: PageRequest) -> Result<Page<Certificate>, Failure>;

    /// Every authority.
    async fn authorities(&self) -> Result<Vec<Authority>, Failure>;

    /// One authority.
    async fn authority(&self, id: &AuthorityId) -> Result<Authority, Failure>;

    /// Every profile that may be asked for.
    async fn profiles(&self) -> Result<Vec<Profile>, Failure>;

    /// One profile.
    async fn profile(&self, name: &ProfileName) -> Result<Profile, Failure>;

    /// Makes an enrolment token.
    async fn create_token(&self, request: TokenRequest) -> Result<CreatedEnrolmentToken, Failure>;

    /// Enrolment tokens, newest first.
    async fn tokens(&self, page: PageRequest) -> Result<Page<EnrolmentToken>, Failure>;

    /// Withdraws an enrolment token.
    async fn delete_token(&self, id: TokenId) -> Result<(), Failure>;

    /// Audit events, oldest first.
    async fn audit_events(&self, filter: &AuditFilter) -> Result<Page<AuditEvent>, Failure>;

    /// Events that sinks have not taken, newest first.
    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Page<Delivery>, Failure>;

    /// Has an event tried again at once.
    async fn replay_delivery(&self, id: DeliveryId) -> Result<Delivery, Failure>;

    /// Moves the renewal windows of many certificates.
    async fn move_renewal_windows(&self, request: MoveRequest) -> Result<RenewalWindowMove, Failure>;

    /// The moves on record, newest first.
    async fn renewal_windows(&self) -> Result<Vec<RenewalWindowMove>, Failure>;

    /// Withdraws a move.
    async fn restore_renewal_windows(&self, id: WindowMoveId) -> Result<(), Failure>;

    /// Adds a managed certificate; a dry run only checks it.
    async fn add_managed(&self, request: &ManagedRequest, dry_run: bool) -> Result<ManagedCertificate, Failure>;

    /// Managed certificates, in order of their names.
    async fn managed_certificates(&self, page: PageRequest) -> Result<Page<ManagedCertificate>, Failure>;

    /// How the whole of them stands.
    async fn managed_status(&self) -> Result<ManagedStatus, Failure>;

    /// One of them.
    async fn managed(&self, name: &ManagedReference) -> Result<ManagedCertificate, Failure>;

    /// Changes what is wanted of one; a dry run only checks it.
    async fn change_managed(
        &self,
        name: &ManagedReference,
        request: &ManagedRequest,
        dry_run: bool,
    ) -> Result<ManagedCertificate, Failure>;

    /// Has one rotated at once.
    async fn rotate_managed(&self, name: &ManagedReference) -> Result<ManagedCertificate, Failure>;

    /// Has nothing done for one.
    async fn pause_managed(&self, name: &ManagedReference) -> Result<ManagedCertificate, Failure>;

    /// Ends that.
    async fn resume_managed(&self, name: &ManagedReference) -> Result<ManagedCertificate, Failure>;

    /// Takes one from the record.
    async fn remove_managed(&self, name: &ManagedReference) -> Result<(), Failure>;

    /// The gateways, and what each said last.
    async fn gateways(&self) -> Result<Vec<Gateway>, Failure>;

    /// Takes a gateway from the record.
    async fn remove_gateway(&self, id: &DnsName) -> Result<(), Failure>;

    /// Says what a gateway enforces.
    async fn report_gateway(&self, id: &str, status: &GatewayStatus) -> Result<Gateway, Failure>;

    /// The root certificates: those this side trusts come first.
    async fn roots(&self) -> Result<Vec<ca_core::certificate::Certificate>, Failure>;

    /// The DER of the answer to the DER of an OCSP request.
    async fn ocsp(&self, request: Vec<u8>) -> Result<Vec<u8>, Failure>;

    /// Every complete revocation list.
    async fn revocation_lists(&self) -> Result<Vec<ParsedCrl>, Failure>;

    /// Ends the work with this service.
    async fn close(&self) -> Result<(), Failure> {
        Ok(())
    }
}
