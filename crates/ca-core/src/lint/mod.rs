//! Linting before signing.
