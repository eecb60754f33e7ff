//! The attribute types that we know by name, and how their values are encoded and limited (RFC 5280 appendix A.1, RFC
//! 4519).
//!
//! Others are carried byte for byte, and written as UTF8String when given as text.

use const_oid::ObjectIdentifier;

use crate::name::string;
use crate::oid;
use crate::tlv::{self, Element, tag};

/// How the values of an attribute type are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    /// DirectoryString: written as UTF8String, read as PrintableString too (RFC 5280 §4.1.2.4).
    Directory,
    /// PrintableString only.
    Printable,
    /// PrintableString of two capital letters (ISO 3166-1).
    Country,
    /// IA5String only.
    Ia5,
}

/// What is known of an attribute type.
pub(super) struct AttributeType {
    oid: ObjectIdentifier,
    /// The name in strings, then other names that are read, too.
    names: &'static [&'static str],
    syntax: Syntax,
    /// The most characters a value may have (the `ub-` bounds of RFC 5280 appendix A.1).
    most: usize,
}

const fn row(oid: ObjectIdentifier, names: &'static [&'static str], syntax: Syntax, most: usize) -> AttributeType {
    AttributeType { oid, names, syntax, most }
}

/// Names are compared without regard to case, so that none may stand twice.
static KNOWN: &[AttributeType] = &[
    row(oid::COMMON_NAME, &["CN", "commonName"], Syntax::Directory, 64),
    row(oid::SURNAME, &["SN", "surname"], Syntax::Directory, 32_768),
    row(oid::SERIAL_NUMBER, &["serialNumber"], Syntax::Printable, 64),
    row(oid::COUNTRY, &["C", "countryName"], Syntax::Country, 2),
    row(oid::LOCALITY, &["L", "localityName"], Syntax::Directory, 128),
    row(oid::STATE_OR_PROVINCE, &["ST", "stateOrProvinceName"], Syntax::Directory, 128),
    row(oid::STREET_ADDRESS, &["STREET", "streetAddress"], Syntax::Directory, 128),
    row(oid::ORGANIZATION, &["O", "organizationName"], Syntax::Directory, 64),
    row(oid::ORGANIZATIONAL_UNIT, &["OU", "organizationalUnitName"], Syntax::Directory, 64),
    row(oid::TITLE, &["title"], Syntax::Directory, 64),
    row(DESCRIPTION, &["description"], Syntax::Directory, 1024),
    row(BUSINESS_CATEGORY, &["businessCategory"], Syntax::Directory, 128),
    row(POSTAL_CODE, &["postalCode"], Syntax::Directory, 40),
    row(TELEPHONE_NUMBER, &["telephoneNumber"], Syntax::Printable, 32),
    row(NAME, &["name"], Syntax::Directory, 32_768),
    row(oid::GIVEN_NAME, &["GN", "givenName"], Syntax::Directory, 32_768),
    row(INITIALS, &["initials"], Syntax::Directory, 32_768),
    row(GENERATION_QUALIFIER, &["generationQualifier"], Syntax::Directory, 32_768),
    row(DN_QUALIFIER, &["dnQualifier"], Syntax::Printable, 64),
    row(PSEUDONYM, &["pseudonym"], Syntax::Directory, 128),
    row(oid::ORGANIZATION_IDENTIFIER, &["organizationIdentifier"], Syntax::Directory, 256),
    row(oid::USER_ID, &["UID", "userId"], Syntax::Directory, 256),
    row(oid::DOMAIN_COMPONENT, &["DC", "domainComponent"], Syntax::Ia5, 63),
    row(oid::EMAIL_ADDRESS, &["emailAddress", "email", "E"], Syntax::Ia5, 255),
    row(JURISDICTION_LOCALITY, &["jurisdictionL", "jurisdictionLocalityName"], Syntax::Directory, 128),
    row(JURISDICTION_STATE, &["jurisdictionST", "jurisdictionStateOrProvinceName"], Syntax::Directory, 128),
    row(JURISDICTION_COUNTRY, &["jurisdictionC", "jurisdictionCountryName"], Syntax::Country, 2),
];

const DESCRIPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.13");
const BUSINESS_CATEGORY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.15");
const POSTAL_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.17");
const TELEPHONE_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.20");
const NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.41");
const INITIALS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.43");
const GENERATION_QUALIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.44");
const DN_QUALIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.46");
const PSEUDONYM: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.65");
// CA/Browser Forum EV Guidelines §7.1.4.2.4.
const JURISDICTION_LOCALITY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.60.2.1.1");
const JURISDICTION_STATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.60.2.1.2");
const JURISDICTION_COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.60.2.1.3");

/// The most characters of a value of a type that we do not know.
const MOST_OF_UNKNOWN: usize = 1024;

fn known(oid: ObjectIdentifier) -> Option<&'static AttributeType> {
    KNOWN.iter().find(|known| known.oid == oid)
}

/// The name of a type in strings, when it has one.
pub(super) fn short_name(oid: ObjectIdentifier) -> Option<&'static str> {
    known(oid).and_then(|known| known.names.first().copied())
}

/// The name of a type for messages: its short name, else dotted decimal.
pub(super) fn label(oid: ObjectIdentifier) -> String {
    short_name(oid).map_or_else(|| oid.to_string(), str::to_owned)
}

/// The type that a name in a string means; dotted decimal is read, too.
pub(super) fn by_name(name: &str) -> Result<ObjectIdentifier, String> {
    if let Some(known) = KNOWN.iter().find(|known| known.names.iter().any(|known| known.eq_ignore_ascii_case(name))) {
        return Ok(known.oid);
    }
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return oid::from_dotted(name).ok_or_else(|| "it is not an object identifier such as 2.5.4.3".to_owned());
    }
    let names: Vec<&str> = KNOWN.iter().filter_map(|known| known.names.first().copied()).collect();
    Err(format!("no attribute type has this name; known are {} and dotted object identifiers", names.join(" ")))
}

/// The DER of a value given as text, in the string type that RFC 5280 asks for.
pub(super) fn encode(oid: ObjectIdentifier, text: &str) -> Result<Vec<u8>, String> {
    check_text(oid, text)?;
    let tag = match known(oid).map_or(Syntax::Directory, |known| known.syntax) {
        Syntax::Directory => tag::UTF8_STRING,
        Syntax::Printable | Syntax::Country => tag::PRINTABLE_STRING,
        Syntax::Ia5 => tag::IA5_STRING,
    };
    Ok(tlv::element(tag, text.as_bytes()))
}

/// Refuses a value's text that breaks the bounds or the alphabet of its type.
fn check_text(oid: ObjectIdentifier, text: &str) -> Result<(), String> {
    let (syntax, most) = known(oid).map_or((Syntax::Directory, MOST_OF_UNKNOWN), |known| (known.syntax, known.most));
    let length = text.chars().count();
    if length == 0 {
        return Err("its value is empty; leave the attribute out".to_owned());
    }
    if let Some(hidden) = text.chars().find(|character| string::is_deceptive(*character)) {
        return Err(format!("its value holds the character U+{:04X}, which readers do not see", u32::from(hidden)));
    }
    match syntax {
        Syntax::Country if length != 2 || !text.bytes().all(|octet| octet.is_ascii_uppercase()) => {
            return Err("a country is two capital letters of ISO 3166-1, such as BR".to_owned());
        }
        Syntax::Printable if !text.bytes().all(string::is_printable) => {
            return Err("it is a PrintableString: letters, digits, blanks and '()+,-./:=? only".to_owned());
        }
        Syntax::Ia5 if !text.is_ascii() => {
            return Err("it is an IA5String: ASCII only (domains as A-labels)".to_owned());
        }
        _ => {}
    }
    if length > most {
        return Err(format!("its value has {length} characters, at most {most} are allowed (RFC 5280 appendix A.1)"));
    }
    Ok(())
}

/// What breaks the rules that RFC 5280 sets for writing this value, when something does.
pub(super) fn writing_fault(oid: ObjectIdentifier, value: Element<'_>) -> Option<String> {
    let syntax = known(oid).map(|known| known.syntax);
    let Some(Ok(text)) = string::decode(value.tag, value.content) else {
        return syntax.map(|_| format!("its value is no string (tag 0x{:02x})", value.tag));
    };
    let right_type = match syntax {
        None => true,
        Some(Syntax::Directory) => matches!(value.tag, tag::UTF8_STRING | tag::PRINTABLE_STRING),
        Some(Syntax::Printable | Syntax::Country) => value.tag == tag::PRINTABLE_STRING,
        Some(Syntax::Ia5) => value.tag == tag::IA5_STRING,
    };
    if !right_type {
        return Some(format!(
            "its string type (tag 0x{:02x}) is not the one RFC 5280 §4.1.2.4 and appendix A.1 ask for",
            value.tag
        ));
    }
    check_text(oid, &text).err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_two_types() {
        let mut names: Vec<String> =
            KNOWN.iter().flat_map(|known| known.names).map(|name| name.to_ascii_lowercase()).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
