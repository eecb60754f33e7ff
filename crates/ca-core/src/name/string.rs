//! The ASN.1 string types of names, as text (X.680 §41, RFC 5280 appendix A.1 `DirectoryString`).

use std::borrow::Cow;

use crate::tlv::tag;

/// The text of a string's content octets; `None` when the tag is of no string type; what is wrong when the octets do
/// not fit the type.
pub(crate) fn decode(tag: u8, content: &[u8]) -> Option<Result<Cow<'_, str>, &'static str>> {
    let text = match tag {
        tag::UTF8_STRING => utf8(content),
        tag::PRINTABLE_STRING => {
            ascii(content, is_printable, "a PrintableString holds letters, digits and '()+,-./:=? only")
        }
        tag::NUMERIC_STRING => ascii(
            content,
            |octet| octet.is_ascii_digit() || octet == b' ',
            "a NumericString holds digits and spaces only",
        ),
        tag::IA5_STRING => return Some(decode_ia5(content)),
        // T.61 proper is nobody's practice: everybody writes ISO 8859-1 into it (as OpenSSL and NSS read it).
        tag::TELETEX_STRING => Ok(Cow::Owned(content.iter().copied().map(char::from).collect())),
        tag::UNIVERSAL_STRING => universal(content).map(Cow::Owned),
        tag::BMP_STRING => basic_multilingual_plane(content).map(Cow::Owned),
        _ => return None,
    };
    Some(text.and_then(refuse_nul))
}

/// The text of the content octets of an IA5String, as an IMPLICIT tag leaves them.
pub(crate) fn decode_ia5(content: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    ascii(content, |octet| octet.is_ascii(), "an IA5String holds ASCII only").and_then(refuse_nul)
}

/// Refuses NUL, at which C programs would end the name (CVE-2009-2408).
fn refuse_nul(text: Cow<'_, str>) -> Result<Cow<'_, str>, &'static str> {
    if text.contains('\0') { Err("a string in a name must not hold NUL") } else { Ok(text) }
}

/// Whether an octet may stand in a PrintableString (X.680 §41.4).
pub(crate) fn is_printable(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&octet)
}

/// Whether a character hides or reorders what a reader sees: controls, line separators, bidirectional overrides and
/// isolates, and zero-width marks of direction.
pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn utf8(content: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    str::from_utf8(content).map(Cow::Borrowed).map_err(|_| "a UTF8String holds UTF-8 only")
}

/// `allowed` lets only ASCII pass, which is text as it stands.
fn ascii<'a>(content: &'a [u8], allowed: impl Fn(u8) -> bool, why: &'static str) -> Result<Cow<'a, str>, &'static str> {
    let text = str::from_utf8(content).map_err(|_| why)?;
    if text.bytes().all(allowed) { Ok(Cow::Borrowed(text)) } else { Err(why) }
}

fn universal(content: &[u8]) -> Result<String, &'static str> {
    let (units, rest) = content.as_chunks::<4>();
    if !rest.is_empty() {
        return Err("a UniversalString holds four octets a character");
    }
    let decoded: Option<String> = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit))).collect();
    decoded.ok_or("a UniversalString holds Unicode characters only")
}

fn basic_multilingual_plane(content: &[u8]) -> Result<String, &'static str> {
    let (units, rest) = content.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("a BMPString holds two octets a character");
    }
    // Surrogates are no characters of the basic plane, so pairs of them are refused too.
    let decoded: Option<String> =
        units.iter().map(|unit| char::from_u32(u32::from(u16::from_be_bytes(*unit)))).collect();
    decoded.ok_or("a BMPString holds characters of the basic multilingual plane only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_type_by_its_own_rule() {
        let good: [(u8, &[u8], &str); 7] = [
            (tag::UTF8_STRING, "São".as_bytes(), "São"),
            (tag::PRINTABLE_STRING, b"Acme (BR)", "Acme (BR)"),
            (tag::NUMERIC_STRING, b"12 3", "12 3"),
            (tag::IA5_STRING, b"a@b_c", "a@b_c"),
            (tag::TELETEX_STRING, &[b'S', 0xe3, b'o'], "São"),
            (tag::BMP_STRING, &[0, b'S', 0, 0xe3], "Sã"),
            (tag::UNIVERSAL_STRING, &[0, 1, 0xf6, 0], "\u{1f600}"),
        ];
        for (tag, content, text) in good {
            assert_eq!(decode(tag, content), Some(Ok(text.into())), "{tag:#x}");
        }
        let bad: [(u8, &[u8]); 9] = [
            (tag::UTF8_STRING, &[0xff]),
            (tag::UTF8_STRING, b"good.example\0.evil.example"),
            (tag::PRINTABLE_STRING, b"a@b"),
            (tag::PRINTABLE_STRING, b"a_b"),
            (tag::NUMERIC_STRING, b"1a"),
            (tag::IA5_STRING, &[0x80]),
            (tag::BMP_STRING, &[0xd8, 0x3d, 0xde, 0]),
            (tag::BMP_STRING, &[0]),
            (tag::UNIVERSAL_STRING, &[0, 0x11, 0, 0]),
        ];
        for (tag, content) in bad {
            assert!(matches!(decode(tag, content), Some(Err(_))), "{tag:#x} {content:02x?}");
        }
        assert_eq!(decode(0x02, &[1]), None);
    }
}
