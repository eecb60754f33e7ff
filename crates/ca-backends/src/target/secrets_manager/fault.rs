//! What AWS says when it does not do as asked, and what would help.

use ca_engine::port::certificate_target::TargetError;

use crate::aws::{CallError, Refusal};

/// What a refusal means to the step that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is no such secret, or no such version.
    NotFound,
    /// A version of that name is there already, or a secret.
    Exists,
    /// Something else.
    Other,
}

pub(super) fn outcome(error: &CallError) -> Outcome {
    match error {
        CallError::Refused(Refusal { code, .. }) => match code.as_str() {
            "ResourceNotFoundException" => Outcome::NotFound,
            "ResourceExistsException" => Outcome::Exists,
            _ => Outcome::Other,
        },
        _ => Outcome::Other,
    }
}

/// A secret that is scheduled for deletion.
pub(super) fn to_be_deleted(secret: &str) -> TargetError {
    let detail = format!(
        "secret {secret} is scheduled for deletion: aws secretsmanager restore-secret --secret-id {secret}, or name another"
    );
    TargetError::Refused { detail }
}

/// The error of a step.
pub(super) fn of(secret: &str, operation: &str, error: CallError) -> TargetError {
    let refusal = match error {
        CallError::Busy { detail, .. } | CallError::Unavailable { detail } => {
            return TargetError::Unavailable { detail: format!("secret {secret}: {detail}") };
        }
        CallError::Refused(refusal) => refusal,
    };
    let help = match refusal.code.as_str() {
        "AccessDeniedException" => {
            format!("the role of this process needs secretsmanager:{operation} on it, and the key's rights where it has one of its own")
        }
        "ResourceNotFoundException" => "it is not in this account and region, or the version is gone; rotate again".to_owned(),
        "EncryptionFailure" | "DecryptionFailure" => {
            "its KMS key is gone, is disabled, or does not let this role use it: enable it, or name another (kms_key)".to_owned()
        }
        "InvalidRequestException" if refusal.message.contains("deletion") => return to_be_deleted(secret),
        "LimitExceededException" => "ask AWS for a higher quota, or delete what is not needed".to_owned(),
        "ExpiredTokenException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException" => {
            "the credentials of this process are wrong, have expired, or are for another region; give it a role, or renew them"
                .to_owned()
        }
        _ => "see what AWS says of it".to_owned(),
    };
    TargetError::Refused { detail: format!("secret {secret}: {operation} is refused: {refusal}; {help}") }
}
