//! Certificate serial numbers (RFC 5280 §4.1.2.2): positive, at most 20 octets, unique within an issuer. One that belongs to a shard
//! of its issuer's CRL says so itself, so that whatever is known of the serial, its shard is known.

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

    /// A serial of ours in a shard: the shard's number in two octets, the top bit cleared and the next one set, before 16 random
    /// octets. Always 18 octets long, and so told from one of [`Self::from_random`]; 128 random bits.
    pub fn in_shard(shard: ShardNumber, octets: [u8; 16]) -> Self {
        Self([shard.prefix().as_slice(), &octets].concat())
    }

    /// What stands for the serial of a certificate whose issuer chooses it when it signs (AWS Private CA): 19 octets, longer than any
    /// that such an issuer or [`Self::from_random`] makes. It is in no certificate.
    pub fn provisional(octets: [u8; 16]) -> Self {
        Self([PROVISIONAL.as_slice(), &octets].concat())
    }

    /// Whether it is one of [`Self::provisional`].
    pub fn is_provisional(&self) -> bool {
        self.0.len() == PROVISIONAL.len() + 16 && self.0.starts_with(&PROVISIONAL)
    }

    /// The shard that a serial of ours is in, for ever; `None` for one that is in none.
    pub fn shard(&self) -> Option<ShardNumber> {
        let (prefix, rest) = self.0.split_first_chunk::<2>()?;
        let number = u16::from_be_bytes(*prefix);
        let is_marked = number & 0xc000 == 0x4000;
        ShardNumber::new(u32::from(number & !0xc000)).filter(|_| is_marked && rest.len() == 16)
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

/// What every provisional serial begins with.
const PROVISIONAL: [u8; 3] = [0x70, 0x72, 0x6f];

/// The number of a shard of an authority's CRL: from 1 to [`Self::HIGHEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardNumber(u16);

impl ShardNumber {
    /// The highest number.
    pub const HIGHEST: u32 = 0x3fff;

    /// The shard of this number; `None` out of range.
    pub fn new(number: u32) -> Option<Self> {
        let number = u16::try_from(number).ok()?;
        (1..=Self::HIGHEST).contains(&u32::from(number)).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> u32 {
        u32::from(self.0)
    }

    /// What comes, in the order of serials, before every serial of the shard and after every one of those before it.
    pub fn before_its_serials(self) -> Serial {
        Serial(self.prefix().to_vec())
    }

    fn prefix(self) -> [u8; 2] {
        (self.0 | 0x4000).to_be_bytes()
    }
}

impl fmt::Display for ShardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
    fn a_provisional_serial_is_like_no_other() {
        let provisional = Serial::provisional([0xff; 16]);
        assert!(provisional.is_provisional() && provisional.shard().is_none());
        assert_eq!(provisional.as_bytes().len(), 19);
        assert_eq!(Serial::from_bytes(&provisional.to_der_content()).ok(), Some(provisional));
        let shard = ShardNumber::new(0x3072).expect("a number of a shard");
        let others = [Serial::from_random([0x70; 16]), Serial::in_shard(shard, [0x6f; 16])];
        assert!(others.iter().all(|other| !other.is_provisional()));
        let longest = Serial::from_bytes(&[&PROVISIONAL[..], &[1; 17]].concat()).expect("20 octets");
        assert!(!longest.is_provisional());
    }

    #[test]
    fn random_serials_are_positive_and_sixteen_octets() {
        for octets in [[0; 16], [0xff; 16]] {
            let serial = Serial::from_random(octets);
            assert_eq!(serial.as_bytes().len(), 16);
            assert_eq!(serial.to_der_content().len(), 16);
        }
    }

    #[test]
    fn a_serial_in_a_shard_says_which_and_no_other_does() {
        for number in [1, 2, 255, 256, ShardNumber::HIGHEST] {
            let shard = ShardNumber::new(number).expect("a shard");
            for octets in [[0; 16], [0xff; 16]] {
                let serial = Serial::in_shard(shard, octets);
                assert_eq!((serial.as_bytes().len(), serial.to_der_content().len()), (18, 18));
                assert_eq!(serial.shard(), Some(shard));
                assert!(serial > shard.before_its_serials());
                let next = ShardNumber::new(number + 1).map(ShardNumber::before_its_serials);
                assert!(next.is_none_or(|next| serial < next));
            }
        }
        for octets in [[0; 16], [0xff; 16]] {
            assert_eq!(Serial::from_random(octets).shard(), None);
        }
        let others: [&[u8]; 6] = [&[1], &[0x40, 1], &[0x40; 17], &[0x40; 19], &[0x01; 18], &[0xc1; 18]];
        for octets in others {
            assert_eq!(Serial::from_bytes(octets).expect("a serial").shard(), None, "{octets:?}");
        }
        let mut no_number = [0x40; 18];
        no_number[1] = 0;
        assert_eq!(Serial::from_bytes(&no_number).expect("a serial").shard(), None);
        for number in [0, ShardNumber::HIGHEST + 1, u32::MAX] {
            assert_eq!(ShardNumber::new(number), None);
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
