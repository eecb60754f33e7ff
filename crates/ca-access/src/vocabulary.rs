//! The words of the schema that the service uses, as Cedar's values: made once, when a policy is loaded.

use std::str::FromStr;

use ca_core::principal::Principal;
use ca_engine::port::authorizer::{Action, Resource};
use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use crate::error::AccessError;

/// How a principal proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PrincipalKind {
    Anonymous,
    Holder,
    ExpiredHolder,
    EnrolmentToken,
    LocalOperator,
    Job,
}

impl PrincipalKind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Anonymous, Self::Holder, Self::ExpiredHolder, Self::EnrolmentToken, Self::LocalOperator, Self::Job];

    /// The kind of a principal; `None` for one that this crate does not know yet, which is denied.
    pub(crate) fn of(principal: &Principal) -> Option<Self> {
        Some(match principal {
            Principal::Anonymous => Self::Anonymous,
            Principal::Certificate { .. } => Self::Holder,
            Principal::ExpiredHolder { .. } => Self::ExpiredHolder,
            Principal::EnrolmentToken { .. } => Self::EnrolmentToken,
            Principal::LocalOperator => Self::LocalOperator,
            Principal::Job(_) => Self::Job,
            _ => return None,
        })
    }
}

/// What kind of thing a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ResourceKind {
    Service,
    Profile,
    Certificate,
    Authority,
    Token,
    Gateway,
    Managed,
}

impl ResourceKind {
    /// The kind of a resource; `None` for one that this crate does not know yet, which is denied.
    pub(crate) fn of(resource: &Resource<'_>) -> Option<Self> {
        Some(match resource {
            Resource::Service => Self::Service,
            Resource::Profile { .. } => Self::Profile,
            Resource::Certificate { .. } => Self::Certificate,
            Resource::Authority(_) => Self::Authority,
            Resource::Token(_) => Self::Token,
            Resource::Gateway { .. } => Self::Gateway,
            Resource::Managed { .. } => Self::Managed,
            _ => return None,
        })
    }
}

/// Every question that flows ask: an action and the kinds of thing it is done to. Whatever else is asked is denied.
pub(crate) const ASKED: [(Action, &[ResourceKind]); Action::ALL.len()] = [
    (Action::IssueCertificate, &[ResourceKind::Profile]),
    (Action::RenewCertificate, &[ResourceKind::Certificate]),
    (Action::RenewExpiredCertificate, &[ResourceKind::Certificate]),
    (Action::RevokeCertificate, &[ResourceKind::Certificate]),
    (Action::BulkRevoke, &[ResourceKind::Service]),
    (Action::ListBulkRevocations, &[ResourceKind::Service]),
    (Action::ReleaseCertificate, &[ResourceKind::Certificate]),
    (Action::ReadCertificate, &[ResourceKind::Certificate]),
    (Action::ListCertificates, &[ResourceKind::Service]),
    (Action::ReadAuthority, &[ResourceKind::Authority, ResourceKind::Service]),
    (Action::ReadProfile, &[ResourceKind::Profile, ResourceKind::Service]),
    (Action::CreateToken, &[ResourceKind::Service]),
    (Action::DeleteToken, &[ResourceKind::Token]),
    (Action::ListTokens, &[ResourceKind::Service]),
    (Action::ReadAudit, &[ResourceKind::Service]),
    (Action::ExportKey, &[ResourceKind::Authority]),
    (Action::ListOutbox, &[ResourceKind::Service]),
    (Action::ReplayDelivery, &[ResourceKind::Service]),
    (Action::MoveRenewalWindows, &[ResourceKind::Service]),
    (Action::ListRenewalWindows, &[ResourceKind::Service]),
    (Action::ListGateways, &[ResourceKind::Service]),
    (Action::ReportGateway, &[ResourceKind::Gateway]),
    (Action::RemoveGateway, &[ResourceKind::Service]),
    (Action::ReadManaged, &[ResourceKind::Managed]),
    (Action::ListManaged, &[ResourceKind::Service]),
    (Action::ManageCertificate, &[ResourceKind::Managed]),
    (Action::DeliverManaged, &[ResourceKind::Service]),
];

/// The entity types of the schema.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    pub(crate) role: EntityTypeName,
    pub(crate) anonymous: EntityTypeName,
    pub(crate) holder: EntityTypeName,
    pub(crate) expired_holder: EntityTypeName,
    pub(crate) enrolment_token: EntityTypeName,
    pub(crate) local_operator: EntityTypeName,
    pub(crate) job: EntityTypeName,
    pub(crate) service: EntityTypeName,
    pub(crate) profile: EntityTypeName,
    pub(crate) certificate: EntityTypeName,
    pub(crate) authority: EntityTypeName,
    pub(crate) token: EntityTypeName,
    pub(crate) gateway: EntityTypeName,
    pub(crate) managed: EntityTypeName,
    action: EntityTypeName,
}

impl Vocabulary {
    pub(crate) fn new() -> Result<Self, AccessError> {
        let entity_type = |name: &str| {
            EntityTypeName::from_str(name).map_err(|error| AccessError::Schema { detail: format!("{name}: {error}") })
        };
        Ok(Self {
            role: entity_type("Role")?,
            anonymous: entity_type("Anonymous")?,
            holder: entity_type("Holder")?,
            expired_holder: entity_type("ExpiredHolder")?,
            enrolment_token: entity_type("EnrolmentToken")?,
            local_operator: entity_type("LocalOperator")?,
            job: entity_type("Job")?,
            service: entity_type("Service")?,
            profile: entity_type("Profile")?,
            certificate: entity_type("Certificate")?,
            authority: entity_type("Authority")?,
            token: entity_type("Token")?,
            gateway: entity_type("Gateway")?,
            managed: entity_type("ManagedCertificate")?,
            action: entity_type("Action")?,
        })
    }

    pub(crate) fn principal_type(&self, kind: PrincipalKind) -> &EntityTypeName {
        match kind {
            PrincipalKind::Anonymous => &self.anonymous,
            PrincipalKind::Holder => &self.holder,
            PrincipalKind::ExpiredHolder => &self.expired_holder,
            PrincipalKind::EnrolmentToken => &self.enrolment_token,
            PrincipalKind::LocalOperator => &self.local_operator,
            PrincipalKind::Job => &self.job,
        }
    }

    pub(crate) fn resource_type(&self, kind: ResourceKind) -> &EntityTypeName {
        match kind {
            ResourceKind::Service => &self.service,
            ResourceKind::Profile => &self.profile,
            ResourceKind::Certificate => &self.certificate,
            ResourceKind::Authority => &self.authority,
            ResourceKind::Token => &self.token,
            ResourceKind::Gateway => &self.gateway,
            ResourceKind::Managed => &self.managed,
        }
    }

    pub(crate) fn action(&self, action: Action) -> EntityUid {
        uid(&self.action, action.as_str())
    }
}

pub(crate) fn uid(entity_type: &EntityTypeName, id: impl AsRef<str>) -> EntityUid {
    EntityUid::from_type_name_and_id(entity_type.clone(), EntityId::new(id))
}
