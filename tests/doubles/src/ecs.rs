//! Amazon ECS: services of clusters, and when their deployments began.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::json_protocol::{AwsError, Input, JsonDouble, JsonService};

/// A service.
struct EcsService {
    /// Who makes its deployments: `ECS`, `CODE_DEPLOY` or `EXTERNAL`.
    controller: &'static str,
    /// When each began, in Unix seconds; the last is the primary one.
    deployments: Vec<i64>,
}

/// The services of one account in one region.
#[derive(Default)]
pub struct Ecs {
    /// By cluster and name.
    services: BTreeMap<(String, String), EcsService>,
    now: i64,
}

/// Amazon ECS in memory.
pub type EcsDouble = JsonDouble<Ecs>;

impl EcsDouble {
    /// Whose clock says `now` (Unix seconds).
    pub fn start(now: i64) -> anyhow::Result<Self> {
        Self::of(Ecs { now, ..Ecs::default() })
    }

    /// Puts a service there, deployed now.
    pub fn add(&self, cluster: &str, service: &str, controller: &'static str) {
        self.with(|ecs| {
            let deployments = vec![ecs.now];
            ecs.services.insert((cluster.to_owned(), service.to_owned()), EcsService { controller, deployments });
        });
    }

    /// Lets time pass.
    pub fn advance(&self, seconds: i64) {
        self.with(|ecs| ecs.now += seconds);
    }

    /// How often a service was deployed.
    pub fn deployments(&self, cluster: &str, service: &str) -> usize {
        let key = (cluster.to_owned(), service.to_owned());
        self.with(|ecs| ecs.services.get(&key).map_or(0, |service| service.deployments.len()))
    }
}

impl JsonService for Ecs {
    const TARGET: &'static str = "AmazonEC2ContainerServiceV20141113";
    const SIGNING_NAME: &'static str = "ecs";

    fn serve(&mut self, operation: &str, input: &Input) -> Result<Value, AwsError> {
        match operation {
            "DescribeServices" => self.describe(input),
            "UpdateService" => self.update(input),
            _ => {
                Err(AwsError::new("UnknownOperationException", format!("the double of ECS does not know {operation}")))
            }
        }
    }
}

impl Ecs {
    fn describe(&self, input: &Input) -> Result<Value, AwsError> {
        let cluster = self.cluster(input)?;
        let asked = input.member("services").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        for name in asked {
            match self.services.get(&(cluster.clone(), name.to_owned())) {
                Some(service) => services.push(described(name, service)),
                None => failures.push(json!({ "arn": name, "reason": "MISSING" })),
            }
        }
        Ok(json!({ "services": services, "failures": failures }))
    }

    fn update(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["cluster", "service", "forceNewDeployment"])?;
        let (cluster, name) = (self.cluster(input)?, input.required_text("service")?);
        let now = self.now;
        let service = self.services.get_mut(&(cluster, name.to_owned()));
        let service = service.ok_or_else(|| AwsError::new("ServiceNotFoundException", "Service not found."))?;
        if service.controller != "ECS" {
            let message = "Unable to update service with a deployment controller other than ECS.";
            return Err(AwsError::new("InvalidParameterException", message));
        }
        if input.flag("forceNewDeployment")? {
            service.deployments.push(now);
        }
        Ok(json!({ "service": described(name, service) }))
    }

    fn cluster(&self, input: &Input) -> Result<String, AwsError> {
        let cluster = input.text("cluster")?.unwrap_or("default");
        match self.services.keys().any(|(known, _)| known == cluster) {
            true => Ok(cluster.to_owned()),
            false => Err(AwsError::new("ClusterNotFoundException", "Cluster not found.")),
        }
    }
}

fn described(name: &str, service: &EcsService) -> Value {
    let newest = service.deployments.len().saturating_sub(1);
    let deployments: Vec<Value> = (service.deployments.iter().enumerate())
        .map(|(index, begun)| {
            let status = if index == newest { "PRIMARY" } else { "ACTIVE" };
            json!({ "status": status, "createdAt": *begun as f64 + 0.25 })
        })
        .collect();
    json!({
        "serviceName": name,
        "status": "ACTIVE",
        "deploymentController": { "type": service.controller },
        "deployments": deployments,
    })
}
