//! The access rules that these tests need, said in Rust: as the shipped policy has them, in few words.

use ca_core::principal::{Principal, Role};
use ca_engine::fake::ScriptedAuthorizer;
use ca_engine::port::authorizer::{Action, Question, Resource};

/// Administrators, the operator of the host and jobs may do all; a holder reads and revokes its own certificate, and renews it
/// when its time has come; a registrar manages certificates that are not the service's own; a worker delivers
/// managed ones; a token asks for what it is bound
/// to.
pub(crate) fn shipped_rules() -> ScriptedAuthorizer {
    ScriptedAuthorizer::by(|question| match question.principal {
        Principal::LocalOperator | Principal::Job(_) => true,
        Principal::Certificate { id, roles, .. } => {
            roles.contains(&Role::Administrator)
                || (roles.contains(&Role::Registrar) && registrar_may(question))
                || (roles.contains(&Role::Worker) && question.action == Action::DeliverManaged)
                || holder_may(question, *id)
        }
        Principal::ExpiredHolder { id: own } => match &question.resource {
            Resource::Certificate { id, internal, .. } => {
                question.action == Action::RenewExpiredCertificate && id == own && !internal
            }
            _ => false,
        },
        Principal::EnrolmentToken { binding, .. } => match &question.resource {
            Resource::Profile { name, names, common_names, .. } => {
                question.action == Action::IssueCertificate
                    && **name == binding.profile
                    && !names.is_empty()
                    && names.iter().all(|name| binding.names.contains(name))
                    && common_names.iter().all(|common_name| {
                        binding.common_name.as_ref() == Some(common_name)
                            || binding.names.iter().any(|name| name.value_text() == *common_name)
                    })
            }
            _ => false,
        },
        _ => false,
    })
}

fn holder_may(question: &Question<'_>, own: ca_core::id::CertificateId) -> bool {
    if let Resource::Gateway { certified, .. } = &question.resource {
        return *certified;
    }
    let Resource::Certificate { id, renewal_open, .. } = &question.resource else { return false };
    let action = match question.action {
        Action::ReadCertificate | Action::RevokeCertificate => true,
        Action::RenewCertificate => *renewal_open,
        _ => false,
    };
    *id == own && action
}

fn registrar_may(question: &Question<'_>) -> bool {
    match &question.resource {
        Resource::Profile { internal, .. } | Resource::Certificate { internal, .. } => !internal,
        Resource::Service => !matches!(
            question.action,
            Action::ReadAudit
                | Action::ListOutbox
                | Action::ReplayDelivery
                | Action::RemoveGateway
                | Action::MoveRenewalWindows
                | Action::DeliverManaged
        ),
        Resource::Managed { .. } => true,
        _ => false,
    }
}
