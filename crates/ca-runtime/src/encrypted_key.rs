//! Private keys as people keep them: encrypted PKCS#8 (EncryptedPrivateKeyInfo, RFC 5958 §3) in PEM (RFC 7468 §11).
//!
//! PBES2 (RFC 8018 §6.2) with PBKDF2-HMAC-SHA256 and AES-256-CBC: what every openssl since 1.1 opens with `openssl pkey`.

use ca_engine::port::entropy::{Entropy, EntropyUnavailable};
use pkcs8::der::asn1::OctetString;
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfoOwned, EncryptedPrivateKeyInfoRef, LineEnding, SecretDocument};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::seal::Passphrase;

const LABEL: &str = "ENCRYPTED PRIVATE KEY";
const ITERATIONS: u32 = 600_000;

/// Encrypts unencrypted PKCS#8 DER: some tenths of a second of CPU.
pub fn encrypt(
    private_key: &[u8],
    passphrase: &Passphrase,
    entropy: &dyn Entropy,
) -> Result<Zeroizing<String>, EncryptedKeyError> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    entropy.fill(&mut salt)?;
    entropy.fill(&mut iv)?;
    let parameters =
        pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ITERATIONS, &salt, iv).map_err(not_encrypted)?;
    let encrypted = parameters.encrypt(passphrase.as_bytes(), private_key).map_err(not_encrypted)?;
    let information = EncryptedPrivateKeyInfoOwned {
        encryption_algorithm: parameters.into(),
        encrypted_data: OctetString::new(encrypted).map_err(not_encrypted)?,
    };
    let document = SecretDocument::encode_msg(&information).map_err(not_encrypted)?;
    document.to_pem(LABEL, LineEnding::LF).map_err(not_encrypted)
}

/// Opens such a PEM, its own or one that openssl made: the unencrypted PKCS#8 DER.
pub fn decrypt(pem: &str, passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, EncryptedKeyError> {
    let (label, document) = SecretDocument::from_pem(pem).map_err(|_| EncryptedKeyError::NotAnEncryptedKey)?;
    if label != LABEL {
        return Err(EncryptedKeyError::NotAnEncryptedKey);
    }
    let encrypted =
        EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| EncryptedKeyError::NotAnEncryptedKey)?;
    let key = encrypted
        .decrypt(passphrase.as_bytes())
        // A wrong key shows as wrong padding, or (once in 256) as octets that are no DER.
        .map_err(|_| EncryptedKeyError::WrongPassphrase { origin: passphrase.origin().to_owned() })?;
    Ok(key.to_bytes())
}

fn not_encrypted(error: impl ToString) -> EncryptedKeyError {
    EncryptedKeyError::NotEncrypted { detail: error.to_string() }
}

/// Why a key was not encrypted or opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncryptedKeyError {
    /// Other text.
    #[error(
        "not an encrypted private key: it should begin with `-----BEGIN {LABEL}-----`; `openssl pkcs8 -topk8` makes one"
    )]
    NotAnEncryptedKey,
    /// The passphrase is another one.
    #[error("the passphrase from {origin} does not open the key: another one encrypted it, or the file was changed")]
    WrongPassphrase {
        /// Where the passphrase came from.
        origin: String,
    },
    /// The encoder refused.
    #[error("the key could not be encrypted: {detail}")]
    NotEncrypted {
        /// What it said.
        detail: String,
    },
    /// No randomness.
    #[error("the key could not be encrypted: {0}")]
    Entropy(#[from] EntropyUnavailable),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text, "the test".to_owned()).expect("long enough")
    }

    /// Made with `openssl genpkey -algorithm ed25519 | openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 600000
    /// -passout pass:"correct horse"`, and the same with `-scrypt`; the clear key with `openssl pkey -outform DER`.
    const OF_OPENSSL: [(&str, &str); 2] = [
        (include_str!("../testdata/ed25519.pbkdf2.pem"), include_str!("../testdata/ed25519.hex")),
        (include_str!("../testdata/ed25519.scrypt.pem"), include_str!("../testdata/ed25519.hex")),
    ];

    #[test]
    fn opens_what_openssl_encrypted() {
        for (pem, clear) in OF_OPENSSL {
            let key = decrypt(pem, &passphrase("correct horse")).expect("opens");
            assert_eq!(hex::encode(key.as_slice()), clear.trim());
            assert!(matches!(
                decrypt(pem, &passphrase("battery staple")),
                Err(EncryptedKeyError::WrongPassphrase { origin }) if origin == "the test"
            ));
        }
    }

    #[test]
    fn opens_its_own_and_shows_nothing_of_the_key() {
        let clear = hex::decode(OF_OPENSSL[0].1.trim()).expect("hexadecimal");
        let pem = encrypt(&clear, &passphrase("correct horse"), &SystemEntropy::new()).expect("encrypted");
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        assert_eq!(decrypt(&pem, &passphrase("correct horse")).expect("opens").as_slice(), clear);
    }

    #[test]
    fn refuses_other_text() {
        for text in ["", "key", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"] {
            assert_eq!(
                decrypt(text, &passphrase("correct horse")).map(|_| ()),
                Err(EncryptedKeyError::NotAnEncryptedKey)
            );
        }
    }
}
