//! Certificate signing requests (RFC 2986).
