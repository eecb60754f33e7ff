//! Amazon Web Services: where they are, and who asks. What is asked lives beside the adapters of each port.

#[cfg(feature = "aws")]
mod access;
mod key;
mod place;

#[cfg(feature = "aws")]
pub(crate) use access::{ATTEMPT, CONNECT};
#[cfg(feature = "aws")]
pub use access::{AwsAccess, AwsFault};
pub use key::{KeyProblem, KmsKeyArn};
pub use place::{AwsPlace, EndpointUrl, PlaceProblem, Region};
