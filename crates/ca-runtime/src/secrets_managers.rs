//! The way to secrets of AWS Secrets Manager, region by region, where this build has one: wiring, as [`crate::private_cas`].

use std::sync::Arc;

use ca_backends::aws::AwsPlace;
use ca_core::managed::definition::TargetDefinition;
use ca_engine::port::certificate_target::{CertificateTarget, TargetError};

use crate::aws_calls::AwsCalls;

#[cfg(feature = "target-secrets-manager")]
use ca_backends::target::secrets_manager::SecretsManager;

/// The regions that were asked for so far.
#[cfg(feature = "target-secrets-manager")]
pub(crate) struct SecretsManagers {
    place: AwsPlace,
    regions: std::sync::Mutex<std::collections::BTreeMap<Option<String>, SecretsManager>>,
}

#[cfg(feature = "target-secrets-manager")]
impl SecretsManagers {
    pub(crate) fn new(place: AwsPlace) -> Self {
        Self { place, regions: std::sync::Mutex::default() }
    }

    /// The target of a definition of this kind; all of one region share pace and breaker.
    pub(crate) async fn open(&self, target: &TargetDefinition) -> Result<Arc<dyn CertificateTarget>, TargetError> {
        use ca_backends::target::secrets_manager::{SecretPlan, SecretsManagerTarget};

        let TargetDefinition::SecretsManager { secret, region, create, layout, kms_key, tags, replicas } = target
        else {
            return Err(TargetError::Refused { detail: format!("{target} is no secret") });
        };
        let own_key = |key: &String| Some(key.clone()).filter(|key| !key.is_empty());
        let plan = SecretPlan {
            name: secret.clone(),
            is_made: *create,
            layout: *layout,
            kms_key: kms_key.clone(),
            tags: tags.clone(),
            replicas: replicas.iter().map(|(region, key)| (region.clone(), own_key(key))).collect(),
        };
        plan.check().map_err(|problem| TargetError::Refused { detail: problem.to_string() })?;
        // An ARN says where its secret is.
        let of_arn = secret.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2)).map(str::to_owned);
        let service = self.of_region(region.clone().or(of_arn)).await?;
        Ok(Arc::new(SecretsManagerTarget::new(service, plan)))
    }

    async fn of_region(&self, region: Option<String>) -> Result<SecretsManager, TargetError> {
        use ca_backends::aws::{AwsAccess, Region};

        if let Some(service) = self.regions().get(&region) {
            return Ok(service.clone());
        }
        let refused = |detail: String| TargetError::Refused { detail };
        let mut place = self.place.clone();
        if let Some(name) = &region {
            place.region = Some(Region::parse(name).map_err(|problem| refused(format!("region `{name}`: {problem}")))?);
        }
        let access = AwsAccess::find(&place).await.map_err(|fault| refused(fault.to_string()))?;
        // Another may have been here first: all go by one pace.
        Ok(self.regions().entry(region).or_insert_with(|| SecretsManager::new(&access)).clone())
    }

    fn regions(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<Option<String>, SecretsManager>> {
        self.regions.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> Vec<AwsCalls> {
        let count = |count: ca_backends::aws::CallCount| AwsCalls {
            service: "secretsmanager",
            operation: count.operation,
            outcome: count.outcome.as_str(),
            calls: count.calls,
            micro_dollars: count.micro_dollars,
        };
        self.regions().values().flat_map(SecretsManager::counts).map(count).collect()
    }
}

/// There is none.
#[cfg(not(feature = "target-secrets-manager"))]
pub(crate) struct SecretsManagers;

#[cfg(not(feature = "target-secrets-manager"))]
impl SecretsManagers {
    pub(crate) fn new(_: AwsPlace) -> Self {
        Self
    }

    pub(crate) async fn open(&self, target: &TargetDefinition) -> Result<Arc<dyn CertificateTarget>, TargetError> {
        let detail = format!(
            "this program was built without AWS Secrets Manager (feature `target-secrets-manager`), which {target} is in; take one \
             that has it, or choose another target"
        );
        Err(TargetError::Refused { detail })
    }

    pub(crate) fn calls(&self) -> Vec<AwsCalls> {
        Vec::new()
    }
}
