//! What programs that others wrote make of this service: gateways, OCSP clients, verifiers of chains, lists and PKCS#12,
//! linters, test vectors, and a fuzzer of the API.
//!
//! `tests/install.sh` installs them; a missing one fails its tests. Every verdict is theirs: nothing here reads a certificate.

mod material;
mod nginx;
mod tool;

mod chains;
mod crl_kinds;
mod gateway;
mod lint;
mod ocsp;
mod pkcs12;
mod pss;
mod rollover;
mod schemathesis;
mod vectors;
