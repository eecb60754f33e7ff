//! What it means to a hook that AWS does not do as asked, and what would help. One hook that is wrong says nothing of the others, so
//! only what concerns all of them makes the sink rest.

use ca_core::managed::definition::Hook;
use ca_core::time::Lifetime;
use ca_engine::port::sink::SinkError;

use crate::aws::CallError;

/// The error of a hook. `help` says of a code what would put it right.
pub(super) fn of(
    hook: &Hook,
    region: &str,
    operation: &str,
    error: CallError,
    help: fn(&str) -> Option<&'static str>,
) -> SinkError {
    let refusal = match error {
        CallError::Busy { detail, retry_after } => {
            let retry_after = Some(Lifetime::from_seconds(retry_after.as_secs().max(1)));
            return SinkError::Unavailable { detail: format!("{hook}: {detail}"), retry_after };
        }
        CallError::Unavailable { detail } => {
            return SinkError::Unavailable { detail: format!("{hook}: {detail}"), retry_after: None };
        }
        CallError::Refused(refusal) => refusal,
    };
    let told = |help: &str| format!("{hook}: {operation} is refused: {refusal}; {help}");
    if let Some(remedy) = refusal.remedy_of_credentials(region) {
        return SinkError::Unavailable { detail: told(&remedy), retry_after: None };
    }
    if refusal.code == "AccessDeniedException" {
        let prefix = match hook {
            Hook::CodeDeploy { .. } => "codedeploy",
            Hook::Ecs { .. } => "ecs",
        };
        return refused(told(&format!("the role of this process needs {prefix}:{operation} on it (docs/aws.md)")));
    }
    refused(told(help(&refusal.code).unwrap_or("see what AWS says of it")))
}

pub(super) fn refused(detail: String) -> SinkError {
    SinkError::Refused { detail }
}
