//! The sinks that a configuration names, opened: with [`crate::open`] and [`crate::record`] the wiring, and the only files that
//! name concrete adapters.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use ca_backends::sink::{Webhook, WebhookSecrets};
use ca_core::id::SinkName;
use ca_engine::port::clock::Clock;
use ca_engine::port::sink::Sink;

use crate::aws_sinks::{self, AwsSinks};
use crate::config::{Config, WebhookConfig};
use crate::file::{self, Links};
use crate::sink_fault::SinkFault;

/// The sinks of a configuration.
pub(crate) struct Sinks {
    /// Each by its name.
    pub(crate) all: BTreeMap<SinkName, Arc<dyn Sink>>,
    /// What tells of the calls of AWS that they made.
    pub(crate) aws: AwsSinks,
}

/// Opens every sink, or tells every fault.
pub(crate) async fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Sinks, Vec<SinkFault>> {
    let (mut all, mut faults) = open_webhooks(&config.webhooks, clock);
    let aws = match aws_sinks::open(config).await {
        Ok((of_aws, aws)) => {
            all.extend(of_aws);
            Some(aws)
        }
        Err(more) => {
            faults.extend(more);
            None
        }
    };
    match aws {
        Some(aws) if faults.is_empty() => Ok(Sinks { all, aws }),
        _ => Err(faults),
    }
}

/// None, for who delivers nothing.
pub(crate) fn none() -> Sinks {
    Sinks { all: BTreeMap::new(), aws: AwsSinks::default() }
}

/// What of them can be judged without a look at the network: for `check-config`.
pub(crate) fn check(config: &Config, clock: &Arc<dyn Clock>) -> Result<(), Vec<SinkFault>> {
    let (_, mut faults) = open_webhooks(&config.webhooks, clock);
    faults.extend(aws_sinks::check(config));
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn open_webhooks(
    webhooks: &[WebhookConfig],
    clock: &Arc<dyn Clock>,
) -> (BTreeMap<SinkName, Arc<dyn Sink>>, Vec<SinkFault>) {
    let mut sinks = BTreeMap::new();
    let mut faults = Vec::new();
    for webhook in webhooks {
        match open_one(webhook, clock) {
            Ok(sink) => {
                sinks.insert(webhook.name.clone(), Arc::new(sink) as Arc<dyn Sink>);
            }
            Err(detail) => faults.push(SinkFault { place: format!("webhook.{}", webhook.name), detail }),
        }
    }
    (sinks, faults)
}

fn open_one(webhook: &WebhookConfig, clock: &Arc<dyn Clock>) -> Result<Webhook, String> {
    let secret_file = &webhook.secret_file;
    let in_file = |path: &Path, problem: &dyn std::fmt::Display| format!("{}: {problem}", path.display());
    let octets = file::read_private(secret_file, Links::Follow)
        .and_then(|octets| octets.ok_or_else(|| io::ErrorKind::NotFound.into()))
        .map_err(|error| in_file(secret_file, &file::complaint(&error)))?;
    let secrets = WebhookSecrets::read(&octets).map_err(|error| in_file(secret_file, &error))?;
    let roots = match &webhook.ca_file {
        None => None,
        Some(path) => Some(fs::read(path).map_err(|error| in_file(path, &file::complaint(&error)))?),
    };
    Webhook::new(webhook.address.clone(), secrets, roots.as_deref(), Arc::clone(clock))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use ca_backends::sink::WebhookAddress;
    use ca_engine::fake::FakeClock;

    use super::*;

    #[test]
    fn every_fault_is_told_at_once_and_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("written");
            path
        };
        let webhook = |name: &str, secret_file, ca_file| WebhookConfig {
            name: name.parse().expect("a name"),
            address: WebhookAddress::parse("https://events.example.org/").expect("an address"),
            secret_file,
            ca_file,
        };
        let good = file("good", "0123456789abcdef0123456789abcdef\n");
        let webhooks = [
            webhook("fine", good.clone(), None),
            webhook("missing", folder.path().join("nothing"), None),
            webhook("short", file("short", "hunter2"), None),
            webhook("roots", good, Some(file("roots", "hunter2"))),
        ];
        let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
        let (_, faults) = open_webhooks(&webhooks, &clock);
        let names: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
        assert_eq!(names, ["webhook.missing", "webhook.short", "webhook.roots"]);
        let told = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(!told.contains("hunter2") && told.contains("webhook.short") && told.contains("7 octets"), "{told}");
        assert_eq!(open_webhooks(&webhooks[..1], &clock).0.len(), 1);
    }
}
