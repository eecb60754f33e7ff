//! Issued certificates, parsed.
