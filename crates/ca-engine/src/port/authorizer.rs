//! Who may do what. The engine asks; the access policy answers; silence is no.

use ca_core::id::{AuthorityId, CertificateId, ManagedCertificateId, ProfileName, TokenId};
use ca_core::name::GeneralName;
use ca_core::principal::Principal;

/// What a principal wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Ask for a new certificate.
    IssueCertificate,
    /// Ask for the successor of a certificate.
    RenewCertificate,
    /// Ask for the successor of a certificate that has ended, by a proof that its key signs.
    RenewExpiredCertificate,
    /// Revoke a certificate or put it on hold.
    RevokeCertificate,
    /// Revoke many certificates by one request, those of them that may be revoked one by one.
    BulkRevoke,
    /// See bulk revocations.
    ListBulkRevocations,
    /// End a hold.
    ReleaseCertificate,
    /// See one certificate's record.
    ReadCertificate,
    /// List and search certificates.
    ListCertificates,
    /// See authorities.
    ReadAuthority,
    /// See profiles.
    ReadProfile,
    /// Make an enrolment token.
    CreateToken,
    /// Withdraw an enrolment token.
    DeleteToken,
    /// List enrolment tokens.
    ListTokens,
    /// Read audit events.
    ReadAudit,
    /// Export a software key of an authority.
    ExportKey,
    /// List events that are not delivered.
    ListOutbox,
    /// Have an event tried again that could not be delivered.
    ReplayDelivery,
    /// Move the renewal windows of many certificates, or restore them.
    MoveRenewalWindows,
    /// See which renewal windows were moved.
    ListRenewalWindows,
    /// List gateways and what they say they enforce.
    ListGateways,
    /// Say what a gateway enforces.
    ReportGateway,
    /// Take a gateway from the record.
    RemoveGateway,
    /// See a managed certificate.
    ReadManaged,
    /// List managed certificates.
    ListManaged,
    /// Add, change, pause, rotate or remove a managed certificate.
    ManageCertificate,
    /// See which managed certificates a worker is to rotate, rotate them, and say how far that has come.
    DeliverManaged,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 27] = [
        Self::IssueCertificate,
        Self::RenewCertificate,
        Self::RenewExpiredCertificate,
        Self::RevokeCertificate,
        Self::BulkRevoke,
        Self::ListBulkRevocations,
        Self::ReleaseCertificate,
        Self::ReadCertificate,
        Self::ListCertificates,
        Self::ReadAuthority,
        Self::ReadProfile,
        Self::CreateToken,
        Self::DeleteToken,
        Self::ListTokens,
        Self::ReadAudit,
        Self::ExportKey,
        Self::ListOutbox,
        Self::ReplayDelivery,
        Self::MoveRenewalWindows,
        Self::ListRenewalWindows,
        Self::ListGateways,
        Self::ReportGateway,
        Self::RemoveGateway,
        Self::ReadManaged,
        Self::ListManaged,
        Self::ManageCertificate,
        Self::DeliverManaged,
    ];

    /// The name in access policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IssueCertificate => "IssueCertificate",
            Self::RenewCertificate => "RenewCertificate",
            Self::RenewExpiredCertificate => "RenewExpiredCertificate",
            Self::RevokeCertificate => "RevokeCertificate",
            Self::BulkRevoke => "BulkRevoke",
            Self::ListBulkRevocations => "ListBulkRevocations",
            Self::ReleaseCertificate => "ReleaseCertificate",
            Self::ReadCertificate => "ReadCertificate",
            Self::ListCertificates => "ListCertificates",
            Self::ReadAuthority => "ReadAuthority",
            Self::ReadProfile => "ReadProfile",
            Self::CreateToken => "CreateToken",
            Self::DeleteToken => "DeleteToken",
            Self::ListTokens => "ListTokens",
            Self::ReadAudit => "ReadAudit",
            Self::ExportKey => "ExportKey",
            Self::ListOutbox => "ListOutbox",
            Self::ReplayDelivery => "ReplayDelivery",
            Self::MoveRenewalWindows => "MoveRenewalWindows",
            Self::ListRenewalWindows => "ListRenewalWindows",
            Self::ListGateways => "ListGateways",
            Self::ReportGateway => "ReportGateway",
            Self::RemoveGateway => "RemoveGateway",
            Self::ReadManaged => "ReadManaged",
            Self::ListManaged => "ListManaged",
            Self::ManageCertificate => "ManageCertificate",
            Self::DeliverManaged => "DeliverManaged",
        }
    }
}

/// What it is to be done to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resource<'a> {
    /// The service as a whole: lists, audit.
    Service,
    /// A profile, with what is asked of it.
    Profile {
        /// Its name.
        name: &'a ProfileName,
        /// Whether it is one of the service's own (`operator`, `subordinate` …).
        internal: bool,
        /// The subject's common names, as asked for.
        common_names: &'a [String],
        /// The subject alternative names, as asked for.
        names: &'a [GeneralName],
    },
    /// A certificate on record.
    Certificate {
        /// Its id.
        id: CertificateId,
        /// Its issuer.
        authority: &'a AuthorityId,
        /// Its profile.
        profile: &'a ProfileName,
        /// Whether its profile is one of the service's own, so that it belongs to an authority, a responder or an operator;
        /// a profile that is no longer known counts as one.
        internal: bool,
        /// The principal reference of its owner.
        owner: &'a str,
        /// Whether its holder's share of the lifetime before renewal has passed.
        renewal_open: bool,
    },
    /// An authority.
    Authority(&'a AuthorityId),
    /// An enrolment token.
    Token(TokenId),
    /// A gateway.
    Gateway {
        /// Its name, a DNS name.
        id: &'a str,
        /// Whether whoever asks holds a certificate for servers that names it.
        certified: bool,
    },
    /// A managed certificate.
    Managed {
        /// Its id.
        id: ManagedCertificateId,
        /// Its name.
        name: &'a str,
        /// The profile of its certificates.
        profile: &'a ProfileName,
        /// The principal reference of its owner.
        owner: &'a str,
    },
}

/// One question.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// To do what.
    pub action: Action,
    /// To what.
    pub resource: Resource<'a>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes, by these policies.
    Allow {
        /// The ids of the policies that allow it, in order.
        policies: Vec<String>,
    },
    /// No.
    Deny {
        /// The ids of the policies that forbid it; empty when none allows it.
        policies: Vec<String>,
    },
}

impl Decision {
    /// Whether it may be done.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}

/// Decides. Pure, quick (microseconds), and default deny: a question it cannot evaluate is denied.
pub trait Authorizer: Send + Sync {
    /// Answers one question.
    fn decide(&self, question: &Question<'_>) -> Decision;
}
