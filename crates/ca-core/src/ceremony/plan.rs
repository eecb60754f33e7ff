//! From a script to its acts: which lists and responders for which time, under which numbers.

use std::fmt;

use thiserror::Error;

use super::root::{Kind, RootKey};
use super::script::Script;
use crate::id::AuthorityId;
use crate::revocation::RevocationReason;
use crate::serial::Serial;
use crate::time::{Lifetime, Timestamp};

/// How long a list, or a responder, may be relied on: 13 months.
const LIFE: Lifetime = Lifetime::from_days(395);
/// How far apart they begin: so each overlaps with the next by a month.
const INTERVAL: Lifetime = Lifetime::from_days(365);

/// A certificate of the root's that was revoked by an earlier ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedEarlier {
    /// Its serial number.
    pub serial: Serial,
    /// When.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// What earlier ceremonies left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The highest number of a list that they made, opened or not.
    pub highest_number: u64,
    /// What they revoked.
    pub revoked: Vec<RevokedEarlier>,
    /// Sealed files that were never opened: they are destroyed.
    pub unopened: Vec<String>,
}

/// For which time a list, and a responder, is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPeriod {
    /// The list's number.
    pub number: u64,
    /// Its thisUpdate.
    pub this_update: Timestamp,
    /// Its nextUpdate.
    pub next_update: Timestamp,
    /// Whether it is sealed until then: all but the first.
    pub is_sealed: bool,
}

/// One act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The root's key and certificate.
    MakeRoot,
    /// The certificate of a root whose key is there already, in a token or in AWS KMS.
    CertifyRoot,
    /// The root's key is brought, and held against its certificate.
    OpenRoot,
    /// An authority's request is signed.
    SignSubordinate(AuthorityId),
    /// A certificate of the root's goes onto the lists: which of the script's.
    Revoke(usize),
    /// A list.
    MakeList(ListPeriod),
    /// A responder's key and certificate, for the time of the list with this number.
    MakeResponder(ListPeriod),
    /// A sealed file of an earlier ceremony is destroyed.
    Destroy(String),
    /// The transcript is signed.
    SignTranscript,
}

/// What a script leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they are carried out.
    pub acts: Vec<Act>,
}

/// Plans a ceremony at `now`. `root_ends` is the end of a root that is there.
pub fn plan(script: &Script, past: &Past, root_ends: Option<Timestamp>, now: Timestamp) -> Result<Plan, PlanFault> {
    let now = now.floor_to_second();
    let (first, root_ends) = match script.kind {
        Kind::Establish => {
            let act = match script.root.key {
                RootKey::File { .. } | RootKey::Token { make: Some(_), .. } => Act::MakeRoot,
                RootKey::Token { make: None, .. } | RootKey::Kms { .. } => Act::CertifyRoot,
            };
            (act, now.plus(script.root.validity))
        }
        Kind::Continue => (Act::OpenRoot, root_ends.ok_or(PlanFault::NoRoot)?),
    };
    if root_ends <= now {
        return Err(PlanFault::RootEnded { at: root_ends });
    }
    let mut acts = vec![first];
    acts.extend(script.subordinates.iter().map(|subordinate| Act::SignSubordinate(subordinate.id.clone())));
    acts.extend((0..script.revocations.len()).map(Act::Revoke));
    let periods: Vec<ListPeriod> = periods(script.years, past.highest_number, root_ends, now).collect();
    acts.extend(periods.iter().copied().map(Act::MakeList));
    acts.extend(periods.into_iter().map(Act::MakeResponder));
    acts.extend(past.unopened.iter().cloned().map(Act::Destroy));
    acts.push(Act::SignTranscript);
    Ok(Plan { acts })
}

/// A list a year, each for 13 months and none beyond the root.
fn periods(years: u32, highest_number: u64, root_ends: Timestamp, now: Timestamp) -> impl Iterator<Item = ListPeriod> {
    let begins = move |year: u32| now.plus(Lifetime::from_seconds(u64::from(year) * INTERVAL.seconds()));
    (0..years).take_while(move |year| begins(*year) < root_ends).map(move |year| ListPeriod {
        number: highest_number + 1 + u64::from(year),
        this_update: begins(year),
        next_update: begins(year).plus(LIFE).min(root_ends),
        is_sealed: year > 0,
    })
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeRoot => f.write_str("make the root's key, and its certificate"),
            Self::CertifyRoot => f.write_str("take the root's key that is held elsewhere, and make its certificate"),
            Self::OpenRoot => f.write_str("open the root's key, and hold it against the root's certificate"),
            Self::SignSubordinate(id) => write!(f, "sign the request of `{id}`"),
            Self::Revoke(index) => write!(f, "revoke certificate {} of the script", index + 1),
            Self::MakeList(period) => write!(f, "make list {} {period}", period.number),
            Self::MakeResponder(period) => {
                write!(f, "make the OCSP responder that goes with list {} {period}", period.number)
            }
            Self::Destroy(file) => write!(f, "destroy {file}, which was never opened"),
            Self::SignTranscript => f.write_str("sign the transcript"),
        }
    }
}

impl fmt::Display for ListPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sealed = if self.is_sealed { ", and seal it" } else { "" };
        write!(f, "from {} until {}{sealed}", self.this_update, self.next_update)
    }
}

/// Why a script cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanFault {
    /// Nothing is known of the root that is to go on.
    #[error("the certificate of the root is missing")]
    NoRoot,
    /// The root is past its end.
    #[error("the root ended at {at}")]
    RootEnded {
        /// When.
        at: Timestamp,
    },
}
