//! Why an access policy cannot be used.

use thiserror::Error;

/// What is wrong with the texts of an access policy. Nothing is decided by a policy that has any of these.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The schema cannot be read.
    #[error("the schema of the access policy cannot be read: {detail}")]
    Schema {
        /// What is wrong, and in which line.
        detail: String,
    },
    /// The policies cannot be read.
    #[error("the access policy cannot be read: {detail}")]
    Policies {
        /// What is wrong, and in which line.
        detail: String,
    },
    /// A policy with slots.
    #[error(
        "policy {id} is a template (it says ?principal or ?resource); templates are not used here, name what is meant"
    )]
    Template {
        /// Its `@id`, or its place.
        id: String,
    },
    /// A policy that decisions could not name.
    #[error("policy number {number} has no @id(\"…\"); decisions name the policies they follow, so give each a name")]
    MissingId {
        /// Its place in the text, from 1.
        number: usize,
    },
    /// Two policies of one name.
    #[error("two policies have @id(\"{id}\"); give each a name of its own")]
    DuplicateId {
        /// The name.
        id: String,
    },
    /// Policies that do not fit the schema, or that can never apply.
    #[error("the access policy does not fit its schema: {}", faults.join("; "))]
    Invalid {
        /// Everything that was found.
        faults: Vec<String>,
    },
    /// A schema that does not describe what the service asks.
    #[error("the schema of the access policy does not fit what this service asks: {}", faults.join("; "))]
    SchemaDoesNotFit {
        /// Everything that was found.
        faults: Vec<String>,
    },
}
