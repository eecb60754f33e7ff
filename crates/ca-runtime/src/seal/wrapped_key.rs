//! A data key wrapped under a passphrase or under a key elsewhere, as the store keeps it.

use std::fmt;
use std::num::NonZeroU32;

use ca_engine::port::entropy::{Entropy, EntropyUnavailable};
use ca_engine::port::wrapping_key::WrappingPurpose;
use ring::pbkdf2;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::data_key::{DataKey, SealingError};
use super::passphrase::Passphrase;
use super::room::DataKeyRoom;

/// OWASP's figure for PBKDF2-HMAC-SHA256; RFC 8018 §4.2 leaves it to the times.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).expect("cannot fail: not zero");
/// Whoever can write the record must not be able to hang a start.
const MOST_ITERATIONS: u32 = 20_000_000;
const SALT_LENGTH: usize = 16;
const KDF: &str = "pbkdf2-hmac-sha256";

/// How a wrapping key comes from a passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Derivation {
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

impl Derivation {
    /// A new salt.
    pub(super) fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        let mut salt = vec![0; SALT_LENGTH];
        entropy.fill(&mut salt)?;
        Ok(Self { salt, iterations: ITERATIONS })
    }

    /// Derives the wrapping key: a tenth of a second of CPU or more.
    pub(super) fn derive(&self, passphrase: &Passphrase) -> DataKey {
        let mut octets = Zeroizing::new([0; 32]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, self.iterations, &self.salt, passphrase.as_bytes(), octets.as_mut());
        DataKey::from_octets(octets.as_ref()).expect("cannot fail: the array has 32 octets")
    }
}

/// What a data key is wrapped under: a key that comes from a passphrase, or one that a key elsewhere wraps in turn. So one question
/// to that key opens all that was wrapped with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// Derived from a passphrase.
    Passphrase(Derivation),
    /// Wrapped itself.
    External {
        /// The name of the key that wraps it.
        by: String,
        /// For what.
        purpose: WrappingPurpose,
        /// What came of it.
        wrapping_key: Vec<u8>,
    },
}

/// In messages: what sealed something.
impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passphrase(_) => f.write_str("a passphrase"),
            Self::External { by, purpose, .. } => write!(f, "{by} for `{}`", purpose.as_str()),
        }
    }
}

/// A wrapped data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrappedKey {
    pub(super) protection: Protection,
    sealed: Vec<u8>,
}

/// Its text in the store: TOML, so that a person can see what it is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PassphraseRecord {
    kdf: String,
    iterations: u32,
    salt: String,
    sealed: String,
}

/// The same of one that a key elsewhere protects.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExternalRecord {
    wrapped_by: String,
    purpose: String,
    wrapping_key: String,
    sealed: String,
}

impl WrappedKey {
    /// Wraps a data key under the key that `protection` gives.
    pub(super) fn wrap(
        room: DataKeyRoom,
        data_key: &DataKey,
        protection: Protection,
        wrapping_key: &DataKey,
        entropy: &dyn Entropy,
    ) -> Result<Self, SealingError> {
        let sealed = wrapping_key.seal(&associated(room), data_key.as_octets(), entropy)?;
        Ok(Self { protection, sealed })
    }

    /// Unwraps it; `None` when another key wrapped it, or it was changed, or it is another room's.
    pub(super) fn unwrap(&self, room: DataKeyRoom, wrapping_key: &DataKey) -> Option<DataKey> {
        wrapping_key.open(&associated(room), &self.sealed).and_then(|octets| DataKey::from_octets(&octets))
    }

    /// The text for the store.
    pub(super) fn to_record(&self) -> String {
        let sealed = hex::encode(&self.sealed);
        match &self.protection {
            Protection::Passphrase(Derivation { salt, iterations }) => format!(
                "kdf = \"{KDF}\"\niterations = {iterations}\nsalt = \"{}\"\nsealed = \"{sealed}\"\n",
                hex::encode(salt)
            ),
            Protection::External { by, purpose, wrapping_key } => format!(
                "wrapped_by = \"{by}\"\npurpose = \"{}\"\nwrapping_key = \"{}\"\nsealed = \"{sealed}\"\n",
                purpose.as_str(),
                hex::encode(wrapping_key)
            ),
        }
    }

    /// Reads that text; `None` when it is none, or of another version.
    pub(super) fn from_record(octets: &[u8]) -> Option<Self> {
        if let Ok(record) = toml::from_slice::<ExternalRecord>(octets) {
            let purpose = WrappingPurpose::from_name(&record.purpose)?;
            let wrapping_key = hex::decode(record.wrapping_key).ok()?;
            let protection = Protection::External { by: record.wrapped_by, purpose, wrapping_key };
            return Some(Self { protection, sealed: hex::decode(record.sealed).ok()? });
        }
        let record: PassphraseRecord = toml::from_slice(octets).ok()?;
        let iterations = NonZeroU32::new(record.iterations)?;
        if record.kdf != KDF || iterations < ITERATIONS || iterations.get() > MOST_ITERATIONS {
            return None;
        }
        let salt = hex::decode(record.salt).ok().filter(|salt| salt.len() >= SALT_LENGTH)?;
        let protection = Protection::Passphrase(Derivation { salt, iterations });
        Some(Self { protection, sealed: hex::decode(record.sealed).ok()? })
    }
}

fn associated(room: DataKeyRoom) -> Vec<u8> {
    format!("cartorio data key, {}", room.as_str()).into_bytes()
}

#[cfg(test)]
mod tests {
    use ca_engine::port::keyring::KeyRoom;

    use super::*;
    use crate::entropy::SystemEntropy;

    const AUTHORITIES: DataKeyRoom = DataKeyRoom::Keys(KeyRoom::Authorities);
    const RESPONDERS: DataKeyRoom = DataKeyRoom::Keys(KeyRoom::Responders);

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text, "the test".to_owned()).expect("long enough")
    }

    /// Made with Python: `hashlib.pbkdf2_hmac("sha256", b"correct horse", bytes(range(16)), 600000).hex()`.
    #[test]
    fn derives_what_others_derive() {
        let derivation = Derivation { salt: (0..16).collect(), iterations: ITERATIONS };
        let derived = hex::encode(derivation.derive(&passphrase("correct horse")).as_octets());
        assert_eq!(derived, "96a5904c2e08c8da42305dbcc5d7cf18ead2636d49f59526b606f26696281473");
    }

    #[test]
    fn unwraps_with_its_own_passphrase_and_for_its_own_room_only() {
        let entropy = SystemEntropy::new();
        let data_key = DataKey::generate(&entropy).expect("made");
        let derivation = Derivation::generate(&entropy).expect("made");
        let right = derivation.derive(&passphrase("correct horse"));
        let wrapped =
            WrappedKey::wrap(RESPONDERS, &data_key, Protection::Passphrase(derivation.clone()), &right, &entropy)
                .expect("wrapped");
        let read = WrappedKey::from_record(wrapped.to_record().as_bytes()).expect("its own record");
        assert_eq!(read, wrapped);
        assert_eq!(read.unwrap(RESPONDERS, &right).expect("opens").as_octets(), data_key.as_octets());
        assert!(read.unwrap(AUTHORITIES, &right).is_none());
        let wrong = derivation.derive(&passphrase("battery staple"));
        assert!(read.unwrap(RESPONDERS, &wrong).is_none());
    }

    #[test]
    fn a_record_says_which_key_elsewhere_wraps_it_and_for_what() {
        let entropy = SystemEntropy::new();
        let [data_key, wrapping_key] = [(); 2].map(|()| DataKey::generate(&entropy).expect("made"));
        let protection = Protection::External {
            by: "kms:arn:aws:kms:sa-east-1:111122223333:key/1".to_owned(),
            purpose: WrappingPurpose::Responders,
            wrapping_key: vec![1, 2, 3],
        };
        let wrapped = WrappedKey::wrap(RESPONDERS, &data_key, protection, &wrapping_key, &entropy).expect("wrapped");
        let read = WrappedKey::from_record(wrapped.to_record().as_bytes()).expect("its own record");
        assert_eq!(read, wrapped);
        assert_eq!(read.unwrap(RESPONDERS, &wrapping_key).expect("opens").as_octets(), data_key.as_octets());
        assert_eq!(read.protection.to_string(), "kms:arn:aws:kms:sa-east-1:111122223333:key/1 for `responders`");
        let strange = wrapped.to_record().replace("responders", "everything");
        assert!(WrappedKey::from_record(strange.as_bytes()).is_none());
    }

    #[test]
    fn refuses_records_that_would_weaken_or_hang_it() {
        let record = |iterations: &str, salt: &str, kdf: &str| {
            let text = format!("kdf = \"{kdf}\"\niterations = {iterations}\nsalt = \"{salt}\"\nsealed = \"00\"\n");
            WrappedKey::from_record(text.as_bytes()).is_some()
        };
        let salt = "00".repeat(16);
        assert!(record("600000", &salt, KDF));
        assert!(!record("599999", &salt, KDF));
        assert!(!record("4000000000", &salt, KDF));
        assert!(!record("600000", "00", KDF));
        assert!(!record("600000", "no", KDF));
        assert!(!record("600000", &salt, "md5"));
        assert!(WrappedKey::from_record(b"\xff").is_none());
    }
}
