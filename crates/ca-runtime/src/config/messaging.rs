//! `[sns.NAME]` and `[sqs.NAME]`: topics and queues that events go to, a table each. Names of sinks are theirs alone, whatever they are.

use std::collections::BTreeMap;

use ca_backends::aws::{QueueUrl, TopicArn};
use ca_core::id::SinkName;

use super::WebhookConfig;
use super::settings::Settings;

/// A topic of SNS.
#[derive(Clone, Debug)]
pub struct TopicConfig {
    /// Its name, in logs, metrics and the outbox.
    pub name: SinkName,
    /// Its ARN.
    pub topic: TopicArn,
}

/// A queue of SQS.
#[derive(Clone, Debug)]
pub struct QueueConfig {
    /// Its name, in logs, metrics and the outbox.
    pub name: SinkName,
    /// Its URL.
    pub queue: QueueUrl,
}

/// The sink that makes the deployments which managed certificates name.
pub(crate) const DEPLOYMENTS: &str = "deployments";

const SNS: (&str, &str) = ("sns", "topic");
const SQS: (&str, &str) = ("sqs", "queue");

pub(super) fn read_topics(settings: &mut Settings) -> Vec<TopicConfig> {
    let parse = |text: &str| TopicArn::parse(text).map_err(|problem| problem.to_string());
    let missing = "it is missing; write the ARN of a topic, like `arn:aws:sns:sa-east-1:111122223333:ca-events`";
    read(settings, SNS, missing, parse).into_iter().map(|(name, topic)| TopicConfig { name, topic }).collect()
}

pub(super) fn read_queues(settings: &mut Settings) -> Vec<QueueConfig> {
    let parse = |text: &str| QueueUrl::parse(text).map_err(|problem| problem.to_string());
    let missing =
        "it is missing; write the URL of a queue, like `https://sqs.sa-east-1.amazonaws.com/111122223333/ca-events`";
    read(settings, SQS, missing, parse).into_iter().map(|(name, queue)| QueueConfig { name, queue }).collect()
}

/// What can be read of a section; faults are kept.
fn read<T>(
    settings: &mut Settings,
    (section, key): (&'static str, &'static str),
    missing: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<(SinkName, T)> {
    let mut read = Vec::new();
    for name in settings.names_in(section) {
        let sink = name.parse::<SinkName>().map_err(|error| error.to_string());
        let value = settings.text_in(section, &name, key).ok_or_else(|| missing.to_owned()).and_then(&parse);
        match (sink, value) {
            (Ok(sink), Ok(value)) => read.push((sink, value)),
            (sink, value) => {
                for detail in [sink.err(), value.err()].into_iter().flatten() {
                    settings.invalid_in(section, &name, key, detail);
                }
            }
        }
    }
    read
}

/// Refuses a name that two sinks have: what waits for one would be given to the other.
pub(super) fn check_names(
    settings: &mut Settings,
    webhooks: &[WebhookConfig],
    topics: &[TopicConfig],
    queues: &[QueueConfig],
) {
    let named = |section: &'static str, key: &'static str, name: &SinkName| (name.clone(), section, key);
    let all = webhooks
        .iter()
        .map(|webhook| named("webhook", "url", &webhook.name))
        .chain(topics.iter().map(|topic| named(SNS.0, SNS.1, &topic.name)))
        .chain(queues.iter().map(|queue| named(SQS.0, SQS.1, &queue.name)));
    let mut taken: BTreeMap<SinkName, &'static str> = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, section, key) in all {
        if name.as_str() == DEPLOYMENTS {
            let detail = format!("`{DEPLOYMENTS}` is the name of the sink that makes deployments; choose another");
            faults.push((name, section, key, detail));
        } else if let Some(other) = taken.insert(name.clone(), section) {
            let detail = format!("`{other}.{name}` has that name too, and sinks are told apart by it; choose another");
            faults.push((name, section, key, detail));
        }
    }
    for (name, section, key, detail) in faults {
        settings.invalid_in(section, name.as_str(), key, detail);
    }
}
