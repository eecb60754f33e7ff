//! Into which shard of its issuer's CRL a certificate goes: drawn when it is issued, and said by its serial and by its distribution
//! point ever after.

use std::sync::Arc;

use ca_core::id::AuthorityId;
use ca_core::profile::Profile;
use ca_core::serial::ShardNumber;

use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::Authority;
use crate::shard_plan::{ShardPlan, setting_name};

/// Where a certificate to be issued will be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    /// The shard's number.
    pub(super) number: ShardNumber,
    /// Its URI, for the certificate's distribution point.
    pub(super) uri: String,
}

/// The plan of an authority's shards, from the record; with as many as the operator wants, where this process may add them.
pub(super) async fn plan(engine: &Engine, authority: &AuthorityId) -> Result<Arc<ShardPlan>, FlowError> {
    let name = setting_name(authority);
    let wanted = engine.settings().partial_lists_of(authority).shards;
    // Another process may add some at the same moment: then those are there at the second look.
    for _ in 0..3 {
        let (octets, plan) = recorded_plan(engine, authority).await?;
        let grown = engine.settings().base_url.as_deref().and_then(|base_url| plan.grown(wanted, base_url));
        let plan = match grown {
            None => plan,
            Some(grown) if engine.store().set_setting(&name, octets.as_deref(), &grown.to_json()).await? => grown,
            Some(_) => continue,
        };
        return Ok(engine.set_shard_plan(authority, plan));
    }
    Err(FlowError::new(FlowErrorKind::Overloaded, "the shards of an authority are being planned; try again")
        .retry_after(1))
}

/// The plan as it is on record, and the octets it was read from; an empty one where there is none.
pub(super) async fn recorded_plan(
    engine: &Engine,
    authority: &AuthorityId,
) -> Result<(Option<Vec<u8>>, ShardPlan), FlowError> {
    let name = setting_name(authority);
    let octets = engine.store().setting(&name).await?;
    let plan = match &octets {
        None => ShardPlan::default(),
        Some(octets) => ShardPlan::from_json(octets)
            .ok_or_else(|| FlowError::internal(format!("the record's setting {name} makes no sense")))?,
    };
    Ok((octets, plan))
}

/// The shard of a certificate to be issued; `None` where the authority puts none into shards, or the profile none at a distribution
/// point.
pub(super) async fn draw(
    engine: &Engine,
    authority: &Authority,
    profile: &Profile,
) -> Result<Option<Shard>, FlowError> {
    // Serials and lists of an issuer elsewhere are its own.
    if authority.issues_elsewhere() {
        return Ok(None);
    }
    let authority = authority.id();
    let wanted = engine.settings().partial_lists_of(authority).shards;
    let Some(base_url) = engine.settings().base_url.as_deref() else { return Ok(None) };
    if wanted == 0 || !profile.status_urls().crl {
        return Ok(None);
    }
    // What was planned once stays: a plan that this process has read lacks nothing that it needs.
    let planned = match engine.shard_plan(authority) {
        Some(planned) => planned,
        None => plan(engine, authority).await?,
    };
    let in_use = planned.in_use(wanted, base_url);
    let chance = u32::from_be_bytes(engine.random()?) as usize;
    let number = in_use.get(chance % in_use.len().max(1)).copied();
    let shard = number.and_then(|number| Some(Shard { number, uri: planned.uri(authority, number)? }));
    shard.map(Some).ok_or_else(|| FlowError::internal(format!("no number is left for a shard of {authority}")))
}
