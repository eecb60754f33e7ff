//! Keys that sign: the `Signer` port (`ca_engine::port::signer`).

#[cfg(feature = "backend-kms")]
pub mod kms;
pub mod pkcs11;
pub mod software;

pub use software::{PrivateKeyInfo, SoftwareKeyError, SoftwareSigner};
