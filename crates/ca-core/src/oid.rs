//! Object identifiers that several rooms share, each with the text that assigns it.
//!
//! An identifier that only one room knows stays in that room.

use const_oid::ObjectIdentifier;

use crate::tlv::DerError;

/// Reads the content octets of an OBJECT IDENTIFIER whose arcs are below 2^32.
pub(crate) fn read(content: &[u8]) -> Result<ObjectIdentifier, DerError> {
    let invalid = DerError::Content { kind: "OBJECT IDENTIFIER" };
    // X.690 §8.19.2: no leading 0x80 octet. const-oid 0.10 lets those pass, and drops the upper bits of arcs from 2^32 on,
    // so that two identifiers would have one dotted form.
    let in_range = |arc: &[u8]| arc[0] != 0x80 && (arc.len() < 5 || (arc.len() == 5 && arc[0] <= 0x8f));
    if !content.split_inclusive(|octet| octet & 0x80 == 0).all(in_range) {
        return Err(invalid);
    }
    ObjectIdentifier::from_bytes(content).map_err(|_| invalid)
}

/// The longest dotted form of what const-oid holds, 39 octets of at most `127.` each, in characters.
const MAXIMUM_DOTTED: usize = 39 * 4;

/// Reads a dotted form, such as `2.5.4.3`, of arcs below 2^32 without leading zeros; nothing for any other text.
pub(crate) fn from_dotted(text: &str) -> Option<ObjectIdentifier> {
    // const-oid 0.10 calls itself for every character, so that a long text would end the process with its stack.
    if text.len() > MAXIMUM_DOTTED {
        return None;
    }
    #[expect(clippy::disallowed_methods, reason = "the text is short; this is the function to call")]
    let read = ObjectIdentifier::new(text).ok()?;
    // It drops the upper bits of arcs too large.
    (read.to_string() == text).then_some(read)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotted_form_is_read_whole_or_not_at_all() {
        assert_eq!(from_dotted("2.5.4.3"), Some(COMMON_NAME));
        let longest = format!("1.39.{}", ["127"; 38].join("."));
        assert_eq!(from_dotted(&longest).map(|oid| oid.to_string()), Some(longest));
        for text in ["", ".", "2", "2.", "2.5.", ".2.5", "2..5", "2.5.04.3", "2.5.4.4294967296", "2.5.x", "4.1", " 2.5"]
        {
            assert_eq!(from_dotted(text), None, "{text}");
        }
    }

    /// As long as a request's body may be.
    #[test]
    fn a_dotted_form_without_end_is_refused() {
        for text in ["0".repeat(65_536), "1.".repeat(32_768), format!("1.{}", "0".repeat(65_536))] {
            assert_eq!(from_dotted(&text), None);
        }
    }

    #[test]
    fn one_identifier_has_one_encoding() {
        assert_eq!(read(&[0x55, 4, 3]), Ok(COMMON_NAME));
        assert_eq!(
            read(&[0x55, 4, 0x8f, 0xff, 0xff, 0xff, 0x7f]).map(|oid| oid.to_string()),
            Ok("2.5.4.4294967295".into())
        );
        for content in [
            &[][..],
            &[0x55, 4, 0x80, 3],
            &[0x55, 4, 0x83],
            &[0x55, 4, 0x90, 0x80, 0x80, 0x80, 3],
            &[0x55, 4, 0x81, 0x80, 0x80, 0x80, 0x80, 3],
            &[0x80, 0x55, 4, 3],
        ] {
            assert_eq!(read(content), Err(DerError::Content { kind: "OBJECT IDENTIFIER" }), "{content:02x?}");
        }
    }
}
