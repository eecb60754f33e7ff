//! Sinks at AWS that a configuration names, where this build has them: wiring, as [`crate::private_cas`].

use std::collections::BTreeMap;
use std::sync::Arc;

use ca_core::id::SinkName;
use ca_engine::port::sink::Sink;

use crate::aws_calls::AwsCalls;
use crate::config::{Config, DEPLOYMENTS};
use crate::sink_fault::SinkFault;

#[cfg(feature = "hooks-aws")]
type Adapters = ca_backends::sink::aws::AwsSinks;
/// There are none.
#[cfg(not(feature = "hooks-aws"))]
type Adapters = std::convert::Infallible;

/// What tells of the calls that they made; empty when there is no such sink.
#[derive(Clone, Default)]
pub(crate) struct AwsSinks(Option<Arc<Adapters>>);

impl AwsSinks {
    /// Calls of AWS so far.
    pub(crate) fn calls(&self) -> Vec<AwsCalls> {
        self.0.as_deref().map(calls_of).unwrap_or_default()
    }
}

/// Sinks by their names.
type ByName = BTreeMap<SinkName, Arc<dyn Sink>>;

/// What a configuration asks for that this build does not have: for `check-config`.
pub(crate) fn check(config: &Config) -> Vec<SinkFault> {
    check_for(config, cfg!(feature = "hooks-aws"))
}

fn check_for(config: &Config, has_them: bool) -> Vec<SinkFault> {
    if has_them {
        return Vec::new();
    }
    let topics = config.topics.iter().map(|topic| format!("sns.{}", topic.name));
    let queues = config.queues.iter().map(|queue| format!("sqs.{}", queue.name));
    let deployments = config.makes_deployments.then(|| DEPLOYMENTS.to_owned());
    let detail = "this program was built without them (feature `hooks-aws`); take one that has it, or leave it out";
    let fault = |place| SinkFault { place, detail: detail.to_owned() };
    topics.chain(queues).chain(deployments).map(fault).collect()
}

/// Opens them all. Whether one answers shows when it is first used.
#[cfg(feature = "hooks-aws")]
pub(crate) async fn open(config: &Config) -> Result<(ByName, AwsSinks), Vec<SinkFault>> {
    use ca_backends::aws::AwsAccess;

    if config.topics.is_empty() && config.queues.is_empty() && !config.makes_deployments {
        return Ok((ByName::new(), AwsSinks::default()));
    }
    let named = config.topics.iter().map(|topic| topic.topic.region().to_owned());
    let named = named.chain(config.queues.iter().filter_map(|queue| Some(queue.queue.region()?.to_string())));
    // Where credentials are fetched by way of a region that nothing else names, it is the first of these.
    let access =
        AwsAccess::find_for(&config.aws, &named.collect::<Vec<_>>().first().cloned().unwrap_or_default()).await;
    let region = region_of_its_own(config).await;
    let adapters = Adapters::new(access);
    let mut sinks = ByName::new();
    let mut faults = Vec::new();
    for topic in &config.topics {
        sinks.insert(topic.name.clone(), Arc::new(adapters.topic(topic.topic.clone())) as Arc<dyn Sink>);
    }
    for queue in &config.queues {
        let named = queue.queue.region().map(|region| region.to_string());
        match named.map_or_else(|| region.clone(), Ok) {
            Ok(region) => {
                let sink = adapters.queue(queue.queue.clone(), region);
                sinks.insert(queue.name.clone(), Arc::new(sink) as Arc<dyn Sink>);
            }
            Err(detail) => faults.push(SinkFault { place: format!("sqs.{}", queue.name), detail }),
        }
    }
    if config.makes_deployments {
        match (region, DEPLOYMENTS.parse()) {
            (Ok(region), Ok(name)) => {
                sinks.insert(name, Arc::new(adapters.deployments(region)));
            }
            (Err(detail), _) => faults.push(SinkFault { place: DEPLOYMENTS.to_owned(), detail }),
            (_, Err(error)) => faults.push(SinkFault { place: DEPLOYMENTS.to_owned(), detail: error.to_string() }),
        }
    }
    if faults.is_empty() { Ok((sinks, AwsSinks(Some(Arc::new(adapters))))) } else { Err(faults) }
}

/// The region for what names none itself; looked for only where it is needed, since the instance may be asked.
#[cfg(feature = "hooks-aws")]
async fn region_of_its_own(config: &Config) -> Result<String, String> {
    use ca_backends::aws::{AwsAccess, AwsFault};

    let is_needed = config.makes_deployments || config.queues.iter().any(|queue| queue.queue.region().is_none());
    if !is_needed {
        return Ok(String::new());
    }
    let found = AwsAccess::find(&config.aws).await.map(|access| access.region());
    match found {
        Ok(Some(region)) => Ok(region),
        Ok(None) => Err(AwsFault::NoRegion.to_string()),
        Err(fault) => Err(fault.to_string()),
    }
}

/// Refuses those that are configured: what is asked for is never left out in silence.
#[cfg(not(feature = "hooks-aws"))]
pub(crate) async fn open(config: &Config) -> Result<(ByName, AwsSinks), Vec<SinkFault>> {
    let faults = check(config);
    if faults.is_empty() { Ok((ByName::new(), AwsSinks::default())) } else { Err(faults) }
}

#[cfg(feature = "hooks-aws")]
fn calls_of(adapters: &Adapters) -> Vec<AwsCalls> {
    let count = |(service, count): (&'static str, ca_backends::aws::CallCount)| AwsCalls {
        service,
        operation: count.operation,
        outcome: count.outcome.as_str(),
        calls: count.calls,
        micro_dollars: count.micro_dollars,
    };
    adapters.counts().into_iter().map(count).collect()
}

#[cfg(not(feature = "hooks-aws"))]
fn calls_of(adapters: &Adapters) -> Vec<AwsCalls> {
    match *adapters {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_them_names_the_feature_and_what_asks_for_it() {
        let text = "[sns.inventory]\ntopic = \"arn:aws:sns:sa-east-1:111122223333:ca\"\n[deployments]\nenabled = true";
        let config = Config::check(text, []).expect("no fault");
        let said: Vec<String> = check_for(&config, false).iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 2);
        assert!(said[0].starts_with("sns.inventory: ") && said[1].starts_with("deployments: "), "{said:?}");
        assert!(said.iter().all(|said| said.contains("feature `hooks-aws`")), "{said:?}");
        assert_eq!(check_for(&config, true), []);
        assert_eq!(check_for(&Config::check("", []).expect("no fault"), false), [], "nothing asks for it");
    }
}
