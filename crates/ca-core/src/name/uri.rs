//! Uri: skeleton.

use std::fmt;

use super::NameError;

/// A checked name, as encoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uri(String);

impl Uri {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || !text.is_ascii() {
            return Err(NameError::new("name", text, "not yet read"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Uri {
    /// The host of the authority, lower case and without port; `None` when there is no authority.
    pub fn host(&self) -> Option<String> {
        None
    }
}
