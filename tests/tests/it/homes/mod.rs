//! The main job of the service over every home that an authority's key can have, and over a mix of them: what is issued, renewed,
//! revoked, answered and listed is the same wherever the keys are, and others' programs judge it.
//!
//! [`home`] says where the keys are, [`main_job`] is the job, written once. A home that does not offer some part of the job gets a
//! field of [`home::Home`] that says so, and the job then holds the service to refusing it, or to being late, as documented.

mod home;
mod main_job;

use home::Home;
use main_job::main_job;

#[test]
fn the_main_job_with_keys_of_the_service_s_own() -> anyhow::Result<()> {
    main_job(&Home::software())
}

#[test]
fn the_main_job_with_keys_in_kms() -> anyhow::Result<()> {
    main_job(&Home::kms()?)
}

#[test]
fn the_main_job_with_keys_in_a_token() -> anyhow::Result<()> {
    main_job(&Home::token()?)
}

#[test]
fn the_main_job_with_the_root_in_a_token_tls_in_kms_and_document_in_the_record() -> anyhow::Result<()> {
    main_job(&Home::mix()?)
}
