//! Between the values of the domain and the shapes of the HTTP API, both ways: one room for the server, which answers in these
//! shapes, and for local mode, which gives the same answers without a server.
//!
//! No decisions, no I/O, no clock: what an answer depends on besides the value is an argument.
#![warn(missing_docs)]

pub mod audit;
pub mod authority;
pub mod bulk_revocation;
pub mod certificate;
pub mod gateway;
pub mod managed;
pub mod managed_rotation;
pub mod name;
pub mod outbox;
pub mod problem;
pub mod profile;
pub mod renewal_window;
pub mod revocation;
pub mod token;
