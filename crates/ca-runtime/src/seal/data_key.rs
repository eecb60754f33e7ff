//! AES-256-GCM (NIST SP 800-38D) under a key that lives in memory only.

use std::fmt;

use ca_engine::port::entropy::{Entropy, EntropyUnavailable};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

const KEY_LENGTH: usize = 32;
const TAG_LENGTH: usize = 16;
/// First octet of everything sealed: another way of sealing will have another one.
const VERSION: u8 = 1;

/// A 256-bit key that seals octets. Wiped when dropped (ring's expanded copy lives for one call), never printed.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; KEY_LENGTH]>);

impl DataKey {
    /// A random key.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        let mut octets = Zeroizing::new([0; KEY_LENGTH]);
        entropy.fill(octets.as_mut())?;
        Ok(Self(octets))
    }

    /// The key of these octets; `None` unless there are 32.
    pub(super) fn from_octets(octets: &[u8]) -> Option<Self> {
        octets.try_into().ok().map(|octets| Self(Zeroizing::new(octets)))
    }

    pub(super) fn as_octets(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }

    /// Seals octets: version, nonce, ciphertext, tag. What is in `associated` must be given again to open them.
    ///
    /// The nonce is random, 96 bits: safe for 2^32 messages under one key (SP 800-38D §8.3), and a service seals thousands.
    pub fn seal(&self, associated: &[u8], clear: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, SealingError> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce)?;
        // All of it at once: a vector that grew would leave the clear octets behind.
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + clear.len() + TAG_LENGTH);
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        let start = sealed.len();
        sealed.extend_from_slice(clear);
        let tag = self
            .cipher()
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated),
                &mut sealed[start..],
            )
            // Nothing clear may remain in what is given up.
            .inspect_err(|_| sealed.zeroize())
            .map_err(|_| SealingError::TooLong)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what [`Self::seal`] made with the same key and the same `associated` octets; `None` otherwise.
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LEN)?;
        if *version != VERSION {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut octets = Zeroizing::new(ciphertext.to_vec());
        let length = self.cipher().open_in_place(nonce, Aad::from(associated), &mut octets).ok()?.len();
        octets.truncate(length);
        Some(octets)
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, self.0.as_ref());
        LessSafeKey::new(key.expect("cannot fail: AES-256-GCM takes 32 octets, and the array has 32"))
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

/// Why octets were not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealingError {
    /// No nonce.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    /// More than the 64 GiB that AES-GCM takes (SP 800-38D §5.2.1.1).
    #[error("too long to be sealed")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    /// Gives the same octets at every call.
    struct Fixed(Vec<u8>);

    impl Entropy for Fixed {
        fn fill(&self, octets: &mut [u8]) -> Result<(), EntropyUnavailable> {
            octets.copy_from_slice(&self.0[..octets.len()]);
            Ok(())
        }
    }

    /// "The Galois/Counter Mode of Operation (GCM)", McGrew and Viega, appendix B, test case 16.
    #[test]
    fn is_the_standard_s_own_aes_256_gcm() {
        let octets = |text: &str| hex::decode(text).expect("hexadecimal");
        let key = octets("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let nonce = octets("cafebabefacedbaddecaf888");
        let clear = octets(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let associated = octets("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let expected = octets(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
        );
        let key = DataKey::from_octets(&key).expect("32 octets");
        let sealed = key.seal(&associated, &clear, &Fixed(nonce.clone())).expect("sealed");
        assert_eq!(sealed, [&[VERSION][..], &nonce, &expected].concat());
        assert_eq!(key.open(&associated, &sealed).expect("opens").as_slice(), clear);
    }

    #[test]
    fn opens_nothing_that_was_changed() {
        let entropy = SystemEntropy::new();
        let key = DataKey::generate(&entropy).expect("made");
        let sealed = key.seal(b"about it", b"secret", &entropy).expect("sealed");
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(key.open(b"about it", &changed).is_none(), "octet {index}");
            assert!(key.open(b"about it", &sealed[..index]).is_none(), "{index} octets");
        }
        assert!(key.open(b"about that", &sealed).is_none());
        assert!(DataKey::generate(&entropy).expect("made").open(b"about it", &sealed).is_none());
        assert_ne!(key.seal(b"about it", b"secret", &entropy).expect("sealed"), sealed, "a nonce of its own each time");
    }

    #[test]
    fn shows_nothing() {
        let key = DataKey::from_octets(&[0x41; 32]).expect("32 octets");
        assert_eq!(format!("{key:?}"), "DataKey(…)");
    }
}
