//! GeneralName (RFC 5280 §4.2.1.6): what a subject alternative name may be.

use std::net::IpAddr;

use const_oid::ObjectIdentifier;

use super::{DistinguishedName, DnsName, EmailAddress, Uri};

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
