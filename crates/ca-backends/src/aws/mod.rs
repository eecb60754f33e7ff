//! Amazon Web Services: where they are, who asks, and how calls are made. What is asked lives beside the adapters of each port.

#[cfg(feature = "aws")]
mod access;
#[cfg(feature = "aws-calls")]
mod breaker;
#[cfg(feature = "aws-calls")]
mod caller;
#[cfg(feature = "aws-calls")]
mod failure;
mod key;
mod key_order;
#[cfg(feature = "aws-calls")]
mod pace;
mod place;
#[cfg(feature = "aws-calls")]
mod tally;

#[cfg(feature = "aws-s3")]
pub(crate) use access::{ATTEMPT, CONNECT};
#[cfg(feature = "aws")]
pub use access::{AwsAccess, AwsFault};
#[cfg(feature = "aws-calls")]
pub(crate) use caller::{Call, CallError, Caller, Patience};
#[cfg(feature = "aws-calls")]
pub(crate) use failure::{Failure, Refusal};
pub use key::{KeyProblem, KmsKeyArn};
pub use key_order::{AUTHORITY_TAG, CREATION_TAG, KeyPolicy, KmsKeyOrder, PrincipalArn, PrincipalProblem, key_spec_of};
pub use place::{AwsPlace, EndpointUrl, PlaceProblem, Region};
#[cfg(feature = "aws-calls")]
pub(crate) use tally::Tally;
#[cfg(feature = "aws-calls")]
pub use tally::{CallCount, CallOutcome};
