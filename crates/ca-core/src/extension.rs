//! Extensions of certificates, CRLs, CRL entries and OCSP messages (RFC 5280 §4.2, §5.2, §5.3; RFC 6960 §4.4), read and
//! appended.
//!
//! What an extension means is known to the room that names its identifier.

use const_oid::ObjectIdentifier;

use crate::tlv::{self, DerError, Reader, tag};

/// One extension as it stands in DER.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extension<'a> {
    /// The content octets of its OBJECT IDENTIFIER.
    identifier: &'a [u8],
    pub(crate) critical: bool,
    /// Whether a critical of FALSE is written, which DER leaves out (X.690 §11.5).
    pub(crate) writes_default: bool,
    /// The content of extnValue.
    pub(crate) value: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Reads the next extension of the content of a SEQUENCE of them.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, DerError> {
        let mut fields = reader.take(tag::SEQUENCE)?.reader();
        let identifier = fields.take(tag::OBJECT_IDENTIFIER)?.content;
        // DER leaves a FALSE out; it is understood all the same, since some clients write it.
        let (critical, writes_default) = match fields.optional(tag::BOOLEAN)?.map(|element| element.content) {
            None => (false, false),
            Some([0x00]) => (false, true),
            Some([0xff]) => (true, false),
            Some(_) => return Err(DerError::Content { kind: "BOOLEAN" }),
        };
        let value = fields.take(tag::OCTET_STRING)?.content;
        fields.finish()?;
        if identifier.is_empty() {
            return Err(DerError::Content { kind: "OBJECT IDENTIFIER" });
        }
        Ok(Self { identifier, critical, writes_default, value })
    }

    /// Reads all extensions in the content of a SEQUENCE of them; none may occur twice (RFC 5280 §4.2).
    pub(crate) fn read_all(mut reader: Reader<'a>) -> Result<Vec<Self>, DerError> {
        let mut extensions: Vec<Self> = Vec::new();
        while !reader.is_empty() {
            let extension = Self::read(&mut reader)?;
            if extensions.iter().any(|earlier| earlier.identifier == extension.identifier) {
                return Err(DerError::RepeatedExtension);
            }
            extensions.push(extension);
        }
        Ok(extensions)
    }

    /// Whether it has this identifier.
    pub(crate) fn is(&self, identifier: &ObjectIdentifier) -> bool {
        self.identifier == identifier.as_bytes()
    }

    /// The identifier of the first critical one that is not among `known`.
    pub(crate) fn unknown_critical(extensions: &[Self], known: &[ObjectIdentifier]) -> Option<String> {
        extensions
            .iter()
            .find(|extension| extension.critical && !known.iter().any(|identifier| extension.is(identifier)))
            .map(Self::identifier_text)
    }

    /// The content octets of its identifier.
    pub(crate) fn identifier(&self) -> &'a [u8] {
        self.identifier
    }

    /// Its identifier, where it has one that is DER.
    pub(crate) fn object_identifier(&self) -> Option<ObjectIdentifier> {
        ObjectIdentifier::from_bytes(self.identifier).ok()
    }

    /// Its identifier in dotted form, or in hexadecimal if it has none.
    pub(crate) fn identifier_text(&self) -> String {
        ObjectIdentifier::from_bytes(self.identifier)
            .map_or_else(|_| hex::encode(self.identifier), |identifier| identifier.to_string())
    }
}

/// The extension with this identifier, where there is one.
pub(crate) fn find<'a, 'e>(
    extensions: &'e [Extension<'a>],
    identifier: &ObjectIdentifier,
) -> Option<&'e Extension<'a>> {
    extensions.iter().find(|extension| extension.is(identifier))
}

/// Appends an extension whose value `write` appends.
pub(crate) fn append(
    out: &mut Vec<u8>,
    identifier: &ObjectIdentifier,
    critical: bool,
    write: impl FnOnce(&mut Vec<u8>),
) {
    tlv::append_nested(out, tag::SEQUENCE, |out| {
        append_head(out, identifier, critical);
        tlv::append_nested(out, tag::OCTET_STRING, write);
    });
}

/// [`append`] of a value that cannot always be written.
pub(crate) fn try_append<E>(
    out: &mut Vec<u8>,
    identifier: &ObjectIdentifier,
    critical: bool,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    tlv::try_append_nested(out, tag::SEQUENCE, |out| {
        append_head(out, identifier, critical);
        tlv::try_append_nested(out, tag::OCTET_STRING, write)
    })
}

fn append_head(out: &mut Vec<u8>, identifier: &ObjectIdentifier, critical: bool) {
    tlv::append(out, tag::OBJECT_IDENTIFIER, identifier.as_bytes());
    // FALSE is the default, which DER leaves out.
    if critical {
        tlv::append(out, tag::BOOLEAN, &[0xff]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");

    #[test]
    fn reads_back_what_it_wrote() {
        for critical in [false, true] {
            let mut der = Vec::new();
            append(&mut der, &IDENTIFIER, critical, |out| tlv::append_unsigned(out, 7));
            let extensions = Extension::read_all(Reader::new(&der)).expect("own DER");
            let found = find(&extensions, &IDENTIFIER).expect("it is there");
            assert_eq!((found.critical, found.value), (critical, &[2, 1, 7][..]));
            assert_eq!(found.identifier_text(), "2.5.29.20");
            let twice = der.repeat(2);
            assert_eq!(Extension::read_all(Reader::new(&twice)).err(), Some(DerError::RepeatedExtension));
        }
    }

    #[test]
    fn refuses_a_boolean_that_is_neither() {
        let der = [0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x14, 0x01, 0x01, 0x01, 0x04, 0x00];
        assert_eq!(Extension::read(&mut Reader::new(&der)).err(), Some(DerError::Content { kind: "BOOLEAN" }));
    }
}
