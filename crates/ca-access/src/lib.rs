//! Who may do what: Cedar behind the authorization port of the engine.
//!
//! Policies and their schema are texts (`policies/access.cedar`, `policies/access.cedarschema`), checked as a whole when they
//! are loaded; afterwards a decision is pure and takes microseconds. Authentication is not done here, nor is it decided what
//! a certificate may contain: that is its profile's part.
//!
//! ```text
//! texts → load (checked) → slice → CedarAuthorizer ← Question → translate → Decision
//! ```
#![warn(missing_docs)]

mod authorizer;
mod error;
mod fitness;
mod load;
mod remembered;
mod slice;
mod translate;
mod vocabulary;

pub use authorizer::{CedarAuthorizer, SHIPPED_POLICIES, SHIPPED_SCHEMA};
pub use error::AccessError;
