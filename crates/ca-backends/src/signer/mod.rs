//! Keys that sign: the `Signer` port (`ca_engine::port::signer`).

pub mod pkcs11;
pub mod software;

pub use software::{PrivateKeyInfo, SoftwareKeyError, SoftwareSigner};
