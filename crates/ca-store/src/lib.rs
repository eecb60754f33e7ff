//! The databases behind the engine's [`Store`](ca_engine::port::store::Store) port, and the only SQL of the service.
//!
//! [`SqliteStore`] is the embedded default: one file, one writer, commits shared by concurrent callers. Nothing here decides:
//! whether a certificate may be issued, renewed or revoked is the flows' business.
#![warn(missing_docs)]

mod sqlite;

pub use sqlite::{OpenError, OpenMode, SqliteStore};
