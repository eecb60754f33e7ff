//! The system's source of randomness.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use ca_engine::port::entropy::{Entropy, EntropyUnavailable};

/// The generator of aws-lc-rs, seeded by the operating system.
#[derive(Clone, Debug)]
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    /// The system's source.
    #[expect(clippy::disallowed_methods, reason = "the real entropy: every other place asks the port")]
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, octets: &mut [u8]) -> Result<(), EntropyUnavailable> {
        self.0.fill(octets).map_err(|_| EntropyUnavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ_and_fill_every_octet() {
        let entropy = SystemEntropy::new();
        let (mut first, mut second) = ([0; 32], [0; 32]);
        entropy.fill(&mut first).expect("entropy");
        entropy.fill(&mut second).expect("entropy");
        assert_ne!(first, second);
        // A short fill would leave zeros at the end.
        let mut long = [0; 4_096];
        entropy.fill(&mut long).expect("entropy");
        assert_ne!(long[4_080..], [0; 16]);
    }
}
