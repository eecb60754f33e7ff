//! What S3 says when it does not do what it was asked, in words for the operator.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use thiserror::Error;

/// Why a list was not put in place.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// The object was changed since it was looked at.
    #[error("it was changed meanwhile")]
    Race,
    /// That again and again.
    #[error("others change the object all the time; one service at a time publishes there")]
    Races,
    /// What lies there is too large to be a list.
    #[error("an object of {octets} octets lies there, which is no list of this service; move it away")]
    Foreign {
        /// How large it is.
        octets: i64,
    },
    /// It could not be read to its end.
    #[error("the list in place could not be read to its end")]
    CutOff,
    /// The list itself cannot be read where it was put aside.
    #[error("the list to be put there cannot be read: {0}")]
    Unreadable(String),
    /// S3, or what stands in between, refuses.
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    /// A refused PUT: the conditions that S3 found not to hold are no error, but a reason to look again.
    pub(super) fn of_put<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + RequestId + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        match (status, code(error)) {
            // `If-Match` or `If-None-Match` did not hold; 409 is another PUT at the same instant; 404 with `If-Match` is one that
            // was deleted.
            (Some(412), _) | (Some(409), Some("ConditionalRequestConflict")) | (Some(404), Some("NoSuchKey")) => {
                Self::Race
            }
            _ => Self::of("PutObject", error),
        }
    }

    /// Any other refusal.
    pub(super) fn of<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + RequestId + 'static,
    {
        let Some(status) = error.raw_response().map(|response| response.status().as_u16()) else {
            // No answer: no credentials, no connection, no time. The SDK's chain of reasons holds no secret.
            return Self::Refused(format!("{operation}: {}", DisplayErrorContext(error)));
        };
        let mut said = format!("{operation} is refused with {status}");
        let service = error.as_service_error();
        if let Some(code) = code(error) {
            said.push_str(&format!(" {code}"));
        }
        if let Some(message) = service.and_then(|error| error.message()) {
            said.push_str(&format!(" ({message})"));
        }
        if let Some(id) = service.and_then(|error| error.request_id()) {
            said.push_str(&format!(", request {id}"));
        }
        if status == 403 {
            said.push_str(
                "; the role needs s3:GetObject, s3:PutObject and s3:ListBucket, and with a KMS key kms:GenerateDataKey and \
                 kms:Decrypt (docs/aws.md)",
            );
        }
        Self::Refused(said)
    }
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(|error| error.code())
}
