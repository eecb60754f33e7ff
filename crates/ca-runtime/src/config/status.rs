//! `[status]`: how long OCSP answers and CRLs live.

use ca_core::time::Lifetime;
use ca_engine::engine::NoncePolicy;

use super::settings::Settings;

/// Lifetimes of what says that a certificate is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusConfig {
    /// From `thisUpdate` to `nextUpdate` of an OCSP answer.
    pub ocsp_validity: Lifetime,
    /// How long HTTP caches may keep an answer or a list.
    pub max_age: Lifetime,
    /// What becomes of the nonces of OCSP requests.
    pub nonce: NoncePolicy,
    /// How many octets of signed OCSP answers each process keeps in memory; 0 keeps none.
    pub cache: usize,
    /// From `thisUpdate` to `nextUpdate` of a CRL.
    pub crl_validity: Lifetime,
    /// How long after the last CRL a new one is made when nothing was revoked.
    pub crl_interval: Lifetime,
}

impl StatusConfig {
    pub(super) fn read(settings: &mut Settings) -> Self {
        let status = Self {
            ocsp_validity: settings.lifetime("status.ocsp_validity", Lifetime::from_seconds(3_600)),
            max_age: settings.lifetime("status.max_age", Lifetime::from_seconds(5)),
            nonce: nonce(settings),
            cache: settings.octets("status.cache", 64 << 20),
            crl_validity: settings.lifetime("status.crl_validity", Lifetime::from_days(7)),
            crl_interval: settings.lifetime("status.crl_interval", Lifetime::from_days(1)),
        };
        if status.max_age > status.ocsp_validity {
            let detail = format!(
                "{} is longer than an OCSP answer is valid (`status.ocsp_validity` = {})",
                status.max_age, status.ocsp_validity
            );
            settings.invalid("status.max_age", detail);
        }
        if status.crl_interval >= status.crl_validity {
            let detail = format!(
                "{} leaves no time before a list ends (`status.crl_validity` = {}); make it shorter than that",
                status.crl_interval, status.crl_validity
            );
            settings.invalid("status.crl_interval", detail);
        }
        status
    }
}

fn nonce(settings: &mut Settings) -> NoncePolicy {
    match settings.text("status.nonce") {
        None | Some("allow") => NoncePolicy::Allow,
        Some("ignore") => NoncePolicy::Ignore,
        Some("require") => NoncePolicy::Require,
        Some(_) => {
            settings.invalid("status.nonce", "it must be `allow`, `ignore` or `require`");
            NoncePolicy::Allow
        }
    }
}
