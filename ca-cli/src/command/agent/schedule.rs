//! When a certificate is renewed, and how urgent it is: values in, values out.

use ca_core::certificate::Certificate;
use ca_core::hash::sha256;
use ca_core::id::ManagedCertificateId;
use ca_core::managed::{RenewBefore, Urgency, retry_after};
use ca_core::time::{Lifetime, Timestamp};

use super::progress::{DrawnWindow, Progress};

/// When a certificate is to be renewed: at the instant drawn in the service's window, or, while the service never said, so long before its end.
pub(super) fn due_at(certificate: &Certificate, window: Option<&DrawnWindow>, renew_before: RenewBefore) -> Timestamp {
    let validity = certificate.validity();
    match window {
        Some(window) => Timestamp::from_unix_millis(window.drawn),
        None => validity.not_after.minus(renew_before.of(validity)),
    }
}

/// Draws an instant in a window (RFC 9773 §4.2): the one drawn before, if the window is the same. `chance` is random.
pub(super) fn draw(before: Option<&DrawnWindow>, start: Timestamp, end: Timestamp, chance: u64) -> DrawnWindow {
    let (start, end) = (start.unix_millis(), end.unix_millis());
    if let Some(before) = before.filter(|before| before.start == start && before.end == end) {
        return before.clone();
    }
    let length = u64::try_from(end.saturating_sub(start)).unwrap_or(0);
    let into = i64::try_from(chance.checked_rem(length).unwrap_or(0)).unwrap_or(0);
    DrawnWindow { start, end, drawn: start.saturating_add(into) }
}

/// How urgent it is.
pub(super) fn urgency(certificate: &Certificate, due_at: Timestamp, now: Timestamp) -> Urgency {
    Urgency::at(now, due_at, certificate.validity().not_after)
}

/// How long to wait after a failure of this certificate; the same failure of two machines is not repeated at the same time.
pub(super) fn pause(certificate: Option<&Certificate>, name: &str, progress: &Progress, now: Timestamp) -> Lifetime {
    let (seed, left) = match certificate {
        Some(certificate) => (certificate.fingerprint_sha256(), certificate.validity().not_after.since(now)),
        None => (sha256(name.as_bytes()), Lifetime::ZERO),
    };
    let mut octets = [0; 16];
    octets.iter_mut().zip(seed).for_each(|(to, from)| *to = from);
    retry_after(ManagedCertificateId::from_bytes(octets), progress.failures, left)
}

/// How long the service is let alone after it did not answer so often in a row: from five seconds, doubled up to five minutes, and
/// shortened by up to half by `chance`, so that a thousand machines do not come back together.
pub(super) fn away_pause(failures: u32, chance: u64) -> Lifetime {
    let doubled = 5_000_u64.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(300_000);
    Lifetime::from_seconds((doubled - chance.checked_rem(doubled / 2).unwrap_or(0)).div_ceil(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_seconds(1_000_000);

    #[test]
    fn an_instant_is_drawn_in_the_window_and_kept_while_the_window_stays() {
        let end = START.plus(Lifetime::from_seconds(100));
        let drawn = draw(None, START, end, 250_042);
        assert_eq!(drawn.drawn, START.unix_millis() + 50_042);
        assert_eq!(draw(Some(&drawn), START, end, 7), drawn);
        let moved = draw(Some(&drawn), START.minus(Lifetime::from_seconds(9)), end, 0);
        assert_eq!(moved.drawn, START.unix_millis() - 9_000);
        assert_eq!(draw(None, START, START, 7).drawn, START.unix_millis(), "an empty window");
        assert_eq!(draw(None, end, START, 7).drawn, end.unix_millis(), "one that ends before it begins");
    }

    #[test]
    fn the_service_is_let_alone_longer_and_longer_and_never_for_long() {
        for failures in 1..40 {
            for chance in [0, 1, 77_777, u64::MAX] {
                let pause = away_pause(failures, chance).seconds();
                assert!((2..=300).contains(&pause), "{failures} {chance}: {pause}");
            }
        }
        assert_eq!([1, 2, 3, 9].map(|failures| away_pause(failures, 0).seconds()), [5, 10, 20, 300]);
    }
}
