//! A vault for tests of stores: it encrypts, and would keep nobody out who reads this.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ca_core::hash::sha256;

use crate::port::personal_data::{PersonalDataError, PersonalDataKey, PersonalDataVault};

/// Keys from a secret and a version, a key stream of SHA-256, a nonce that counts. **For tests only.**
#[derive(Clone)]
pub struct FakeVault {
    secret: u64,
    counter: Arc<AtomicU64>,
}

impl FakeVault {
    /// A vault; one with another secret opens nothing of its.
    pub fn new(secret: u64) -> Self {
        Self { secret, counter: Arc::default() }
    }

    fn seal_of(&self, version: u32) -> [u8; 32] {
        sha256(format!("seal {} {version}", self.secret).as_bytes())
    }
}

impl fmt::Debug for FakeVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeVault(…)")
    }
}

impl PersonalDataVault for FakeVault {
    fn generate(&self, version: u32) -> Result<Vec<u8>, PersonalDataError> {
        Ok(self.seal_of(version).to_vec())
    }

    fn open(&self, version: u32, sealed: &[u8]) -> Result<Arc<dyn PersonalDataKey>, PersonalDataError> {
        if sealed != self.seal_of(version) {
            return Err(PersonalDataError::WrongSeal { version });
        }
        let key = sha256(format!("key {} {version}", self.secret).as_bytes());
        Ok(Arc::new(FakeKey { key, counter: Arc::clone(&self.counter) }))
    }

    fn digest(&self, octets: &[u8]) -> [u8; 32] {
        sha256(&[&self.secret.to_be_bytes(), octets].concat())
    }
}

struct FakeKey {
    key: [u8; 32],
    counter: Arc<AtomicU64>,
}

impl FakeKey {
    fn streamed(&self, nonce: &[u8], octets: &[u8]) -> Vec<u8> {
        let blocks = octets.chunks(32).zip(0u64..);
        let block = |number: u64| sha256(&[&self.key, nonce, &number.to_be_bytes()[..]].concat());
        blocks
            .flat_map(|(chunk, number)| {
                chunk.iter().zip(block(number)).map(|(octet, key)| octet ^ key).collect::<Vec<_>>()
            })
            .collect()
    }

    fn tag(&self, place: &str, clear: &[u8]) -> [u8; 32] {
        sha256(&[&self.key, place.as_bytes(), b"\0", clear].concat())
    }
}

impl PersonalDataKey for FakeKey {
    fn seal(&self, place: &str, clear: &[u8]) -> Result<Vec<u8>, PersonalDataError> {
        let nonce = self.counter.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        Ok([&nonce[..], &self.tag(place, clear), &self.streamed(&nonce, clear)].concat())
    }

    fn open(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(8)?;
        let (tag, ciphertext) = rest.split_at_checked(32)?;
        let clear = self.streamed(nonce, ciphertext);
        (self.tag(place, &clear) == tag).then_some(clear)
    }

    fn blind(&self, octets: &[u8]) -> [u8; 32] {
        sha256(&[&self.key, b"index".as_slice(), octets].concat())
    }
}
