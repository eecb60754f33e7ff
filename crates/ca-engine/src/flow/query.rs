//! Reading the record, with the access policy asked before anything is shown.

use ca_core::id::{AuthorityId, CertificateId};
use ca_core::principal::Principal;
use ca_core::serial::Serial;

use super::{renewal_period, retention};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::authorizer::{Action, Question, Resource};
use crate::port::store::{
    CertificateFilter, ChainedEvent, EventFilter, Page, PageCursor, RemovedCertificate, StoredCertificate,
};

/// How a certificate is named by a caller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateName {
    /// By its id.
    Id(CertificateId),
    /// By issuer and serial.
    Serial(AuthorityId, Serial),
    /// By a serial that may exist under several issuers.
    BareSerial(Serial),
}

/// Asks the access policy; an answer of no becomes an error that tells nothing about the resource.
pub fn permit(engine: &Engine, principal: &Principal, action: Action, resource: Resource<'_>) -> Result<(), FlowError> {
    let question = Question { principal, action, resource };
    if engine.authorizer().decide(&question).is_allowed() {
        return Ok(());
    }
    if *principal == Principal::Anonymous {
        return Err(FlowError::new(
            FlowErrorKind::AuthenticationRequired,
            "this needs a client certificate of this service or an enrolment token",
        ));
    }
    let message = match principal {
        Principal::EnrolmentToken { .. } => {
            "the token is good for the one profile and the names it was made for; ask for those alone, or ask an \
             administrator for a role or a token"
        }
        _ => "the access policy does not allow this; ask an administrator for a role or a token",
    };
    Err(FlowError::new(FlowErrorKind::AccessDenied, message))
}

/// Resolves a name to a certificate on record. A bare serial that fits several is a conflict that lists them all.
pub async fn resolve(engine: &Engine, name: &CertificateName) -> Result<StoredCertificate, FlowError> {
    let found = match name {
        CertificateName::Id(id) => engine.store().certificate(*id).await?,
        CertificateName::Serial(authority, serial) => engine.store().certificate_by_serial(authority, serial).await?,
        CertificateName::BareSerial(serial) => {
            let filter = CertificateFilter { serial: Some(serial.clone()), ..CertificateFilter::all(engine.now()) };
            let mut items = engine.store().list(&filter, None, 10).await?.items;
            if items.len() > 1 {
                let mut error = FlowError::new(
                    FlowErrorKind::AmbiguousSerial,
                    format!("several authorities issued serial {serial}; name one as authority:serial or by its id"),
                );
                error.candidates = items.iter().map(|item| format!("{}:{}", item.authority, item.serial)).collect();
                return Err(error);
            }
            items.pop()
        }
    };
    match found {
        Some(certificate) => Ok(certificate),
        None => Err(absent(engine, name).await?),
    }
}

/// Why there is no certificate of a name: it was removed after its retention, or never was.
async fn absent(engine: &Engine, name: &CertificateName) -> Result<FlowError, FlowError> {
    let removed = match name {
        CertificateName::Id(id) => engine.store().removed(*id).await?,
        CertificateName::Serial(authority, serial) => removed_serial(engine, authority, serial).await?,
        CertificateName::BareSerial(serial) => {
            let mut removed = None;
            for authority in engine.hierarchy().authorities() {
                removed = removed.or(removed_serial(engine, authority.id(), serial).await?);
            }
            removed
        }
    };
    Ok(match removed {
        Some(removed) => retention::removed_error(&removed),
        None => FlowError::new(FlowErrorKind::NotFound, "no certificate of that name is on record"),
    })
}

async fn removed_serial(
    engine: &Engine,
    authority: &AuthorityId,
    serial: &Serial,
) -> Result<Option<RemovedCertificate>, FlowError> {
    match engine.store().status(authority, serial).await? {
        Some(status) => Ok(engine.store().removed(status.certificate).await?),
        None => Ok(None),
    }
}

/// A certificate, if the principal may do `action` to it. Without permission, whether it exists is not told.
pub async fn permitted_certificate(
    engine: &Engine,
    principal: &Principal,
    action: Action,
    id: CertificateId,
) -> Result<StoredCertificate, FlowError> {
    permitted(engine, principal, action, &CertificateName::Id(id)).await
}

/// As [`permitted_certificate`], by any name.
pub async fn permitted(
    engine: &Engine,
    principal: &Principal,
    action: Action,
    name: &CertificateName,
) -> Result<StoredCertificate, FlowError> {
    let certificate = match resolve(engine, name).await {
        Ok(certificate) => certificate,
        Err(error) => {
            // Only those who may read everything learn that a name is free, ambiguous or was taken. That the record is silent may be
            // known.
            if matches!(error.kind, FlowErrorKind::NotFound | FlowErrorKind::AmbiguousSerial | FlowErrorKind::Removed) {
                permit(engine, principal, Action::ListCertificates, Resource::Service)?;
            }
            return Err(error);
        }
    };
    let mut resource = certificate_resource(engine, &certificate);
    if let (Action::RenewCertificate, Resource::Certificate { renewal_open, .. }) = (action, &mut resource)
        && !*renewal_open
    {
        *renewal_open = renewal_period::opens_by_now_at(engine, &certificate).await? <= engine.now();
    }
    permit(engine, principal, action, resource)?;
    Ok(certificate)
}

/// A certificate as the access policy sees it, without regard to windows that were moved: only renewals ask for those.
pub fn certificate_resource<'a>(engine: &Engine, certificate: &'a StoredCertificate) -> Resource<'a> {
    Resource::Certificate {
        id: certificate.id,
        authority: &certificate.authority,
        profile: &certificate.profile,
        internal: engine.profiles().get(&certificate.profile).is_none_or(|profile| profile.is_internal()),
        owner: &certificate.owner,
        renewal_open: renewal_period::opens_at(engine, certificate) <= engine.now(),
    }
}

/// A page of certificates.
pub async fn list(
    engine: &Engine,
    principal: &Principal,
    filter: &CertificateFilter,
    after: Option<PageCursor>,
    limit: u32,
) -> Result<Page<StoredCertificate>, FlowError> {
    permit(engine, principal, Action::ListCertificates, Resource::Service)?;
    Ok(engine.store().list(filter, after, limit).await?)
}

/// The other certificates of the same public key, newest first: what a compromise of that key reaches besides.
pub async fn sharing_key(
    engine: &Engine,
    principal: &Principal,
    certificate: &StoredCertificate,
) -> Result<Vec<StoredCertificate>, FlowError> {
    permit(engine, principal, Action::ListCertificates, Resource::Service)?;
    others_with_key(engine, certificate).await
}

/// As [`sharing_key`], for flows that have decided themselves who may know.
pub(super) async fn others_with_key(
    engine: &Engine,
    certificate: &StoredCertificate,
) -> Result<Vec<StoredCertificate>, FlowError> {
    let filter =
        CertificateFilter { spki_sha256: Some(certificate.spki_sha256), ..CertificateFilter::all(engine.now()) };
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = engine.store().list(&filter, after, 1_000).await?;
        found.extend(page.items.into_iter().filter(|item| item.id != certificate.id));
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

/// Chained audit events after a sequence number.
pub async fn audit_events(
    engine: &Engine,
    principal: &Principal,
    after: u64,
    filter: &EventFilter,
    limit: u32,
) -> Result<Vec<ChainedEvent>, FlowError> {
    permit(engine, principal, Action::ReadAudit, Resource::Service)?;
    Ok(engine.store().events_after(after, filter, limit).await?)
}
