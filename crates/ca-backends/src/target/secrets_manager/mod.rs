//! A secret of AWS Secrets Manager as the place of a certificate and its key.
//!
//! The key that waits for its certificate is a version with the label [`KEY_LABEL`]; what was delivered has `AWSPENDING` until it is
//! promoted, which moves `AWSCURRENT` in one call and leaves `AWSPREVIOUS` where that was. Pending is only what belongs to the key
//! that waits: what a rotation that was overtaken left under `AWSPENDING` is nobody's. `plan` says what a secret is to be like,
//! `content` what its versions hold, `calls` asks AWS, `fault` says what helps when it refuses.

mod calls;
mod content;
mod fault;
mod plan;

use async_trait::async_trait;
use ca_core::certificate::Certificate;
use ca_core::id::RotationId;
use ca_engine::port::certificate_target::{
    CertificateTarget, HeldCertificate, PrivateKeyOctets, StagedKey, TargetError, TargetPlace,
};

use self::calls::Labels;
pub use self::calls::SecretsManager;
use self::content::VersionName;
pub use self::plan::{SecretLayout, SecretPlan, SecretPlanProblem};

/// The label of the key that waits for its certificate.
const KEY_LABEL: &str = "CARTORIO_KEY";
const PENDING: &str = "AWSPENDING";
const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// One secret.
pub struct SecretsManagerTarget {
    service: SecretsManager,
    plan: SecretPlan,
}

impl SecretsManagerTarget {
    /// Nothing is asked yet.
    pub fn new(service: SecretsManager, plan: SecretPlan) -> Self {
        Self { service, plan }
    }

    /// The labels as they are; [`TargetError::Refused`] when there is no such secret.
    async fn labels(&self) -> Result<Labels, TargetError> {
        match self.service.describe(&self.plan.name).await? {
            Some(described) => Ok(described.labels),
            None => Err(self.missing()),
        }
    }

    /// As [`Self::labels`]; where the secret will be made when it is needed, one that is not there has none.
    async fn labels_if_there(&self) -> Result<Labels, TargetError> {
        match self.service.describe(&self.plan.name).await? {
            Some(described) => Ok(described.labels),
            None if self.plan.is_made => Ok(Labels::default()),
            None => Err(self.missing()),
        }
    }

    fn missing(&self) -> TargetError {
        let detail = format!(
            "there is no secret {} in this account and region; make it, let the definition make it, or name another",
            self.plan.name
        );
        TargetError::Refused { detail }
    }

    fn foreign(&self, what: &str) -> TargetError {
        let detail = format!(
            "secret {}: {what}; somebody else wrote it: name another secret, or delete this one",
            self.plan.name
        );
        TargetError::Foreign { detail }
    }

    fn not_pending(&self, rotation: RotationId) -> TargetError {
        TargetError::Refused { detail: format!("rotation {rotation} is not pending in secret {}", self.plan.name) }
    }

    /// Makes the secret if it is to be made, and gives it what it lacks.
    async fn prepare(&self) -> Result<Labels, TargetError> {
        if let Some(described) = self.service.describe(&self.plan.name).await? {
            self.service.adjust(&self.plan, &described).await?;
            return Ok(described.labels);
        }
        if !self.plan.is_made {
            return Err(self.missing());
        }
        self.service.create(&self.plan).await?;
        self.labels().await
    }

    /// The name of the version with a label.
    fn named(&self, labels: &Labels, label: &str) -> Result<Option<VersionName>, TargetError> {
        let Some(version) = labels.of(label) else { return Ok(None) };
        let foreign =
            || self.foreign(&format!("its version {version}, which is {label}, has no name that was given here"));
        VersionName::parse(version).map(Some).ok_or_else(foreign)
    }

    /// The key that waits: of which rotation it is; `None` when its rotation is over.
    fn waiting(&self, labels: &Labels) -> Result<Option<RotationId>, TargetError> {
        let waiting = self.named(labels, KEY_LABEL)?.and_then(|name| name.rotation());
        // What others wrote there is told by whoever looks at it.
        let current = labels.of(CURRENT).and_then(VersionName::parse).and_then(|name| name.rotation());
        Ok(waiting.filter(|waiting| current != Some(*waiting)))
    }

    /// What was delivered for the key that waits.
    fn delivered(&self, labels: &Labels) -> Result<Option<VersionName>, TargetError> {
        let Some(waiting) = self.waiting(labels)? else { return Ok(None) };
        let is_its = |name: &VersionName| matches!(name, VersionName::Certificate(rotation, _) if *rotation == waiting);
        Ok(self.named(labels, PENDING)?.filter(is_its))
    }

    async fn read(&self, name: &VersionName) -> Result<Option<HeldCertificate>, TargetError> {
        let VersionName::Certificate(rotation, _) = name else { return Ok(None) };
        let value = self.service.value(&self.plan.name, &name.to_string()).await?;
        content::read_certificate(*rotation, &value)
            .map(Some)
            .map_err(|what| self.foreign(&format!("version {name}: {what}")))
    }

    /// Puts a version there with its label, whether or not it was there with another.
    async fn put(&self, name: &VersionName, value: &str, label: &str) -> Result<(), TargetError> {
        if value.len() > content::LONGEST {
            let detail = format!(
                "what secret {} would hold is {} octets long, and AWS takes {}; choose the layout pem, a smaller key or a shorter chain",
                self.plan.name,
                value.len(),
                content::LONGEST
            );
            return Err(TargetError::Refused { detail });
        }
        self.service.put(&self.plan.name, &name.to_string(), value, label).await?;
        let labels = self.labels().await?;
        let holder = labels.of(label);
        if holder == Some(name.to_string().as_str()) {
            return Ok(());
        }
        self.service.move_label(&self.plan.name, label, Some(&name.to_string()), holder).await
    }
}

#[async_trait]
impl CertificateTarget for SecretsManagerTarget {
    async fn staged(&self) -> Result<Option<StagedKey>, TargetError> {
        let labels = self.labels_if_there().await?;
        let Some(rotation) = self.waiting(&labels)? else { return Ok(None) };
        let name = VersionName::Key(rotation).to_string();
        let value = self.service.value(&self.plan.name, &name).await?;
        let staged = content::read_staged(&value).map_err(|what| self.foreign(&format!("version {name}: {what}")))?;
        Ok(Some(StagedKey { rotation, request: staged.request }))
    }

    async fn stage(&self, staged: &StagedKey, key: &PrivateKeyOctets) -> Result<(), TargetError> {
        let labels = self.prepare().await?;
        if self.waiting(&labels)? == Some(staged.rotation) {
            return Ok(());
        }
        let value = content::staged_value(staged, key);
        self.put(&VersionName::Key(staged.rotation), &value, KEY_LABEL).await
    }

    async fn deliver(&self, rotation: RotationId, certificate: &[u8], chain: &[Vec<u8>]) -> Result<(), TargetError> {
        let labels = self.labels().await?;
        if self.waiting(&labels)? != Some(rotation) {
            return Err(self.not_pending(rotation));
        }
        let name = VersionName::of_certificate(rotation, certificate, chain);
        if self.delivered(&labels)?.as_ref() == Some(&name) {
            return Ok(());
        }
        let parsed = Certificate::from_der(certificate).map_err(|error| TargetError::Refused {
            detail: format!("what is delivered is no certificate: {error}"),
        })?;
        let key_name = VersionName::Key(rotation).to_string();
        let value = self.service.value(&self.plan.name, &key_name).await?;
        let staged =
            content::read_staged(&value).map_err(|what| self.foreign(&format!("version {key_name}: {what}")))?;
        let value = content::certificate_value(self.plan.layout, rotation, &staged.private_key, &parsed, chain);
        self.put(&name, &value, PENDING).await
    }

    async fn look(&self, place: TargetPlace) -> Result<Option<HeldCertificate>, TargetError> {
        let labels = self.labels_if_there().await?;
        let name = match place {
            TargetPlace::Pending => self.delivered(&labels)?,
            TargetPlace::Current => self.named(&labels, CURRENT)?,
            TargetPlace::Previous => self.named(&labels, PREVIOUS)?,
        };
        match name {
            Some(name) => self.read(&name).await,
            None => Ok(None),
        }
    }

    async fn current_key(&self) -> Result<Option<PrivateKeyOctets>, TargetError> {
        let labels = self.labels_if_there().await?;
        let Some(name @ VersionName::Certificate(..)) = self.named(&labels, CURRENT)? else { return Ok(None) };
        let value = self.service.value(&self.plan.name, &name.to_string()).await?;
        let key = content::read_private_key(&value);
        key.map(Some).map_err(|what| self.foreign(&format!("version {name}: {what}")))
    }

    async fn promote(&self, rotation: RotationId) -> Result<(), TargetError> {
        let labels = self.labels().await?;
        let is_current = |labels: &Labels| {
            let current = labels.of(CURRENT).and_then(VersionName::parse);
            matches!(current, Some(VersionName::Certificate(current, _)) if current == rotation)
        };
        if !is_current(&labels) {
            if self.waiting(&labels)? != Some(rotation) {
                return Err(self.not_pending(rotation));
            }
            let refused = |detail: &str| {
                let detail = format!("rotation {rotation} in secret {}: {detail}", self.plan.name);
                Err(TargetError::Refused { detail })
            };
            let Some(name) = self.delivered(&labels)? else { return refused("its certificate was not delivered") };
            let Some(held) = self.read(&name).await? else { return refused("its certificate was not delivered") };
            match Certificate::from_der(&held.certificate) {
                Ok(certificate) if certificate.public_key().spki_sha256() == held.key_spki_sha256 => {}
                _ => return refused("the certificate is of another key"),
            }
            let (secret, to) = (&self.plan.name, name.to_string());
            let moved = self.service.move_label(secret, CURRENT, Some(&to), labels.of(CURRENT)).await;
            // Another may have done it meanwhile.
            if let Err(error @ TargetError::Refused { .. }) = moved {
                if !is_current(&self.labels().await?) {
                    return Err(error);
                }
            } else {
                moved?;
            }
        }
        self.forget_key(rotation, &labels).await;
        Ok(())
    }
}

impl SecretsManagerTarget {
    /// Takes the label from the key that waited, so that AWS lets its version go in time. Where that fails nothing is wrong: a key
    /// of the rotation that is current waits for nothing.
    async fn forget_key(&self, rotation: RotationId, labels: &Labels) {
        let name = VersionName::Key(rotation).to_string();
        if labels.of(KEY_LABEL) == Some(name.as_str())
            && let Err(error) = self.service.move_label(&self.plan.name, KEY_LABEL, None, Some(&name)).await
        {
            tracing::debug!(secret = %self.plan.name, %error, "the label of a key that waited was not taken away");
        }
    }
}

#[cfg(test)]
mod tests;
