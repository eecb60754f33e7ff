//! Percent-encoding (RFC 3986 §2.1) with the characters that RFC 7512 leaves unescaped.

/// Characters that stand for themselves, beside letters, digits, `-`, `.`, `_` and `~`.
pub(super) type Unescaped = fn(u8) -> bool;

/// In the path (pk11-path-res-avail and `&`, RFC 7512 §2.3).
pub(super) const IN_PATH: Unescaped = |octet| b":[]@!$'()*+,=&".contains(&octet);

/// In the query (pk11-query-res-avail, RFC 7512 §2.3).
pub(super) const IN_QUERY: Unescaped = |octet| b":[]@!$'()*+,=/?|".contains(&octet);

/// Whatever is there; only `%` is looked at.
pub(super) const ANYTHING: Unescaped = |_| true;

/// The octets; `None` for a character that must be escaped, and for a `%` without two hexadecimal digits.
pub(super) fn decode(text: &str, unescaped: Unescaped) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            octets.push(Some(first).filter(|octet| is_unreserved(*octet) || unescaped(*octet))?);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let mut octet = [0];
        hex::decode_to_slice(digits, &mut octet).ok()?;
        octets.extend(octet);
        rest = after;
    }
    Some(octets)
}

/// The text of octets, with every octet escaped that must be.
pub(super) fn encode(octets: &[u8], unescaped: Unescaped) -> String {
    octets
        .iter()
        .map(
            |octet| {
                if is_unreserved(*octet) || unescaped(*octet) {
                    char::from(*octet).to_string()
                } else {
                    escaped(*octet)
                }
            },
        )
        .collect()
}

/// The text of octets, with every octet escaped.
pub(super) fn encode_all(octets: &[u8]) -> String {
    octets.iter().copied().map(escaped).collect()
}

fn escaped(octet: u8) -> String {
    format!("%{octet:02X}")
}

/// RFC 3986 §2.3.
fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~".contains(&octet)
}
