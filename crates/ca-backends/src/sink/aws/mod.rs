//! Sinks at AWS: a topic of SNS, a queue of SQS, and the deployments that events ask for. They share credentials and counts; each has a
//! pace and a breaker of its own.

mod message;
mod queue;
mod refusal;
mod topic;

use std::sync::Arc;
use std::time::Duration;

pub use queue::SqsQueue;
pub(super) use refusal::{Receiver, sink_error};
pub use topic::SnsTopic;

use super::deployments::Deployments;
use super::patience::ATTEMPT;
use crate::aws::{AwsAccess, CallCount, QueueUrl, Tally, TopicArn};

/// What sinks at AWS have in common.
pub struct AwsSinks {
    access: AwsAccess,
    attempt: Duration,
    sns: Arc<Tally>,
    sqs: Arc<Tally>,
    codedeploy: Arc<Tally>,
    ecs: Arc<Tally>,
}

impl AwsSinks {
    /// Nothing is asked yet.
    pub fn new(access: AwsAccess) -> Self {
        Self::with_attempts_of(access, ATTEMPT)
    }

    fn with_attempts_of(access: AwsAccess, attempt: Duration) -> Self {
        let tally = || Arc::new(Tally::default());
        Self { access, attempt, sns: tally(), sqs: tally(), codedeploy: tally(), ecs: tally() }
    }

    /// With the keys of the tests; nothing depends on how soon a busy machine answers.
    #[cfg(test)]
    pub(super) async fn of_tests(endpoint_url: &str) -> Self {
        Self::with_attempts_of(AwsAccess::of_tests(endpoint_url).await, Duration::from_secs(60))
    }

    /// A topic, in the region of its ARN.
    pub fn topic(&self, topic: TopicArn) -> SnsTopic {
        SnsTopic::new(&self.access, topic, self.attempt, Arc::clone(&self.sns))
    }

    /// A queue in a region.
    pub fn queue(&self, queue: QueueUrl, region: String) -> SqsQueue {
        SqsQueue::new(&self.access, queue, region, self.attempt, Arc::clone(&self.sqs))
    }

    /// The deployments that events ask for, in a region.
    pub fn deployments(&self, region: String) -> Deployments {
        let (codedeploy, ecs) = (Arc::clone(&self.codedeploy), Arc::clone(&self.ecs));
        Deployments::new(&self.access, region, self.attempt, codedeploy, ecs)
    }

    /// How often what was called so far, by service.
    pub fn counts(&self) -> Vec<(&'static str, CallCount)> {
        let of = |service, tally: &Tally| tally.counts().into_iter().map(move |count| (service, count));
        let services = [("sns", &self.sns), ("sqs", &self.sqs), ("codedeploy", &self.codedeploy), ("ecs", &self.ecs)];
        services.into_iter().flat_map(|(service, tally)| of(service, tally)).collect()
    }
}

#[cfg(test)]
mod tests;
