//! Tag, length and value: strict reading and appending of DER (X.690 §10), for names, CSRs, CRLs and OCSP messages.
//!
//! Nothing is copied while reading, so that a CRL of a million entries can be walked in place, and lengths are fixed up
//! while writing, so that nothing is built twice. What the octets mean is not known here. Certificates are read with
//! `x509-parser`.

use std::ops::Range;

use thiserror::Error;

use crate::serial::Serial;

/// Universal and context-specific identifier octets (X.690 §8.1.2).
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const NUMERIC_STRING: u8 = 0x12;
    pub(crate) const PRINTABLE_STRING: u8 = 0x13;
    pub(crate) const TELETEX_STRING: u8 = 0x14;
    pub(crate) const IA5_STRING: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const UNIVERSAL_STRING: u8 = 0x1c;
    pub(crate) const BMP_STRING: u8 = 0x1e;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// `[number]` around a primitive value (IMPLICIT). `number` is at most 30.
    pub(crate) const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// `[number]` around a constructed value (EXPLICIT, or IMPLICIT of a SEQUENCE). `number` is at most 30.
    pub(crate) const fn context_constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// How deep the values of a value that is kept without being understood may be nested.
pub(crate) const DEEPEST: usize = 16;

/// Octets that are not the DER of what was expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DerError {
    /// The octets end inside a value.
    #[error("the DER ends in the middle of a value")]
    Truncated,
    /// A length in indefinite form, or longer than needed, or of 4 GiB and more.
    #[error("a length is not in the shortest definite form that DER asks for")]
    Length,
    /// Another tag than expected, or a tag number above 30.
    #[error("expected tag {expected:#04x}, found {found:#04x}")]
    Tag {
        /// The identifier octet that was expected.
        expected: u8,
        /// The one that is there.
        found: u8,
    },
    /// More octets than the structure has.
    #[error("{octets} octets follow where the structure ends")]
    Trailing {
        /// How many.
        octets: usize,
    },
    /// An INTEGER or ENUMERATED that is empty, longer than needed, negative or too large.
    #[error("an INTEGER is empty, not in its shortest form, or out of range")]
    Integer,
    /// A BOOLEAN, NULL, BIT STRING, OBJECT IDENTIFIER or time whose content is not DER.
    #[error("the content of a {kind} is not valid")]
    Content {
        /// Which ASN.1 type.
        kind: &'static str,
    },
    /// Values inside values, deeper than any structure that is kept without being understood has need of.
    #[error("values are nested deeper than {DEEPEST} levels")]
    Nesting,
    /// The same extension twice (RFC 5280 §4.2).
    #[error("an extension occurs twice")]
    RepeatedExtension,
}

/// One value: its identifier octet, its content, and both with the length as they stood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) whole: &'a [u8],
    pub(crate) content: &'a [u8],
}

impl<'a> Element<'a> {
    /// A reader of the content.
    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader::new(self.content)
    }

    /// Refuses a value whose nested values are not DER, or are nested deeper than [`DEEPEST`].
    pub(crate) fn check_nested(&self) -> Result<(), DerError> {
        self.check_nested_to(DEEPEST)
    }

    fn check_nested_to(&self, depth: usize) -> Result<(), DerError> {
        // X.690 §8.1.2.5: bit 6 of the identifier octet says that the content is values.
        if self.tag & 0x20 == 0 {
            return Ok(());
        }
        let depth = depth.checked_sub(1).ok_or(DerError::Nesting)?;
        let mut values = self.reader();
        while !values.is_empty() {
            values.any()?.check_nested_to(depth)?;
        }
        Ok(())
    }
}

/// Reads values one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of values that lie one after the other.
    pub(crate) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// Reads `octets` as exactly one value with `expected` as its tag.
    pub(crate) fn only(octets: &'a [u8], expected: u8) -> Result<Element<'a>, DerError> {
        let mut reader = Self::new(octets);
        let element = reader.take(expected)?;
        reader.finish()?;
        Ok(element)
    }

    /// What was not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The identifier octet of the next value.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next value, whatever it is.
    pub(crate) fn any(&mut self) -> Result<Element<'a>, DerError> {
        let (&tag, after_tag) = self.rest.split_first().ok_or(DerError::Truncated)?;
        if tag & 0x1f == 0x1f {
            return Err(DerError::Tag { expected: tag & 0xe0, found: tag });
        }
        let (length, content_start) = read_length(after_tag)?;
        let end = content_start.checked_add(length).ok_or(DerError::Length)?;
        let content = after_tag.get(content_start..end).ok_or(DerError::Truncated)?;
        let (whole, rest) = self.rest.split_at(1 + end);
        self.rest = rest;
        Ok(Element { tag, whole, content })
    }

    /// The next value, which must have the tag `expected`.
    pub(crate) fn take(&mut self, expected: u8) -> Result<Element<'a>, DerError> {
        match self.peek() {
            Some(found) if found == expected => self.any(),
            Some(found) => Err(DerError::Tag { expected, found }),
            None => Err(DerError::Truncated),
        }
    }

    /// The next value if it has the tag `expected`.
    pub(crate) fn optional(&mut self, expected: u8) -> Result<Option<Element<'a>>, DerError> {
        if self.peek() == Some(expected) { self.any().map(Some) } else { Ok(None) }
    }

    /// Ends reading: nothing may be left.
    pub(crate) fn finish(self) -> Result<(), DerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DerError::Trailing { octets: self.rest.len() }) }
    }
}

/// The tag that `octets` begin with, how many octets its header fills and how many its content; [`DerError::Truncated`] when the
/// header is not all there. The content need not be.
pub(crate) fn peek_header(octets: &[u8]) -> Result<(u8, usize, usize), DerError> {
    let (&tag, after_tag) = octets.split_first().ok_or(DerError::Truncated)?;
    let (length, size) = read_length(after_tag)?;
    Ok((tag, 1 + size, length))
}

/// The length that `octets` begin with, and where the content begins after it.
fn read_length(octets: &[u8]) -> Result<(usize, usize), DerError> {
    let first = *octets.first().ok_or(DerError::Truncated)?;
    if first < 0x80 {
        return Ok((usize::from(first), 1));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > 4 {
        return Err(DerError::Length);
    }
    let digits = octets.get(1..=count).ok_or(DerError::Truncated)?;
    let length = digits.iter().fold(0_u64, |length, digit| length << 8 | u64::from(*digit));
    // X.690 §10.1: the shortest form, so the short one below 128 and no leading zero octet.
    if length < 0x80 || digits[0] == 0 {
        return Err(DerError::Length);
    }
    Ok((usize::try_from(length).map_err(|_| DerError::Length)?, 1 + count))
}

/// The content of an INTEGER as its magnitude, when it is in shortest form and not negative (X.690 §8.3).
pub(crate) fn unsigned(content: &[u8]) -> Result<&[u8], DerError> {
    match content {
        [] => Err(DerError::Integer),
        [0] => Ok(content),
        [0, next, ..] if next & 0x80 == 0 => Err(DerError::Integer),
        [0, magnitude @ ..] => Ok(magnitude),
        [first, ..] if first & 0x80 != 0 => Err(DerError::Integer),
        _ => Ok(content),
    }
}

/// The content of an INTEGER, negative or not, when it is in shortest form (X.690 §8.3.2).
pub(crate) fn integer(content: &[u8]) -> Result<&[u8], DerError> {
    match content {
        [] => Err(DerError::Integer),
        [0, next, ..] if next & 0x80 == 0 => Err(DerError::Integer),
        [0xff, next, ..] if next & 0x80 != 0 => Err(DerError::Integer),
        _ => Ok(content),
    }
}

/// The content of an INTEGER or ENUMERATED as a number below 2^64.
pub(crate) fn small_unsigned(content: &[u8]) -> Result<u64, DerError> {
    magnitude_to_u64(unsigned(content)?).ok_or(DerError::Integer)
}

/// A big-endian magnitude as a number, when it is below 2^64.
pub(crate) fn magnitude_to_u64(magnitude: &[u8]) -> Option<u64> {
    (magnitude.len() <= 8).then(|| magnitude.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
}

/// The content of an INTEGER as a serial number: `None` when it is negative, zero or longer than 20 octets, so that no
/// certificate of ours can have it.
pub(crate) fn serial(content: &[u8]) -> Option<Serial> {
    Serial::from_bytes(unsigned(content).ok()?).ok()
}

/// The content of a BIT STRING without unused bits.
pub(crate) fn whole_octets(content: &[u8]) -> Result<&[u8], DerError> {
    match content {
        [0, octets @ ..] => Ok(octets),
        _ => Err(DerError::Content { kind: "BIT STRING" }),
    }
}

/// Where `part`, a slice of `whole`, lies in it.
pub(crate) fn range_within(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// Appends an identifier octet and a length.
pub(crate) fn append_header(out: &mut Vec<u8>, tag: u8, length: usize) {
    if length < 0x80 {
        return out.extend_from_slice(&[tag, length as u8]);
    }
    let (header, size) = header(tag, length);
    out.extend_from_slice(&header[..size]);
}

/// Appends a whole value.
pub(crate) fn append(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    append_header(out, tag, content.len());
    out.extend_from_slice(content);
}

/// A whole value.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 4);
    append(&mut out, tag, content);
    out
}

/// Appends a value whose content `write` appends; the length is put before it afterwards.
pub(crate) fn append_nested(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = begin(out, tag);
    write(out);
    end(out, tag, start);
}

/// [`append_nested`] of a content that cannot always be written. After an error, `out` holds a part of it.
pub(crate) fn try_append_nested<E>(
    out: &mut Vec<u8>,
    tag: u8,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = begin(out, tag);
    write(out)?;
    end(out, tag, start);
    Ok(())
}

/// Nearly every value is short: leaves the two octets of a short header, and tells where the content begins.
fn begin(out: &mut Vec<u8>, tag: u8) -> usize {
    out.extend_from_slice(&[tag, 0]);
    out.len()
}

/// Puts the header before a content that began at `start`; makes room when two octets are too few.
fn end(out: &mut Vec<u8>, tag: u8, start: usize) {
    let length = out.len() - start;
    if length < 0x80 {
        out[start - 1] = length as u8;
        return;
    }
    let (header, size) = header(tag, length);
    out.resize(out.len() + size - 2, 0);
    out.copy_within(start..start + length, start - 2 + size);
    out[start - 2..start - 2 + size].copy_from_slice(&header[..size]);
}

/// Appends an INTEGER.
pub(crate) fn append_unsigned(out: &mut Vec<u8>, number: u64) {
    let octets = number.to_be_bytes();
    let start = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len() - 1);
    let magnitude = &octets[start..];
    let sign = usize::from(magnitude[0] & 0x80 != 0);
    append_header(out, tag::INTEGER, magnitude.len() + sign);
    out.extend_from_slice(&[0][..sign]);
    out.extend_from_slice(magnitude);
}

/// The most octets that [`header`] fills.
pub(crate) const LONGEST_HEADER: usize = 10;

/// An identifier octet and a length in shortest form, and how many octets they fill.
pub(crate) fn header(tag: u8, length: usize) -> ([u8; LONGEST_HEADER], usize) {
    let mut header = [0; LONGEST_HEADER];
    header[0] = tag;
    if length < 0x80 {
        header[1] = length as u8;
        return (header, 2);
    }
    let octets = (length as u64).to_be_bytes();
    let skipped = octets.iter().take_while(|octet| **octet == 0).count();
    let digits = &octets[skipped..];
    header[1] = 0x80 | digits.len() as u8;
    header[2..2 + digits.len()].copy_from_slice(digits);
    (header, 2 + digits.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_lengths_that_are_not_the_shortest() {
        for (octets, error) in [
            (&[0x04, 0x81, 0x01, 0x00][..], DerError::Length),
            (&[0x04, 0x82, 0x00, 0x80], DerError::Length),
            (&[0x30, 0x80, 0x00, 0x00], DerError::Length),
            (&[0x04, 0x85, 0x01, 0x00, 0x00, 0x00, 0x00], DerError::Length),
            (&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff], DerError::Truncated),
            (&[0x04, 0x02, 0x00], DerError::Truncated),
            (&[0x04], DerError::Truncated),
            (&[], DerError::Truncated),
            (&[0x3f, 0x81, 0x01, 0x00], DerError::Tag { expected: 0x20, found: 0x3f }),
        ] {
            assert_eq!(Reader::new(octets).any().map(|element| element.tag), Err(error), "{octets:02x?}");
        }
    }

    #[test]
    fn reads_back_what_it_wrote_at_every_length_of_length() {
        for size in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 20_000_000] {
            let content = vec![7; size];
            let mut plain = vec![0xaa];
            append(&mut plain, tag::OCTET_STRING, &content);
            let mut nested = vec![0xaa];
            append_nested(&mut nested, tag::OCTET_STRING, |out| out.extend_from_slice(&content));
            assert_eq!(plain, nested);
            let element = Reader::only(&plain[1..], tag::OCTET_STRING).expect("own DER");
            assert_eq!((element.content, element.whole), (&content[..], &plain[1..]));
        }
    }

    #[test]
    fn refuses_values_that_are_nested_badly_or_too_deep() {
        let nested = |levels| (0..levels).fold(vec![0x05, 0x00], |inner, _| element(tag::SEQUENCE, &inner));
        let check = |octets: &[u8]| Reader::new(octets).any().expect("the outer value is DER").check_nested();
        assert_eq!(check(&nested(DEEPEST)), Ok(()));
        assert_eq!(check(&nested(DEEPEST + 1)), Err(DerError::Nesting));
        assert_eq!(check(&[0x30, 0x02, 0x04, 0x05]), Err(DerError::Truncated));
    }

    #[test]
    fn integers_are_positive_and_shortest() {
        for (content, expected) in [
            (&[0][..], Ok(0)),
            (&[0x7f], Ok(127)),
            (&[0, 0x80], Ok(128)),
            (&[0, 0x7f], Err(DerError::Integer)),
            (&[0x80], Err(DerError::Integer)),
            (&[], Err(DerError::Integer)),
            (&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Ok(u64::MAX)),
            (&[1, 0, 0, 0, 0, 0, 0, 0, 0], Err(DerError::Integer)),
        ] {
            assert_eq!(small_unsigned(content), expected, "{content:02x?}");
        }
        for number in [0, 1, 127, 128, 255, 256, u64::MAX] {
            let mut der = Vec::new();
            append_unsigned(&mut der, number);
            let element = Reader::only(&der, tag::INTEGER).expect("own DER");
            assert_eq!(small_unsigned(element.content), Ok(number));
        }
        assert_eq!(serial(&[0xff]), None, "negative");
        assert_eq!(serial(&[0]), None);
        assert_eq!(serial(&[1; 21]), None);
        assert_eq!(serial(&[0, 0xff]).map(|serial| serial.to_string()), Some("ff".to_owned()));
    }
}
