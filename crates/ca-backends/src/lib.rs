//! Adapters to what signs, publishes, keeps secrets and notifies, behind the ports of `ca-engine`.
//!
//! One file an adapter, named after its technology; adapters never call each other. Nothing here decides what is signed or
//! published.
#![warn(missing_docs)]

pub mod anchor;
pub mod aws;
pub mod endpoint_probe;
pub mod issuer;
pub mod pkcs12;
pub mod publisher;
pub mod shared_answers;
pub mod signer;
pub mod sink;
pub mod spool;
pub mod target;
#[cfg(feature = "backend-kms")]
pub mod wrapping_key;
