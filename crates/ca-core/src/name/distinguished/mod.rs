//! Distinguished names, byte for byte (RFC 5280 §4.1.2.4, RFC 4514).

mod builder;

use std::fmt;

use const_oid::ObjectIdentifier;

pub use builder::DistinguishedNameBuilder;

use super::NameError;

/// A distinguished name: its DER, kept exactly as it came or was made. Equality is of octets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DistinguishedName {
    der: Vec<u8>,
}

/// One attribute of a distinguished name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Which RDN it belongs to, counted from 0 in DER order; attributes of a multi-valued RDN share the number.
    pub rdn: usize,
    /// Its type.
    pub oid: ObjectIdentifier,
    /// Its value as text, when it is of a string type.
    pub text: Option<String>,
    /// The whole DER of its value, tag and length included.
    pub value_der: &'a [u8],
}

impl DistinguishedName {
    /// The name without attributes.
    pub fn empty() -> Self {
        Self { der: vec![0x30, 0] }
    }

    /// Begins a name; attributes are pushed in DER order, the most significant (`C`, `O`) first.
    pub fn builder() -> DistinguishedNameBuilder {
        DistinguishedNameBuilder::default()
    }

    /// Reads the DER of an RDNSequence and keeps it byte for byte.
    pub fn from_der(der: &[u8]) -> Result<Self, NameError> {
        Err(NameError::new("distinguished name", &hex::encode(der), "not yet read"))
    }

    /// Reads an RFC 4514 string (`CN=leaf,O=Example,C=BR`): the last RDN of the text is the first of the DER.
    pub fn from_rfc4514(text: &str) -> Result<Self, NameError> {
        Err(NameError::new("distinguished name", text, "not yet read"))
    }

    /// The name as an RFC 4514 string. The string types of values are lost.
    pub fn to_rfc4514(&self) -> String {
        String::new()
    }

    /// The DER of the RDNSequence.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the name has no attribute.
    pub fn is_empty(&self) -> bool {
        self.der == [0x30, 0]
    }

    /// The attributes, in DER order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        std::iter::empty()
    }

    /// The texts of the common names, in DER order.
    pub fn common_names(&self) -> Vec<String> {
        self.attributes().filter(|attribute| attribute.oid == crate::oid::COMMON_NAME).filter_map(|a| a.text).collect()
    }

    /// Every attribute that breaks its size limits or string type (RFC 5280 appendix A.1); a name that was built or read
    /// from text has none, one that was read from DER may.
    pub fn attribute_faults(&self) -> Vec<NameError> {
        Vec::new()
    }

    /// Whether both name the same by RFC 5280 §7.1.
    pub fn matches(&self, other: &Self) -> bool {
        self == other
    }
}

impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc4514())
    }
}
