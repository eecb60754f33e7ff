//! The sidecar of gateways, `ca-cli gateway`, beside a real nginx and a real HAProxy that are configured by what `deploy/`
//! ships, as it is.

mod sidecar;
mod world;

mod faults;
mod haproxy;
mod nginx;
mod ocsp;
