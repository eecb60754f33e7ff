//! Managed certificates: certificates whose rotation the service owns. Here they are defined, shown and changed by whoever may.

pub mod change;
pub mod define;
pub mod query;

use ca_core::managed::definition::ManagedDefinition;

use crate::error::FlowError;
use crate::port::store::ManagedCertificate;

/// What is wanted of a managed certificate, from its record. An error, which is the service's fault, when that cannot be read.
pub fn read_definition(managed: &ManagedCertificate) -> Result<ManagedDefinition, FlowError> {
    serde_json::from_str(&managed.definition)
        .map_err(|error| FlowError::internal(format!("the definition of managed certificate {}: {error}", managed.id)))
}
