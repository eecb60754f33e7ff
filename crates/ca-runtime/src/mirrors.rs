//! The mirrors of lists that a configuration names, opened: with [`crate::open`], [`crate::record`], [`crate::sinks`] and
//! [`crate::shared_answers`] the wiring, and the only files that name concrete adapters.

use std::sync::Arc;

use ca_engine::port::publisher::Publisher;
use thiserror::Error;

use crate::config::Config;

/// A place beside the data folder where lists are put too.
#[derive(Clone)]
pub struct Mirror {
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// The way to it.
    pub publisher: Arc<dyn Publisher>,
}

/// A mirror that cannot be used, whether it answers or not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("publish.s3: {detail}")]
pub struct MirrorFault {
    /// What is wrong and what would be right.
    pub detail: String,
}

/// What of them can be judged without a look at the network: for `check-config`.
pub(crate) fn check(config: &Config) -> Result<(), MirrorFault> {
    check_for(config, cfg!(feature = "aws-s3"))
}

fn check_for(config: &Config, has_s3: bool) -> Result<(), MirrorFault> {
    match &config.s3 {
        Some(_) if !has_s3 => Err(not_built_in()),
        _ => Ok(()),
    }
}

/// Opens every mirror. Whether one answers shows when it is first used; lists are in the data folder and served all the same.
#[cfg(feature = "aws-s3")]
pub(crate) async fn open(config: &Config) -> Result<Vec<Mirror>, MirrorFault> {
    use ca_backends::aws::AwsAccess;
    use ca_backends::publisher::S3Publisher;

    let Some(target) = config.s3.clone() else { return Ok(Vec::new()) };
    let access = AwsAccess::find(&config.aws).await.map_err(|fault| MirrorFault { detail: fault.to_string() })?;
    Ok(vec![Mirror { name: "s3", publisher: Arc::new(S3Publisher::new(&access, target)) }])
}

/// Refuses one that is configured: what is asked for is never left out in silence.
#[cfg(not(feature = "aws-s3"))]
pub(crate) async fn open(config: &Config) -> Result<Vec<Mirror>, MirrorFault> {
    check(config).map(|()| Vec::new())
}

fn not_built_in() -> MirrorFault {
    MirrorFault { detail: "this program was built without Amazon S3 (feature `aws-s3`); take one that has it, or leave [publish.s3] out".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_s3_names_the_feature() {
        let config = Config::check("[publish.s3]\nbucket = \"pki-example-org\"", []).expect("no fault");
        let said = check_for(&config, false).expect_err("it is not there").to_string();
        assert!(said.starts_with("publish.s3: ") && said.contains("feature `aws-s3`"), "{said}");
        assert_eq!(check_for(&config, true), Ok(()));
        assert_eq!(check_for(&Config::check("", []).expect("no fault"), false), Ok(()), "nothing asks for it");
    }
}
