//! The agent of machines, `ca-cli agent`, beside a real nginx; and the sidecar of gateways, `ca-cli gateway`, beside a real nginx and a real HAProxy that are configured by what `deploy/`
//! ships, as it is.

mod acm_pca;
mod agent;
mod enforcement;
mod faults;
mod haproxy;
mod mutation;
mod nginx;
mod ocsp;
mod rollover;
mod statements;
