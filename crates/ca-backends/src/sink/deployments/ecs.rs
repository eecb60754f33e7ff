//! A service of ECS is deployed anew as it is: its tasks are replaced, and the new ones read the new secret.
//!
//! `UpdateService` takes no token by which repetitions could be told. A deployment that began after the rotation has read what is
//! current, whoever asked for it, so it is as good as ours.

use std::sync::Arc;
use std::time::Duration;

use ca_core::time::Timestamp;
use ca_engine::port::sink::SinkError;
use serde_json::{Value, json};

use super::Order;
use super::fault::{self, refused};
use crate::aws::{AwsAccess, Call, Caller, Protocol, Service, Tally};
use crate::sink::patience::{LONGEST_WAIT, ONCE, PATIENCE};

/// Calls in a second at most. AWS takes 10 to 20 of those that change a service.
const PER_SECOND: u32 = 5;
/// How far the clocks of the database and of AWS may be apart, in milliseconds: a deployment that is younger than the rotation by less
/// may have begun before it.
const CLOCKS: i64 = 60_000;

pub(super) struct Ecs {
    service: Service,
    caller: Caller,
    /// For what makes a deployment.
    once: Caller,
    region: String,
}

impl Ecs {
    pub(super) fn new(access: &AwsAccess, region: String, attempt: Duration, tally: Arc<Tally>) -> Self {
        let protocol = Protocol::Json { version: "1.1", target: "AmazonEC2ContainerServiceV20141113" };
        let service = Service::new(access, "ecs", &region, protocol, attempt);
        let caller = Caller::new(PER_SECOND, LONGEST_WAIT, PATIENCE, Arc::clone(&tally));
        Self { service, caller, once: Caller::new(PER_SECOND, LONGEST_WAIT, ONCE, tally), region }
    }

    /// Has the service deployed anew, unless it surely was since the rotation.
    pub(super) async fn deploy(&self, cluster: &str, service: &str, order: &Order<'_>) -> Result<(), SinkError> {
        let found = self.describe(cluster, service, order).await?;
        let controller = found["deploymentController"]["type"].as_str().unwrap_or("ECS");
        if controller != "ECS" {
            return Err(refused(format!(
                "{}: its deployments are made by {controller}, not by ECS; name the CodeDeploy group instead \
                 (codedeploy:APPLICATION/GROUP), or leave the hook out",
                order.hook
            )));
        }
        if is_newer(&found, order.rotated_at) {
            return Ok(());
        }
        let input = json!({ "cluster": cluster, "service": service, "forceNewDeployment": true });
        const OPERATION: &str = "UpdateService";
        let call = Call { operation: OPERATION, micro_dollars: 0 };
        let answered = self.once.call(call, || self.service.ask(OPERATION, &input)).await;
        answered.map(drop).map_err(|error| fault::of(order.hook, &self.region, OPERATION, error, help))
    }

    async fn describe(&self, cluster: &str, service: &str, order: &Order<'_>) -> Result<Value, SinkError> {
        let input = json!({ "cluster": cluster, "services": [service] });
        let mut answer = self.ask(order, "DescribeServices", &input).await?;
        let first = answer.get_mut("services").and_then(|services| services.get_mut(0)).map(Value::take);
        let found = first.filter(|found| found["status"] == "ACTIVE");
        found.ok_or_else(|| {
            refused(format!(
                "{}: there is no such service in this account and region; name one, or take the hook out of the definition",
                order.hook
            ))
        })
    }

    async fn ask(&self, order: &Order<'_>, operation: &'static str, input: &Value) -> Result<Value, SinkError> {
        let call = Call { operation, micro_dollars: 0 };
        let answered = self.caller.call(call, || self.service.ask(operation, input)).await;
        answered.map_err(|error| fault::of(order.hook, &self.region, operation, error, help))
    }
}

/// Whether the deployment that is to be in the end began surely after an instant.
fn is_newer(service: &Value, rotated_at: Timestamp) -> bool {
    let deployments = service["deployments"].as_array().into_iter().flatten();
    let primary = deployments.filter(|deployment| deployment["status"] == "PRIMARY");
    // Seconds since 1970, with a fraction.
    let begun =
        primary.filter_map(|deployment| deployment["createdAt"].as_f64()).map(|seconds| (seconds * 1_000.0) as i64);
    begun.max().is_some_and(|begun| begun >= rotated_at.unix_millis().saturating_add(CLOCKS))
}

fn help(code: &str) -> Option<&'static str> {
    Some(match code {
        "ClusterNotFoundException" | "ServiceNotFoundException" | "ServiceNotActiveException" => {
            "name a cluster and a service of this account and region, or take the hook out of the definition"
        }
        _ => return None,
    })
}
