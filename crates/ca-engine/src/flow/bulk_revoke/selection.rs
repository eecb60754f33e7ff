//! Which certificates a bulk revocation reaches: counted, or taken, by the same rules.
//!
//! Whatever is asked for, each certificate is decided as a single revocation is: by the access policy, and by how it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ca_core::id::{AuthorityId, CertificateId, ProfileName};
use ca_core::principal::Principal;
use ca_core::revocation::{self, RevocationChange, RevocationError, RevocationReason};
use ca_core::time::Timestamp;
use futures::StreamExt;

use crate::engine::Engine;
use crate::error::{Fault, FlowError, FlowErrorKind};
use crate::flow::query::{self, CertificateName, certificate_resource};
use crate::flow::revoke::{check_offered, refused};
use crate::port::authorizer::{Action, Question, Resource};
use crate::port::store::{BulkShare, CertificateFilter, NameQuery, StoredCertificate};

/// The most certificates of one bulk revocation.
pub const MOST_CERTIFICATES: usize = 100_000;

/// The most certificates that one request can name.
pub const MOST_NAMED: usize = 10_000;

/// How many of them are looked up at a time: enough that nobody waits for each answer, and few enough that others are let to the
/// record.
const SIDE_BY_SIDE: usize = 8;

/// How many certificates a count shows, and how many refusals are listed.
pub const EXAMPLES: usize = 10;

/// How many refusals are listed by their ids.
pub const REFUSALS_LISTED: usize = 100;

/// Which certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkSelection {
    /// All that fit, have not ended, and are not the service's own unless their profile is named.
    Filter(BulkFilter),
    /// These.
    Certificates(Vec<CertificateName>),
}

/// What certificates must fit; absent members do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BulkFilter {
    /// Their profile.
    pub profile: Option<ProfileName>,
    /// Their issuer.
    pub authority: Option<AuthorityId>,
    /// Issued at or after this instant.
    pub issued_after: Option<Timestamp>,
    /// Issued before this instant.
    pub issued_before: Option<Timestamp>,
    /// `not_after` before this instant.
    pub expires_before: Option<Timestamp>,
    /// Their owner's principal reference.
    pub owner: Option<String>,
    /// A name; exact. May be personal data.
    pub name: Option<NameQuery>,
    /// SHA-256 of their SubjectPublicKeyInfo.
    pub spki_sha256: Option<[u8; 32]>,
}

impl BulkFilter {
    /// Whether it says which certificates are meant. Ends alone do not: they would let through everything there is.
    fn says_which(&self) -> bool {
        self.profile.is_some()
            || self.authority.is_some()
            || self.issued_after.is_some()
            || self.owner.is_some()
            || self.name.is_some()
            || self.spki_sha256.is_some()
    }
}

/// Without the text of a name: it may be personal data, and this goes on record.
impl fmt::Display for BulkFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = |instant: Option<Timestamp>| instant.map(Timestamp::to_rfc3339);
        let name = self.name.as_ref().map(|name| match name {
            NameQuery::AnyName(_) => ("name", "(not kept)".to_owned()),
            NameQuery::Subject(_) => ("subject", "(not kept)".to_owned()),
        });
        let members = [
            self.profile.as_ref().map(|profile| ("profile", profile.to_string())),
            self.authority.as_ref().map(|authority| ("authority", authority.to_string())),
            instant(self.issued_after).map(|text| ("issued-after", text)),
            instant(self.issued_before).map(|text| ("issued-before", text)),
            instant(self.expires_before).map(|text| ("expires-before", text)),
            self.owner.clone().map(|owner| ("owner", owner)),
            name,
            self.spki_sha256.map(|digest| ("public-key-sha256", hex::encode(digest))),
        ];
        for (place, (member, value)) in members.iter().flatten().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{member}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for BulkSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(filter) => filter.fmt(f),
            Self::Certificates(names) => write!(f, "a list of {}", names.len()),
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Selected {
    /// What is to be revoked.
    pub(super) certificates: BTreeSet<CertificateId>,
    /// How many of each issuer and profile.
    shares: BTreeMap<(AuthorityId, ProfileName), u64>,
    /// The newest of them.
    pub(super) examples: Vec<StoredCertificate>,
    /// How many the caller may not revoke.
    pub(super) refused: u64,
    /// The first of those.
    pub(super) refused_first: Vec<CertificateId>,
    /// How many nothing is to be done about.
    pub(super) already_revoked: u64,
    /// How many fit and were left out, because they are the service's own.
    pub(super) internal: u64,
}

impl Selected {
    pub(super) fn shares(&self) -> Vec<BulkShare> {
        let shares = self.shares.iter().map(|((authority, profile), count)| BulkShare {
            authority: authority.clone(),
            profile: profile.clone(),
            count: *count,
        });
        shares.collect()
    }
}

/// Decides about every certificate that is asked for.
pub(super) struct Selector<'a> {
    pub(super) engine: &'a Engine,
    pub(super) principal: &'a Principal,
    pub(super) reason: RevocationReason,
    pub(super) invalidity_date: Option<Timestamp>,
    pub(super) now: Timestamp,
}

impl Selector<'_> {
    /// Finds what is asked for; nothing is changed.
    pub(super) async fn select(&self, selection: &BulkSelection) -> Result<Selected, FlowError> {
        let mut selected = Selected::default();
        match selection {
            BulkSelection::Filter(filter) => self.walk(filter, &mut selected).await?,
            BulkSelection::Certificates(names) => self.look_up(names, &mut selected).await?,
        }
        Ok(selected)
    }

    async fn walk(&self, filter: &BulkFilter, selected: &mut Selected) -> Result<(), FlowError> {
        if !filter.says_which() {
            return Err(FlowError::invalid(
                "filter-too-wide",
                "/filter",
                "the filter fits every certificate there is; name a profile, an authority, an owner, a name, a public key or \
                 the time since when they were issued",
            ));
        }
        let asked = CertificateFilter {
            profile: filter.profile.clone(),
            authority: filter.authority.clone(),
            ends_from: Some(self.now),
            expires_before: filter.expires_before,
            issued_after: filter.issued_after,
            issued_before: filter.issued_before,
            owner: filter.owner.clone(),
            name: filter.name.clone(),
            spki_sha256: filter.spki_sha256,
            ..CertificateFilter::all(self.now)
        };
        let mut after = None;
        loop {
            let page = self.engine.store().list(&asked, after, 1_000).await?;
            for certificate in page.items {
                if filter.profile.is_none() && self.is_internal(&certificate) {
                    selected.internal += 1;
                } else {
                    self.judge(certificate, selected)?;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn look_up(&self, names: &[CertificateName], selected: &mut Selected) -> Result<(), FlowError> {
        let mut faults = Vec::new();
        let mut asked = BTreeSet::new();
        let distinct = names.iter().enumerate().filter(|(_, name)| asked.insert(*name));
        let distinct: Vec<_> = distinct.map(|(index, name)| (index, name.clone())).collect();
        let look_ups = distinct.into_iter().map(|(index, name)| resolve(self.engine, index, name));
        // In their order, so that the same list always has the same answer.
        let mut look_ups = futures::stream::iter(look_ups).buffered(SIDE_BY_SIDE);
        // One certificate may have several names.
        let mut seen = BTreeSet::new();
        while let Some((index, found)) = look_ups.next().await {
            match found {
                Ok(certificate) if seen.insert(certificate.id) => self.judge(certificate, selected)?,
                Ok(_) => {}
                Err(error) => {
                    let code = match error.kind {
                        FlowErrorKind::NotFound => "certificate-unknown",
                        FlowErrorKind::Removed => "certificate-removed",
                        FlowErrorKind::AmbiguousSerial => "serial-ambiguous",
                        _ => return Err(error),
                    };
                    let pointer = format!("/certificates/{index}");
                    faults.push(Fault { code: code.to_owned(), pointer, message: error.message });
                }
            }
        }
        if faults.is_empty() {
            return Ok(());
        }
        let summary = format!("{} of the certificates cannot be found; nothing was revoked", faults.len());
        faults.truncate(REFUSALS_LISTED);
        Err(FlowError::of_faults(FlowErrorKind::InvalidRequest, &summary, faults))
    }

    fn judge(&self, certificate: StoredCertificate, selected: &mut Selected) -> Result<(), FlowError> {
        check_offered(self.engine, &certificate, self.reason)?;
        match decide(&certificate, self.reason, self.invalidity_date, self.now)? {
            Some(_) => {}
            None => {
                selected.already_revoked += 1;
                return Ok(());
            }
        }
        let resource: Resource<'_> = certificate_resource(self.engine, &certificate);
        let question = Question { principal: self.principal, action: Action::RevokeCertificate, resource };
        if !self.engine.authorizer().decide(&question).is_allowed() {
            selected.refused += 1;
            if selected.refused_first.len() < REFUSALS_LISTED {
                selected.refused_first.push(certificate.id);
            }
            return Ok(());
        }
        if selected.certificates.len() == MOST_CERTIFICATES {
            return Err(FlowError::invalid(
                "too-many-certificates",
                "",
                format!(
                    "these are more than {MOST_CERTIFICATES} certificates, which is the most of one bulk revocation; ask for them \
                     in parts, by the time they were issued (`issued_after`, `issued_before`)"
                ),
            ));
        }
        selected.certificates.insert(certificate.id);
        *selected.shares.entry((certificate.authority.clone(), certificate.profile.clone())).or_default() += 1;
        if selected.examples.len() < EXAMPLES {
            selected.examples.push(certificate);
        }
        Ok(())
    }

    fn is_internal(&self, certificate: &StoredCertificate) -> bool {
        self.engine.profiles().get(&certificate.profile).is_none_or(|profile| profile.is_internal())
    }
}

/// What is on record under the name at that place of the list.
async fn resolve(
    engine: &Engine,
    index: usize,
    name: CertificateName,
) -> (usize, Result<StoredCertificate, FlowError>) {
    (index, query::resolve(engine, &name).await)
}

/// What revoking a certificate would make of it; `None` when it is revoked already, and nothing is to be changed.
pub(super) fn decide(
    certificate: &StoredCertificate,
    reason: RevocationReason,
    invalidity_date: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<revocation::Revocation>, FlowError> {
    match revocation::revoke(certificate.standing, reason, invalidity_date, now) {
        Ok(RevocationChange::Becomes(revocation)) => Ok(Some(revocation)),
        Ok(RevocationChange::AlreadyDone(_))
        | Err(RevocationError::AlreadyRevoked { .. } | RevocationError::RevokedForGood { .. }) => Ok(None),
        Err(error) => Err(refused(error)),
    }
}
