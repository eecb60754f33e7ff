//! The text form of general names: `TYPE:VALUE`.

use std::borrow::Cow;
use std::net::IpAddr;

use const_oid::ObjectIdentifier;

use super::{GeneralName, KIND};
use crate::name::{DistinguishedName, DnsName, EmailAddress, NameError, Uri, string};
use crate::oid;
use crate::tlv::{self, Reader, tag};

/// The longest user principal name, in characters (MS-ADA3: the attribute's rangeUpper).
const MAX_USER_PRINCIPAL_NAME: usize = 1024;
/// The longest otherName given as text, in characters; a bound of ours.
const MAX_OTHER_NAME: usize = 1024;

/// A type of name in the text form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Dns,
    Ip,
    Email,
    Uri,
    UserPrincipalName,
    Other,
    Directory,
    RegisteredId,
}

/// What types are called, in lower case; reading ignores case.
const TYPES: [(&str, Type); 10] = [
    ("dns", Type::Dns),
    ("ip", Type::Ip),
    ("email", Type::Email),
    ("uri", Type::Uri),
    ("upn", Type::UserPrincipalName),
    ("othername", Type::Other),
    ("directoryname", Type::Directory),
    ("dirname", Type::Directory),
    ("registeredid", Type::RegisteredId),
    ("rid", Type::RegisteredId),
];

fn type_of(name: &str) -> Option<Type> {
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
}

/// Whether what stands before the first colon is the name of a type.
pub(super) fn begins_with_type(text: &str) -> bool {
    text.split_once(':').is_some_and(|(name, _)| type_of(name).is_some())
}

pub(super) fn parse_typed(text: &str) -> Result<GeneralName, NameError> {
    match text.split_once(':') {
        Some((type_name, value)) => from_type_and_value(type_name, value),
        None => {
            Err(NameError::new(KIND, text, "it has no type; write dns:api.example.com, ip:192.0.2.1, email:… or uri:…"))
        }
    }
}

pub(super) fn from_type_and_value(type_name: &str, value: &str) -> Result<GeneralName, NameError> {
    let Some(kind) = type_of(type_name) else {
        let why = "no type has this name; types are dns ip email uri upn otherName directoryName registeredID";
        return Err(NameError::new(KIND, type_name, why));
    };
    match kind {
        Type::Dns => DnsName::parse(value).map(GeneralName::Dns),
        Type::Ip => read_ip(value).map(GeneralName::Ip),
        Type::Email => EmailAddress::parse(value).map(GeneralName::Email),
        Type::Uri => Uri::parse(value).map(GeneralName::Uri),
        Type::UserPrincipalName => read_user_principal_name(value),
        Type::Other => read_other(value),
        Type::Directory => read_directory(value).map(GeneralName::Directory),
        Type::RegisteredId => read_oid("registeredID", value).map(GeneralName::RegisteredId),
    }
}

pub(super) fn recognise(text: &str) -> Result<GeneralName, NameError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(GeneralName::Ip(address));
    }
    let is_urn = text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
    if is_urn || text.contains("://") {
        return Uri::parse(text).map(GeneralName::Uri);
    }
    if text.contains('@') {
        return EmailAddress::parse(text).map(GeneralName::Email);
    }
    DnsName::parse(text).map(GeneralName::Dns)
}

pub(super) fn write_value(name: &GeneralName) -> String {
    match name {
        GeneralName::Dns(name) => name.to_string(),
        GeneralName::Ip(address) => address.to_string(),
        GeneralName::Uri(uri) => uri.to_string(),
        GeneralName::Email(address) => address.to_string(),
        GeneralName::Other { type_id, value } => {
            user_principal_name_of(name).unwrap_or_else(|| write_other(*type_id, value))
        }
        GeneralName::Directory(name) => name.to_exact_rfc4514(),
        GeneralName::RegisteredId(oid) => oid.to_string(),
    }
}

fn read_ip(text: &str) -> Result<IpAddr, NameError> {
    text.parse().map_err(|_| {
        NameError::new(
            "IP address",
            text,
            "write 192.0.2.1 or 2001:db8::1, without brackets, zone, port or prefix length",
        )
    })
}

fn read_directory(text: &str) -> Result<DistinguishedName, NameError> {
    let name = DistinguishedName::from_rfc4514(text)?;
    if name.is_empty() {
        return Err(NameError::new("directoryName", text, "it is empty; write CN=…,O=…"));
    }
    Ok(name)
}

fn read_oid(kind: &'static str, text: &str) -> Result<ObjectIdentifier, NameError> {
    oid::from_dotted(text).ok_or_else(|| {
        NameError::new(kind, text, "write an object identifier such as 1.3.6.1.4.1.311.20.2.3, arcs below 2^32")
    })
}

pub(super) fn read_user_principal_name(text: &str) -> Result<GeneralName, NameError> {
    check_user_principal_name(text).map_err(|why| NameError::new("user principal name", text, why))?;
    Ok(GeneralName::Other { type_id: oid::USER_PRINCIPAL_NAME, value: tlv::element(tag::UTF8_STRING, text.as_bytes()) })
}

fn check_user_principal_name(text: &str) -> Result<(), String> {
    let (user, realm) = text.split_once('@').ok_or("it has no `@`; write user@realm")?;
    if text.chars().count() > MAX_USER_PRINCIPAL_NAME {
        return Err(format!("it is longer than {MAX_USER_PRINCIPAL_NAME} characters"));
    }
    if user.is_empty() || text.chars().any(|character| character.is_whitespace() || string::is_deceptive(character)) {
        return Err(
            "the part before the `@` is empty, or there is a blank or a character that readers do not see".to_owned()
        );
    }
    let realm = DnsName::parse(realm).map_err(|error| format!("its realm is wrong: {}", error.why))?;
    if realm.is_wildcard() {
        return Err("its realm must not be a wildcard".to_owned());
    }
    Ok(())
}

pub(super) fn user_principal_name_of(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::Other { type_id, value } if *type_id == oid::USER_PRINCIPAL_NAME => {
            utf8_of(value).filter(|text| check_user_principal_name(text).is_ok())
        }
        _ => None,
    }
}

/// `OID=text` or `OID=#` and hexadecimal. Values are never quoted in errors: ICP-Brasil's hold the CPF.
fn read_other(text: &str) -> Result<GeneralName, NameError> {
    const OTHER: &str = "otherName";
    let (oid_text, value) = text.split_once('=').ok_or_else(|| {
        NameError::new(OTHER, "a value without `=`", "write OID=text or OID=#hexadecimal of a DER value")
    })?;
    let type_id = read_oid(OTHER, oid_text)?;
    let fault = |why: &str| NameError::new(OTHER, oid_text, why);
    if let Some(digits) = value.strip_prefix('#') {
        let octets =
            hex::decode(digits).map_err(|_| fault("`#` must be followed by the hexadecimal of a DER value"))?;
        check_value(&octets).map_err(|why| fault(&why))?;
        return Ok(GeneralName::Other { type_id, value: octets });
    }
    if type_id == oid::USER_PRINCIPAL_NAME {
        return read_user_principal_name(value);
    }
    check_other_text(value).map_err(|why| fault(&why))?;
    Ok(GeneralName::Other { type_id, value: tlv::element(tag::UTF8_STRING, value.as_bytes()) })
}

fn check_other_text(text: &str) -> Result<(), String> {
    if text.is_empty() || text.chars().count() > MAX_OTHER_NAME {
        return Err(format!("its value has 1 to {MAX_OTHER_NAME} characters"));
    }
    match text.chars().find(|character| string::is_deceptive(*character)) {
        Some(hidden) => {
            Err(format!("its value holds the character U+{:04X}, which readers do not see", u32::from(hidden)))
        }
        None => Ok(()),
    }
}

/// Refuses the value of an otherName that is not one DER value, or a string that breaks the rules of its type.
pub(super) fn check_value(octets: &[u8]) -> Result<(), String> {
    let mut values = Reader::new(octets);
    let value = values.any().map_err(|error| error.to_string())?;
    values.finish().map_err(|error| error.to_string())?;
    value.check_nested().map_err(|error| error.to_string())?;
    match string::decode(value.tag, value.content) {
        Some(Err(why)) => Err(why.to_owned()),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// As text where reading makes the same octets of it.
fn write_other(type_id: ObjectIdentifier, value: &[u8]) -> String {
    let plain = utf8_of(value)
        .filter(|text| type_id != oid::USER_PRINCIPAL_NAME && !text.starts_with('#') && check_other_text(text).is_ok());
    match plain {
        Some(text) => format!("{type_id}={text}"),
        None => format!("{type_id}=#{}", hex::encode(value)),
    }
}

/// The text of the DER of one UTF8String.
fn utf8_of(value: &[u8]) -> Option<String> {
    let element = Reader::only(value, tag::UTF8_STRING).ok()?;
    string::decode(element.tag, element.content)?.ok().map(Cow::into_owned)
}
