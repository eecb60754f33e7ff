//! The members of a request.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::json_protocol::AwsError;

/// A text that must be there.
pub(super) fn text<'a>(body: &'a Value, member: &str) -> Result<&'a str, AwsError> {
    optional_text(body, member)?.ok_or_else(|| missing(member))
}

/// A text that may be left out.
pub(super) fn optional_text<'a>(body: &'a Value, member: &str) -> Result<Option<&'a str>, AwsError> {
    match &body[member] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(AwsError::new("SerializationException", format!("{member} is no text"))),
    }
}

/// Octets that must be there, in base64.
pub(super) fn octets(body: &Value, member: &str) -> Result<Vec<u8>, AwsError> {
    BASE64_STANDARD
        .decode(text(body, member)?)
        .map_err(|_| AwsError::new("SerializationException", format!("{member} is no base64")))
}

/// The items of a list; none where it is left out.
pub(super) fn items<'a>(body: &'a Value, member: &str) -> &'a [Value] {
    body[member].as_array().map_or(&[], Vec::as_slice)
}

/// What no authority would take.
pub(super) fn arguments(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidArgsException", message)
}

fn missing(member: &str) -> AwsError {
    AwsError::new("ValidationException", format!("{member} is missing"))
}
