//! Sealing: what protects private keys at rest.
//!
//! ```text
//! passphrase ── PBKDF2-HMAC-SHA256, once a start ──► wrapping key ── AES-256-GCM ──► data keys, one per room of keys
//! or KMS key ── Decrypt, once a start ─────────────► wrapping key ── AES-256-GCM ──► data keys
//!                                                    data key      ── AES-256-GCM ──► private keys, PKCS#8
//!                                                                                  ► versions of the key of personal data
//! ```
//! Wrapped data keys and sealed private keys lie in the store, and the wrapping key that KMS wrapped; the passphrase never does. All of it is done with *ring*: what is
//! on the wire or in a certificate is the business of aws-lc-rs, elsewhere.

mod data_key;
mod error;
#[cfg(test)]
pub(crate) mod key_elsewhere;
mod keyring;
mod passphrase;
mod reseal;
mod room;
mod seals;
#[cfg(test)]
mod tests;
mod vault;
mod wrapped_key;
mod wrapping;

pub use data_key::{DataKey, SealingError};
pub use error::SealError;
pub use keyring::SealedKeyring;
pub(crate) use keyring::generate_software_key;
pub use passphrase::{Passphrase, PassphraseError};
pub use reseal::reseal;
pub use room::DataKeyRoom;
pub use seals::{Seal, Seals};
pub use vault::SealedVault;
pub use wrapping::{DataKeys, MissingKeys, is_sealed};
