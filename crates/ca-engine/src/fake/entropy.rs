//! Octets that look random and are the same in every run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ca_core::hash::sha256;

use crate::port::entropy::{Entropy, EntropyUnavailable};

/// SHA-256 over a seed and a counter. **For tests only**: whoever knows the seed knows every octet.
///
/// Clones share the counter: what one gave, no other gives again.
#[derive(Clone, Debug)]
pub struct SeededEntropy {
    seed: u64,
    counter: Arc<AtomicU64>,
    broken: Arc<AtomicBool>,
}

impl SeededEntropy {
    /// A source that gives the same octets in the same order for the same seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: Arc::default(), broken: Arc::default() }
    }

    /// Makes every call fail until [`Self::repair`].
    pub fn break_down(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    /// Ends [`Self::break_down`].
    pub fn repair(&self) {
        self.broken.store(false, Ordering::SeqCst);
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, octets: &mut [u8]) -> Result<(), EntropyUnavailable> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(EntropyUnavailable);
        }
        for chunk in octets.chunks_mut(32) {
            let counter = self.counter.fetch_add(1, Ordering::SeqCst);
            let mut input = [0; 16];
            input[..8].copy_from_slice(&self.seed.to_be_bytes());
            input[8..].copy_from_slice(&counter.to_be_bytes());
            chunk.copy_from_slice(&sha256(&input)[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(entropy: &SeededEntropy) -> [u8; 40] {
        let mut octets = [0; 40];
        entropy.fill(&mut octets).expect("not broken");
        octets
    }

    #[test]
    fn gives_the_same_for_a_seed_and_never_repeats() {
        let (first, second) = (SeededEntropy::new(7), SeededEntropy::new(7));
        let octets = draw(&first);
        assert_eq!(octets, draw(&second));
        assert_ne!(octets, draw(&first.clone()), "a clone goes on where the other is");
        assert_ne!(octets, draw(&SeededEntropy::new(8)));
        assert_ne!(octets[..8], octets[32..], "chunks differ");
    }

    #[test]
    fn fails_when_told_to() {
        let entropy = SeededEntropy::new(7);
        entropy.break_down();
        assert_eq!(entropy.fill(&mut [0; 4]), Err(EntropyUnavailable));
        entropy.repair();
        assert_eq!(entropy.fill(&mut [0; 4]), Ok(()));
    }
}
