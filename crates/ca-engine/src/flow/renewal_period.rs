//! From when on a certificate may be renewed by its holder: what the profile says, else half of the lifetime.
//!
//! A room of its own below `query` and `renew`, which both ask.

use ca_core::time::{Lifetime, Timestamp};

use crate::engine::Engine;
use crate::port::store::StoredCertificate;

/// When the holder of a certificate may renew it.
pub fn opens_at(engine: &Engine, certificate: &StoredCertificate) -> Timestamp {
    let lifetime = certificate.validity.not_after.since(certificate.validity.not_before);
    let share =
        engine.profiles().get(&certificate.profile).map_or(DEFAULT_RENEWAL_SHARE, |profile| profile.renewal().from);
    certificate.validity.not_before.plus(Lifetime::from_seconds((lifetime.seconds() as f64 * share) as u64))
}

/// From half of the lifetime on, where the profile does not say otherwise.
const DEFAULT_RENEWAL_SHARE: f64 = 0.5;
