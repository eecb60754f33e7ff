//! What AWS Private CA says when it does not do as asked, in words for the operator: what was refused, and what would be right; and
//! whether the same may be asked again.

use aws_sdk_acmpca::types::{
    CertificateAuthority, CertificateAuthorityStatus as Status, CertificateAuthorityUsageMode as UsageMode,
};
use ca_core::time::Lifetime;
use ca_engine::port::certificate_issuer::{IssuerCondition, IssuerError};

use crate::aws::{CallError, Failure, PrivateCaArn, Refusal};

/// What a call was to do: what AWS's refusal of it means differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// To make a certificate.
    Order,
    /// To fetch one that was ordered. It may exist whatever AWS says.
    Collect,
    /// To revoke one.
    Revoke,
    /// To look at the authority.
    Look,
}

/// Whether an attempt that failed so may have been carried out.
pub(super) const fn may_have_been_done(failure: &Failure) -> bool {
    matches!(failure, Failure::Passing(_))
}

/// Whether it was the request that AWS did not like, and not who asked, or for what authority.
pub(super) fn is_about_the_request(refusal: &Refusal) -> bool {
    matches!(
        refusal.code.as_str(),
        "MalformedCSRException" | "InvalidArgsException" | "ValidationException" | "InvalidRequestException"
    )
}

/// Why there is no answer, and what to do about it.
pub(super) fn in_words(arn: &PrivateCaArn, operation: &str, error: &CallError, meaning: Meaning) -> IssuerError {
    match error {
        CallError::Busy { detail, retry_after } => {
            let seconds = retry_after.as_millis().div_ceil(1_000).max(1).try_into().unwrap_or(u64::MAX);
            let retry_after = Some(Lifetime::from_seconds(seconds));
            IssuerError::Busy { detail: format!("{arn}: {detail}"), retry_after }
        }
        CallError::Unavailable { detail } => IssuerError::Unavailable {
            detail: format!(
                "{arn}: {detail}; credentials come from the role, the environment or the profile, and the way to AWS Private CA in \
                 {} must be open (docs/aws.md)",
                arn.region()
            ),
        },
        CallError::Refused(refusal) => {
            let detail = format!("{arn}: {operation} is refused with {refusal}; {}", remedy(arn, operation, refusal));
            // What is wrong with the account, the role or the authority is put right some day, and is no fault of the request.
            let stays = matches!(meaning, Meaning::Order | Meaning::Revoke) && is_about_the_request(refusal);
            if stays { IssuerError::Refused { detail } } else { IssuerError::Unavailable { detail } }
        }
    }
}

fn remedy(arn: &PrivateCaArn, operation: &str, refusal: &Refusal) -> String {
    let region = arn.region();
    if let Some(remedy) = refusal.remedy_of_credentials(region) {
        return remedy;
    }
    match refusal.code.as_str() {
        "AccessDeniedException" => format!(
            "the role needs acm-pca:{operation} on this authority, and where it is another account's, that account must share it \
             (docs/aws.md has the whole policy)"
        ),
        "InvalidStateException" => format!(
            "it does not issue now: `aws acm-pca describe-certificate-authority --region {region} --certificate-authority-arn {arn}` \
             says why, and `aws acm-pca update-certificate-authority … --status ACTIVE` enables one that is disabled"
        ),
        "ResourceNotFoundException" | "InvalidArnException" => format!(
            "there is no such authority where the ARN says: region {region}, account {}; compare it with `aws acm-pca \
             list-certificate-authorities --region {region}`, and `aws.endpoint_url`, if it is set, with the region",
            arn.account()
        ),
        "MalformedCSRException" => "AWS cannot read the CSR, or finds neither a subject nor a name in it".to_owned(),
        "InvalidArgsException" | "ValidationException" => {
            "AWS does not take what the certificate was to say, or until when it was to live".to_owned()
        }
        "LimitExceededException" => {
            "a limit that stays until AWS raises it (Service Quotas), as the number of certificates of an authority with one \
             complete list"
                .to_owned()
        }
        _ => "docs/aws.md says what the authority and the role need".to_owned(),
    }
}

/// Refuses an authority of the short-lived mode, which issues for seven days at the most: the service takes from its authority `tls` the
/// certificates of its administrators and of its API as well, which live longer, and a mode that cannot be changed later is better
/// refused before the first order than with every one that asks for more.
pub(super) fn check_usage_mode(arn: &PrivateCaArn, found: &CertificateAuthority) -> Result<(), IssuerError> {
    match found.usage_mode() {
        Some(UsageMode::ShortLivedCertificate) => Err(IssuerError::Refused {
            detail: format!(
                "{arn} is of the usage mode SHORT_LIVED_CERTIFICATE: it issues for seven days at the most, and this service takes \
                 certificates from its authorities that live longer; the mode of an authority is for ever, so make another one with \
                 `aws acm-pca create-certificate-authority --usage-mode GENERAL_PURPOSE` and name that"
            ),
        }),
        _ => Ok(()),
    }
}

/// Whether an authority issues, and what its operator should do where it does not.
pub(super) fn condition(arn: &PrivateCaArn, found: &CertificateAuthority) -> (IssuerCondition, String) {
    let region = arn.region();
    let status = found.status();
    let named = status.map_or("unknown", Status::as_str);
    let (condition, remedy) = match status {
        Some(Status::Active) => return (IssuerCondition::Active, String::new()),
        Some(Status::Creating | Status::PendingCertificate) => (
            IssuerCondition::Pending,
            format!(
                "it has no certificate yet: sign its request (`aws acm-pca get-certificate-authority-csr --region {region} …`) and \
                 install what comes of it (`aws acm-pca import-certificate-authority-certificate`)"
            ),
        ),
        Some(Status::Disabled) => (
            IssuerCondition::Disabled,
            format!(
                "enable it: `aws acm-pca update-certificate-authority --region {region} --certificate-authority-arn {arn} --status \
                 ACTIVE`"
            ),
        ),
        Some(Status::Expired) => (
            IssuerCondition::Expired,
            "its certificate has ended; AWS takes a new one for the same key (`aws acm-pca \
             import-certificate-authority-certificate`), and this service a new authority"
                .to_owned(),
        ),
        Some(Status::Deleted) => (
            IssuerCondition::Gone,
            format!(
                "it is to be deleted: `aws acm-pca restore-certificate-authority --region {region} --certificate-authority-arn {arn}` \
                 keeps it before it is gone for ever"
            ),
        ),
        _ => (IssuerCondition::Gone, "such an authority never issues; name another one".to_owned()),
    };
    (condition, format!("{arn} is {named}; {remedy}"))
}
