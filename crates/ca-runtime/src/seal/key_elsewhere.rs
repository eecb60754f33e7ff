//! A key elsewhere for tests, in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use ca_engine::fake::SeededEntropy;
use ca_engine::port::wrapping_key::{WrappingError, WrappingKey, WrappingPurpose};
use zeroize::Zeroizing;

use super::data_key::DataKey;

/// A key elsewhere, in memory: it counts what it is asked, and can be shut.
pub(crate) struct KeyElsewhere {
    name: String,
    key: DataKey,
    entropy: SeededEntropy,
    opened: AtomicUsize,
    shut: AtomicBool,
}

impl KeyElsewhere {
    /// One of this name, with a key of its own.
    pub(crate) fn new(name: &str) -> Arc<Self> {
        let entropy = SeededEntropy::new(u64::from(name.as_bytes()[0]));
        let key = DataKey::generate(&entropy).expect("made");
        let (opened, shut) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Self { name: name.to_owned(), key, entropy, opened, shut })
    }

    /// How often it was asked to open something since this was asked last.
    pub(crate) fn opened(&self) -> usize {
        self.opened.swap(0, Ordering::Relaxed)
    }

    /// From now on it refuses.
    pub(crate) fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    fn refusal(&self) -> WrappingError {
        WrappingError::Refused { detail: format!("{} is shut", self.name) }
    }
}

#[async_trait]
impl WrappingKey for KeyElsewhere {
    fn name(&self) -> &str {
        &self.name
    }

    async fn wrap(&self, purpose: WrappingPurpose, secret: &[u8]) -> Result<Vec<u8>, WrappingError> {
        if self.shut.load(Ordering::Relaxed) {
            return Err(self.refusal());
        }
        Ok(self.key.seal(purpose.as_str().as_bytes(), secret, &self.entropy).expect("sealed"))
    }

    async fn unwrap(&self, purpose: WrappingPurpose, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, WrappingError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let opened = self.key.open(purpose.as_str().as_bytes(), wrapped);
        opened.filter(|_| !self.shut.load(Ordering::Relaxed)).ok_or_else(|| self.refusal())
    }
}
