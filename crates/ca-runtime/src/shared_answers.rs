//! The place where replicas share signed answers, opened: with [`crate::open`], [`crate::record`] and [`crate::sinks`] the wiring,
//! and the only files that name concrete adapters.

use std::sync::Arc;

use ca_engine::port::shared_answers::SharedAnswers;
use thiserror::Error;

use crate::config::RedisConfig;

/// A Redis that cannot be used, whether it answers or not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("redis: {detail}")]
pub struct RedisFault {
    /// What is wrong and what would be right, without secrets.
    pub detail: String,
}

/// The file of CAs that is configured, if there is one.
fn roots(config: &RedisConfig) -> Result<Option<Vec<u8>>, RedisFault> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read(path).map_err(|error| RedisFault {
            detail: format!("{} cannot be read: {}", path.display(), crate::file::complaint(&error)),
        })
    };
    config.ca_file.as_ref().map(read).transpose()
}

/// What of it can be judged without a look at the network: for `check-config`.
pub(crate) fn check(config: &RedisConfig) -> Result<(), RedisFault> {
    roots(config).map(drop)
}

/// A way to the Redis that is configured. Whether it answers is not looked at: the service does without.
#[cfg(feature = "redis")]
pub(crate) fn open(config: &RedisConfig) -> Result<Arc<dyn SharedAnswers>, RedisFault> {
    use ca_backends::shared_answers::RedisAnswers;

    let answers = RedisAnswers::new(&config.address, roots(config)?);
    answers
        .map(|answers| Arc::new(answers) as Arc<dyn SharedAnswers>)
        .map_err(|error| RedisFault { detail: error.to_string() })
}

/// Refuses one that is configured: what is asked for is never left out in silence.
#[cfg(not(feature = "redis"))]
pub(crate) fn open(_: &RedisConfig) -> Result<Arc<dyn SharedAnswers>, RedisFault> {
    Err(RedisFault {
        detail: "this program was built without Redis (feature `redis`); take one that has it, or leave [redis] out"
            .to_owned(),
    })
}
