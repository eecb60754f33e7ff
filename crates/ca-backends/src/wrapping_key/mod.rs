//! Keys outside of the service that wrap its secrets.

mod kms;

pub use kms::KmsWrappingKey;
