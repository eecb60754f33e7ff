//! The number of a list, as the list itself says it.

use ca_core::crl::ParsedCrl;

/// The number of a list in place; `None` when it is damaged, or has none, and is better replaced.
pub(super) fn number_of_list(der: Vec<u8>) -> Option<u64> {
    let crl = ParsedCrl::from_der(der).ok()?;
    // RFC 5280 §5.2.3 allows 20 octets; a number that does not fit into ours is above each of them.
    crl.number_octets().map(|_| crl.number().unwrap_or(u64::MAX))
}
