//! One entry of a CRL (RFC 5280 §5.3) and its reason.

use crate::revocation::{Revocation, RevocationReason};
use crate::serial::Serial;
use crate::time::Timestamp;

/// A revoked certificate on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlEntry {
    /// Its serial number.
    pub serial: Serial,
    /// When it was revoked; a fraction of a second is cut off.
    pub revoked_at: Timestamp,
    /// Why; `None` stands for unspecified, which is left out.
    pub reason: Option<EntryReason>,
    /// Since when the key must be taken as compromised (§5.3.2).
    pub invalidity_date: Option<Timestamp>,
}

impl CrlEntry {
    /// The entry of a certificate that is revoked or on hold.
    pub fn new(serial: Serial, revocation: &Revocation) -> Self {
        Self {
            serial,
            revoked_at: revocation.revoked_at,
            reason: EntryReason::of(revocation.reason),
            invalidity_date: revocation.invalidity_date,
        }
    }
}

/// The reason codes that a list may carry: never `unspecified` (§5.3.1: leave the extension out), and `removeFromCRL`
/// only on a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryReason {
    /// 1
    KeyCompromise,
    /// 2
    CaCompromise,
    /// 3
    AffiliationChanged,
    /// 4
    Superseded,
    /// 5
    CessationOfOperation,
    /// 6
    CertificateHold,
    /// 8: on a delta, a hold that ended or a certificate that expired.
    RemoveFromCrl,
    /// 9
    PrivilegeWithdrawn,
    /// 10
    AaCompromise,
}

impl EntryReason {
    /// Every reason, in the order of its code.
    pub const ALL: [Self; 9] = [
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::RemoveFromCrl,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// How an entry tells this reason; `None` for unspecified.
    pub const fn of(reason: RevocationReason) -> Option<Self> {
        Some(match reason {
            RevocationReason::Unspecified => return None,
            RevocationReason::KeyCompromise => Self::KeyCompromise,
            RevocationReason::CaCompromise => Self::CaCompromise,
            RevocationReason::AffiliationChanged => Self::AffiliationChanged,
            RevocationReason::Superseded => Self::Superseded,
            RevocationReason::CessationOfOperation => Self::CessationOfOperation,
            RevocationReason::CertificateHold => Self::CertificateHold,
            RevocationReason::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
            RevocationReason::AaCompromise => Self::AaCompromise,
        })
    }

    /// The CRLReason code.
    pub const fn code(self) -> u8 {
        match self {
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
            Self::RemoveFromCrl => 8,
            Self::PrivilegeWithdrawn => 9,
            Self::AaCompromise => 10,
        }
    }

    /// The reason of a CRLReason code; `None` for 0 (unspecified) and for codes that RFC 5280 does not assign.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}
