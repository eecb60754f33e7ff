//! Revocation reasons (RFC 5280 §5.3.1) and the legal changes of a certificate's state.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::time::Timestamp;

/// Why a certificate is revoked; the codes of CRLReason. `removeFromCRL` (8) belongs to delta CRLs only and is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RevocationReason {
    /// 0; never written into a CRL entry (RFC 5280 §5.3.1 asks to leave it out).
    Unspecified,
    /// 1: the subject's key is known to others, or may be.
    KeyCompromise,
    /// 2: the issuer's key is.
    CaCompromise,
    /// 3
    AffiliationChanged,
    /// 4
    Superseded,
    /// 5
    CessationOfOperation,
    /// 6: may be lifted.
    CertificateHold,
    /// 9
    PrivilegeWithdrawn,
    /// 10
    AaCompromise,
}

impl RevocationReason {
    /// Every reason, in the order of its code.
    pub const ALL: [Self; 9] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// The CRLReason code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
            Self::PrivilegeWithdrawn => 9,
            Self::AaCompromise => 10,
        }
    }

    /// The reason of a CRLReason code, where there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The name RFC 5280 gives it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RevocationReason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or_else(|| UnknownReason(text.to_owned()))
    }
}

/// Text that is no revocation reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not a revocation reason; use one of unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, \
     cessationOfOperation, certificateHold, privilegeWithdrawn, aACompromise"
)]
pub struct UnknownReason(pub String);

/// That a certificate is revoked or held, since when and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When it was revoked, as OCSP and CRL tell it. Whole seconds.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
    /// Since when the key must be taken as compromised (RFC 5280 §5.3.2). Whole seconds.
    pub invalidity_date: Option<Timestamp>,
}

/// Whether a certificate on record stands. Expiry is a matter of the clock and is no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Issued, neither revoked nor held.
    Active,
    /// Revoked for good, or on hold when the reason is `certificateHold`.
    Revoked(Revocation),
}

/// What a revocation request does to a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationChange {
    /// The state becomes this one.
    Becomes(Revocation),
    /// It was so already; nothing changes.
    AlreadyDone(Revocation),
}

/// Decides what revoking a certificate that stands as `current` does, at `now`.
///
/// A reason once given stays, except that `keyCompromise` may replace any other, keeping the date, and that any reason may
/// end a hold (the date of the hold stays: the certificate was not valid since then).
pub fn revoke(
    current: Standing,
    reason: RevocationReason,
    invalidity_date: Option<Timestamp>,
    now: Timestamp,
) -> Result<RevocationChange, RevocationError> {
    let invalidity_date = invalidity_date.map(Timestamp::floor_to_second);
    if invalidity_date.is_some_and(|date| date > now) {
        return Err(RevocationError::InvalidityDateInTheFuture);
    }
    let earlier = match current {
        Standing::Active => {
            return Ok(RevocationChange::Becomes(Revocation {
                revoked_at: now.floor_to_second(),
                reason,
                invalidity_date,
            }));
        }
        Standing::Revoked(earlier) => earlier,
    };
    if earlier.reason == reason {
        return Ok(RevocationChange::AlreadyDone(earlier));
    }
    let replaces = earlier.reason == RevocationReason::CertificateHold || reason == RevocationReason::KeyCompromise;
    if reason == RevocationReason::CertificateHold {
        return Err(RevocationError::RevokedForGood { reason: earlier.reason });
    }
    if !replaces {
        return Err(RevocationError::AlreadyRevoked { reason: earlier.reason });
    }
    Ok(RevocationChange::Becomes(Revocation {
        revoked_at: earlier.revoked_at,
        reason,
        invalidity_date: invalidity_date.or(earlier.invalidity_date),
    }))
}

/// Decides whether a hold may be ended.
pub fn unhold(current: Standing) -> Result<(), RevocationError> {
    match current {
        Standing::Revoked(Revocation { reason: RevocationReason::CertificateHold, .. }) => Ok(()),
        Standing::Revoked(Revocation { reason, .. }) => Err(RevocationError::RevokedForGood { reason }),
        Standing::Active => Err(RevocationError::NotHeld),
    }
}

/// A change of state that is not legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RevocationError {
    /// The certificate is revoked for another reason.
    #[error("the certificate is revoked already, with reason {reason}; {}", replacement(*reason))]
    AlreadyRevoked {
        /// The reason on record.
        reason: RevocationReason,
    },
    /// A revocation can neither become a hold nor end as one does.
    #[error(
        "the certificate is revoked for good, with reason {reason}, and can be neither held nor released; ask for a new one"
    )]
    RevokedForGood {
        /// The reason on record.
        reason: RevocationReason,
    },
    /// Only a held certificate can be released.
    #[error("the certificate is in force and not on hold: there is nothing to end")]
    NotHeld,
    /// The invalidity date lies in the future.
    #[error("the invalidity date lies in the future; it says since when the key is not to be trusted")]
    InvalidityDateInTheFuture,
}

/// What may take the place of a reason that was given, for people.
fn replacement(reason: RevocationReason) -> &'static str {
    match reason {
        RevocationReason::KeyCompromise => "nothing may replace that",
        _ => "only keyCompromise may replace that",
    }
}

#[cfg(test)]
mod tests {
    use super::RevocationReason::*;
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000);
    const LATER: Timestamp = Timestamp::from_unix_seconds(2_000);

    fn revoked(reason: RevocationReason) -> Standing {
        Standing::Revoked(Revocation { revoked_at: NOW, reason, invalidity_date: None })
    }

    #[test]
    fn same_reason_is_done_other_reason_is_a_conflict() {
        assert!(matches!(revoke(revoked(Superseded), Superseded, None, LATER), Ok(RevocationChange::AlreadyDone(_))));
        assert_eq!(
            revoke(revoked(Superseded), PrivilegeWithdrawn, None, LATER),
            Err(RevocationError::AlreadyRevoked { reason: Superseded })
        );
    }

    #[test]
    fn key_compromise_replaces_a_reason_and_keeps_the_date() {
        let change = revoke(revoked(Superseded), KeyCompromise, None, LATER).expect("legal");
        assert_eq!(
            change,
            RevocationChange::Becomes(Revocation { revoked_at: NOW, reason: KeyCompromise, invalidity_date: None })
        );
    }

    #[test]
    fn a_hold_can_become_a_revocation_but_not_the_other_way() {
        assert!(matches!(revoke(revoked(CertificateHold), Superseded, None, LATER), Ok(RevocationChange::Becomes(_))));
        for reason in [Superseded, KeyCompromise] {
            assert_eq!(
                revoke(revoked(reason), CertificateHold, None, LATER),
                Err(RevocationError::RevokedForGood { reason })
            );
        }
    }

    #[test]
    fn only_a_hold_can_be_lifted() {
        assert_eq!(unhold(revoked(CertificateHold)), Ok(()));
        assert_eq!(unhold(revoked(KeyCompromise)), Err(RevocationError::RevokedForGood { reason: KeyCompromise }));
        assert_eq!(unhold(Standing::Active), Err(RevocationError::NotHeld));
    }

    #[test]
    fn an_invalidity_date_lies_in_the_past() {
        assert!(revoke(Standing::Active, KeyCompromise, Some(LATER), NOW).is_err());
        assert!(revoke(Standing::Active, KeyCompromise, Some(NOW), LATER).is_ok());
    }

    #[test]
    fn reasons_round_trip_by_name_and_code() {
        for reason in RevocationReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
            assert_eq!(RevocationReason::from_code(reason.code()), Some(reason));
        }
        assert!("keycompromise".parse::<RevocationReason>().is_err());
        assert!("removeFromCRL".parse::<RevocationReason>().is_err());
        assert_eq!(RevocationReason::from_code(8), None);
    }
}
