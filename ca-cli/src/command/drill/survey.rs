//! What there is of an authority that is taken to be compromised, as the service tells it now.

use std::collections::{BTreeMap, BTreeSet};

use ca_api::authority::{Authority, AuthorityStatus};
use ca_api::bulk_revocation::RevocationCount;
use ca_api::managed::ManagedCertificate;
use ca_core::id::AuthorityId;
use ca_core::revocation::RevocationReason;
use ca_core::time::Timestamp;
use ca_engine::flow::bulk_revoke::{BulkFilter, BulkRevokeRequest, BulkSelection};
use ca_engine::generation::{generation_in, line_of};
use ca_engine::port::store::{CertificateFilter, StatusFilter};

use crate::command::managed::all as all_managed;
use crate::exit::Failure;
use crate::service::{PageRequest, Service};

/// What there is.
pub(super) struct Survey {
    /// The newest later generation that signs, with whether it issues already.
    pub(super) next: Option<(Authority, bool)>,
    /// The certificates of the authority that are in force, by id.
    pub(super) in_force: BTreeSet<String>,
    /// The managed certificates whose current one is among them, by name.
    pub(super) managed: BTreeMap<String, ManagedCertificate>,
    /// What a revocation of all of them would reach.
    pub(super) count: RevocationCount,
}

impl Survey {
    pub(super) async fn take(service: &dyn Service, id: &AuthorityId, now: Timestamp) -> Result<Self, Failure> {
        service.authority(id).await?;
        let next = next_generation(&service.authorities().await?, id, now);
        let in_force = certificates(service, id, now).await?.into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>();
        let is_of_it = |one: &ManagedCertificate| {
            one.current.as_ref().is_some_and(|current| in_force.contains(&current.certificate))
        };
        let managed = all_managed(service).await?.into_iter().filter(is_of_it);
        let managed = managed.map(|one| (one.name.clone(), one)).collect();
        let count = service.count_bulk_revocation(&everything_of(id, RevocationReason::Superseded)).await?;
        Ok(Self { next, in_force, managed, count })
    }
}

/// A revocation of all that an authority has issued, the service's own certificates apart.
pub(super) fn everything_of(id: &AuthorityId, reason: RevocationReason) -> BulkRevokeRequest {
    let filter = BulkFilter { authority: Some(id.clone()), ..BulkFilter::default() };
    BulkRevokeRequest { selection: BulkSelection::Filter(filter), reason, invalidity_date: None, request_id: None }
}

/// The certificates of an authority that are in force, each with the one that it renews.
pub(super) async fn certificates(
    service: &dyn Service,
    id: &AuthorityId,
    now: Timestamp,
) -> Result<Vec<(String, Option<String>)>, Failure> {
    let filter = CertificateFilter {
        status: Some(StatusFilter::Active),
        authority: Some(id.clone()),
        ..CertificateFilter::all(now)
    };
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = PageRequest { limit: ca_api::page::MAXIMUM_LIMIT, cursor };
        let page = service.certificates(&filter, page).await?;
        found.extend(page.items.into_iter().map(|certificate| (certificate.id, certificate.renews)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// The newest later generation of the line that signs, with whether it issues already.
pub(super) fn next_generation(
    authorities: &[Authority],
    id: &AuthorityId,
    now: Timestamp,
) -> Option<(Authority, bool)> {
    let line = line_of(id);
    let number = |authority: &Authority| generation_in(&line, &authority.id.parse().ok()?);
    let own = generation_in(&line, id)?;
    let later = authorities.iter().filter(|one| one.status == AuthorityStatus::Active);
    let later = later.filter_map(|one| number(one).filter(|number| *number > own).map(|number| (number, one)));
    let (_, newest) = later.max_by_key(|(number, _)| *number)?;
    let issues = match newest.issues_from.as_deref().map(Timestamp::parse_rfc3339) {
        None => true,
        Some(Ok(from)) => from <= now,
        Some(Err(_)) => false,
    };
    Some((newest.clone(), issues))
}
