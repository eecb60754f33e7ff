//! What it means to a sink that AWS does not do as asked, and what would help.

use ca_core::time::Lifetime;
use ca_engine::port::sink::SinkError;

use crate::aws::{CallError, Refusal};

/// Who was asked.
pub(in crate::sink) struct Receiver<'a> {
    /// In words, as in `topic arn:aws:sns:…`.
    pub(in crate::sink) name: &'a str,
    /// The prefix of its permissions, as in `sns`.
    pub(in crate::sink) service: &'static str,
    /// Where it is.
    pub(in crate::sink) region: &'a str,
}

/// The error of an attempt. What concerns every event alike is [`SinkError::Unavailable`], so that the sink is left alone and no event
/// uses up its attempts; a receiver that is not there is [`SinkError::Gone`].
pub(in crate::sink) fn sink_error(receiver: &Receiver<'_>, operation: &str, error: CallError) -> SinkError {
    let Receiver { name, service, region } = receiver;
    let refusal = match error {
        CallError::Busy { detail, retry_after } => {
            let seconds = retry_after.as_secs().max(1);
            let retry_after = Some(Lifetime::from_seconds(seconds));
            return SinkError::Unavailable { detail: format!("{name}: {detail}"), retry_after };
        }
        CallError::Unavailable { detail } => {
            return SinkError::Unavailable { detail: format!("{name}: {detail}"), retry_after: None };
        }
        CallError::Refused(refusal) => refusal,
    };
    let told = |help: &str| format!("{name}: {operation} is refused: {refusal}; {help}");
    let unavailable = |help: &str| SinkError::Unavailable { detail: told(help), retry_after: None };
    if let Some(remedy) = refusal.remedy_of_credentials(region) {
        return unavailable(&remedy);
    }
    match meaning(&refusal) {
        Meaning::Denied => unavailable(&format!(
            "the role of this process needs {service}:{operation} on it, and its own policy must let the role in where it has one"
        )),
        Meaning::NotThere => SinkError::Gone {
            detail: told(
                "make it again or name another; `ca-cli outbox replay --all` sends then what was given up meanwhile",
            ),
        },
        Meaning::Key => unavailable(
            "it is encrypted under a key of KMS that does not let this role: give the role kms:GenerateDataKey and kms:Decrypt, or enable \
             the key",
        ),
        Meaning::Other => SinkError::Refused { detail: told("see what AWS says of it") },
    }
}

enum Meaning {
    Denied,
    NotThere,
    Key,
    Other,
}

fn meaning(refusal: &Refusal) -> Meaning {
    match refusal.code.as_str() {
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "AuthorizationErrorException" => {
            Meaning::Denied
        }
        "NotFound" | "NotFoundException" | "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue" => {
            Meaning::NotThere
        }
        code if code.to_ascii_uppercase().starts_with("KMS") => Meaning::Key,
        _ => Meaning::Other,
    }
}
