//! Pure public-key infrastructure: values in, values out.
//!
//! Nothing here does I/O, reads a clock, makes randomness or knows a runtime; those are arguments.
//! `aws-lc-rs` is used to verify and to hash only.
//!
//! ```text
//! bytes → csr → policy (profile + names) → Granted → template → tbs → lint → (signature) → certificate
//!                                           request bytes → ocsp::request → status → ocsp::response
//!                                           revocations   → crl
//! ```
#![warn(missing_docs)]

pub mod audit;
pub mod ceremony;
pub mod certificate;
pub mod chain;
pub mod crl;
pub mod csr;
pub mod der_time;
mod extension;
pub mod hash;
pub mod id;
pub mod key;
pub mod lint;
pub mod managed;
pub mod month;
pub mod name;
pub mod notice;
pub mod ocsp;
pub mod oid;
pub mod pem;
pub mod pkcs11_uri;
pub mod policy;
pub mod principal;
pub mod profile;
pub mod renewal;
pub mod renewal_proof;
pub mod revocation;
pub mod serial;
pub mod signing;
pub mod tbs;
pub mod template;
pub mod time;
pub mod tlv;
pub mod usage;

// The hierarchy that tests sign with is shared with the integration tests, which know this crate by its name.
#[cfg(test)]
extern crate self as ca_core;
#[cfg(test)]
#[path = "../tests/issuance/hierarchy.rs"]
mod hierarchy;
