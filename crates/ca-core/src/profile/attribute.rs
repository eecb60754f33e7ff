//! The short names by which profiles and messages call the attribute types of a subject (RFC 4514 §3, RFC 4519).

use const_oid::ObjectIdentifier;

use crate::oid;

const NAMES: [(&str, ObjectIdentifier); 15] = [
    ("CN", oid::COMMON_NAME),
    ("SN", oid::SURNAME),
    ("serialNumber", oid::SERIAL_NUMBER),
    ("C", oid::COUNTRY),
    ("L", oid::LOCALITY),
    ("ST", oid::STATE_OR_PROVINCE),
    ("STREET", oid::STREET_ADDRESS),
    ("O", oid::ORGANIZATION),
    ("OU", oid::ORGANIZATIONAL_UNIT),
    ("title", oid::TITLE),
    ("GN", oid::GIVEN_NAME),
    ("organizationIdentifier", oid::ORGANIZATION_IDENTIFIER),
    ("DC", oid::DOMAIN_COMPONENT),
    ("UID", oid::USER_ID),
    ("emailAddress", oid::EMAIL_ADDRESS),
];

/// The short name of an attribute type, or its dotted object identifier.
pub fn attribute_name(oid: ObjectIdentifier) -> String {
    NAMES.iter().find(|(_, known)| *known == oid).map_or_else(|| oid.to_string(), |(name, _)| (*name).to_owned())
}

/// The attribute type of a short name (in any case) or dotted object identifier.
pub(super) fn attribute_type(text: &str) -> Option<ObjectIdentifier> {
    NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, oid)| *oid)
        .or_else(|| oid::from_dotted(text))
}
