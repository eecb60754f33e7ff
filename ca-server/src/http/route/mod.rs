//! A room per resource: handlers and their documentation. Every route stands in [`super::router`].

pub(crate) mod audit;
pub(crate) mod authorities;
pub(crate) mod bulk_revocations;
mod byte_range;
pub(crate) mod certificates;
mod content_coding;
pub(crate) mod crl;
pub(crate) mod gateways;
pub(crate) mod health;
pub(crate) mod issue_certificate;
pub(crate) mod managed;
pub(crate) mod ocsp;
pub(crate) mod outbox;
pub(crate) mod profiles;
pub(crate) mod renew_certificate;
pub(crate) mod renew_expired;
pub(crate) mod renewal_windows;
pub(crate) mod revoke_certificate;
pub(crate) mod tokens;
pub(crate) mod worker_rotations;

use ca_core::time::Timestamp;

/// IMF-fixdate (RFC 9110 §5.6.7).
pub(crate) fn http_date(instant: Timestamp) -> String {
    let seconds = u64::try_from(instant.unix_seconds()).unwrap_or(0);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}

/// Any of the three forms of RFC 9110 §5.6.7.
pub(crate) fn parse_http_date(text: &str) -> Option<Timestamp> {
    let instant = httpdate::parse_http_date(text).ok()?;
    let since = instant.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_unix_seconds(i64::try_from(since.as_secs()).ok()?))
}
