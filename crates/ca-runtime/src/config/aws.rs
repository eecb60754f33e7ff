//! `[aws]`: where AWS is, for everything that uses it. Credentials are found by the SDK and never configured here.

use ca_backends::aws::{AwsPlace, EndpointUrl, KeyPolicy, PlaceProblem, PrincipalArn, Region};

use super::settings::Settings;

/// Calls of KMS a second in an account and region, unless it is said: half of what AWS gives a whole account (1,000).
const USUAL_KMS_QUOTA: u32 = 500;
/// The most that may be said.
const LARGEST_KMS_QUOTA: u32 = 100_000;

/// How many calls of KMS this process makes in a second at most, in each account and region.
pub(super) fn read_kms_quota(settings: &mut Settings) -> u32 {
    settings.number("aws.kms.quota", 1..=LARGEST_KMS_QUOTA, USUAL_KMS_QUOTA)
}

/// Who may sign with keys that are made in KMS, and who administers them; `None`: IAM decides.
pub(super) fn read_kms_policy(settings: &mut Settings) -> Option<KeyPolicy> {
    let signers = principals(settings, "aws.kms.signers");
    let administrators = principals(settings, "aws.kms.administrators");
    if signers.is_empty() && !administrators.is_empty() {
        settings.invalid(
            "aws.kms.administrators",
            "they may not sign, so `aws.kms.signers` must name the role of the service",
        );
    }
    KeyPolicy::new(signers, administrators)
}

fn principals(settings: &mut Settings, key: &'static str) -> Vec<PrincipalArn> {
    let mut principals = Vec::new();
    for text in settings.list(key).unwrap_or_default() {
        match PrincipalArn::parse(&text) {
            Ok(principal) => principals.push(principal),
            Err(problem) => settings.invalid(key, problem.to_string()),
        }
    }
    principals
}

pub(super) fn read(settings: &mut Settings) -> AwsPlace {
    AwsPlace {
        region: value(settings, "aws.region", Region::parse),
        endpoint_url: value(settings, "aws.endpoint_url", EndpointUrl::parse),
    }
}

fn value<T>(settings: &mut Settings, key: &'static str, parse: fn(&str) -> Result<T, PlaceProblem>) -> Option<T> {
    let parsed = parse(settings.text(key)?);
    parsed.map_err(|problem| settings.invalid(key, problem.to_string())).ok()
}
