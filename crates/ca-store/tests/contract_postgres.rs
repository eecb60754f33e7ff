//! The contract of the store port, kept by PostgreSQL, and kept without reading through large tables.
//!
//! As in `contract.rs`; the server is the tests' own.

mod filters;
mod server;
mod statements;
mod under_test;

#[path = "postgres/contract.rs"]
mod contract;
