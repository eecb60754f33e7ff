//! Where certificates are wanted whose rotation the service owns.

mod directory;
mod pkcs12;
#[cfg(feature = "target-secrets-manager")]
pub mod secrets_manager;
mod versions;

pub use directory::DirectoryTarget;
pub use pkcs12::Pkcs12Target;
