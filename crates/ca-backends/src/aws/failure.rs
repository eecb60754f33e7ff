//! Why a call of AWS was not answered with what it wanted: whether the same call may succeed later, and what the service said.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

/// Why one attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There are too many calls; the same one may succeed later.
    Throttled(Refusal),
    /// It failed inside the service, or there was no answer; the same call may succeed later.
    Passing(String),
    /// It is refused, and will be again.
    Refused(Refusal),
    /// It was not even sent: no credentials, no such endpoint.
    NotSent(String),
}

/// What a service said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The code, as in `DisabledException`; empty when it said none.
    pub(crate) code: String,
    /// Its words.
    pub(crate) message: String,
    /// What AWS's support asks for.
    pub(crate) request_id: String,
}

/// What AWS calls throttling. `LimitExceededException`, which the SDK counts among them, is a limit that stays.
const THROTTLING: [&str; 15] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "RequestThrottled",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "SlowDown",
    "PriorRequestNotComplete",
    // Of SNS and SQS, and of the KMS keys behind them.
    "Throttled",
    "KMSThrottling",
    "KMSThrottlingException",
    "KmsThrottled",
];
/// What passes although its status does not say so.
const PASSING: [&str; 6] = [
    "ConcurrentModificationException",
    "KMSInternalException",
    "DependencyTimeoutException",
    "KeyUnavailableException",
    "RequestTimeout",
    "RequestTimeoutException",
];

impl Failure {
    /// What became of a call.
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + RequestId + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => {
                let (said, status) = (answer.err(), answer.raw().status().as_u16());
                Self::of_answer(Refusal {
                    status,
                    code: said.code().unwrap_or_default().to_owned(),
                    message: said.message().unwrap_or_default().to_owned(),
                    request_id: said.request_id().unwrap_or_default().to_owned(),
                })
            }
            // No credentials, a name that does not resolve to anything that can be asked; the chain of reasons holds no secret.
            SdkError::ConstructionFailure(_) => Self::NotSent(DisplayErrorContext(error).to_string()),
            // A connection that breaks while the answer is awaited has a kind of its own among the others.
            SdkError::DispatchFailure(failure)
                if failure.is_user() || failure.is_other() && failure.as_other().is_none() =>
            {
                Self::NotSent(DisplayErrorContext(error).to_string())
            }
            SdkError::TimeoutError(_) => Self::Passing("there was no answer in time".to_owned()),
            _ => Self::Passing(DisplayErrorContext(error).to_string()),
        }
    }

    fn of_answer(refusal: Refusal) -> Self {
        let code = refusal.code.as_str();
        if THROTTLING.contains(&code) || refusal.status == 429 {
            return Self::Throttled(refusal);
        }
        if refusal.status >= 500 || PASSING.contains(&code) {
            return Self::Passing(refusal.to_string());
        }
        Self::Refused(refusal)
    }
}

impl Refusal {
    /// What helps where the credentials are what is refused; `None` where it is something else. `region` is where it was asked.
    pub(crate) fn remedy_of_credentials(&self, region: &str) -> Option<String> {
        Some(match self.code.as_str() {
            "ExpiredTokenException" | "ExpiredToken" => {
                "the session of the credentials has ended: renew them where they come from (the role of the task or instance does \
                 so by itself; values in the environment are read once, at the start)"
                    .to_owned()
            }
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken" => {
                "AWS does not know these credentials; check where they come from (docs/aws.md)".to_owned()
            }
            "InvalidSignatureException" | "SignatureDoesNotMatch" | "IncompleteSignatureException" => format!(
                "the request was signed for region {region} of the ARN: is `aws.endpoint_url` of another region, the clock wrong, \
                 or the secret key not that of the access key?"
            ),
            _ => return None,
        })
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, " ({})", self.message.trim_end_matches('.'))?;
        }
        if !self.request_id.is_empty() {
            write!(f, ", request {}", self.request_id)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, code: &str) -> Failure {
        Failure::of_answer(Refusal { status, code: code.to_owned(), ..Refusal::default() })
    }

    #[test]
    fn tells_what_passes_from_what_stays() {
        for (status, code) in
            [(400, "ThrottlingException"), (503, "SlowDown"), (429, ""), (400, "RequestLimitExceeded")]
        {
            assert!(matches!(of(status, code), Failure::Throttled(_)), "{status} {code}");
        }
        for (status, code) in [
            (500, "KMSInternalException"),
            (503, "DependencyTimeoutException"),
            (502, ""),
            (400, "KeyUnavailableException"),
            (400, "ConcurrentModificationException"),
        ] {
            assert!(matches!(of(status, code), Failure::Passing(_)), "{status} {code}");
        }
        for (status, code) in [
            (400, "LimitExceededException"),
            (400, "DisabledException"),
            (400, "AccessDeniedException"),
            (400, "ExpiredTokenException"),
            (400, ""),
            (403, ""),
        ] {
            assert!(matches!(of(status, code), Failure::Refused(_)), "{status} {code}");
        }
    }
}
