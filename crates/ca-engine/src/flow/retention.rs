//! Removes certificates from the record whose retention has passed, month by month of their end, and tells beforehand what would go.
//!
//! What is kept for ever is left alone by default; what a profile no longer describes nobody can say may go, so it stays. Serials,
//! standings and audit events are never touched: OCSP and lists answer as before.

use std::fmt;

use ca_core::id::ProfileName;
use ca_core::month::Month;
use ca_core::principal::Principal;
use ca_core::profile::{Profile, Retention};
use ca_core::time::{Lifetime, Timestamp};

use super::steady_clock;
use super::watch_clock::assure_clock;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::store::{KeptFor, LEAST_RETENTION, Lease, MonthRemoval, RemovalOutcome, RemovedCertificate};

/// The lease under which certificates are removed.
pub const LEASE_NAME: &str = "retention";

/// How long certificates of a profile stay on record after the month of their end; `None`: for ever. `keep_expired` is what the
/// operator decided for all.
pub fn kept_after_end(profile: &Profile, keep_expired: Option<Lifetime>) -> Option<Lifetime> {
    match (keep_expired, profile.retention()) {
        (None, _) | (_, Retention::Forever) => None,
        (Some(all), Retention::AsConfigured) => Some(all),
        (Some(all), Retention::AtLeast(longer)) => Some(all.max(longer)),
    }
}

/// A profile that the retention of all does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionFault {
    /// Its name.
    pub profile: ProfileName,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for RetentionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "profile `{}`: {}", self.profile, self.message)
    }
}

/// Every profile that would lose what it needs, or asks for less than all are kept.
pub fn faults<'a>(
    profiles: impl IntoIterator<Item = &'a Profile>,
    keep_expired: Option<Lifetime>,
) -> Vec<RetentionFault> {
    let Some(all) = keep_expired else { return Vec::new() };
    let fault = |profile: &Profile| {
        if let Retention::AtLeast(own) = profile.retention()
            && own < all
        {
            return Some(format!(
                "`retain` = \"{own}\" is shorter than `retention.expired` = \"{all}\"; a profile can only keep longer"
            ));
        }
        let kept = kept_after_end(profile, keep_expired)?;
        let until = profile.renewal().until;
        let least = Lifetime::from_seconds(until.seconds().saturating_add(LEAST_RETENTION.seconds()));
        (kept < least).then(|| {
            format!(
                "its certificates may be renewed until {until} after their end, so they must stay for {least} at least, not {kept}: \
                 raise `retention.expired` or the profile's `retain`"
            )
        })
    };
    let with_fault =
        |profile: &'a Profile| Some(RetentionFault { profile: profile.name().clone(), message: fault(profile)? });
    profiles.into_iter().filter_map(with_fault).collect()
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Of these months something may go now; oldest first, each with what may go.
    Months(Vec<MonthRemoval>),
    /// Nothing may before this instant: the clock is being watched.
    NotBefore(Timestamp),
}

/// What is due. Nothing is while the record is not known to be the newest, or the clock to be right; nor before the clock has gone on for
/// a day without a leap ([`super::steady_clock`]): to be called again and again.
pub async fn due(engine: &Engine, principal: &Principal) -> Result<Due, FlowError> {
    if engine.settings().keep_expired.is_none() {
        return Ok(Due::Months(Vec::new()));
    }
    assure_clock(engine).await?;
    let now = dependable_past(engine).await?;
    if let Some(from) = steady_clock::look(engine, now).await? {
        return Ok(Due::NotBefore(from));
    }
    let months = engine.store().months_before(now.minus(LEAST_RETENTION)).await?;
    let removal = |month| MonthRemoval {
        month,
        profiles: removable_profiles(engine, month, now),
        principal: principal.reference(),
        at: engine.now(),
    };
    Ok(Due::Months(months.into_iter().map(removal).filter(|removal| !removal.profiles.is_empty()).collect()))
}

/// Removes what may go of a month; the caller keeps the lease.
pub async fn remove(engine: &Engine, lease: &Lease, removal: MonthRemoval) -> Result<RemovalOutcome, FlowError> {
    assure_clock(engine).await?;
    Ok(engine.store().remove_month(lease, removal).await?)
}

fn removable_profiles(engine: &Engine, month: Month, now: Timestamp) -> Vec<ProfileName> {
    let keep_expired = engine.settings().keep_expired;
    let may_go =
        |profile: &Profile| kept_after_end(profile, keep_expired).is_some_and(|kept| month.end().plus(kept) <= now);
    engine.profiles().values().filter(|profile| may_go(profile)).map(|profile| profile.name().clone()).collect()
}

/// An instant that has passed by both clocks.
async fn dependable_past(engine: &Engine) -> Result<Timestamp, FlowError> {
    Ok(engine.store().database_time().await?.min(engine.now()))
}

/// What would become of a month if what is due were removed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthPlan {
    /// The month of `not_after`.
    pub month: Month,
    /// How many certificates would go.
    pub goes: u64,
    /// What would stay, and why.
    pub stays: Vec<Stay>,
}

impl MonthPlan {
    /// How many certificates would stay.
    pub fn stay_count(&self) -> u64 {
        self.stays.iter().map(|stay| stay.certificates).sum()
    }
}

/// Certificates of one profile that stay for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay {
    /// Their profile.
    pub profile: ProfileName,
    /// Why.
    pub reason: StayReason,
    /// How many.
    pub certificates: u64,
}

/// Why certificates stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StayReason {
    /// The operator keeps everything.
    Off,
    /// Their profile keeps them for ever.
    Forever,
    /// Their time has not come; it does at this instant.
    Until(Timestamp),
    /// There is no such profile any more.
    UnknownProfile,
    /// Something still needs them.
    Kept(KeptFor),
}

impl StayReason {
    /// The name in outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "retention-off",
            Self::Forever => "kept-forever",
            Self::Until(_) => "not-yet",
            Self::UnknownProfile => "unknown-profile",
            Self::Kept(reason) => reason.as_str(),
        }
    }
}

/// What would become of every month that has ended, and of what is on record of it. Changes nothing; for the operator of the host, so
/// no policy is asked.
pub async fn review(engine: &Engine) -> Result<Vec<MonthPlan>, FlowError> {
    let now = dependable_past(engine).await?;
    let mut plans = Vec::new();
    for month in engine.store().months_before(now).await? {
        let removable = removable_profiles(engine, month, now);
        let mut plan = MonthPlan { month, goes: 0, stays: Vec::new() };
        for share in engine.store().review_month(month).await? {
            let reason = match share.kept_for {
                None if removable.contains(&share.profile) => {
                    plan.goes += share.certificates;
                    continue;
                }
                Some(kept) if removable.contains(&share.profile) => StayReason::Kept(kept),
                _ => profile_reason(engine, &share.profile, month),
            };
            plan.stays.push(Stay { profile: share.profile, reason, certificates: share.certificates });
        }
        merge(&mut plan.stays);
        plans.push(plan);
    }
    plans.retain(|plan| plan.goes > 0 || !plan.stays.is_empty());
    Ok(plans)
}

fn profile_reason(engine: &Engine, name: &ProfileName, month: Month) -> StayReason {
    let keep_expired = engine.settings().keep_expired;
    match engine.profiles().get(name) {
        _ if keep_expired.is_none() => StayReason::Off,
        None => StayReason::UnknownProfile,
        Some(profile) => match kept_after_end(profile, keep_expired) {
            Some(kept) => StayReason::Until(month.end().plus(kept)),
            None => StayReason::Forever,
        },
    }
}

/// One line for what has the same fate: whatever else keeps a certificate that its profile keeps does not matter.
fn merge(stays: &mut Vec<Stay>) {
    let mut merged: Vec<Stay> = Vec::new();
    for stay in stays.drain(..) {
        match merged.iter_mut().find(|known| known.profile == stay.profile && known.reason == stay.reason) {
            Some(known) => known.certificates += stay.certificates,
            None => merged.push(stay),
        }
    }
    *stays = merged;
}

/// What is told of a certificate that was removed.
pub(super) fn removed_error(removed: &RemovedCertificate) -> FlowError {
    let message = format!(
        "the certificate {}:{} ended at {} and was removed from the record after its retention; OCSP and lists still answer for its \
         serial",
        removed.authority, removed.serial, removed.not_after
    );
    FlowError::new(FlowErrorKind::Removed, message)
}

#[cfg(test)]
mod tests {
    use ca_core::profile::built_in;

    use super::*;

    fn profile(name: &str, changes: &[(&str, &str)]) -> Profile {
        let built_in = built_in().iter().find(|built_in| built_in.name == name).expect("built in");
        let text = changes.iter().fold(built_in.text.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        Profile::from_toml(&text).expect("a profile")
    }

    const YEAR: Option<Lifetime> = Some(Lifetime::from_days(365));

    #[test]
    fn everything_stays_for_ever_unless_the_operator_says_otherwise() {
        for built_in in built_in() {
            assert_eq!(kept_after_end(&built_in.profile().expect("sound"), None), None, "{}", built_in.name);
        }
    }

    #[test]
    fn what_signs_documents_certificates_or_status_stays_for_ever() {
        for built_in in built_in() {
            let kept = kept_after_end(&built_in.profile().expect("sound"), YEAR);
            let is_evidence = ["document", "root", "subordinate", "ocsp-responder"].contains(&built_in.name);
            assert_eq!(kept, if is_evidence { None } else { YEAR }, "{}", built_in.name);
        }
        let unsaid = profile("document", &[("retain = \"forever\"\n", "")]);
        assert_eq!(kept_after_end(&unsaid, YEAR), None, "evidence by what its key is for");
        let said = profile("document", &[("retain = \"forever\"", "retain = \"3650d\"")]);
        assert_eq!(kept_after_end(&said, YEAR), Some(Lifetime::from_days(3_650)));
    }

    #[test]
    fn a_profile_keeps_longer_and_never_shorter() {
        let at = |days: &str| profile("server", &[("must_staple = false", &format!("retain = \"{days}\""))]);
        assert_eq!(kept_after_end(&at("400d"), YEAR), Some(Lifetime::from_days(400)));
        assert_eq!(kept_after_end(&at("40d"), YEAR), YEAR);
        assert_eq!(faults([&at("400d")], YEAR), []);
        let faults = faults([&at("40d")], YEAR);
        assert_eq!(faults.len(), 1);
        assert!(
            faults[0].to_string().contains("\"40d\" is shorter than `retention.expired` = \"365d\""),
            "{}",
            faults[0]
        );
    }

    #[test]
    fn a_certificate_that_may_still_be_renewed_is_not_removed() {
        let late = profile("server", &[("until = \"0s\"", "until = \"20d\"")]);
        assert_eq!(faults([&late], Some(Lifetime::from_days(50))), []);
        let message = faults([&late], Some(Lifetime::from_days(49)))[0].to_string();
        assert!(message.contains("must stay for 50d at least, not 49d"), "{message}");
        assert_eq!(faults([&late], None), []);
    }
}
