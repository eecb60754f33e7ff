//! Distinguished names, byte for byte (RFC 5280 §4.1.2.4, RFC 4514).

/// A distinguished name: its DER, kept exactly as it came or was made. Equality is of octets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DistinguishedName {
    der: Vec<u8>,
}

impl DistinguishedName {
    /// The DER of the RDNSequence.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }
}
