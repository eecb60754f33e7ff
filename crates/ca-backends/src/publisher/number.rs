//! The number of a list, as the list itself says it.

use ca_core::crl::CrlOutline;

/// The number of a list in place that was read to its end; `None` when it is damaged, or has none, and is better replaced.
pub(super) fn number_in(outline: CrlOutline) -> Option<u64> {
    let number = outline.finish().ok()??;
    // RFC 5280 §5.2.3 allows 20 octets; a number that does not fit into ours is above each of them.
    let fits = number.len() <= size_of::<u64>();
    Some(if fits { number.iter().fold(0, |all, octet| all << 8 | u64::from(*octet)) } else { u64::MAX })
}
