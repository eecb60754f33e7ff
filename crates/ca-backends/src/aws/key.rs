//! The name of a KMS key: its ARN, and never an alias, which may be moved to another key.

use std::fmt;

use thiserror::Error;

/// `arn:aws:kms:REGION:ACCOUNT:key/ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsKeyArn(String);

impl KmsKeyArn {
    /// Reads an ARN, of any partition.
    pub fn parse(text: &str) -> Result<Self, KeyProblem> {
        let parts: Vec<&str> = text.split(':').collect();
        let [arn, partition, service, region, account, resource] = parts[..] else { return Err(KeyProblem::NotAnArn) };
        let is_plain =
            |part: &str| !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        if arn != "arn"
            || service != "kms"
            || !partition.starts_with("aws")
            || !is_plain(partition)
            || !is_plain(region)
        {
            return Err(KeyProblem::NotAnArn);
        }
        if resource.starts_with("alias/") {
            return Err(KeyProblem::Alias);
        }
        let is_account = account.len() == 12 && account.bytes().all(|octet| octet.is_ascii_digit());
        match resource.strip_prefix("key/") {
            Some(id) if is_account && is_plain(id) => Ok(Self(text.to_owned())),
            _ => Err(KeyProblem::NotAnArn),
        }
    }

    /// The ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The region that the key is in.
    pub fn region(&self) -> &str {
        // Checked when it was read: the fourth of six parts.
        self.0.split(':').nth(3).unwrap_or_default()
    }

    /// The account that the key is in.
    pub fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }
}

impl fmt::Display for KmsKeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text names no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyProblem {
    /// It is something else.
    #[error("it is not the ARN of a KMS key; write it like `arn:aws:kms:sa-east-1:111122223333:key/1234abcd-…`")]
    NotAnArn,
    /// It is an alias.
    #[error(
        "it is an alias, which may be moved to another key; write the ARN of the key itself (`aws kms describe-key` tells it)"
    )]
    Alias,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_arn_of_a_key_and_nothing_else() {
        for (arn, region) in [
            ("arn:aws:kms:sa-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", "sa-east-1"),
            ("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab", "us-gov-west-1"),
        ] {
            let key = KmsKeyArn::parse(arn).expect(arn);
            assert_eq!((key.as_str(), key.region(), key.account()), (arn, region, "111122223333"));
        }
        let alias = "arn:aws:kms:sa-east-1:111122223333:alias/lists";
        assert_eq!(KmsKeyArn::parse(alias), Err(KeyProblem::Alias));
        for text in [
            "",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "alias/lists",
            "arn:aws:s3:::bucket",
            "arn:aws:kms:sa-east-1:1111:key/1234",
            "arn:aws:kms::111122223333:key/1234",
            "arn:aws:kms:sa-east-1:111122223333:key/",
            "arn:aws:kms:sa-east-1:111122223333:key/12 34",
            "arn:aws:kms:sa-east-1:111122223333:key/1234:5",
            "arn:gcp:kms:sa-east-1:111122223333:key/1234",
        ] {
            assert_eq!(KmsKeyArn::parse(text), Err(KeyProblem::NotAnArn), "{text}");
        }
    }
}
