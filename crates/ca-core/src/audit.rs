//! Audit events and their chain.
