//! The string form of distinguished names (RFC 4514), read and written.

use std::fmt::Write;

use const_oid::ObjectIdentifier;

use super::{Attribute, DistinguishedName, KIND, attribute, check_value};
use crate::name::NameError;
use crate::name::string;
use crate::tlv::Reader;

/// The longest string that is read: every octet of a name of 4 KiB escaped as `\XX`, and more.
const MAX_TEXT: usize = 16 * 1024;

/// Characters that must be escaped in a value (RFC 4514 §2.4).
const SPECIAL: &[char] = &['"', '+', ',', ';', '<', '>', '\\'];

/// How values are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Text wherever the value is a string of a type with a short name.
    Readable,
    /// Text only where reading gives the same octets.
    Exact,
}

/// RFC 4514 §2: RDNs from the last to the first.
pub(super) fn write(name: &DistinguishedName, form: Form) -> String {
    let mut rdns: Vec<String> = Vec::new();
    for attribute in name.attributes() {
        let text = write_attribute(&attribute, form);
        match rdns.get_mut(attribute.rdn) {
            Some(rdn) => {
                rdn.push('+');
                rdn.push_str(&text);
            }
            None => rdns.push(text),
        }
    }
    rdns.reverse();
    rdns.join(",")
}

fn write_attribute(attribute: &Attribute<'_>, form: Form) -> String {
    let text = attribute.text.as_deref().filter(|text| match form {
        Form::Readable => true,
        Form::Exact => attribute::encode(attribute.oid, text).is_ok_and(|encoded| encoded == attribute.value_der),
    });
    match (attribute::short_name(attribute.oid), text) {
        (Some(name), Some(text)) => format!("{name}={}", escape(text)),
        (Some(name), None) => format!("{name}=#{}", hex::encode(attribute.value_der)),
        // RFC 4514 §2.4: dotted-decimal types are followed by `#` values.
        (None, _) => format!("{}=#{}", attribute.oid, hex::encode(attribute.value_der)),
    }
}

/// RFC 4514 §2.4. What a reader would not see is escaped as octets, too, so that a name cannot forge a line of a log.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (position, character) in text.chars().enumerate() {
        if string::is_deceptive(character) {
            for octet in character.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\{octet:02X}");
            }
            continue;
        }
        let at_edge = (character == ' ' && (position == 0 || position == last)) || (character == '#' && position == 0);
        if at_edge || SPECIAL.contains(&character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Reads a string of RDNs separated by `,`.
pub(super) fn read(text: &str) -> Result<DistinguishedName, NameError> {
    if text.len() > MAX_TEXT {
        return Err(NameError::new(KIND, "the string", format!("it is longer than {MAX_TEXT} octets")));
    }
    if text.starts_with('/') {
        return Err(NameError::new(
            KIND,
            "/…",
            "write it as RFC 4514 has it, CN=leaf,O=Example,C=BR, not with slashes",
        ));
    }
    let mut rest = text.trim_start_matches(' ');
    let mut rdns: Vec<Vec<(ObjectIdentifier, Vec<u8>)>> = Vec::new();
    let mut more = !rest.is_empty();
    let mut joined = false;
    while more {
        let (oid, value, separator) = read_attribute(&mut rest)?;
        match rdns.last_mut().filter(|_| joined) {
            Some(rdn) => rdn.push((oid, value)),
            None => rdns.push(vec![(oid, value)]),
        }
        joined = separator == Some('+');
        more = separator.is_some();
    }
    // RFC 4514 §2.1: the string begins with the last element of the sequence.
    rdns.into_iter().rev().fold(DistinguishedName::builder(), |builder, rdn| builder.rdn_of_values(rdn)).build()
}

/// Takes `type=value` and the separator behind it from the text.
fn read_attribute(rest: &mut &str) -> Result<(ObjectIdentifier, Vec<u8>, Option<char>), NameError> {
    let Some((name, behind)) = rest.split_once('=') else {
        return Err(NameError::new(
            KIND,
            "an attribute",
            "it has no `=`; write TYPE=value, and `\\,` for a comma inside a value",
        ));
    };
    let name = name.trim_matches(' ');
    // What stands before `=` may be the tail of a value with an unescaped comma: personal data, so never much of it.
    let quoted: String = name.chars().take(24).collect();
    let fault = |why: String| NameError::new(KIND, &quoted, why);
    let oid = attribute::by_name(name).map_err(fault)?;
    let behind = behind.trim_start_matches(' ');
    let (value, behind) = match behind.strip_prefix('#') {
        Some(digits) => read_hexadecimal(digits).map_err(fault)?,
        None => {
            let (text, behind) = read_text(behind).map_err(fault)?;
            (attribute::encode(oid, &text).map_err(fault)?, behind)
        }
    };
    let mut characters = behind.chars();
    let separator = characters.next();
    *rest = characters.as_str().trim_start_matches(' ');
    match separator {
        None | Some(',' | '+') => Ok((oid, value, separator)),
        Some(other) => Err(fault(format!("`{other}` inside a value must be written `\\{other}`"))),
    }
}

/// A `#` value: the DER of anything, up to the next separator.
fn read_hexadecimal(text: &str) -> Result<(Vec<u8>, &str), String> {
    let end = text.find([',', '+']).unwrap_or(text.len());
    let (digits, behind) = text.split_at(end);
    let octets = hex::decode(digits.trim_end_matches(' ')).map_err(|_| {
        "`#` must be followed by the hexadecimal of a DER value; write `\\#` for the sign itself".to_owned()
    })?;
    let mut values = Reader::new(&octets);
    let checked = values.any().and_then(|value| values.finish().map(|()| value));
    check_value(&checked.map_err(|error| error.to_string())?)?;
    Ok((octets, behind))
}

/// A text value, unescaped, up to the first special character that is not escaped. Blanks at its ends count only when
/// they are escaped.
fn read_text(text: &str) -> Result<(String, &str), String> {
    let mut octets: Vec<u8> = Vec::new();
    let mut significant = 0;
    let mut characters = text.chars();
    loop {
        let here = characters.as_str();
        match characters.next() {
            Some('\\') => {
                octets.extend(read_escape(&mut characters)?);
                significant = octets.len();
            }
            Some(character) if !SPECIAL.contains(&character) => {
                octets.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                if character != ' ' {
                    significant = octets.len();
                }
            }
            Some(_) | None => {
                octets.truncate(significant);
                let value = String::from_utf8(octets).map_err(|_| "its escaped octets are not UTF-8".to_owned())?;
                return Ok((value, here));
            }
        }
    }
}

/// What stands behind a `\`: a special character, or two hexadecimal digits of an octet.
fn read_escape(characters: &mut std::str::Chars<'_>) -> Result<Vec<u8>, String> {
    let fault = || "`\\` must be followed by one of `\"+,;<>\\ #=` or two hexadecimal digits".to_owned();
    let first = characters.next().ok_or_else(fault)?;
    if SPECIAL.contains(&first) || [' ', '#', '='].contains(&first) {
        return Ok(first.to_string().into_bytes());
    }
    let second = characters.next().ok_or_else(fault)?;
    hex::decode(String::from_iter([first, second])).map_err(|_| fault())
}
