//! Randomness of which a serial number now and then is not as random as it should be.

use std::sync::Mutex;

use ca_engine::port::entropy::{Entropy, EntropyUnavailable};

use crate::lock;
use crate::random::Random;

/// Octets from a seed. Of those of a serial number's length one in eight is among sixteen that every process draws from, so
/// that numbers are drawn twice.
pub(crate) struct WeakEntropy {
    random: Mutex<Random>,
    /// Whether serial numbers are as random as they should be.
    strong: bool,
}

impl WeakEntropy {
    pub(crate) fn new(seed: u64, strong: bool) -> Self {
        Self { random: Mutex::new(Random::new(seed)), strong }
    }
}

const SERIAL_LENGTH: usize = 16;

impl Entropy for WeakEntropy {
    fn fill(&self, octets: &mut [u8]) -> Result<(), EntropyUnavailable> {
        let mut random = lock(&self.random);
        if octets.len() == SERIAL_LENGTH && !self.strong && random.one_in(8) {
            octets.fill(0x40 + u8::try_from(random.below(16)).unwrap_or_default());
            return Ok(());
        }
        if random.one_in(400) {
            return Err(EntropyUnavailable);
        }
        for chunk in octets.chunks_mut(8) {
            chunk.copy_from_slice(&random.next().to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
