//! Keys that sign: the `Signer` port (`ca_engine::port::signer`).

pub mod software;

pub use software::{PrivateKeyInfo, SoftwareKeyError, SoftwareSigner};
