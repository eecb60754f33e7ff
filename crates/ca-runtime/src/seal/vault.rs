//! The engine's vault of personal data: versions of a key, sealed under the data key of their room.
//!
//! ```text
//! data key of personal data ── AES-256-GCM ──► version 1, 2 … ── HKDF-SHA256 ──► encrypting: AES-256-GCM
//!                            └─ HKDF-SHA256 ──► digests         └─ HKDF-SHA256 ──► blind index: HMAC-SHA256
//! ```

use std::fmt;
use std::sync::Arc;

use ca_engine::port::entropy::Entropy;
use ca_engine::port::personal_data::{PersonalDataError, PersonalDataKey, PersonalDataVault};
use ring::{hkdf, hmac};
use zeroize::Zeroizing;

use super::data_key::{DataKey, SealingError};

/// The vault of a process that may read and write personal data.
pub struct SealedVault {
    data_key: DataKey,
    digest_key: hmac::Key,
    entropy: Arc<dyn Entropy>,
}

impl SealedVault {
    /// A vault over the opened data key of personal data.
    pub fn new(data_key: DataKey, entropy: Arc<dyn Entropy>) -> Self {
        let digest_key = hmac_key(&data_key, "cartorio personal data, digests");
        Self { data_key, digest_key, entropy }
    }
}

impl fmt::Debug for SealedVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedVault(…)")
    }
}

impl PersonalDataVault for SealedVault {
    fn generate(&self, version: u32) -> Result<Vec<u8>, PersonalDataError> {
        let key = DataKey::generate(self.entropy.as_ref())?;
        self.data_key.seal(&associated(version), key.as_octets(), self.entropy.as_ref()).map_err(unsealed)
    }

    fn open(&self, version: u32, sealed: &[u8]) -> Result<Arc<dyn PersonalDataKey>, PersonalDataError> {
        let octets = self.data_key.open(&associated(version), sealed);
        let key = octets.and_then(|octets| DataKey::from_octets(&octets));
        let key = key.ok_or(PersonalDataError::WrongSeal { version })?;
        Ok(Arc::new(VersionKey {
            cipher: derived(&key, "cartorio personal data, encryption"),
            index: hmac_key(&key, "cartorio personal data, blind index"),
            entropy: Arc::clone(&self.entropy),
        }))
    }

    fn digest(&self, octets: &[u8]) -> [u8; 32] {
        tag(&self.digest_key, octets)
    }
}

/// One version, with a key for each of its uses.
struct VersionKey {
    cipher: DataKey,
    index: hmac::Key,
    entropy: Arc<dyn Entropy>,
}

impl PersonalDataKey for VersionKey {
    fn seal(&self, place: &str, clear: &[u8]) -> Result<Vec<u8>, PersonalDataError> {
        self.cipher.seal(place.as_bytes(), clear, self.entropy.as_ref()).map_err(unsealed)
    }

    fn open(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.cipher.open(place.as_bytes(), sealed).map(|octets| octets.to_vec())
    }

    fn blind(&self, octets: &[u8]) -> [u8; 32] {
        tag(&self.index, octets)
    }
}

/// What a version is bound to.
fn associated(version: u32) -> Vec<u8> {
    format!("cartorio personal data key, version {version}").into_bytes()
}

/// HKDF-SHA256 (RFC 5869) of a key that is random already, without a salt (§3.1 makes it optional), 32 octets for one use.
fn derive(key: &DataKey, purpose: &str) -> Zeroizing<[u8; 32]> {
    let mut octets = Zeroizing::new([0; 32]);
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(key.as_octets());
    extracted
        .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(octets.as_mut()))
        .expect("cannot fail: 32 octets are what HKDF-SHA256 gives at once");
    octets
}

fn derived(key: &DataKey, purpose: &str) -> DataKey {
    DataKey::from_octets(derive(key, purpose).as_ref()).expect("cannot fail: the array has 32 octets")
}

fn hmac_key(key: &DataKey, purpose: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, derive(key, purpose).as_ref())
}

fn tag(key: &hmac::Key, octets: &[u8]) -> [u8; 32] {
    let mut tag = [0; 32];
    // HMAC-SHA256 has 32 octets.
    tag.copy_from_slice(hmac::sign(key, octets).as_ref());
    tag
}

fn unsealed(error: SealingError) -> PersonalDataError {
    match error {
        SealingError::Entropy(error) => error.into(),
        SealingError::TooLong => PersonalDataError::TooLong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn vault(octet: u8) -> SealedVault {
        SealedVault::new(DataKey::from_octets(&[octet; 32]).expect("32 octets"), Arc::new(SystemEntropy::new()))
    }

    /// Made with Python: `hmac.new(hkdf(bytes([7]) * 32, b"cartorio personal data, digests"), b"Ana", "sha256").hexdigest()`, where
    /// `hkdf(key, info)` is `hmac(hmac(bytes(32), key), info + b"\1")`.
    #[test]
    fn digests_are_what_others_derive() {
        assert_eq!(
            hex::encode(vault(7).digest(b"Ana")),
            "526519e149434e2b5aa97dc24749668f75126ef12ba77308c68755cfac7b80af"
        );
    }

    #[test]
    fn a_version_opens_under_its_own_number_and_vault_only() {
        let vault = vault(1);
        let sealed = vault.generate(2).expect("made");
        assert!(vault.open(2, &sealed).is_ok());
        assert_eq!(vault.open(1, &sealed).map(|_| ()), Err(PersonalDataError::WrongSeal { version: 1 }));
        assert_eq!(self::vault(2).open(2, &sealed).map(|_| ()), Err(PersonalDataError::WrongSeal { version: 2 }));
        assert_ne!(vault.generate(2).expect("made"), sealed, "a key of its own each time");
    }

    #[test]
    fn values_open_in_their_place_only_and_differ_each_time() {
        let vault = vault(1);
        let key = vault.open(1, &vault.generate(1).expect("made")).expect("opens");
        let sealed = key.seal("certificates 1, subject", b"Ana Souza").expect("sealed");
        assert_eq!(key.open("certificates 1, subject", &sealed).as_deref(), Some(&b"Ana Souza"[..]));
        assert_eq!(key.open("certificates 1, names", &sealed), None);
        assert_ne!(key.seal("certificates 1, subject", b"Ana Souza").expect("sealed"), sealed);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(key.open("certificates 1, subject", &changed), None, "octet {index}");
        }
    }

    #[test]
    fn an_index_is_the_same_at_every_start_and_another_under_every_version() {
        let vault = vault(1);
        let [first, second] = [1, 2].map(|version| vault.generate(version).expect("made"));
        let open = |version, sealed| vault.open(version, sealed).expect("opens");
        assert_eq!(open(1, &first).blind(b"ana"), open(1, &first).blind(b"ana"));
        assert_ne!(open(1, &first).blind(b"ana"), open(2, &second).blind(b"ana"));
        assert_ne!(open(1, &first).blind(b"ana"), ca_core::hash::sha256(b"ana"));
    }
}
