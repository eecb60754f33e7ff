//! AWS CodeDeploy: deployment groups of applications, and their deployments.
//!
//! What the adapter needs. A deployment succeeds only when a test says so, and knows no idempotency: who asks twice gets two.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::json_protocol::{AwsError, Input, JsonDouble, JsonService};

/// A deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// Its application and its group.
    pub group: (String, String),
    /// What was deployed.
    pub revision: Value,
    /// What was said of it.
    pub description: String,
    /// Unix seconds.
    pub created_at: i64,
}

/// The groups of one account in one region.
#[derive(Default)]
pub struct CodeDeploy {
    /// By application and group: the last deployment that succeeded.
    groups: BTreeMap<(String, String), Option<String>>,
    deployments: Vec<Deployment>,
    now: i64,
    /// How many ids a page of deployments has.
    page: usize,
}

/// AWS CodeDeploy in memory.
pub type CodeDeployDouble = JsonDouble<CodeDeploy>;

impl CodeDeployDouble {
    /// With one group, whose clock says `now` (Unix seconds).
    pub fn start(application: &str, group: &str, now: i64) -> anyhow::Result<Self> {
        let groups = BTreeMap::from([((application.to_owned(), group.to_owned()), None)]);
        Self::of(CodeDeploy { groups, now, page: 2, ..CodeDeploy::default() })
    }

    /// Puts a deployment there that succeeded.
    pub fn deploy(&self, application: &str, group: &str, revision: Value) {
        self.with(|service| {
            let group = (application.to_owned(), group.to_owned());
            let id = service.add(group.clone(), revision, String::new());
            service.groups.insert(group, Some(id));
        });
    }

    /// Every deployment, in order.
    pub fn deployments(&self) -> Vec<Deployment> {
        self.with(|service| service.deployments.clone())
    }
}

impl JsonService for CodeDeploy {
    const TARGET: &'static str = "CodeDeploy_20141006";
    const SIGNING_NAME: &'static str = "codedeploy";

    fn serve(&mut self, operation: &str, input: &Input) -> Result<Value, AwsError> {
        match operation {
            "ListDeployments" => self.list(input),
            "BatchGetDeployments" => self.describe_many(input),
            "GetDeploymentGroup" => self.describe_group(input),
            "GetDeployment" => self.describe(input),
            "CreateDeployment" => self.create(input),
            _ => Err(AwsError::new(
                "UnknownOperationException",
                format!("the double of CodeDeploy does not know {operation}"),
            )),
        }
    }
}

impl CodeDeploy {
    fn add(&mut self, group: (String, String), revision: Value, description: String) -> String {
        let id = format!("d-{:09}", self.deployments.len() + 1);
        let created_at = self.now;
        self.deployments.push(Deployment { id: id.clone(), group, revision, description, created_at });
        id
    }

    fn group(&self, input: &Input) -> Result<(String, String), AwsError> {
        let application = input.required_text("applicationName")?;
        let group = input.required_text("deploymentGroupName")?;
        if !self.groups.keys().any(|(known, _)| known == application) {
            let message = format!("No application found for name: {application}");
            return Err(AwsError::new("ApplicationDoesNotExistException", message));
        }
        let group = (application.to_owned(), group.to_owned());
        if !self.groups.contains_key(&group) {
            let message = format!("No Deployment Group found for name: {}", group.1);
            return Err(AwsError::new("DeploymentGroupDoesNotExistException", message));
        }
        Ok(group)
    }

    fn list(&self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["applicationName", "deploymentGroupName", "createTimeRange", "nextToken"])?;
        let group = self.group(input)?;
        let start = input.member("createTimeRange").and_then(|range| range["start"].as_f64()).unwrap_or_default();
        let is_asked = |deployment: &&Deployment| deployment.group == group && deployment.created_at as f64 >= start;
        let ids: Vec<&str> =
            self.deployments.iter().filter(is_asked).map(|deployment| deployment.id.as_str()).collect();
        let from: usize = input.text("nextToken")?.and_then(|token| token.parse().ok()).unwrap_or(0);
        let page: Vec<&str> = ids.iter().skip(from).take(self.page).copied().collect();
        let next = from + page.len();
        let token = (next < ids.len()).then(|| next.to_string());
        Ok(json!({ "deployments": page, "nextToken": token }))
    }

    fn describe_many(&self, input: &Input) -> Result<Value, AwsError> {
        let ids: Vec<&str> = input
            .member("deploymentIds")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if ids.is_empty() || ids.len() > 25 {
            return Err(AwsError::new("BatchLimitExceededException", "from 1 to 25 deployments"));
        }
        let asked = self.deployments.iter().filter(|deployment| ids.contains(&deployment.id.as_str()));
        Ok(json!({ "deploymentsInfo": asked.map(info).collect::<Vec<_>>() }))
    }

    fn describe_group(&self, input: &Input) -> Result<Value, AwsError> {
        let last = self.groups.get(&self.group(input)?).cloned().flatten();
        let last = last.map(|id| json!({ "deploymentId": id, "status": "Succeeded" }));
        Ok(json!({ "deploymentGroupInfo": { "lastSuccessfulDeployment": last } }))
    }

    fn describe(&self, input: &Input) -> Result<Value, AwsError> {
        let id = input.required_text("deploymentId")?;
        let found = self.deployments.iter().find(|deployment| deployment.id == id);
        let found = found.ok_or_else(|| AwsError::new("DeploymentDoesNotExistException", "No such deployment"))?;
        Ok(json!({ "deploymentInfo": info(found) }))
    }

    fn create(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&[
            "applicationName",
            "deploymentGroupName",
            "revision",
            "description",
            "fileExistsBehavior",
            "ignoreApplicationStopFailures",
        ])?;
        let group = self.group(input)?;
        let revision = input.member("revision").cloned();
        let revision =
            revision.ok_or_else(|| AwsError::new("RevisionRequiredException", "The revision ID was not specified."))?;
        let description = input.text("description")?.unwrap_or_default().to_owned();
        Ok(json!({ "deploymentId": self.add(group, revision, description) }))
    }
}

fn info(deployment: &Deployment) -> Value {
    json!({
        "deploymentId": deployment.id,
        "revision": deployment.revision,
        "description": deployment.description,
        "createTime": deployment.created_at,
        "fileExistsBehavior": "OVERWRITE",
    })
}
