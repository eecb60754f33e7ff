//! The secrets that events are signed with: one, or several while receivers go over to the next.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use thiserror::Error;
use zeroize::Zeroizing;

/// The fewest octets of a secret: as many as the signature has.
const SHORTEST: usize = 32;
/// The most secrets: each makes the header longer.
const MOST: usize = 4;
/// What the text of a Standard Webhooks secret begins with; base64 follows.
const ENCODED: &str = "whsec_";

/// Secrets; never printed.
#[derive(Clone)]
pub struct WebhookSecrets(Vec<hmac::Key>);

/// Why a file holds no secrets. It does not quote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WebhookSecretError {
    /// No line with anything on it.
    #[error("there is no secret in it; make one with `openssl rand -base64 48`")]
    None,
    /// More than can be told in a header.
    #[error("there are more than {MOST} secrets in it; during a change there are two")]
    TooMany,
    /// One that can be guessed.
    #[error(
        "the secret in line {line} has {octets} octets, {SHORTEST} are the fewest; make one with `openssl rand -base64 48`"
    )]
    TooShort {
        /// Counted from 1.
        line: usize,
        /// How many it has.
        octets: usize,
    },
    /// Text after `whsec_` that is not base64.
    #[error("what follows {ENCODED} in line {line} is not base64")]
    NotBase64 {
        /// Counted from 1.
        line: usize,
    },
}

impl WebhookSecrets {
    /// Reads the secrets of a file, one a line: base64 after `whsec_`, as Standard Webhooks writes them, else the octets of the line.
    pub fn read(octets: &[u8]) -> Result<Self, WebhookSecretError> {
        let mut keys = Vec::new();
        for (line, text) in (1..).zip(octets.split(|octet| *octet == b'\n')) {
            let text = text.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let secret = match text.strip_prefix(ENCODED.as_bytes()) {
                Some(encoded) => {
                    Zeroizing::new(STANDARD.decode(encoded).map_err(|_| WebhookSecretError::NotBase64 { line })?)
                }
                None => Zeroizing::new(text.to_vec()),
            };
            if secret.len() < SHORTEST {
                return Err(WebhookSecretError::TooShort { line, octets: secret.len() });
            }
            keys.push(hmac::Key::new(hmac::HMAC_SHA256, &secret));
        }
        match keys.len() {
            0 => Err(WebhookSecretError::None),
            1..=MOST => Ok(Self(keys)),
            _ => Err(WebhookSecretError::TooMany),
        }
    }

    /// The header `webhook-signature`: a signature by each secret.
    pub(super) fn sign(&self, id: &str, timestamp: &str, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let signatures = self.0.iter().map(|key| format!("v1,{}", STANDARD.encode(hmac::sign(key, signed.as_bytes()))));
        signatures.collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "0123456789abcdef0123456789abcdef";

    /// The signatures are Python's: `hmac.new(secret, b"ID.TIMESTAMP.BODY", "sha256").digest()`.
    #[test]
    fn signs_with_every_secret_what_others_verify() {
        let secrets = format!("{PLAIN}\r\n\nwhsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
        let secrets = WebhookSecrets::read(secrets.as_bytes()).expect("secrets");
        let signature =
            secrets.sign("0199f0c2-7a3e-7c51-9d2e-5b1f0a6c4d21", "1795176000", "{\"topic\":\"crl.published\"}");
        assert_eq!(signature, GOLDEN);
    }

    #[test]
    fn what_can_be_guessed_or_read_in_two_ways_is_refused() {
        for (text, why) in [
            ("", WebhookSecretError::None),
            ("\n \n", WebhookSecretError::None),
            ("short", WebhookSecretError::TooShort { line: 1, octets: 5 }),
            ("\nwhsec_AAECAwQ=\n", WebhookSecretError::TooShort { line: 2, octets: 5 }),
            ("whsec_%%%", WebhookSecretError::NotBase64 { line: 1 }),
        ] {
            assert_eq!(WebhookSecrets::read(text.as_bytes()).map(|_| ()), Err(why), "{text:?}");
        }
        let five = format!("{PLAIN}\n").repeat(5);
        assert_eq!(WebhookSecrets::read(five.as_bytes()).map(|_| ()), Err(WebhookSecretError::TooMany));
    }

    #[test]
    fn debug_shows_no_secret() {
        let secrets = WebhookSecrets::read(PLAIN.as_bytes()).expect("a secret");
        assert_eq!(format!("{secrets:?}"), "WebhookSecrets(1)");
    }

    const GOLDEN: &str =
        "v1,weOJ5T+Q2TkeqAQ5W2iZAQyLhq1Zp9MopFohi+UU3KA= v1,709Gpf7GG9TA26CI42Mozt5uUwB7fdEM65pf2hJLRxE=";
}
