//! Certificate serial numbers (RFC 5280 §4.1.2.2): positive, at most 20 octets, unique within an issuer.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A positive serial number: the octets of the INTEGER without leading zeros, at most 20 as encoded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// A serial of ours from 16 random octets. The top bit is cleared and the next one set, so that every
    /// serial is positive, never zero and always 16 octets long; 126 random bits remain.
    pub fn from_random(mut octets: [u8; 16]) -> Self {
        octets[0] = (octets[0] & 0x7f) | 0x40;
        Self(octets.to_vec())
    }

    /// A serial from the content octets of a DER INTEGER, or from its magnitude.
    pub fn from_bytes(octets: &[u8]) -> Result<Self, SerialError> {
        let start = octets.iter().position(|octet| *octet != 0).ok_or(SerialError::Zero)?;
        let magnitude = &octets[start..];
        let encoded = magnitude.len() + usize::from(magnitude[0] & 0x80 != 0);
        if encoded > 20 {
            return Err(SerialError::TooLong { octets: encoded });
        }
        Ok(Self(magnitude.to_vec()))
    }

    /// The magnitude, big-endian, without leading zeros.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The content octets of the DER INTEGER: the magnitude, with a zero octet before a set top bit.
    pub fn to_der_content(&self) -> Vec<u8> {
        let mut content = Vec::with_capacity(self.0.len() + 1);
        if self.0[0] & 0x80 != 0 {
            content.push(0);
        }
        content.extend_from_slice(&self.0);
        content
    }
}

impl fmt::Display for Serial {
    /// Lower-case hexadecimal, two digits an octet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = SerialError;

    /// Reads hexadecimal of either case, with or without colons, as openssl and browsers print it.
    fn from_str(text: &str) -> Result<Self, SerialError> {
        let mut digits: String = text.chars().filter(|character| *character != ':').collect();
        if digits.len() % 2 == 1 {
            digits.insert(0, '0');
        }
        let octets = hex::decode(&digits).map_err(|_| SerialError::NotHexadecimal)?;
        if octets.is_empty() {
            return Err(SerialError::NotHexadecimal);
        }
        Self::from_bytes(&octets)
    }
}

/// Octets that are no serial number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SerialError {
    /// Zero is not positive.
    #[error("a serial number must be positive")]
    Zero,
    /// Longer than RFC 5280 allows.
    #[error("a serial number has at most 20 octets, this one has {octets}")]
    TooLong {
        /// Its length as encoded.
        octets: usize,
    },
    /// Not hexadecimal digits.
    #[error("a serial number is written in hexadecimal")]
    NotHexadecimal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_serials_are_positive_and_sixteen_octets() {
        for octets in [[0; 16], [0xff; 16]] {
            let serial = Serial::from_random(octets);
            assert_eq!(serial.as_bytes().len(), 16);
            assert_eq!(serial.to_der_content().len(), 16);
        }
    }

    #[test]
    fn limits_the_encoded_length() {
        assert!(Serial::from_bytes(&[0x7f; 20]).is_ok());
        assert_eq!(Serial::from_bytes(&[0xff; 20]), Err(SerialError::TooLong { octets: 21 }));
        assert_eq!(Serial::from_bytes(&[0, 0]), Err(SerialError::Zero));
    }

    #[test]
    fn reads_what_openssl_prints() {
        let serial: Serial = "0A:ff".parse().expect("valid");
        assert_eq!(serial.to_string(), "0aff");
        assert!("xyz".parse::<Serial>().is_err());
        assert!("".parse::<Serial>().is_err());
    }
}
