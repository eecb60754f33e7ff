//! When a certificate is best renewed: a window of its own for each, and windows that an operator moves, in waves.
//!
//! Everything is computed from the certificate's id, its validity and what was moved, so that all replicas say the same and nothing
//! has to be kept for each certificate. Who may renew is not decided here.

use crate::hash::spread;
use crate::id::{AuthorityId, CertificateId, ProfileName};
use crate::time::{Lifetime, Timestamp, Validity};

/// The window in which a certificate is best renewed, at a random time (RFC 9773 §4.2). `start` is not after `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenewalWindow {
    /// From here on.
    pub start: Timestamp,
    /// Up to here.
    pub end: Timestamp,
}

/// The window of a certificate when nobody moved it. `opens_at`: from when on its holder may renew it.
///
/// It is as long as a third of what is left then, and begins up to a sixth of that later, as the id has it: of many that were made
/// together, those whose clients take the beginning of the window for the time do not come together.
pub fn usual_window(id: CertificateId, validity: Validity, opens_at: Timestamp) -> RenewalWindow {
    let left = validity.not_after.since(opens_at).seconds();
    let start = opens_at.plus(Lifetime::from_seconds(share(id, left / 6)));
    let end = start.plus(Lifetime::from_seconds(left / 3)).min(validity.not_after);
    RenewalWindow { start: start.min(end), end }
}

/// When to ask again for the window (RFC 9773 §4.3.2): six hours, sooner for short lives, at least a minute.
pub fn ask_again_after(validity: Validity) -> Lifetime {
    let lifetime = validity.not_after.since(validity.not_before).seconds();
    Lifetime::from_seconds((lifetime / 24).clamp(60, 6 * 3_600))
}

/// Which certificates are meant; absent members do not restrict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalScope {
    /// By issuer.
    pub authority: Option<AuthorityId>,
    /// By profile.
    pub profile: Option<ProfileName>,
    /// This one only.
    pub certificate: Option<CertificateId>,
    /// Issued at or after this instant.
    pub issued_after: Option<Timestamp>,
    /// Issued before this instant: what is renewed leaves the scope.
    pub issued_before: Timestamp,
}

/// What of a certificate decides whether a scope has it.
#[derive(Clone, Copy, Debug)]
pub struct RenewalSubject<'a> {
    /// Its name.
    pub id: CertificateId,
    /// Its issuer.
    pub authority: &'a AuthorityId,
    /// Its profile.
    pub profile: &'a ProfileName,
    /// When it was completed.
    pub issued_at: Timestamp,
}

impl RenewalScope {
    /// Whether a certificate is meant.
    pub fn has(&self, subject: &RenewalSubject<'_>) -> bool {
        self.authority.as_ref().is_none_or(|authority| authority == subject.authority)
            && self.profile.as_ref().is_none_or(|profile| profile == subject.profile)
            && self.certificate.is_none_or(|id| id == subject.id)
            && self.issued_after.is_none_or(|after| after <= subject.issued_at)
            && subject.issued_at < self.issued_before
    }
}

/// A window that is cut into parts of equal length, one after the other. Each certificate is in one of them, as its id has it, so
/// that about as many are renewed in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waves {
    /// All of them together.
    pub window: RenewalWindow,
    /// How many, at least one.
    pub count: u32,
}

impl Waves {
    /// The part that a certificate is in.
    pub fn window_of(&self, id: CertificateId) -> RenewalWindow {
        let count = u64::from(self.count.max(1));
        let length = self.window.end.since(self.window.start).seconds();
        let wave = share(id, count);
        // Each boundary by itself, so that no second is lost or has two waves.
        let boundary = |wave: u64| {
            let seconds = u128::from(length) * u128::from(wave) / u128::from(count);
            self.window.start.plus(Lifetime::from_seconds(u64::try_from(seconds).unwrap_or(length)))
        };
        RenewalWindow { start: boundary(wave), end: boundary(wave + 1) }
    }
}

/// The window of a certificate that was moved. It is never later than the usual one: who waits for an end that was moved out of sight
/// would be without a certificate.
pub fn moved_window(usual: RenewalWindow, id: CertificateId, waves: &Waves) -> RenewalWindow {
    let moved = waves.window_of(id);
    if moved.start < usual.start { RenewalWindow { end: moved.end.min(usual.end), ..moved } } else { usual }
}

/// A number below `bound` that the id has, the same at every time.
fn share(id: CertificateId, bound: u64) -> u64 {
    spread(&[b"renewal window\0", id.as_bytes()], bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_seconds(1_795_176_000);

    fn id(number: u32) -> CertificateId {
        let mut octets = [0; 16];
        octets[12..].copy_from_slice(&number.to_be_bytes());
        CertificateId::from_bytes(octets)
    }

    fn days(from: u64, to: u64) -> RenewalWindow {
        RenewalWindow { start: START.plus(Lifetime::from_days(from)), end: START.plus(Lifetime::from_days(to)) }
    }

    #[test]
    fn a_usual_window_lies_between_the_time_the_holder_may_and_three_quarters_of_the_lifetime() {
        let validity = Validity { not_before: START, not_after: START.plus(Lifetime::from_days(90)) };
        let opens_at = START.plus(Lifetime::from_days(45));
        let mut starts = std::collections::BTreeSet::new();
        for number in 0..1_000 {
            let window = usual_window(id(number), validity, opens_at);
            assert!(window.start >= opens_at && window.start < window.end, "{window:?}");
            assert!(window.end <= days(0, 68).end, "{window:?}");
            assert_eq!(window, usual_window(id(number), validity, opens_at), "the same at every time");
            starts.insert(window.start);
        }
        assert!(starts.len() > 990, "a thousand made together do not come together: {}", starts.len());
    }

    #[test]
    fn a_window_never_ends_after_the_certificate() {
        for seconds in [0, 1, 5, 60] {
            let validity = Validity { not_before: START, not_after: START.plus(Lifetime::from_seconds(seconds)) };
            for opens_at in [START, validity.not_after, validity.not_after.plus(Lifetime::from_days(1))] {
                let window = usual_window(id(7), validity, opens_at);
                assert!(window.start <= window.end && window.end <= validity.not_after, "{seconds}: {window:?}");
            }
        }
    }

    #[test]
    fn waves_follow_each_other_without_a_gap_and_are_about_equal() {
        let waves = Waves { window: days(0, 1), count: 7 };
        let mut counts = std::collections::BTreeMap::new();
        for number in 0..7_000 {
            let window = waves.window_of(id(number));
            *counts.entry((window.start, window.end)).or_insert(0_u32) += 1;
        }
        let windows: Vec<_> = counts.keys().copied().collect();
        assert_eq!(windows.len(), 7);
        assert_eq!((windows[0].0, windows[6].1), (waves.window.start, waves.window.end));
        assert!(windows.windows(2).all(|two| two[0].1 == two[1].0), "{windows:?}");
        assert!(counts.values().all(|count| (800..1_200).contains(count)), "{counts:?}");
        assert_eq!(Waves { count: 1, ..waves }.window_of(id(1)), waves.window);
        assert_eq!(Waves { count: 0, ..waves }.window_of(id(1)), waves.window);
    }

    #[test]
    fn a_move_brings_forward_and_never_puts_off() {
        let usual = days(45, 60);
        let moved = |window| moved_window(usual, id(1), &Waves { window, count: 1 });
        assert_eq!(moved(days(1, 2)), days(1, 2));
        assert_eq!(moved(days(40, 80)), days(40, 60), "it ends with the usual one");
        assert_eq!(moved(days(50, 80)), usual);
        assert_eq!(moved(days(80, 90)), usual);
    }

    #[test]
    fn a_scope_has_what_all_of_its_members_have() {
        let (tls, server): (AuthorityId, ProfileName) =
            ("tls".parse().expect("an id"), "server".parse().expect("a name"));
        let subject = RenewalSubject { id: id(1), authority: &tls, profile: &server, issued_at: START };
        let all = RenewalScope {
            authority: None,
            profile: None,
            certificate: None,
            issued_after: None,
            issued_before: START.plus(Lifetime::from_seconds(1)),
        };
        assert!(all.has(&subject));
        let with = |change: fn(&mut RenewalScope)| {
            let mut scope = all.clone();
            change(&mut scope);
            scope.has(&subject)
        };
        assert!(with(|scope| scope.authority = "tls".parse().ok()));
        assert!(!with(|scope| scope.authority = "root".parse().ok()));
        assert!(!with(|scope| scope.profile = "client".parse().ok()));
        assert!(with(|scope| scope.certificate = Some(id(1))));
        assert!(!with(|scope| scope.certificate = Some(id(2))));
        assert!(with(|scope| scope.issued_after = Some(START)));
        assert!(!with(|scope| scope.issued_after = Some(START.plus(Lifetime::from_seconds(1)))));
        assert!(!with(|scope| scope.issued_before = START), "its successor is not in the scope");
    }

    #[test]
    fn asks_again_within_six_hours_and_sooner_for_short_lives() {
        let again = |seconds| {
            let not_after = START.plus(Lifetime::from_seconds(seconds));
            ask_again_after(Validity { not_before: START, not_after }).seconds()
        };
        assert_eq!([again(90 * 86_400), again(86_400), again(60)], [6 * 3_600, 3_600, 60]);
    }
}
