//! Object identifiers that several rooms share, each with the text that assigns it.
//!
//! An identifier that only one room knows stays in that room.

use const_oid::ObjectIdentifier;

/// id-at-commonName (RFC 5280 appendix A.1).
pub const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// id-at-surname (RFC 5280 appendix A.1).
pub const SURNAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.4");
/// id-at-serialNumber (RFC 5280 appendix A.1).
pub const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
/// id-at-countryName (RFC 5280 appendix A.1).
pub const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
/// id-at-localityName (RFC 5280 appendix A.1).
pub const LOCALITY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.7");
/// id-at-stateOrProvinceName (RFC 5280 appendix A.1).
pub const STATE_OR_PROVINCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.8");
/// id-at-streetAddress (X.520 §6.3.4).
pub const STREET_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.9");
/// id-at-organizationName (RFC 5280 appendix A.1).
pub const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
/// id-at-organizationalUnitName (RFC 5280 appendix A.1).
pub const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
/// id-at-title (RFC 5280 appendix A.1).
pub const TITLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.12");
/// id-at-givenName (RFC 5280 appendix A.1).
pub const GIVEN_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.42");
/// id-at-organizationIdentifier (X.520 §6.4.1.2; ETSI EN 319 412-1 §5.1.4).
pub const ORGANIZATION_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.97");
/// domainComponent (RFC 4519 §2.4).
pub const DOMAIN_COMPONENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25");
/// uid (RFC 4519 §2.39).
pub const USER_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1");
/// id-emailAddress (RFC 2985 §5.2.1).
pub const EMAIL_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// The type-id of a user principal name in an otherName (MS-WCCE §2.2.2.7.7.4: szOID_NT_PRINCIPAL_NAME).
pub const USER_PRINCIPAL_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");
/// The arc of ICP-Brasil's otherNames: CPF, CNPJ and the like (DOC-ICP-04 §7.1.2.3).
pub const ICP_BRASIL_OTHER_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.76.1.3");
