//! `[publish.s3]`: a bucket from which others fetch the lists too.

use ca_backends::aws::KmsKeyArn;
use ca_backends::publisher::{BucketName, KeyPrefix, S3Target};

use super::settings::Settings;
use super::status::StatusConfig;

const DEFAULT_PREFIX: &str = "crl/";

pub(super) fn read_s3(settings: &mut Settings, status: &StatusConfig) -> Option<S3Target> {
    // Judged whether there is a bucket or not: what is wrong must not come to light when there is.
    let bucket = parsed(settings, "publish.s3.bucket", BucketName::parse);
    let prefix = match settings.text("publish.s3.prefix") {
        None => KeyPrefix::parse(DEFAULT_PREFIX).ok(),
        Some(_) => parsed(settings, "publish.s3.prefix", KeyPrefix::parse),
    };
    let kms_key = parsed(settings, "publish.s3.kms_key", KmsKeyArn::parse);
    let max_age = settings.lifetime("publish.s3.max_age", status.max_age);
    let rest = status.crl_validity.seconds().saturating_sub(status.crl_interval.seconds());
    if max_age.seconds() > rest && status.crl_interval < status.crl_validity {
        let detail = format!(
            "caches would keep a list for {max_age}, past its end: it lives for {} (`status.crl_validity`) and is replaced after {} \
             (`status.crl_interval`)",
            status.crl_validity, status.crl_interval
        );
        settings.invalid("publish.s3.max_age", detail);
    }
    Some(S3Target { bucket: bucket?, prefix: prefix?, kms_key, max_age })
}

fn parsed<T, E: ToString>(settings: &mut Settings, key: &'static str, parse: fn(&str) -> Result<T, E>) -> Option<T> {
    let value = parse(settings.text(key)?);
    value.map_err(|problem| settings.invalid(key, problem.to_string())).ok()
}
