//! Rules of managed certificates, whose rotation the service owns: when one is due, when a failure is tried again and how urgent it is,
//! and the steps of a rotation in their order.
//!
//! Values in, values out. What a target is, and how a step is made, is not said here; what is wanted is said in [`definition`].

pub mod definition;
pub mod reach;
pub mod schedule;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::hash::spread;
use crate::id::ManagedCertificateId;
use crate::time::{Lifetime, Timestamp, Validity};

/// How long before its end a certificate is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewBefore {
    /// A part of the lifetime: so many of so many parts, between none and all of it.
    Share {
        /// How many parts, at least one.
        parts: u32,
        /// Of how many, more than `parts`.
        of: u32,
    },
    /// A length of time.
    Time(Lifetime),
}

impl Default for RenewBefore {
    fn default() -> Self {
        Self::Share { parts: 1, of: 3 }
    }
}

impl RenewBefore {
    /// How long before the end that is, of a certificate of this validity. At most half of the lifetime: a certificate that is due as soon
    /// as it is made would be rotated for ever.
    pub fn of(self, validity: Validity) -> Lifetime {
        let lifetime = validity.not_after.since(validity.not_before).seconds();
        let before = match self {
            Self::Share { parts, of } => {
                let seconds = u128::from(lifetime) * u128::from(parts) / u128::from(of.max(1));
                u64::try_from(seconds).unwrap_or(lifetime)
            }
            Self::Time(time) => time.seconds(),
        };
        Lifetime::from_seconds(before.min(lifetime / 2))
    }
}

/// As it is read: `1/3` or `30d`.
impl fmt::Display for RenewBefore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share { parts, of } => write!(f, "{parts}/{of}"),
            Self::Time(time) => time.fmt(f),
        }
    }
}

impl FromStr for RenewBefore {
    type Err = RenewBeforeError;

    fn from_str(text: &str) -> Result<Self, RenewBeforeError> {
        let Some((parts, of)) = text.split_once('/') else {
            return match text.parse::<Lifetime>() {
                Ok(time) if time > Lifetime::ZERO => Ok(Self::Time(time)),
                _ => Err(RenewBeforeError),
            };
        };
        match (parts.parse(), of.parse()) {
            (Ok(parts), Ok(of)) if parts > 0 && parts < of => Ok(Self::Share { parts, of }),
            _ => Err(RenewBeforeError),
        }
    }
}

/// A text that says no time before an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a part of the lifetime like 1/3, or a length of time like 30d, 12h, 30m or 10s")]
pub struct RenewBeforeError;

/// When a managed certificate is due to be rotated. It is up to a quarter of `renew_before` sooner than that, as the id has it, so that
/// a thousand that were made together are not rotated together; never later.
pub fn due_at(id: ManagedCertificateId, validity: Validity, renew_before: RenewBefore) -> Timestamp {
    let before = renew_before.of(validity).seconds();
    let sooner = spread(&[b"due\0", id.as_bytes()], before / 4);
    validity.not_after.minus(Lifetime::from_seconds(before + sooner))
}

/// When to try again after the `failures`th failure in a row (from 1), `left` before the end of what is in place: a minute, two, four, up
/// to six hours, shortened by up to half as id and count have it; as the end nears, never longer than an eighth of what is left, nor shorter
/// than half a minute.
pub fn retry_after(id: ManagedCertificateId, failures: u32, left: Lifetime) -> Lifetime {
    let doubled = 60_u64.saturating_mul(1_u64 << failures.saturating_sub(1).min(20)).min(LONGEST_PAUSE.seconds());
    let pause = doubled - spread(&[b"retry\0", id.as_bytes(), &failures.to_be_bytes()], doubled / 2);
    let most = if left == Lifetime::ZERO { LONGEST_PAUSE_AFTER_THE_END } else { left.seconds() / 8 };
    Lifetime::from_seconds(pause.min(most).max(30))
}

/// The longest pause between attempts.
const LONGEST_PAUSE: Lifetime = Lifetime::from_seconds(6 * 3_600);

/// The same once there is nothing to lose: a target without a certificate in force, in seconds.
const LONGEST_PAUSE_AFTER_THE_END: u64 = 600;

/// How urgent it is that a rotation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// There is time: the first half of what lies between due and end.
    Notice,
    /// More than half of it is gone.
    Warning,
    /// Less than a sixth of it is left.
    Critical,
    /// The certificate in place has ended.
    Expired,
}

impl Urgency {
    /// Every urgency, rising.
    pub const ALL: [Self; 4] = [Self::Notice, Self::Warning, Self::Critical, Self::Expired];

    /// How urgent it is at `now`, of a certificate that was due at `due_at` and ends at `not_after`.
    pub fn at(now: Timestamp, due_at: Timestamp, not_after: Timestamp) -> Self {
        let (whole, left) = (not_after.since(due_at).seconds(), not_after.since(now).seconds());
        match left {
            0 => Self::Expired,
            left if left < whole / 6 => Self::Critical,
            left if left < whole / 2 => Self::Warning,
            _ => Self::Notice,
        }
    }

    /// From when on it is so urgent, of a certificate that was due at `due_at` and ends at `not_after`.
    pub fn begins_at(self, due_at: Timestamp, not_after: Timestamp) -> Timestamp {
        let whole = not_after.since(due_at).seconds();
        // The first instant whose rest is less than the part.
        let less_than = |part: u64| not_after.minus(Lifetime::from_seconds((whole / part).saturating_sub(1)));
        match self {
            Self::Notice => due_at,
            Self::Warning => less_than(2),
            Self::Critical => less_than(6),
            Self::Expired => not_after,
        }
    }

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Expired => "expired",
        }
    }
}

impl FromStr for Urgency {
    type Err = UnknownUrgency;

    fn from_str(text: &str) -> Result<Self, UnknownUrgency> {
        Self::ALL.into_iter().find(|urgency| urgency.as_str() == text).ok_or(UnknownUrgency)
    }
}

/// A text that names no urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no urgency")]
pub struct UnknownUrgency;

/// How far a rotation has come. Each step is on record before the next is made, and may be made again by whoever goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RotationStep {
    /// It has a name; its key may lie in the target, pending.
    Begun,
    /// Its certificate is on record.
    Issued,
    /// Key and certificate are pending in the target.
    Delivered,
    /// They were read back: a pair, under a chain that verifies.
    Verified,
    /// They are current in the target, and read back from there.
    Promoted,
}

impl RotationStep {
    /// Every step, in order.
    pub const ALL: [Self; 5] = [Self::Begun, Self::Issued, Self::Delivered, Self::Verified, Self::Promoted];

    /// The step after this one; `None` after the last.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Begun => Some(Self::Issued),
            Self::Issued => Some(Self::Delivered),
            Self::Delivered => Some(Self::Verified),
            Self::Verified => Some(Self::Promoted),
            Self::Promoted => None,
        }
    }

    /// Whether a rotation that is here has a certificate.
    pub const fn has_certificate(self) -> bool {
        !matches!(self, Self::Begun)
    }

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Issued => "issued",
            Self::Delivered => "delivered",
            Self::Verified => "verified",
            Self::Promoted => "promoted",
        }
    }
}

impl FromStr for RotationStep {
    type Err = UnknownRotationStep;

    fn from_str(text: &str) -> Result<Self, UnknownRotationStep> {
        Self::ALL.into_iter().find(|step| step.as_str() == text).ok_or(UnknownRotationStep)
    }
}

/// A text that names no step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no step of a rotation")]
pub struct UnknownRotationStep;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const START: Timestamp = Timestamp::from_unix_seconds(1_795_176_000);

    fn id(number: u32) -> ManagedCertificateId {
        let mut octets = [0; 16];
        octets[12..].copy_from_slice(&number.to_be_bytes());
        ManagedCertificateId::from_bytes(octets)
    }

    fn lasting(days: u64) -> Validity {
        Validity { not_before: START, not_after: START.plus(Lifetime::from_days(days)) }
    }

    #[test]
    fn a_time_before_the_end_is_read_as_it_is_written() {
        for text in ["1/3", "2/5", "30d", "12h"] {
            assert_eq!(text.parse::<RenewBefore>().map(|before| before.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "0/3", "3/3", "4/3", "1/0", "1/x", "-1/3", "0d", "soon"] {
            assert_eq!(text.parse::<RenewBefore>(), Err(RenewBeforeError), "{text}");
        }
    }

    #[test]
    fn the_default_is_a_third_of_the_lifetime_and_never_more_than_half() {
        assert_eq!(RenewBefore::default().of(lasting(90)), Lifetime::from_days(30));
        assert_eq!("80d".parse::<RenewBefore>().map(|before| before.of(lasting(90))), Ok(Lifetime::from_days(45)));
        assert_eq!(RenewBefore::Share { parts: 9, of: 10 }.of(lasting(90)), Lifetime::from_days(45));
    }

    #[test]
    fn a_thousand_made_together_are_not_due_together_and_none_is_due_late() {
        let validity = lasting(90);
        let due: BTreeSet<_> = (0..1_000).map(|number| due_at(id(number), validity, RenewBefore::default())).collect();
        assert!(due.len() > 990, "{}", due.len());
        let at = |seconds: u64| validity.not_after.minus(Lifetime::from_seconds(seconds));
        let day = 86_400;
        assert!(
            due.iter().all(|due| (at(38 * day)..=at(30 * day)).contains(due)),
            "{:?} {:?}",
            due.first(),
            due.last()
        );
        // About evenly: no day of the seven and a half has more than twice its share.
        for from in 30..37 {
            let count = due.iter().filter(|due| (at((from + 1) * day)..at(from * day)).contains(due)).count();
            assert!((80..270).contains(&count), "{from}: {count}");
        }
    }

    #[test]
    fn what_was_just_made_is_never_due() {
        for seconds in [8, 60, 3_600, 86_400] {
            let validity = Validity { not_before: START, not_after: START.plus(Lifetime::from_seconds(seconds)) };
            for before in ["1/3", "9/10", "1000d"] {
                let before = before.parse().expect("a time");
                for number in 0..50 {
                    let due = due_at(id(number), validity, before);
                    assert!(due > START.plus(Lifetime::from_seconds(seconds / 4)), "{seconds} {before}: {due}");
                }
            }
        }
    }

    #[test]
    fn pauses_grow_up_to_six_hours_and_shrink_as_the_end_nears() {
        let far = Lifetime::from_days(30);
        let mut longest = 0;
        for failures in 1..40 {
            let pause = retry_after(id(1), failures, far).seconds();
            assert!((30..=6 * 3_600).contains(&pause), "{failures}: {pause}");
            longest = longest.max(pause);
        }
        assert!(longest > 3 * 3_600);
        assert!((30..=60).contains(&retry_after(id(1), 1, far).seconds()));
        assert!(retry_after(id(1), 30, Lifetime::from_seconds(3_600)).seconds() <= 450, "an eighth of what is left");
        assert_eq!(retry_after(id(1), 30, Lifetime::from_seconds(10)).seconds(), 30);
        assert!(retry_after(id(1), 30, Lifetime::ZERO).seconds() <= 600, "after the end it does not wait for hours");
        let pauses: BTreeSet<_> = (0..100).map(|number| retry_after(id(number), 5, far)).collect();
        assert!(pauses.len() > 50, "those that failed together do not come back together");
    }

    #[test]
    fn a_failure_is_more_urgent_as_the_end_nears() {
        let (due_at, not_after) = (START, START.plus(Lifetime::from_days(30)));
        let at = |days: u64| Urgency::at(START.plus(Lifetime::from_days(days)), due_at, not_after);
        assert_eq!([at(0), at(15), at(16), at(24), at(26), at(29)], {
            use Urgency::{Critical, Notice, Warning};
            [Notice, Notice, Warning, Warning, Critical, Critical]
        });
        assert_eq!([at(30), at(99)], [Urgency::Expired; 2]);
        for urgency in Urgency::ALL {
            let begins = urgency.begins_at(due_at, not_after);
            assert_eq!(Urgency::at(begins, due_at, not_after), urgency);
            assert_eq!(urgency.as_str().parse(), Ok(urgency));
        }
        assert_eq!("late".parse::<Urgency>(), Err(UnknownUrgency));
        assert!(Urgency::ALL.windows(2).all(|two| two[0] < two[1]));
    }

    #[test]
    fn steps_follow_each_other_and_are_read_by_their_names() {
        let mut step = Some(RotationStep::Begun);
        let walked: Vec<RotationStep> = std::iter::from_fn(|| {
            let now = step?;
            step = now.next();
            Some(now)
        })
        .collect();
        assert_eq!(walked, RotationStep::ALL);
        for step in RotationStep::ALL {
            assert_eq!(step.as_str().parse(), Ok(step));
            assert_eq!(step.has_certificate(), step > RotationStep::Begun);
        }
        assert_eq!("lost".parse::<RotationStep>(), Err(UnknownRotationStep));
    }
}
