//! The name of a key in a token, as a PKCS #11 URI (RFC 7512).
//!
//! The path of a URI names the key and goes on record; the query says how one host reaches the token, and does not. A PIN is
//! part of neither: `pin-value` is refused, and `pin-source` names a file. What tokens there are is not known here.

mod percent;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A URI that names one private key in one token: by its label (`object`) or its `id`, in a token that its label (`token`) or
/// its `serial` tells from others. Equality is of what is named and how it is reached, not of how that is written.
///
/// `Display` writes it in one form: attributes in a fixed order, what need not be escaped unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Uri {
    path: BTreeMap<Pkcs11Attribute, Vec<u8>>,
    reach: TokenReach,
}

/// How a host reaches a token: the query of a URI (RFC 7512 §2.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenReach {
    /// `module-path`: the file of the PKCS #11 module, or the folder that `module_name` lies in. Absolute.
    pub module_path: Option<String>,
    /// `module-name`: the module without what systems put before and after it: `softhsm2` for `libsofthsm2.so`.
    pub module_name: Option<String>,
    /// `pin-source`: the file that holds the PIN. Absolute.
    pub pin_file: Option<String>,
}

/// What a path may name a token, its slot, its module or a key in it by (RFC 7512 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pkcs11Attribute {
    /// `token`: the token's label.
    Token,
    /// `manufacturer`: of the token.
    Manufacturer,
    /// `model`: of the token.
    Model,
    /// `serial`: of the token.
    Serial,
    /// `slot-id`: the number of the slot, which many modules change at will.
    SlotId,
    /// `slot-manufacturer`
    SlotManufacturer,
    /// `slot-description`
    SlotDescription,
    /// `library-manufacturer`: of the module.
    LibraryManufacturer,
    /// `library-description`: of the module.
    LibraryDescription,
    /// `library-version`: of the module, as `MAJOR.MINOR`.
    LibraryVersion,
    /// `object`: the key's label (CKA_LABEL).
    Object,
    /// `id`: the key's identifier (CKA_ID), octets.
    Id,
}

impl Pkcs11Attribute {
    /// Every attribute, in the order in which a URI is written.
    pub const ALL: [Self; 12] = [
        Self::Token,
        Self::Manufacturer,
        Self::Model,
        Self::Serial,
        Self::SlotId,
        Self::SlotManufacturer,
        Self::SlotDescription,
        Self::LibraryManufacturer,
        Self::LibraryDescription,
        Self::LibraryVersion,
        Self::Object,
        Self::Id,
    ];

    /// Its name in a URI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Manufacturer => "manufacturer",
            Self::Model => "model",
            Self::Serial => "serial",
            Self::SlotId => "slot-id",
            Self::SlotManufacturer => "slot-manufacturer",
            Self::SlotDescription => "slot-description",
            Self::LibraryManufacturer => "library-manufacturer",
            Self::LibraryDescription => "library-description",
            Self::LibraryVersion => "library-version",
            Self::Object => "object",
            Self::Id => "id",
        }
    }

    /// How many octets the field of PKCS #11 has that it is compared with; more can match nothing.
    const fn longest(self) -> usize {
        match self {
            Self::Model | Self::Serial => 16,
            Self::SlotDescription => 64,
            Self::Object | Self::Id => 255,
            _ => 32,
        }
    }

    /// Whether it names the key; what else there is names the token that it is in.
    const fn is_of_key(self) -> bool {
        matches!(self, Self::Object | Self::Id)
    }
}

impl Pkcs11Uri {
    /// The value of an attribute of the path; `None` when the URI says nothing about it, or for `id`, which is no text.
    pub fn text(&self, attribute: Pkcs11Attribute) -> Option<&str> {
        let octets = self.path.get(&attribute).filter(|_| attribute != Pkcs11Attribute::Id)?;
        std::str::from_utf8(octets).ok()
    }

    /// The key's identifier, if the URI names one.
    pub fn id(&self) -> Option<&[u8]> {
        self.path.get(&Pkcs11Attribute::Id).map(Vec::as_slice)
    }

    /// How a host reaches the token, as far as the URI says.
    pub fn reach(&self) -> &TokenReach {
        &self.reach
    }

    /// The URI without its query: what is true on every host.
    pub fn identity(&self) -> Self {
        Self { path: self.path.clone(), reach: TokenReach::default() }
    }

    /// Whether both are about keys in a token that is named in the same way.
    pub fn is_in_same_token(&self, other: &Self) -> bool {
        self.of_token().eq(other.of_token())
    }

    /// The path without what names the key: two URIs have the same when they name a token in the same way.
    pub fn of_token_as_text(&self) -> String {
        let parts = self
            .of_token()
            .map(|(attribute, octets)| format!("{}={}", attribute.as_str(), percent::encode(octets, percent::IN_PATH)));
        parts.collect::<Vec<_>>().join(";")
    }

    fn of_token(&self) -> impl Iterator<Item = (&Pkcs11Attribute, &Vec<u8>)> {
        self.path.iter().filter(|(attribute, _)| !attribute.is_of_key())
    }

    fn read_path(text: &str) -> Result<BTreeMap<Pkcs11Attribute, Vec<u8>>, Pkcs11UriError> {
        let mut path = BTreeMap::new();
        let mut has_type = false;
        for part in text.split(';').filter(|_| !text.is_empty()) {
            let (name, value) = name_and_value(part)?;
            let repeated = || Pkcs11UriError::Repeated { attribute: shortened(name) };
            if name == "type" {
                if has_type {
                    return Err(repeated());
                }
                has_type = true;
                // An authority signs with the private key; what else the same name is given to is looked up beside it.
                if value != "private" {
                    return Err(Pkcs11UriError::NotAPrivateKey);
                }
                continue;
            }
            let attribute = Pkcs11Attribute::ALL
                .into_iter()
                .find(|attribute| attribute.as_str() == name)
                .ok_or_else(|| Pkcs11UriError::unknown(name))?;
            let octets = percent::decode(value, percent::IN_PATH).ok_or_else(|| Pkcs11UriError::escape(name))?;
            let octets = checked(attribute, octets)?;
            if path.insert(attribute, octets).is_some() {
                return Err(repeated());
            }
        }
        Ok(path)
    }

    fn read_query(text: &str) -> Result<TokenReach, Pkcs11UriError> {
        let mut reach = TokenReach::default();
        for part in text.split('&').filter(|_| !text.is_empty()) {
            let (name, value) = name_and_value(part)?;
            // Before anything is looked at: the value is a secret, and no error may quote it.
            if name == "pin-value" {
                return Err(Pkcs11UriError::PinValue);
            }
            let octets = percent::decode(value, percent::IN_QUERY).ok_or_else(|| Pkcs11UriError::escape(name))?;
            let value = String::from_utf8(octets).ok().filter(|value| is_printable(value));
            let value = value.ok_or_else(|| Pkcs11UriError::not_text(name))?;
            let (place, value) = match name {
                "module-path" if value.starts_with('/') => (&mut reach.module_path, value),
                "module-path" => return Err(Pkcs11UriError::RelativePath { attribute: "module-path" }),
                "module-name" if !value.is_empty() && !value.contains('/') => (&mut reach.module_name, value),
                "module-name" => return Err(Pkcs11UriError::ModuleName),
                "pin-source" => (&mut reach.pin_file, pin_file(&value)?),
                _ => return Err(Pkcs11UriError::unknown(name)),
            };
            if place.replace(value).is_some() {
                return Err(Pkcs11UriError::Repeated { attribute: shortened(name) });
            }
        }
        Ok(reach)
    }
}

impl FromStr for Pkcs11Uri {
    type Err = Pkcs11UriError;

    /// Reads `pkcs11:PATH` or `pkcs11:PATH?QUERY`. What is not understood is refused: RFC 7512 §2.5 lets an unknown attribute of
    /// the path match nothing, and one of the query be left out, and neither would be told to who misspelt it.
    fn from_str(text: &str) -> Result<Self, Pkcs11UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(Pkcs11UriError::NotPkcs11)?;
        // RFC 3986 §3.1: schemes are case-insensitive.
        if !scheme.eq_ignore_ascii_case("pkcs11") {
            return Err(Pkcs11UriError::NotPkcs11);
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let uri = Self { path: Self::read_path(path)?, reach: Self::read_query(query)? };
        let names = |attributes: [Pkcs11Attribute; 2]| attributes.iter().any(|named| uri.path.contains_key(named));
        if !names([Pkcs11Attribute::Token, Pkcs11Attribute::Serial]) {
            return Err(Pkcs11UriError::NoToken);
        }
        if !names([Pkcs11Attribute::Object, Pkcs11Attribute::Id]) {
            return Err(Pkcs11UriError::NoKey);
        }
        Ok(uri)
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        for (index, (attribute, octets)) in self.path.iter().enumerate() {
            let separator = if index == 0 { "" } else { ";" };
            // RFC 7512 §2.3: the whole value of "id" SHOULD be percent-encoded.
            let value = match attribute {
                Pkcs11Attribute::Id => percent::encode_all(octets),
                _ => percent::encode(octets, percent::IN_PATH),
            };
            write!(f, "{separator}{}={value}", attribute.as_str())?;
        }
        let TokenReach { module_path, module_name, pin_file } = &self.reach;
        let query = [("module-path", module_path), ("module-name", module_name), ("pin-source", pin_file)];
        let query = query.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        for (index, (name, value)) in query.enumerate() {
            let separator = if index == 0 { "?" } else { "&" };
            write!(f, "{separator}{name}={}", percent::encode(value.as_bytes(), percent::IN_QUERY))?;
        }
        Ok(())
    }
}

/// A text that names no key in a token. Values are never quoted: somebody may have taken the wrong attribute for a PIN.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Pkcs11UriError {
    /// Another scheme, or none.
    #[error("not a PKCS #11 URI; write it like `pkcs11:token=hsm;object=tls-ca` (RFC 7512)")]
    NotPkcs11,
    /// A part that is not `NAME=VALUE`.
    #[error("a PKCS #11 URI is `NAME=VALUE;…` and then `?NAME=VALUE&…` (RFC 7512 §2.3); a part of it has no `=`")]
    NotAnAttribute,
    /// An attribute that RFC 7512 does not have, or has in the other half of the URI.
    #[error(
        "`{attribute}` is no attribute in that place; the path has token, manufacturer, model, serial, slot-id, slot-manufacturer, slot-description, library-manufacturer, library-description, library-version, object, id and type, the query module-path, module-name and pin-source"
    )]
    Unknown {
        /// The first characters of its name.
        attribute: String,
    },
    /// The same attribute twice.
    #[error("`{attribute}` is there twice; once is what a PKCS #11 URI takes (RFC 7512 §2.3)")]
    Repeated {
        /// The first characters of its name.
        attribute: String,
    },
    /// A character that must be escaped, or a `%` that begins no escape.
    #[error(
        "the value of `{attribute}` has a character that must be written as `%` and two hexadecimal digits (RFC 7512 §2.3), as a blank is `%20`"
    )]
    Escape {
        /// The first characters of its name.
        attribute: String,
    },
    /// A value that is not printable text in UTF-8.
    #[error("the value of `{attribute}` must be printable text in UTF-8, and not empty")]
    NotText {
        /// The first characters of its name.
        attribute: String,
    },
    /// A value longer than what it is compared with.
    #[error(
        "the value of `{attribute}` is longer than the {longest} octets that PKCS #11 has for it: no token can match"
    )]
    TooLong {
        /// Its name.
        attribute: &'static str,
        /// The most octets that can match.
        longest: usize,
    },
    /// `slot-id` or `library-version` that is no number.
    #[error("the value of `{attribute}` must be {expected}")]
    Number {
        /// Its name.
        attribute: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A `type` other than `private`.
    #[error("an authority signs with a private key: leave `type` out, or write `type=private`")]
    NotAPrivateKey,
    /// Neither `token` nor `serial`.
    #[error("the URI does not say which token; name its label (`token=…`) or its `serial=…`")]
    NoToken,
    /// Neither `object` nor `id`.
    #[error("the URI does not say which key; name its label (`object=…`) or its identifier (`id=%01…`)")]
    NoKey,
    /// A PIN.
    #[error(
        "a PIN has no place in a URI, which lies in configuration and on record; leave `pin-value` out and put the PIN into a file that `pin_file` of the token's table names"
    )]
    PinValue,
    /// A PIN from something else than a file.
    #[error(
        "`pin-source` must be a file, as in `pin-source=file:/etc/ca/hsm.pin`; commands and other places are not asked"
    )]
    PinSource,
    /// A path that depends on where a process was started.
    #[error("`{attribute}` must be an absolute path")]
    RelativePath {
        /// Whose value it is.
        attribute: &'static str,
    },
    /// A `module-name` that is a path.
    #[error("`module-name` is a name, as in `module-name=softhsm2`; a path goes into `module-path`")]
    ModuleName,
}

impl Pkcs11UriError {
    fn unknown(name: &str) -> Self {
        Self::Unknown { attribute: shortened(name) }
    }

    fn escape(name: &str) -> Self {
        Self::Escape { attribute: shortened(name) }
    }

    fn not_text(name: &str) -> Self {
        Self::NotText { attribute: shortened(name) }
    }
}

fn name_and_value(part: &str) -> Result<(&str, &str), Pkcs11UriError> {
    part.split_once('=').ok_or(Pkcs11UriError::NotAnAttribute)
}

/// The octets of an attribute, when they can be its.
fn checked(attribute: Pkcs11Attribute, octets: Vec<u8>) -> Result<Vec<u8>, Pkcs11UriError> {
    let (name, longest) = (attribute.as_str(), attribute.longest());
    if octets.len() > longest {
        return Err(Pkcs11UriError::TooLong { attribute: name, longest });
    }
    if attribute == Pkcs11Attribute::Id {
        return if octets.is_empty() { Err(Pkcs11UriError::not_text(name)) } else { Ok(octets) };
    }
    let text = std::str::from_utf8(&octets).ok().filter(|text| is_printable(text) && !text.is_empty());
    let text = text.ok_or_else(|| Pkcs11UriError::not_text(name))?;
    match attribute {
        Pkcs11Attribute::SlotId => decimal::<u64>(text)
            .map(|number| number.to_string().into_bytes())
            .ok_or(Pkcs11UriError::Number { attribute: name, expected: "a whole number" }),
        Pkcs11Attribute::LibraryVersion => {
            let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
            let version = decimal::<u8>(major).zip(decimal::<u8>(minor));
            let version = version.map(|(major, minor)| format!("{major}.{minor}").into_bytes());
            version.ok_or(Pkcs11UriError::Number { attribute: name, expected: "MAJOR or MAJOR.MINOR, each up to 255" })
        }
        _ => Ok(octets),
    }
}

/// The file of a `pin-source` (RFC 7512 §2.4): a file URI (RFC 8089) without a host, or an absolute path.
fn pin_file(value: &str) -> Result<String, Pkcs11UriError> {
    let Some(file) = value.strip_prefix("file:") else {
        return if value.starts_with('/') { Ok(value.to_owned()) } else { Err(Pkcs11UriError::PinSource) };
    };
    let path = file.strip_prefix("//localhost").or_else(|| file.strip_prefix("//")).unwrap_or(file);
    let path = percent::decode(path, percent::ANYTHING).and_then(|path| String::from_utf8(path).ok());
    path.filter(|path| path.starts_with('/') && is_printable(path)).ok_or(Pkcs11UriError::PinSource)
}

fn decimal<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| text.bytes().all(|digit| digit.is_ascii_digit()))
}

fn is_printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// At most 40 characters of a name that somebody else wrote.
fn shortened(name: &str) -> String {
    name.chars().take(40).collect()
}
