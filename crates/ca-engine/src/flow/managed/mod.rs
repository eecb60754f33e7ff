//! Managed certificates: who wanted one said what and where, and the service brings it there, again and again.
//!
//! [`define`], [`query`] and [`change`] are what people do with one. [`plan`] says when something is to be done for it, [`delivery`]
//! makes the steps at its target, [`certify`] asks the issuer, [`rotate`] makes one rotation of all that and keeps each step on record
//! before the next, [`look_after`] does what comes between rotations, [`outcome`] tells how one ended, and [`wave`] takes those that are
//! due in order of urgency.

pub mod certify;
pub mod change;
pub mod define;
pub mod delivery;
pub mod look_after;
pub mod outcome;
pub mod plan;
pub mod query;
pub mod rotate;
pub mod wave;
pub mod worker;

use ca_core::managed::definition::ManagedDefinition;

use crate::error::FlowError;
use crate::port::store::ManagedCertificate;

/// What is wanted of a managed certificate, from its record. An error, which is the service's fault, when that cannot be read.
pub fn read_definition(managed: &ManagedCertificate) -> Result<ManagedDefinition, FlowError> {
    serde_json::from_str(&managed.definition)
        .map_err(|error| FlowError::internal(format!("the definition of managed certificate {}: {error}", managed.id)))
}
