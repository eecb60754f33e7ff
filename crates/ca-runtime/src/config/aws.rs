//! `[aws]`: where AWS is, for everything that uses it. Credentials are found by the SDK and never configured here.

use ca_backends::aws::{AwsPlace, EndpointUrl, KeyPolicy, PlaceProblem, PrincipalArn, Region};

use super::settings::Settings;

/// Signatures of KMS a second of each family of keys, unless it is said: half of what AWS gives a whole account (1,000).
const USUAL_KMS_QUOTA: u32 = 500;
/// The most that may be said.
const LARGEST_KMS_QUOTA: u32 = 100_000;

/// How many signatures of KMS this process asks for in a second at most, in each account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KmsQuotaConfig {
    /// Of RSA keys.
    pub rsa: u32,
    /// Of keys on curves.
    pub elliptic_curves: u32,
}

pub(super) fn read_kms_quota(settings: &mut Settings) -> KmsQuotaConfig {
    let both = settings.number("aws.kms.quota", 1..=LARGEST_KMS_QUOTA, USUAL_KMS_QUOTA);
    KmsQuotaConfig {
        rsa: settings.number("aws.kms.rsa_quota", 1..=LARGEST_KMS_QUOTA, both),
        elliptic_curves: settings.number("aws.kms.ecc_quota", 1..=LARGEST_KMS_QUOTA, both),
    }
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

/// How many calls of AWS Private CA this process makes in a second at most, in each account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcmPcaLimits {
    /// Of IssueCertificate: what AWS gives a whole account in a region is 25, unless Service Quotas say otherwise.
    pub issue: u32,
    /// Of GetCertificate: 75 likewise.
    pub get: u32,
    /// Of RevokeCertificate: 20 likewise.
    pub revoke: u32,
}

/// The most that may be said: AWS raises the quotas of some accounts.
const LARGEST_ACM_PCA_LIMIT: u32 = 1_000;

pub(super) fn read_acm_pca_limits(settings: &mut Settings) -> AcmPcaLimits {
    let mut limit = |key, usual| settings.number(key, 1..=LARGEST_ACM_PCA_LIMIT, usual);
    AcmPcaLimits {
        issue: limit("aws.acm_pca.issue", 25),
        get: limit("aws.acm_pca.get", 75),
        revoke: limit("aws.acm_pca.revoke", 20),
    }
}

pub(super) fn read(settings: &mut Settings) -> AwsPlace {
    AwsPlace {
        region: value(settings, "aws.region", Region::parse),
        endpoint_url: value(settings, "aws.endpoint_url", EndpointUrl::parse),
    }
}

/// Where AWS Secrets Manager is; what its section leaves out is as `[aws]` says.
pub(super) fn read_secrets_manager(settings: &mut Settings, usual: &AwsPlace) -> AwsPlace {
    AwsPlace {
        region: value(settings, "aws.secrets_manager.region", Region::parse).or_else(|| usual.region.clone()),
        endpoint_url: value(settings, "aws.secrets_manager.endpoint_url", EndpointUrl::parse)
            .or_else(|| usual.endpoint_url.clone()),
    }
}

fn value<T>(settings: &mut Settings, key: &'static str, parse: fn(&str) -> Result<T, PlaceProblem>) -> Option<T> {
    let parsed = parse(settings.text(key)?);
    parsed.map_err(|problem| settings.invalid(key, problem.to_string())).ok()
}
