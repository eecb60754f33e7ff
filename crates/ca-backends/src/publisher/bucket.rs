//! Where in S3 lists are put: the name of a bucket and the start of their keys.

use std::fmt;

use ca_core::time::Lifetime;
use thiserror::Error;

use crate::aws::KmsKeyArn;

/// Where lists go, and what is said of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Target {
    /// The bucket.
    pub bucket: BucketName,
    /// The start of every key.
    pub prefix: KeyPrefix,
    /// The key that encrypts the objects; the bucket's default when there is none.
    pub kms_key: Option<KmsKeyArn>,
    /// How long caches may keep a list.
    pub max_age: Lifetime,
}

/// The name of a general purpose bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketName(String);

impl BucketName {
    /// Reads a name: 3 to 63 lower-case letters, digits, hyphens and dots, as S3 allows.
    pub fn parse(text: &str) -> Result<Self, BucketProblem> {
        let is_inner = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
        let is_label = |label: &str| {
            label.bytes().all(is_inner) && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
        };
        let is_address = text.split('.').count() == 4 && text.split('.').all(|part| part.parse::<u8>().is_ok());
        match (3..=63).contains(&text.len()) && text.split('.').all(is_label) && !is_address {
            true => Ok(Self(text.to_owned())),
            false => Err(BucketProblem::Name),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The start of objects' keys: nothing, or folders with a slash after each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// Reads a prefix; the slash at its end may be left out.
    pub fn parse(text: &str) -> Result<Self, BucketProblem> {
        let folders = text.strip_suffix('/').unwrap_or(text);
        let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~".contains(&octet);
        let is_folder =
            |folder: &str| !folder.is_empty() && folder != "." && folder != ".." && folder.bytes().all(is_plain);
        match folders {
            "" if text.is_empty() => Ok(Self(String::new())),
            _ if text.len() <= 512 && folders.split('/').all(is_folder) => Ok(Self(format!("{folders}/"))),
            _ => Err(BucketProblem::Prefix),
        }
    }

    /// The prefix, with a slash at its end if it is not empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no place in S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BucketProblem {
    /// Not the name of a bucket.
    #[error(
        "it is not the name of a bucket: 3 to 63 lower-case letters, digits, hyphens and dots, as in `pki-example-org`"
    )]
    Name,
    /// Not the start of a key.
    #[error(
        "it may hold letters, digits and `-._~` between slashes and does not begin with a slash; write it like `crl/`"
    )]
    Prefix,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_s3_takes() {
        for name in ["pki-example-org", "pki.example.org", "123", "1.2.3.400"] {
            assert_eq!(BucketName::parse(name).expect(name).as_str(), name);
        }
        let long = "a".repeat(64);
        for name in
            ["", "ab", "Pki", "pki_lists", "-pki", "pki-", "a..b", "a.-b", "10.0.0.1", "arn:aws:s3:::pki", "a/b", &long]
        {
            assert_eq!(BucketName::parse(name), Err(BucketProblem::Name), "{name}");
        }
    }

    #[test]
    fn a_prefix_ends_with_one_slash_or_is_nothing() {
        for (text, prefix) in [("", ""), ("crl", "crl/"), ("crl/", "crl/"), ("pki/v1.0/crl", "pki/v1.0/crl/")] {
            assert_eq!(KeyPrefix::parse(text).expect(text).as_str(), prefix);
        }
        for text in ["/", "/crl", "crl//", "a//b", "../crl", "a/./b", "crl lists", "crl?x", &"a/".repeat(300)] {
            assert_eq!(KeyPrefix::parse(text), Err(BucketProblem::Prefix), "{text}");
        }
    }
}
