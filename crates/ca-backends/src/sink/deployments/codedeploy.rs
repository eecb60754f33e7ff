//! A deployment group of CodeDeploy has its last revision deployed again: the scripts of the revision take the new certificate.
//!
//! `CreateDeployment` knows no idempotency, so the description names the delivery, and one that is there already is looked for before.

use std::sync::Arc;
use std::time::Duration;

use ca_core::time::Lifetime;
use ca_engine::port::sink::SinkError;
use serde_json::{Value, json};

use super::Order;
use super::fault::{self, refused};
use crate::aws::{AwsAccess, Call, Caller, Protocol, Service, Tally};
use crate::sink::patience::{LONGEST_WAIT, ONCE, PATIENCE};

/// Calls in a second at most: a wave of rotations is no hurry.
const PER_SECOND: u32 = 10;
/// How far the clocks of the database and of AWS may be apart.
const CLOCKS: Lifetime = Lifetime::from_seconds(3_600);
/// Deployments are described by so many at a time.
const TOGETHER: usize = 25;
/// The most pages of deployments of a group since the rotation that are looked through.
const PAGES: usize = 10;

pub(super) struct CodeDeploy {
    service: Service,
    caller: Caller,
    /// For what makes a deployment.
    once: Caller,
    region: String,
}

impl CodeDeploy {
    pub(super) fn new(access: &AwsAccess, region: String, attempt: Duration, tally: Arc<Tally>) -> Self {
        let protocol = Protocol::Json { version: "1.1", target: "CodeDeploy_20141006" };
        let service = Service::new(access, "codedeploy", &region, protocol, attempt);
        let caller = Caller::new(PER_SECOND, LONGEST_WAIT, PATIENCE, Arc::clone(&tally));
        Self { service, caller, once: Caller::new(PER_SECOND, LONGEST_WAIT, ONCE, tally), region }
    }

    /// Has the revision of the group's last successful deployment deployed again, unless that was done for this delivery.
    pub(super) async fn deploy(&self, application: &str, group: &str, order: &Order<'_>) -> Result<(), SinkError> {
        let description = description(order);
        if self.is_made(application, group, order, &description).await? {
            return Ok(());
        }
        let last = self.last_successful(application, group, order).await?;
        let mut input = json!({
            "applicationName": application,
            "deploymentGroupName": group,
            "revision": last["revision"],
            "description": description,
        });
        // As it was deployed before: the same revision lies over files of its own.
        for name in ["fileExistsBehavior", "ignoreApplicationStopFailures"] {
            if !last[name].is_null() {
                input[name] = last[name].clone();
            }
        }
        self.create(order, &input).await
    }

    /// Whether one of the deployments since the rotation says that it is of this delivery.
    pub(super) async fn is_made(
        &self,
        application: &str,
        group: &str,
        order: &Order<'_>,
        description: &str,
    ) -> Result<bool, SinkError> {
        let since = order.rotated_at.minus(CLOCKS).unix_seconds();
        let mut input = json!({
            "applicationName": application,
            "deploymentGroupName": group,
            "createTimeRange": { "start": since },
        });
        for _ in 0..PAGES {
            let page = self.ask(order, "ListDeployments", &input).await?;
            let ids: Vec<&str> =
                page["deployments"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for ids in ids.chunks(TOGETHER) {
                let found = self.ask(order, "BatchGetDeployments", &json!({ "deploymentIds": ids })).await?;
                let mut each = found["deploymentsInfo"].as_array().into_iter().flatten();
                if each.any(|deployment| deployment["description"] == description) {
                    return Ok(true);
                }
            }
            match page["nextToken"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => input["nextToken"] = token.into(),
                None => return Ok(false),
            }
        }
        // One deployment too many does less harm than none.
        Ok(false)
    }

    /// What is known of the group's last successful deployment.
    async fn last_successful(&self, application: &str, group: &str, order: &Order<'_>) -> Result<Value, SinkError> {
        let input = json!({ "applicationName": application, "deploymentGroupName": group });
        let answer = self.ask(order, "GetDeploymentGroup", &input).await?;
        let last = answer["deploymentGroupInfo"]["lastSuccessfulDeployment"]["deploymentId"].as_str();
        let none = || {
            refused(format!(
                "{}: no deployment of the group has succeeded yet, so there is no revision to deploy again: deploy one, and `ca-cli \
                 outbox replay {}`",
                order.hook, order.delivery
            ))
        };
        let id = last.ok_or_else(none)?;
        let mut answer = self.ask(order, "GetDeployment", &json!({ "deploymentId": id })).await?;
        let deployment = answer.get_mut("deploymentInfo").map(Value::take).unwrap_or_default();
        if deployment["revision"].is_null() { Err(none()) } else { Ok(deployment) }
    }

    pub(super) async fn create(&self, order: &Order<'_>, input: &Value) -> Result<(), SinkError> {
        const OPERATION: &str = "CreateDeployment";
        let call = Call { operation: OPERATION, micro_dollars: 0 };
        let answered = self.once.call(call, || self.service.ask(OPERATION, input)).await;
        answered.map(drop).map_err(|error| fault::of(order.hook, &self.region, OPERATION, error, help))
    }

    async fn ask(&self, order: &Order<'_>, operation: &'static str, input: &Value) -> Result<Value, SinkError> {
        let call = Call { operation, micro_dollars: 0 };
        let answered = self.caller.call(call, || self.service.ask(operation, input)).await;
        answered.map_err(|error| fault::of(order.hook, &self.region, operation, error, help))
    }
}

/// At most 100 letters.
pub(super) fn description(order: &Order<'_>) -> String {
    format!("A certificate was rotated; delivery {}", order.delivery)
}

fn help(code: &str) -> Option<&'static str> {
    Some(match code {
        "ApplicationDoesNotExistException" | "DeploymentGroupDoesNotExistException" => {
            "name an application and a group of this account and region, or take the hook out of the definition"
        }
        "DeploymentLimitExceededException" => "another deployment of the group is under way; it is made after that",
        "RevisionDoesNotExistException" => "the revision that was deployed last is gone: deploy one that is there",
        _ => return None,
    })
}
