//! Reading managed certificates, and how the whole of them stands.

use ca_core::id::ManagedCertificateId;
use ca_core::managed::due_at;
use ca_core::principal::Principal;
use ca_core::time::{Lifetime, Timestamp};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::define::{is_name, resource};
use super::read_definition;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::flow::query::permit;
use crate::port::authorizer::{Action, Resource};
use crate::port::store::{LATELY, ManagedCertificate, ManagedCounts};

/// How many certificates are looked up at the same time for a page.
const LOOKED_UP_TOGETHER: usize = 8;

/// How a managed certificate is named by a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagedReference {
    /// By its id.
    Id(ManagedCertificateId),
    /// By its name.
    Name(String),
}

impl From<&str> for ManagedReference {
    /// A UUID is an id: no name is one.
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Id)
    }
}

/// A managed certificate, and what is computed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// It as it is on record.
    pub managed: ManagedCertificate,
    /// When what is current is due to be rotated; `None` when nothing is, or its record is gone.
    pub due_at: Option<Timestamp>,
}

/// One, if the principal may do `action` to it. Without permission, whether it exists is not told.
pub(super) async fn permitted(
    engine: &Engine,
    principal: &Principal,
    action: Action,
    reference: &ManagedReference,
) -> Result<ManagedCertificate, FlowError> {
    let found = match reference {
        ManagedReference::Id(id) => engine.store().managed(*id).await?,
        ManagedReference::Name(name) if is_name(name) => engine.store().managed_by_name(name).await?,
        ManagedReference::Name(_) => None,
    };
    let Some(managed) = found else {
        permit(engine, principal, Action::ListManaged, Resource::Service)?;
        return Err(FlowError::new(FlowErrorKind::NotFound, "no managed certificate of that name is on record"));
    };
    permit(engine, principal, action, resource(&managed))?;
    Ok(managed)
}

/// One.
pub async fn show_managed(
    engine: &Engine,
    principal: &Principal,
    reference: &ManagedReference,
) -> Result<Shown, FlowError> {
    shown(engine, permitted(engine, principal, Action::ReadManaged, reference).await?).await
}

/// In order of names, after `after`, at most `limit`.
pub async fn list_managed(
    engine: &Engine,
    principal: &Principal,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Shown>, FlowError> {
    permit(engine, principal, Action::ListManaged, Resource::Service)?;
    let found = engine.store().managed_certificates(after, limit).await?;
    stream::iter(found).map(|managed| shown(engine, managed)).buffered(LOOKED_UP_TOGETHER).try_collect().await
}

/// One with what is computed of it.
pub async fn shown(engine: &Engine, managed: ManagedCertificate) -> Result<Shown, FlowError> {
    let mut due = None;
    if let Some(current) = &managed.course.current
        && let Some(certificate) = engine.store().certificate(current.certificate).await?
    {
        due = Some(due_at(managed.id, certificate.validity, read_definition(&managed)?.renew_before));
    }
    Ok(Shown { managed, due_at: due })
}

/// How the whole of them stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagedStanding {
    /// How many there are.
    pub counts: ManagedCounts,
    /// When they were counted.
    pub counted_at: Timestamp,
}

impl ManagedStanding {
    /// Rotations an hour, by what was rotated lately.
    pub fn rotations_per_hour(&self) -> u64 {
        self.counts.rotated_lately.saturating_mul(3_600) / LATELY.seconds()
    }

    /// When what is due will have been rotated at that rate; `None` when nothing is due, or nothing was rotated.
    pub fn done_at(&self) -> Option<Timestamp> {
        let (due, rotated) = (self.counts.due, self.counts.rotated_lately);
        if due == 0 || rotated == 0 {
            return None;
        }
        Some(self.counted_at.plus(Lifetime::from_seconds(due.saturating_mul(LATELY.seconds()).div_ceil(rotated))))
    }
}

/// How the whole of them stands.
pub async fn managed_standing(engine: &Engine, principal: &Principal) -> Result<ManagedStanding, FlowError> {
    permit(engine, principal, Action::ListManaged, Resource::Service)?;
    let counted_at = engine.now();
    Ok(ManagedStanding { counts: engine.store().count_managed(counted_at).await?, counted_at })
}
