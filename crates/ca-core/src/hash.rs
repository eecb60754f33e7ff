//! Digests, by aws-lc-rs.
//!
//! SHA-1 names keys and OCSP CertIDs only (RFC 5280 §4.2.1.2, RFC 6960 §4.1.1); nothing is signed with it.

use aws_lc_rs::{digest, hmac};

/// SHA-1 of `octets`: an identifier, never a protection.
pub fn sha1(octets: &[u8]) -> [u8; 20] {
    fixed(&digest::SHA1_FOR_LEGACY_USE_ONLY, octets)
}

/// SHA-256 of `octets`.
pub fn sha256(octets: &[u8]) -> [u8; 32] {
    fixed(&digest::SHA256, octets)
}

/// HMAC-SHA-256 of `octets` (RFC 2104).
pub fn hmac_sha256(key: &[u8; 32], octets: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), octets);
    let mut copied = [0; 32];
    // The tag of SHA-256 has 32 octets.
    copied.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
    copied
}

/// A number below `bound` (0 for 0) that the parts have, the same at every time and spread evenly: for what must not come at once.
pub fn spread(parts: &[&[u8]], bound: u64) -> u64 {
    let digest = sha256(&parts.concat());
    let mut octets = [0; 8];
    octets.copy_from_slice(&digest[..8]);
    let product = u128::from(u64::from_be_bytes(octets)) * u128::from(bound);
    // The upper half of a product with a number below 2^64 is below the bound.
    u64::try_from(product >> 64).unwrap_or(0)
}

/// SHA-256 of octets that come piece by piece.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Sha256 {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Takes the octets that follow.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The digest of everything that was taken.
    pub fn finish(self) -> [u8; 32] {
        let mut output = [0; 32];
        // Cannot fail: a SHA-256 digest is 32 octets.
        output.copy_from_slice(self.0.finish().as_ref());
        output
    }
}

impl Sha256 {
    /// The same as a digest that is signed.
    pub fn into_message_digest(self) -> MessageDigest {
        MessageDigest(self.0.finish())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

/// A digest that stands for a message when it is signed or verified.
#[derive(Clone, Debug)]
pub struct MessageDigest(digest::Digest);

impl MessageDigest {
    /// Its octets: 32, 48 or 64.
    pub fn octets(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// What aws-lc-rs signs and verifies.
    pub fn as_digest(&self) -> &digest::Digest {
        &self.0
    }
}

/// A [`MessageDigest`] of octets that come piece by piece.
#[derive(Clone)]
pub struct MessageHasher(digest::Context);

impl MessageHasher {
    /// By SHA-256.
    pub fn sha256() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// By SHA-384.
    pub fn sha384() -> Self {
        Self(digest::Context::new(&digest::SHA384))
    }

    /// By SHA-512.
    pub fn sha512() -> Self {
        Self(digest::Context::new(&digest::SHA512))
    }

    /// Takes the octets that follow.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The digest of everything that was taken.
    pub fn finish(self) -> MessageDigest {
        MessageDigest(self.0.finish())
    }
}

/// Whether two digests are equal, without telling by its duration where they differ.
pub fn digests_equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

fn fixed<const LENGTH: usize>(algorithm: &'static digest::Algorithm, octets: &[u8]) -> [u8; LENGTH] {
    let mut output = [0; LENGTH];
    // Cannot fail: both callers name an algorithm whose output is LENGTH octets.
    output.copy_from_slice(digest::digest(algorithm, octets).as_ref());
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_digests() {
        assert!(digests_equal(&sha256(b"a"), &sha256(b"a")));
        assert!(!digests_equal(&sha256(b"a"), &sha256(b"b")));
    }

    #[test]
    fn pieces_have_the_digest_of_the_whole() {
        let mut digest = Sha256::new();
        digest.update(b"a");
        digest.update(b"bc");
        assert_eq!(digest.finish(), sha256(b"abc"));
    }

    /// FIPS 180-2, appendices A.1 and B.1.
    #[test]
    fn digests_the_standard_s_own_examples() {
        assert_eq!(hex::encode(sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex::encode(sha256(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
