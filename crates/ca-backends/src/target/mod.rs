//! Where certificates are wanted whose rotation the service owns.

mod directory;
#[cfg(feature = "target-secrets-manager")]
pub mod secrets_manager;

pub use directory::DirectoryTarget;
