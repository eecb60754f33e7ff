//! Doubles of services of AWS, in memory, with faults on demand: what the real ones do when they refuse, are slow or lose an
//! answer, which an emulator that others wrote does not show. That the doubles are like the real ones where nothing fails is
//! checked by running the same tests against such an emulator.
#![warn(missing_docs)]

mod acm_pca;
mod codedeploy;
mod ecs;
mod json_protocol;
mod kms;
mod s3;
mod secrets_manager;
mod server;
mod sns;
mod sqs;
mod weather;

pub use acm_pca::{AcmPca, AcmPcaDouble, AuthorityPlan, AuthorityStatus, IssuedHere, KeyAlgorithm};
pub use codedeploy::{CodeDeploy, CodeDeployDouble, Deployment};
pub use ecs::{Ecs, EcsDouble};
pub use json_protocol::{Asked, AwsError, Input, JsonDouble, JsonService};
pub use kms::{KeySpec, KeyState, Kms, KmsDouble};
pub use s3::{Operation, S3Double, StoredObject};
pub use secrets_manager::{SecretsManager, SecretsManagerDouble};
pub use server::Fault;
pub use sns::{Published, SnsDouble};
pub use sqs::{SentMessage, Sqs, SqsDouble};
pub use weather::Weather;
