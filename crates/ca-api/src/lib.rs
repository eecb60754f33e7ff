//! The wire: what travels over the HTTP API, shared by the server and the command line.
//!
//! One file per resource, plain values that serde reads and writes and utoipa describes. No logic lives here and no type of
//! `ca-core`: the server turns wire values into domain values and back, so that neither binds the other. Every shape has a
//! golden file in `testdata/`; a change of one is a change of the public contract.
//!
//! Conventions: identifiers are UUIDs in text; times are RFC 3339 in UTC; lengths of time are `90d`, `12h`, `30m`, `10s`;
//! octets are lower-case hexadecimal; certificates and requests are PEM. Requests refuse unknown fields; responses may grow
//! fields, which readers skip.

pub mod audit;
pub mod authority;
pub mod bulk_revocation;
pub mod certificate;
pub mod gateway;
pub mod health;
pub mod managed;
pub mod managed_rotation;
pub mod outbox;
pub mod page;
pub mod problem;
pub mod profile;
pub mod renewal;
pub mod renewal_window;
pub mod revocation;
pub mod revoke;
pub mod route;
pub mod search;
pub mod token;

#[cfg(test)]
mod golden;
