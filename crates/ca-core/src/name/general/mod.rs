//! GeneralName (RFC 5280 §4.2.1.6): what a subject alternative name may be.

use std::fmt;
use std::net::IpAddr;

use const_oid::ObjectIdentifier;

use super::{DistinguishedName, DnsName, EmailAddress, NameError, Uri};

/// One subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GeneralName {
    /// dNSName
    Dns(DnsName),
    /// iPAddress of a host (4 or 16 octets).
    Ip(IpAddr),
    /// uniformResourceIdentifier
    Uri(Uri),
    /// rfc822Name
    Email(EmailAddress),
    /// otherName, the UPN (1.3.6.1.4.1.311.20.2.3) and ICP-Brasil's 2.16.76.1.3.* included.
    Other {
        /// type-id
        type_id: ObjectIdentifier,
        /// The DER of the value inside the explicit [0], kept byte for byte.
        value: Vec<u8>,
    },
    /// directoryName
    Directory(DistinguishedName),
    /// registeredID
    RegisteredId(ObjectIdentifier),
}

impl GeneralName {
    /// Reads `TYPE:VALUE`, where TYPE is `dns`, `ip`, `email`, `uri`, `upn`, `otherName`, `directoryName` (or `dirname`) or
    /// `registeredID` (or `rid`), in any case.
    pub fn parse_typed(text: &str) -> Result<Self, NameError> {
        Err(NameError::new("subject alternative name", text, "not yet read"))
    }

    /// Reads a bare value: an IP literal, else an e-mail address (`@`), else a URI (`://`, `urn:`), else a DNS name.
    pub fn recognise(text: &str) -> Result<Self, NameError> {
        Err(NameError::new("subject alternative name", text, "not yet read"))
    }

    /// Reads what `--san` takes: typed when it begins with the name of a type and a colon, a bare value otherwise.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Self::recognise(text)
    }

    /// Reads the pair that [`Self::type_name`] and [`Self::value_text`] make.
    pub fn from_type_and_value(type_name: &str, value: &str) -> Result<Self, NameError> {
        Self::parse_typed(&format!("{type_name}:{value}"))
    }

    /// `dns ip uri email upn otherName directoryName registeredID`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
            Self::Uri(_) => "uri",
            Self::Email(_) => "email",
            Self::Other { .. } => "otherName",
            Self::Directory(_) => "directoryName",
            Self::RegisteredId(_) => "registeredID",
        }
    }

    /// The value as text, such that [`Self::from_type_and_value`] gives the same name again, octet for octet.
    pub fn value_text(&self) -> String {
        String::new()
    }

    /// A user principal name as an otherName.
    pub fn user_principal_name(text: &str) -> Result<Self, NameError> {
        Err(NameError::new("user principal name", text, "not yet read"))
    }

    /// The DER of this GeneralName.
    pub fn to_der(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Reads the DER of one GeneralName.
    pub fn from_der(der: &[u8]) -> Result<Self, NameError> {
        Err(NameError::new("subject alternative name", &hex::encode(der), "not yet read"))
    }

    /// The DER of GeneralNames (the content of a subjectAltName extension); of no names it is an empty SEQUENCE, which
    /// RFC 5280 §4.2.1.6 forbids: leave the extension out then.
    pub fn encode_all(names: &[Self]) -> Vec<u8> {
        names.iter().flat_map(Self::to_der).collect()
    }

    /// Reads the DER of GeneralNames, at least one.
    pub fn decode_all(der: &[u8]) -> Result<Vec<Self>, NameError> {
        Err(NameError::new("subject alternative names", &hex::encode(der), "not yet read"))
    }
}

impl fmt::Display for GeneralName {
    /// `TYPE:VALUE`, as [`GeneralName::parse_typed`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.type_name(), self.value_text())
    }
}
