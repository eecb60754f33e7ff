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
mod line;
#[cfg(feature = "aws-calls")]
mod pace;
mod place;
mod private_ca;
mod queue;
#[cfg(feature = "hooks-aws")]
mod service;
#[cfg(feature = "aws-calls")]
mod tally;
mod topic;

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
pub use private_ca::{PrivateCaArn, PrivateCaProblem};
pub use queue::{QueueProblem, QueueUrl};
#[cfg(feature = "hooks-aws")]
pub(crate) use service::{Protocol, Service};
#[cfg(feature = "aws-calls")]
pub(crate) use tally::Tally;
#[cfg(feature = "aws-calls")]
pub use tally::{CallCount, CallOutcome};
pub use topic::{TopicArn, TopicProblem};
