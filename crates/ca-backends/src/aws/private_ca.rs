//! The name of a certificate authority of AWS Private CA: its ARN.

use std::fmt;

use thiserror::Error;

/// `arn:aws:acm-pca:REGION:ACCOUNT:certificate-authority/ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateCaArn(String);

impl PrivateCaArn {
    /// Reads an ARN, of any partition.
    pub fn parse(text: &str) -> Result<Self, PrivateCaProblem> {
        let parts: Vec<&str> = text.split(':').collect();
        let [arn, partition, service, region, account, resource] = parts[..] else {
            return Err(PrivateCaProblem::NotAnArn);
        };
        let is_plain =
            |part: &str| !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        if arn != "arn"
            || service != "acm-pca"
            || !partition.starts_with("aws")
            || !is_plain(partition)
            || !is_plain(region)
            || account.len() != 12
            || !account.bytes().all(|octet| octet.is_ascii_digit())
        {
            return Err(PrivateCaProblem::NotAnArn);
        }
        let resource = resource.strip_prefix("certificate-authority/").ok_or(PrivateCaProblem::NotAnArn)?;
        match resource.split_once('/') {
            Some(_) => Err(PrivateCaProblem::Certificate),
            None if is_plain(resource) => Ok(Self(text.to_owned())),
            None => Err(PrivateCaProblem::NotAnArn),
        }
    }

    /// The ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition, as in `aws` or `aws-us-gov`.
    pub fn partition(&self) -> &str {
        self.part(1)
    }

    /// The region that it is in.
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// The account that it is in.
    pub fn account(&self) -> &str {
        self.part(4)
    }

    /// What AWS calls it, as in the name of its list: a UUID.
    pub fn id(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    fn part(&self, index: usize) -> &str {
        // Checked when it was read: there are six.
        self.0.split(':').nth(index).unwrap_or_default()
    }
}

impl fmt::Display for PrivateCaArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text names no certificate authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PrivateCaProblem {
    /// It is something else.
    #[error(
        "it is not the ARN of a certificate authority of AWS Private CA; write it like \
         `arn:aws:acm-pca:sa-east-1:111122223333:certificate-authority/1234abcd-…`"
    )]
    NotAnArn,
    /// It is a certificate's.
    #[error("it is the ARN of a certificate; leave out what comes after the id of its authority")]
    Certificate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_arn_of_an_authority_and_nothing_else() {
        let text = "arn:aws-us-gov:acm-pca:us-gov-west-1:111122223333:certificate-authority/1234abcd-12ab-34cd-56ef-1234567890ab";
        let arn = PrivateCaArn::parse(text).expect("an ARN");
        assert_eq!((arn.partition(), arn.region(), arn.account()), ("aws-us-gov", "us-gov-west-1", "111122223333"));
        assert_eq!((arn.as_str(), arn.id()), (text, "1234abcd-12ab-34cd-56ef-1234567890ab"));
        let certificate = format!("{text}/certificate/0123456789abcdef");
        assert_eq!(PrivateCaArn::parse(&certificate), Err(PrivateCaProblem::Certificate));
        for text in [
            "",
            "arn",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:sa-east-1:111122223333:key/1234",
            "arn:aws:acm:sa-east-1:111122223333:certificate/1234",
            "arn:aws:acm-pca:sa-east-1:1111:certificate-authority/1234",
            "arn:aws:acm-pca::111122223333:certificate-authority/1234",
            "arn:aws:acm-pca:sa-east-1:111122223333:certificate-authority/",
            "arn:aws:acm-pca:sa-east-1:111122223333:certificate-authority/12 34",
            "arn:gcp:acm-pca:sa-east-1:111122223333:certificate-authority/1234",
        ] {
            assert_eq!(PrivateCaArn::parse(text), Err(PrivateCaProblem::NotAnArn), "{text}");
        }
    }
}
