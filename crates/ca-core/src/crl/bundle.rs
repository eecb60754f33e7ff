//! The lists that a gateway judges clients by, as one bundle: of each authority that it trusts a complete list, proved, in its
//! time, and no step back. A bundle is whole or it is none: OpenSSL, which nginx and HAProxy judge with, refuses every client
//! while the list of one authority of the chain is missing, and takes a delta for a complete list.
//!
//! Where lists come from and where the bundle goes is the caller's business.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{CrlSignatureError, PEM_LABEL, ParsedCrl};
use crate::certificate::Certificate;
use crate::hash::sha256;
use crate::name::DistinguishedName;
use crate::pem;
use crate::time::{Lifetime, Timestamp};

/// How far the clock of whoever made a list may be ahead of the one that judges it.
pub const CLOCK_SKEW: Lifetime = Lifetime::from_seconds(300);

/// Which authority: SHA-256 over its name and its key, so that a certificate anew for the same key changes nothing.
pub type AuthorityMark = [u8; 32];

/// The authorities whose lists belong into a bundle.
#[derive(Clone, Debug)]
pub struct BundleScope {
    authorities: Vec<Certificate>,
}

impl BundleScope {
    /// The authorities that a gateway accepts clients of: each must lead to a root among them, as the gateway itself needs it to.
    pub fn new(certificates: Vec<Certificate>) -> Result<Self, ScopeError> {
        let mut authorities: Vec<Certificate> = Vec::new();
        for certificate in certificates {
            if !certificate.is_authority() {
                return Err(ScopeError::NoAuthority { subject: certificate.subject().to_string() });
            }
            if authorities.iter().all(|known| authority_mark(known) != authority_mark(&certificate)) {
                authorities.push(certificate);
            }
        }
        if authorities.is_empty() {
            return Err(ScopeError::Empty);
        }
        for authority in &authorities {
            let has_issuer = authorities.iter().any(|issuer| {
                issuer.subject() == authority.issuer() && authority.verify_signed_by(issuer.public_key()).is_ok()
            });
            if !has_issuer {
                return Err(ScopeError::NoIssuer {
                    subject: authority.subject().to_string(),
                    issuer: authority.issuer().to_string(),
                });
            }
        }
        // Roots last: tools that read the first list of a file alone find the one that matters most.
        authorities.sort_by_key(Certificate::is_self_issued);
        Ok(Self { authorities })
    }

    /// The authorities, roots last.
    pub fn authorities(&self) -> &[Certificate] {
        &self.authorities
    }

    /// The authorities that nobody above signed.
    pub fn roots(&self) -> impl Iterator<Item = &Certificate> {
        self.authorities.iter().filter(|authority| authority.is_self_issued())
    }
}

/// A list that was in place: none may follow it that is older, and no other under its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListMark {
    /// Its number.
    pub number: u64,
    /// SHA-256 over its DER.
    pub sha256: [u8; 32],
}

/// One list of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct BundledList {
    /// Whose it is.
    pub authority: Certificate,
    /// Its number.
    pub number: u64,
    /// When the next one comes at the latest.
    pub next_update: Timestamp,
    /// The list.
    pub list: ParsedCrl,
}

impl BundledList {
    /// What is remembered of it.
    pub fn mark(&self) -> ListMark {
        ListMark { number: self.number, sha256: sha256(self.list.as_der()) }
    }
}

/// A list of each authority, in the order of the scope.
#[derive(Clone, Debug, PartialEq)]
pub struct CrlBundle {
    lists: Vec<BundledList>,
}

impl CrlBundle {
    /// Chooses the newest complete list of each authority. `before` tells what was in place; `now` is the present.
    ///
    /// Whatever else is among `lists` is left out. Every authority without a list that may be used is told.
    pub fn assemble(
        scope: &BundleScope,
        lists: &[ParsedCrl],
        before: &BTreeMap<AuthorityMark, ListMark>,
        now: Timestamp,
    ) -> Result<Self, Vec<BundleFault>> {
        let mut chosen = Vec::new();
        let mut faults = Vec::new();
        for authority in scope.authorities() {
            match choose(authority, lists, before.get(&authority_mark(authority)), now) {
                Ok(list) => chosen.push(list),
                Err(wrong) => faults.push(BundleFault { authority: authority.subject().clone(), wrong }),
            }
        }
        if faults.is_empty() { Ok(Self { lists: chosen }) } else { Err(faults) }
    }

    /// The same of lists that were judged before and may have ended since: all but their time is judged.
    pub fn reassemble(scope: &BundleScope, lists: &[ParsedCrl]) -> Result<Self, Vec<BundleFault>> {
        let mut chosen = Vec::new();
        let mut faults = Vec::new();
        for authority in scope.authorities() {
            let proved = newest_proved(authority, lists).and_then(|list| bundled(authority, list));
            match proved {
                Ok(list) => chosen.push(list),
                Err(wrong) => faults.push(BundleFault { authority: authority.subject().clone(), wrong }),
            }
        }
        if faults.is_empty() { Ok(Self { lists: chosen }) } else { Err(faults) }
    }

    /// The lists, roots' last.
    pub fn lists(&self) -> &[BundledList] {
        &self.lists
    }

    /// What is remembered of the lists.
    pub fn marks(&self) -> BTreeMap<AuthorityMark, ListMark> {
        self.lists.iter().map(|list| (authority_mark(&list.authority), list.mark())).collect()
    }

    /// When the first of the lists ends.
    pub fn next_update(&self) -> Option<Timestamp> {
        self.lists.iter().map(|list| list.next_update).min()
    }

    /// The lists as PEM, one after the other.
    pub fn to_pem(&self) -> String {
        self.lists.iter().map(|list| pem::encode(PEM_LABEL, list.list.as_der())).collect()
    }
}

/// Which authority a certificate is of.
pub fn authority_mark(authority: &Certificate) -> AuthorityMark {
    sha256(&[authority.subject().as_der(), authority.public_key().spki_der()].concat())
}

fn choose(
    authority: &Certificate,
    lists: &[ParsedCrl],
    before: Option<&ListMark>,
    now: Timestamp,
) -> Result<BundledList, ListFault> {
    let chosen = bundled(authority, newest_proved(authority, lists)?)?;
    let this_update = chosen.list.this_update();
    if this_update > now {
        return Err(match this_update > now.plus(CLOCK_SKEW) {
            true => ListFault::OfTheFuture { this_update },
            false => ListFault::NotYet { this_update },
        });
    }
    if chosen.next_update < now {
        return Err(ListFault::Expired { next_update: chosen.next_update });
    }
    match before {
        Some(before) if chosen.number < before.number => {
            Err(ListFault::StepBack { number: chosen.number, before: before.number })
        }
        Some(before) if chosen.number == before.number && chosen.mark() != *before => {
            Err(ListFault::AnotherUnderTheNumber { number: chosen.number })
        }
        _ => Ok(chosen),
    }
}

/// The complete list of an authority with the highest number, among those that are signed by it.
fn newest_proved<'a>(authority: &Certificate, lists: &'a [ParsedCrl]) -> Result<&'a ParsedCrl, ListFault> {
    let mut newest: Option<&ParsedCrl> = None;
    let mut fault = ListFault::Missing;
    for list in lists.iter().filter(|list| list.issuer() == authority.subject()) {
        if list.is_delta() {
            fault = ListFault::OnlyDelta;
        } else if list.distribution_point().is_some() || !list.covers(true) || !list.covers(false) {
            fault = ListFault::OnlyPart;
        } else if let Err(error) = list.verify(authority.subject(), authority.public_key()) {
            fault = ListFault::NotProved(error);
        } else if newest.is_none_or(|newest| newest.number() < list.number()) {
            newest = Some(list);
        }
    }
    newest.ok_or(fault)
}

fn bundled(authority: &Certificate, list: &ParsedCrl) -> Result<BundledList, ListFault> {
    Ok(BundledList {
        authority: authority.clone(),
        number: list.number().ok_or(ListFault::WithoutNumber)?,
        next_update: list.next_update().ok_or(ListFault::WithoutEnd)?,
        list: list.clone(),
    })
}

/// Certificates that are no set of authorities a gateway could judge by.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScopeError {
    /// None at all.
    #[error("there is no authority's certificate in it")]
    Empty,
    /// A certificate that is no authority's.
    #[error("`{subject}` is no authority; only authorities' certificates belong here, issuing ones and their roots")]
    NoAuthority {
        /// Its subject.
        subject: String,
    },
    /// An authority whose issuer is not there.
    #[error("the issuer of `{subject}`, `{issuer}`, is missing; every authority up to the root belongs here")]
    NoIssuer {
        /// The authority.
        subject: String,
        /// Who signed it.
        issuer: String,
    },
}

/// An authority without a list that may be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the list of `{authority}`: {wrong}")]
pub struct BundleFault {
    /// The authority.
    pub authority: DistinguishedName,
    /// What is wrong.
    pub wrong: ListFault,
}

/// Why a list may not be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ListFault {
    /// There is none.
    #[error("there is none")]
    Missing,
    /// There is but a delta.
    #[error("there is but a delta, which OpenSSL would take for a complete list")]
    OnlyDelta,
    /// There is but one for a part of the certificates.
    #[error("there is but one that covers a part of the certificates")]
    OnlyPart,
    /// The authority did not sign it.
    #[error(transparent)]
    NotProved(CrlSignatureError),
    /// It has no number, or one of 2^64 and more.
    #[error("it has no number, so an older one could not be told")]
    WithoutNumber,
    /// It does not say when the next comes.
    #[error("it does not say when the next one comes (nextUpdate)")]
    WithoutEnd,
    /// It begins in a moment. OpenSSL refuses every client by a list that has not begun, so it waits.
    #[error("it begins at {this_update}, in a moment")]
    NotYet {
        /// When.
        this_update: Timestamp,
    },
    /// It begins later than clocks differ.
    #[error("it is of {this_update}, which is yet to come; is the clock right?")]
    OfTheFuture {
        /// When.
        this_update: Timestamp,
    },
    /// It has ended.
    #[error("it ended at {next_update}")]
    Expired {
        /// When.
        next_update: Timestamp,
    },
    /// A newer one was in place.
    #[error("it has the number {number}, and {before} is in place already")]
    StepBack {
        /// Its number.
        number: u64,
        /// That of the newer one.
        before: u64,
    },
    /// Another one of its number was in place.
    #[error("it is another than the one that is in place, under the same number {number}")]
    AnotherUnderTheNumber {
        /// The number.
        number: u64,
    },
}

#[cfg(test)]
mod tests;
