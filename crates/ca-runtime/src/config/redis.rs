//! `[redis]`: where replicas share signed OCSP answers.

use std::path::{Path, PathBuf};

use ca_backends::shared_answers::RedisAddress;
use ca_core::time::Lifetime;

use super::database::url_of;
use super::settings::Settings;

/// A Redis that replicas share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// Where it is; nothing shows its password.
    pub address: RedisAddress,
    /// The CAs that vouch for it; those that the machine trusts when there is none.
    pub ca_file: Option<PathBuf>,
    /// How long an answer lies there, unless its first half ends before.
    pub lifetime: Lifetime,
}

const DEFAULT_LIFETIME: Lifetime = Lifetime::from_seconds(300);

pub(super) fn read(settings: &mut Settings, data_dir: &Path) -> Option<RedisConfig> {
    // Judged whether there is a Redis or not: what is wrong must not come to light when there is.
    let lifetime = settings.lifetime("redis.ttl", DEFAULT_LIFETIME);
    let ca_file = settings.text("redis.ca_file").map(|path| data_dir.join(path));
    let (key, url) = url_of(settings, data_dir, "redis.url", "redis.url_file")?;
    match RedisAddress::parse(&url) {
        Ok(address) if ca_file.is_some() && !address.is_encrypted() => {
            settings.invalid("redis.ca_file", "CAs vouch for nothing without TLS; write the address with `rediss://`");
            None
        }
        Ok(address) => Some(RedisConfig { address, ca_file, lifetime }),
        // The URL may hold a password: no fault quotes it.
        Err(problem) => {
            settings.invalid(key, problem.to_string());
            None
        }
    }
}
