//! End-to-end tests: the built programs, from outside, judged by other people's programs where there are such.
//!
//! One binary, linked once. Tests share a service where they can; those that stop it, change its settings or count what is on
//! record start their own.

mod alerts;
mod anchors;
mod audit;
mod authorisation;
mod authority_lists;
mod bad_request;
mod bulk_revoke;
mod ceremony;
mod ceremony_keys;
mod ceremony_later;
mod ceremony_table;
mod cli_bulk_revoke;
mod cli_faults;
mod cli_files;
mod cli_local;
mod cli_refusals;
mod cli_remote;
mod crl;
mod crl_compressed;
mod external_root;
mod health;
mod homes;
mod idempotency;
mod issue;
mod kms;
mod kms_create;
mod kms_refusals;
mod kms_seal;
mod kms_weather;
mod lifecycle;
mod limits;
mod long_texts;
mod mirror;
mod ocsp;
mod openapi;
mod outbox;
mod own_limits;
mod personal_data;
mod pkcs11;
mod pkcs11_refusals;
mod public_material;
mod read;
mod renew;
mod restore;
mod restore_cut_off;
mod retention;
mod revoke;
mod scheduled_rollover;
mod start;
mod token;
