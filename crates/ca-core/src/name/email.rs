//! EmailAddress: skeleton.

use std::fmt;

use super::NameError;

/// A checked name, as encoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(String);

impl EmailAddress {
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

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl EmailAddress {
    /// The part before the `@`, as written.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The part behind the `@`: a host or domain, lower case.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}
