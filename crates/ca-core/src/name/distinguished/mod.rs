//! Distinguished names, byte for byte (RFC 5280 §4.1.2.4, RFC 4514).
//!
//! Here: reading and keeping the DER, and comparing. The string form is in `rfc4514`, types and their limits in
//! `attribute`.

mod attribute;
mod builder;
mod generation;
mod rfc4514;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use const_oid::ObjectIdentifier;

pub use builder::DistinguishedNameBuilder;

use super::NameError;
use super::string;
use crate::oid;
use crate::tlv::{DerError, Element, Reader, tag};

const KIND: &str = "distinguished name";

/// The longest DER of a name that is read, in octets.
const MAX_DER: usize = 4096;

/// The DER of the name without attributes.
const EMPTY: [u8; 2] = [tag::SEQUENCE, 0];

/// A distinguished name: its DER, kept exactly as it came or was made. Equality is of octets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DistinguishedName {
    /// A valid RDNSequence: `from_der` is the only maker but for the empty name.
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
    pub text: Option<Cow<'a, str>>,
    /// The whole DER of its value, tag and length included.
    pub value_der: &'a [u8],
}

impl DistinguishedName {
    /// The name without attributes.
    pub fn empty() -> Self {
        Self { der: EMPTY.to_vec() }
    }

    /// Begins a name; attributes are pushed in DER order, the most significant (`C`, `O`) first.
    pub fn builder() -> DistinguishedNameBuilder {
        DistinguishedNameBuilder::default()
    }

    /// Reads the DER of an RDNSequence of at most 4,096 octets and keeps it byte for byte. Strict in encoding (X.690
    /// DER, no empty RDN, one value of a type in an RDN, strings of their alphabet and without NUL), lenient in what
    /// others write: any string type, any length. [`Self::attribute_faults`] tells what RFC 5280 would not have us
    /// write.
    pub fn from_der(der: &[u8]) -> Result<Self, NameError> {
        check_der(der).map_err(|why| NameError::of_octets(KIND, der, why))?;
        Ok(Self { der: der.to_vec() })
    }

    /// Reads an RFC 4514 string (`CN=leaf,O=Example,C=BR`): the last RDN of the text is the first of the DER.
    /// Attributes may repeat, `+` joins the attributes of one RDN, types are short names in any case or dotted decimal,
    /// values text with `\` escapes or `#` and the hexadecimal of any DER. Blanks around separators are allowed. Values
    /// given as text keep the limits of [`DistinguishedNameBuilder`]. The empty string is the empty name.
    pub fn from_rfc4514(text: &str) -> Result<Self, NameError> {
        rfc4514::read(text)
    }

    /// The name as an RFC 4514 string. Types without a short name are written as RFC 4514 §2.4 asks, `1.2.3=#0c0161`.
    /// The string types of the values are lost: see [`Self::to_exact_rfc4514`].
    pub fn to_rfc4514(&self) -> String {
        rfc4514::write(self, rfc4514::Form::Readable)
    }

    /// The name as an RFC 4514 string from which [`Self::from_rfc4514`] makes the same octets: values that it would
    /// encode otherwise (a PrintableString organization, say) are written as `#` and the hexadecimal of their DER.
    pub fn to_exact_rfc4514(&self) -> String {
        rfc4514::write(self, rfc4514::Form::Exact)
    }

    /// The DER of the RDNSequence.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the name has no attribute.
    pub fn is_empty(&self) -> bool {
        self.der == EMPTY
    }

    /// The attributes, in DER order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        self.elements().map(|(rdn, oid, value)| Attribute {
            rdn,
            oid,
            text: string::decode(value.tag, value.content).and_then(Result::ok),
            value_der: value.whole,
        })
    }

    /// The texts of the common names, in DER order.
    pub fn common_names(&self) -> Vec<String> {
        self.texts_of(oid::COMMON_NAME)
    }

    /// The texts of the attributes of a type, in DER order.
    pub fn texts_of(&self, oid: ObjectIdentifier) -> Vec<String> {
        self.attributes()
            .filter(|attribute| attribute.oid == oid)
            .filter_map(|attribute| attribute.text)
            .map(Cow::into_owned)
            .collect()
    }

    /// Every attribute that breaks the size limits, the string type or the alphabet that RFC 5280 §4.1.2.4 and appendix
    /// A.1 ask of a CA. A name that was built has none; one read from DER or from `#` values may. Errors quote the type
    /// only.
    pub fn attribute_faults(&self) -> Vec<NameError> {
        self.elements()
            .filter_map(|(_, oid, value)| {
                attribute::writing_fault(oid, value).map(|why| NameError::new(KIND, &attribute::label(oid), why))
            })
            .collect()
    }

    /// Whether both name the same, by RFC 5280 §7.1: RDN by RDN, strings without regard to their type, to case and to
    /// blanks at the ends or repeated. Unicode is compared in lower case but not normalised: two spellings of one
    /// character differ.
    pub fn matches(&self, other: &Self) -> bool {
        // Most names that differ show it so, before any text is folded.
        self.elements().count() == other.elements().count() && self.canonical() == other.canonical()
    }

    /// Whether this name begins with the RDNs of `base` (RFC 5280 §4.2.1.10), compared as [`Self::matches`] does.
    pub fn is_within(&self, base: &Self) -> bool {
        self.canonical().starts_with(&base.canonical())
    }

    /// The RDNs for comparison: attributes sorted, texts folded.
    fn canonical(&self) -> Vec<Vec<(ObjectIdentifier, Comparable<'_>)>> {
        let mut rdns: Vec<Vec<_>> = Vec::new();
        for attribute in self.attributes() {
            if rdns.len() <= attribute.rdn {
                rdns.push(Vec::new());
            }
            let value =
                attribute.text.map_or(Comparable::Octets(attribute.value_der), |text| Comparable::Text(fold(&text)));
            rdns[attribute.rdn].push((attribute.oid, value));
        }
        for rdn in &mut rdns {
            rdn.sort();
        }
        rdns
    }

    /// Number of the RDN, type and value of each attribute.
    fn elements(&self) -> impl Iterator<Item = (usize, ObjectIdentifier, Element<'_>)> {
        // `from_der` refused every name that the `ok`s would stop at, so nothing is lost to them.
        let rdns = Reader::only(&self.der, tag::SEQUENCE).map_or(Reader::new(&[]), |name| name.reader());
        values(rdns).enumerate().flat_map(|(rdn, set)| {
            values(set.reader())
                .filter_map(move |pair| read_attribute(&pair).ok().map(|(oid, value)| (rdn, oid, value)))
        })
    }
}

/// A value for comparison.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Comparable<'a> {
    Text(String),
    Octets(&'a [u8]),
}

/// RFC 5280 §7.1 over RFC 4518 §2.2 and §2.6.1: case folded, blanks trimmed and reduced to one.
fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The values that a reader gives before the first fault.
fn values(mut reader: Reader<'_>) -> impl Iterator<Item = Element<'_>> {
    std::iter::from_fn(move || reader.any().ok())
}

/// RDNSequence ::= SEQUENCE OF RelativeDistinguishedName
fn check_der(der: &[u8]) -> Result<(), String> {
    if der.len() > MAX_DER {
        return Err(format!("it is longer than {MAX_DER} octets"));
    }
    let mut rdns = Reader::only(der, tag::SEQUENCE).map_err(|error| error.to_string())?.reader();
    while !rdns.is_empty() {
        check_rdn(rdns.take(tag::SET).map_err(|error| error.to_string())?.reader())?;
    }
    Ok(())
}

/// RelativeDistinguishedName ::= SET SIZE (1..MAX) OF AttributeTypeAndValue
fn check_rdn(mut pairs: Reader<'_>) -> Result<(), String> {
    if pairs.is_empty() {
        return Err("an RDN has no attribute".to_owned());
    }
    let mut types = Vec::new();
    let mut last: &[u8] = &[];
    while !pairs.is_empty() {
        let pair = pairs.any().map_err(|error| error.to_string())?;
        // X.690 §11.6: ascending; equal encodings would be one attribute twice.
        if pair.whole <= last {
            return Err("the attributes of an RDN are not in DER order".to_owned());
        }
        last = pair.whole;
        let (oid, value) = read_attribute(&pair).map_err(|error| error.to_string())?;
        check_value(&value).map_err(|why| format!("{}: {why}", attribute::label(oid)))?;
        // X.501 §9.3: at most one value of each type.
        if types.contains(&oid) {
            return Err(format!("an RDN holds two values of {}", attribute::label(oid)));
        }
        types.push(oid);
    }
    Ok(())
}

/// Refuses a value that is not DER or not of its string type.
fn check_value(value: &Element<'_>) -> Result<(), String> {
    value.check_nested().map_err(|error| error.to_string())?;
    match string::decode(value.tag, value.content) {
        Some(Err(why)) => Err(why.to_owned()),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// AttributeTypeAndValue ::= SEQUENCE { type OBJECT IDENTIFIER, value ANY }
fn read_attribute<'a>(pair: &Element<'a>) -> Result<(ObjectIdentifier, Element<'a>), DerError> {
    if pair.tag != tag::SEQUENCE {
        return Err(DerError::Tag { expected: tag::SEQUENCE, found: pair.tag });
    }
    let mut parts = pair.reader();
    let oid = oid::read(parts.take(tag::OBJECT_IDENTIFIER)?.content)?;
    let value = parts.any()?;
    parts.finish()?;
    Ok((oid, value))
}

impl fmt::Display for DistinguishedName {
    /// As [`DistinguishedName::to_rfc4514`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc4514())
    }
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinguishedName({})", self.to_exact_rfc4514())
    }
}
