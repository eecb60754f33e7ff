//! What both programs stand on: configuration, the data folder and its locks, sealed keys, the real clock and entropy, and
//! the wiring of it all ([`open`]), the only place that names concrete adapters.
//!
//! Nothing here listens, answers or decides: that is the engine's and the programs' business.
#![warn(missing_docs)]

pub mod administrator;
mod anchors;
mod authority_keys;
mod aws_calls;
mod aws_sinks;
pub mod backup;
pub mod ceremony;
pub mod certificate_target;
pub mod clock;
pub mod config;
pub mod data_folder;
pub mod encrypted_key;
pub mod entropy;
mod external_keys;
pub mod external_root;
pub mod external_status;
pub mod file;
pub mod hierarchy;
pub mod key_export;
pub mod kms_keys;
pub mod local;
pub mod lock;
pub mod managed;
mod mirrors;
pub mod open;
mod operator_message;
mod private_ca;
mod private_ca_fault;
mod private_cas;
pub mod profiles;
mod record;
pub mod reseal;
pub mod restore;
pub mod rollover;
pub mod root_key;
pub mod root_password;
pub mod scheduled_rollover;
pub mod seal;
mod seal_sources;
mod secrets_managers;
mod shared_answers;
mod sink_fault;
mod sinks;
mod token_keys;

pub use ca_backends::pkcs12;
pub use token_keys::close_token_modules;
