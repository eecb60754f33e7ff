//! What a secret is to be like.

use std::collections::BTreeMap;

pub use ca_core::managed::definition::SecretLayout;
use serde_json::json;
use thiserror::Error;

/// A secret of AWS Secrets Manager that certificates are delivered to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPlan {
    /// Its name, or its ARN when it is there already.
    pub name: String,
    /// Whether it is made when it is not there.
    pub is_made: bool,
    /// How its value is written.
    pub layout: SecretLayout,
    /// ARN, id or alias of the KMS key that encrypts it; `None` for the service's own, or whatever it has.
    pub kms_key: Option<String>,
    /// Tags that it has, beside those that others gave it.
    pub tags: BTreeMap<String, String>,
    /// Regions that it is replicated to, each with the KMS key there.
    pub replicas: BTreeMap<String, Option<String>>,
}

/// Why a plan is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SecretPlanProblem {
    /// Not the name of a secret.
    #[error("`{0}` is no name of a secret: 1 to 512 of letters, digits and /_+=.@-, or an ARN")]
    Name(String),
    /// An ARN of a secret that is to be made.
    #[error("a secret that is to be made is named by its name, not by an ARN, which AWS gives it")]
    ArnOfNew,
    /// A tag that AWS refuses.
    #[error(
        "the tag `{0}` is refused by AWS: keys of 1 to 128 characters that do not begin with aws:, values of at most 256, 50 in all"
    )]
    Tag(String),
}

impl SecretPlan {
    /// Finds what AWS would refuse, before anything is asked.
    pub fn check(&self) -> Result<(), SecretPlanProblem> {
        let is_arn = self.name.starts_with("arn:");
        let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "/_+=.@-".contains(letter);
        if is_arn && self.is_made {
            return Err(SecretPlanProblem::ArnOfNew);
        }
        if !is_arn && (!(1..=512).contains(&self.name.len()) || !self.name.chars().all(is_allowed)) {
            return Err(SecretPlanProblem::Name(self.name.clone()));
        }
        let is_refused = |(key, value): &(&String, &String)| {
            !(1..=128).contains(&key.chars().count()) || key.starts_with("aws:") || value.chars().count() > 256
        };
        match self.tags.iter().find(is_refused) {
            Some((key, _)) => Err(SecretPlanProblem::Tag(key.clone())),
            None if self.tags.len() > 50 => Err(SecretPlanProblem::Tag(format!("{} tags", self.tags.len()))),
            None => Ok(()),
        }
    }

    /// The rights that a process needs which delivers to it: what an operator puts into the policy of its role.
    pub fn actions(&self) -> Vec<&'static str> {
        let mut actions = vec![
            "secretsmanager:DescribeSecret",
            "secretsmanager:GetSecretValue",
            "secretsmanager:PutSecretValue",
            "secretsmanager:UpdateSecretVersionStage",
        ];
        if self.is_made {
            actions.push("secretsmanager:CreateSecret");
        }
        if self.kms_key.is_some() {
            actions.extend(["secretsmanager:UpdateSecret", "kms:GenerateDataKey", "kms:Decrypt"]);
        }
        if !self.tags.is_empty() {
            actions.push("secretsmanager:TagResource");
        }
        if !self.replicas.is_empty() {
            actions.push("secretsmanager:ReplicateSecretToRegions");
        }
        actions
    }
}

/// What a new secret holds until its first certificate is promoted: its first version is current whatever is asked for.
pub(super) fn empty_value() -> String {
    json!({"state": "its certificate is not there yet"}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str) -> SecretPlan {
        SecretPlan {
            name: name.to_owned(),
            is_made: true,
            layout: SecretLayout::Json,
            kms_key: None,
            tags: BTreeMap::new(),
            replicas: BTreeMap::new(),
        }
    }

    #[test]
    fn finds_what_aws_would_refuse() {
        assert_eq!(plan("tls/web_1.example@x").check(), Ok(()));
        for name in ["", "a b", "ä", &"x".repeat(513)] {
            assert_eq!(plan(name).check(), Err(SecretPlanProblem::Name(name.to_owned())));
        }
        let arn = "arn:aws:secretsmanager:sa-east-1:111122223333:secret:tls/web-AbCdEf";
        assert_eq!(plan(arn).check(), Err(SecretPlanProblem::ArnOfNew));
        assert_eq!(SecretPlan { is_made: false, ..plan(arn) }.check(), Ok(()));
        for (key, value) in [("", "x"), ("aws:x", "x"), ("k", &*"x".repeat(257))] {
            let tags = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            assert_eq!(SecretPlan { tags, ..plan("x") }.check(), Err(SecretPlanProblem::Tag(key.to_owned())));
        }
    }

    #[test]
    fn asks_for_no_right_that_it_does_not_need() {
        let least = SecretPlan { is_made: false, ..plan("x") }.actions();
        assert_eq!(least.len(), 4, "{least:?}");
        let most = SecretPlan {
            kms_key: Some("alias/x".to_owned()),
            tags: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            replicas: BTreeMap::from([("us-east-1".to_owned(), None)]),
            ..plan("x")
        };
        assert_eq!(most.actions().len(), 10);
    }
}
