//! What a version of a secret is: its content, and the token that names it.

use super::invalid;
use crate::json_protocol::{AwsError, Input};

/// The largest value, in octets.
const LARGEST: usize = 65_536;

/// What a version holds.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    Octets(Vec<u8>),
}

/// One version.
pub(super) struct Version {
    pub(super) content: Content,
    pub(super) made_at: i64,
}

impl Content {
    /// What a request gives, if anything.
    pub(super) fn of(input: &Input) -> Result<Option<Self>, AwsError> {
        let content = match (input.text("SecretString")?, input.member("SecretBinary")) {
            (Some(_), Some(_)) => return Err(invalid("You can't specify both a binary secret value and a string.")),
            (Some(text), None) => Self::Text(text.to_owned()),
            (None, Some(_)) => Self::Octets(input.octets("SecretBinary")?),
            (None, None) => return Ok(None),
        };
        let length = match &content {
            Self::Text(text) => text.len(),
            Self::Octets(octets) => octets.len(),
        };
        match length {
            1..=LARGEST => Ok(Some(content)),
            _ => Err(AwsError::validation(format!(
                "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have \
                 length between 1 and {LARGEST}"
            ))),
        }
    }
}

/// The token that names a version: 32 to 64 characters.
pub(super) fn token(input: &Input) -> Result<String, AwsError> {
    // The SDK makes one up where its caller gives none.
    let token =
        input.text("ClientRequestToken")?.ok_or_else(|| invalid("You must provide a ClientRequestToken value."))?;
    match token.len() {
        32..=64 => Ok(token.to_owned()),
        _ => Err(invalid("ClientRequestToken must be 32-64 characters long.")),
    }
}
