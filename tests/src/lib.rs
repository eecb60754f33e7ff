//! What end-to-end tests and the demo are made of. The programs are black boxes: built, started, spoken to, stopped.
//!
//! `programs` builds them, `process` runs one and collects what it says, `stack` is a service in a folder of its own, `cluster` two
//! replicas over a database with a standby, `client` speaks to their API, `identity` makes keys and CSRs, `status` asks OCSP and
//! reads CRLs, `gateway` is an mTLS server that trusts them, `cli` runs `ca-cli`, `tools` runs programs that others wrote; `load`
//! issues and revokes, and `ledger` has what was promised; `outage` kills the service under that load and judges what came of it,
//! `survival` does everything to a cluster while `status_watch` asks; `record` reads what lies on the disk, `receiver` takes
//! webhooks, `kms` and `token_keys` hold keys, `acm_pca` an authority, `pkilint` lints what was signed, `fake_clock` sets the time, `small_disk` fills up,
//! `many` issues hundreds of certificates, `anchor` is what lies beside the record. Tests themselves stand in `tests/`.

pub mod acm_pca;
pub mod anchor;
pub mod chance;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod enforcement;
pub mod fake_clock;
pub mod gateway;
pub mod gateway_host;
pub mod identity;
pub mod kms;
pub mod leak;
pub mod ledger;
pub mod load;
pub mod machine;
pub mod managed_load;
pub mod many;
pub mod mutation;
pub mod outage;
pub mod outcome;
pub mod percentiles;
pub mod pkilint;
pub mod process;
pub mod programs;
pub mod receiver;
pub mod record;
pub mod shared_record;
pub mod sidecar;
pub mod small_disk;
pub mod stack;
pub mod status;
pub mod status_load;
pub mod status_watch;
pub mod survival;
pub mod token_keys;
pub mod tools;
pub mod typing;
