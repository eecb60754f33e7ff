//! GeneralName (RFC 5280 §4.2.1.6): what a subject alternative name may be.
//!
//! Its text form is in `text`, its DER in `der_form`.

mod der_form;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::net::IpAddr;

use const_oid::ObjectIdentifier;

use super::{DistinguishedName, DnsName, EmailAddress, NameError, Uri};

const KIND: &str = "subject alternative name";

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
        /// The DER of the value inside the explicit `[0]`, kept byte for byte.
        value: Vec<u8>,
    },
    /// directoryName
    Directory(DistinguishedName),
    /// registeredID
    RegisteredId(ObjectIdentifier),
}

impl GeneralName {
    /// Reads `TYPE:VALUE`, as `--san` and records have it. TYPE, in any case, is one of
    ///
    /// | TYPE | VALUE |
    /// |---|---|
    /// | `dns` | a DNS name ([`DnsName::parse`]) |
    /// | `ip` | an IPv4 or IPv6 address |
    /// | `email` | an e-mail address ([`EmailAddress::parse`]) |
    /// | `uri` | an absolute URI ([`Uri::parse`]) |
    /// | `upn` | a user principal name, `user@realm` |
    /// | `otherName` | `OID=text`, written as UTF8String, or `OID=#` and the hexadecimal of any DER value |
    /// | `directoryName`, `dirname` | an RFC 4514 string, not empty |
    /// | `registeredID`, `rid` | a dotted object identifier |
    pub fn parse_typed(text: &str) -> Result<Self, NameError> {
        text::parse_typed(text)
    }

    /// Reads a bare value: an IP literal, else a URI (it holds `://` or begins with `urn:`), else an e-mail address (it
    /// holds `@`), else a DNS name.
    pub fn recognise(text: &str) -> Result<Self, NameError> {
        text::recognise(text)
    }

    /// Reads what `--san` takes: as [`Self::parse_typed`] when it begins with the name of a type and a colon, as
    /// [`Self::recognise`] otherwise.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text::begins_with_type(text) { text::parse_typed(text) } else { text::recognise(text) }
    }

    /// Reads the pair that [`Self::type_name`] and [`Self::value_text`] make; the types are those of
    /// [`Self::parse_typed`].
    pub fn from_type_and_value(type_name: &str, value: &str) -> Result<Self, NameError> {
        text::from_type_and_value(type_name, value)
    }

    /// `dns ip uri email upn otherName directoryName registeredID`. An otherName is a `upn` when its value is one that
    /// [`Self::user_principal_name`] makes.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
            Self::Uri(_) => "uri",
            Self::Email(_) => "email",
            Self::Other { .. } if self.as_user_principal_name().is_some() => "upn",
            Self::Other { .. } => "otherName",
            Self::Directory(_) => "directoryName",
            Self::RegisteredId(_) => "registeredID",
        }
    }

    /// The value as text, such that [`Self::from_type_and_value`] gives the same name again, octet for octet.
    pub fn value_text(&self) -> String {
        text::write_value(self)
    }

    /// A user principal name as an otherName of a UTF8String: `user@realm` of at most 1,024 characters, one `@`, no
    /// blanks; the realm is a host name or domain, kept as written (MS-ADTS §5.1.1.1.1).
    pub fn user_principal_name(text: &str) -> Result<Self, NameError> {
        text::read_user_principal_name(text)
    }

    /// The user principal name, when this is one that [`Self::user_principal_name`] makes.
    pub fn as_user_principal_name(&self) -> Option<String> {
        text::user_principal_name_of(self)
    }

    /// The DER of this GeneralName.
    pub fn to_der(&self) -> Vec<u8> {
        der_form::encode(self)
    }

    /// Reads the DER of one GeneralName. DNS names and domains come out in lower case; x400Address and ediPartyName are
    /// refused, as are values that [`Self::parse_typed`] would refuse.
    pub fn from_der(der: &[u8]) -> Result<Self, NameError> {
        der_form::decode(der)
    }

    /// The DER of GeneralNames (the content of a subjectAltName extension); of no names it is an empty SEQUENCE, which
    /// RFC 5280 §4.2.1.6 forbids: leave the extension out then.
    pub fn encode_all(names: &[Self]) -> Vec<u8> {
        der_form::encode_all(names)
    }

    /// Reads the DER of GeneralNames: at least one, at most 65,536 octets.
    pub fn decode_all(der: &[u8]) -> Result<Vec<Self>, NameError> {
        der_form::decode_all(der)
    }
}

impl fmt::Display for GeneralName {
    /// `TYPE:VALUE`, as [`GeneralName::parse_typed`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.type_name(), self.value_text())
    }
}
