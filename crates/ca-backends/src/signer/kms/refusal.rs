//! What KMS says when it does not sign, in words for the operator: what was refused, and what would be right.

use ca_engine::port::signer::SignerError;

use super::seconds;
use crate::aws::{CallError, KmsKeyArn, Refusal};

/// Why there is no answer, and what to do about it.
pub(super) fn in_words(key: &KmsKeyArn, operation: &str, error: CallError) -> SignerError {
    match error {
        CallError::Busy { detail, retry_after } => {
            SignerError::Busy { detail: format!("KMS key {key}: {detail}"), retry_after: Some(seconds(retry_after)) }
        }
        CallError::Unavailable { detail } => {
            SignerError::Unavailable { detail: format!("KMS key {key}: {detail}; {}", remedy_of_silence(key)) }
        }
        CallError::Refused(refusal) => {
            let detail = format!("KMS key {key}: {operation} is refused with {refusal}; {}", remedy(key, &refusal));
            match refusal.code.as_str() {
                // The key is there and would sign: whoever brings valid credentials is answered.
                "ExpiredTokenException" | "UnrecognizedClientException" | "InvalidClientTokenId" => {
                    SignerError::Unavailable { detail }
                }
                _ => SignerError::Refused { detail },
            }
        }
    }
}

/// Why no key was made, or none could be looked for, and what to do about it.
pub(super) fn in_words_of_making(region: &str, operation: &str, error: CallError) -> SignerError {
    match error {
        CallError::Busy { detail, retry_after } => {
            SignerError::Busy { detail: format!("KMS in {region}: {detail}"), retry_after: Some(seconds(retry_after)) }
        }
        CallError::Unavailable { detail } => SignerError::Unavailable {
            detail: format!(
                "KMS in {region}: {detail}; credentials come from the role, the environment or the profile, and the way to KMS must be \
                 open (docs/aws.md). Run this again: a key that was made all the same is found"
            ),
        },
        CallError::Refused(refusal) => {
            let remedy = remedy_of_making(region, &refusal);
            SignerError::Refused { detail: format!("KMS in {region}: {operation} is refused with {refusal}; {remedy}") }
        }
    }
}

fn remedy_of_making(region: &str, refusal: &Refusal) -> String {
    match refusal.code.as_str() {
        "AccessDeniedException" => "whoever runs this needs kms:CreateKey and kms:TagResource, and kms:ListKeys, \
                                    kms:ListResourceTags and kms:DescribeKey to find a key again that was made unseen (docs/aws.md)"
            .to_owned(),
        "LimitExceededException" => {
            format!("the account has as many keys in {region} as it may: have the limit raised (Service Quotas)")
        }
        "MalformedPolicyDocumentException" => {
            "the key's policy names a role that there is not, or would keep whoever runs this from changing it again: correct \
             `aws.kms.signers` and `aws.kms.administrators`"
                .to_owned()
        }
        "InvalidSignatureException" | "SignatureDoesNotMatch" | "IncompleteSignatureException" => {
            format!("the request was signed for region {region}: are `aws.region` and `aws.endpoint_url` of one region?")
        }
        "ExpiredTokenException" => "the session of the credentials has ended: renew them where they come from".to_owned(),
        "UnrecognizedClientException" | "InvalidClientTokenId" | "MissingAuthenticationTokenException" => {
            "AWS does not know these credentials; check where they come from (docs/aws.md)".to_owned()
        }
        _ => "docs/aws.md says what whoever makes keys needs".to_owned(),
    }
}

fn remedy_of_silence(key: &KmsKeyArn) -> String {
    format!(
        "credentials come from the role, the environment or the profile, and the way to KMS in {} must be open (docs/aws.md)",
        key.region()
    )
}

fn remedy(key: &KmsKeyArn, refusal: &Refusal) -> String {
    let region = key.region();
    if let Some(remedy) = refusal.remedy_of_credentials(region) {
        return remedy;
    }
    match refusal.code.as_str() {
        "AccessDeniedException" => {
            "the role needs kms:Sign and kms:GetPublicKey on this key, by its own policy or the key's (docs/aws.md)".to_owned()
        }
        "DisabledException" => format!("enable it: `aws kms enable-key --region {region} --key-id {key}`"),
        "KMSInvalidStateException" => format!(
            "if it is to be deleted, keep it before it is gone for ever: `aws kms cancel-key-deletion --region {region} --key-id \
             {key}` and then `aws kms enable-key`"
        ),
        "NotFoundException" | "InvalidArnException" => format!(
            "there is no such key where the ARN says: region {region}, account {}; compare it with `aws kms describe-key`, and \
             `aws.endpoint_url`, if it is set, with the region",
            key.account()
        ),
        "InvalidKeyUsageException" | "ValidationException" | "UnsupportedOperationException" => {
            "the key is of another kind than the authority's certificate says, or not for signing; a key's kind never changes, so \
             the ARN on record is that of another key"
                .to_owned()
        }
        "LimitExceededException" => "a limit of the account that stays until AWS raises it (Service Quotas)".to_owned(),
        _ => "docs/aws.md says what the key and the role need".to_owned(),
    }
}
