//! Under which URLs the lists of an authority are, as certificates name them.

use ca_core::crl::{ListName, PartialScope};
use ca_core::id::AuthorityId;

use super::shards;
use crate::engine::Engine;
use crate::error::FlowError;
use crate::shard_plan::ShardPlan;

/// The URLs of an authority's lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUrls {
    authority: AuthorityId,
    base_url: Option<String>,
    plan: ShardPlan,
}

impl ListUrls {
    /// The URL of a list; `None` where certificates name none. A shard keeps the one it was planned under, whatever the base URL is
    /// now.
    pub fn of(&self, part: Option<PartialScope>) -> Option<String> {
        match part {
            Some(PartialScope::Shard(shard)) => self.plan.uri(&self.authority, shard),
            _ => {
                let name = ListName { authority: self.authority.clone(), part };
                self.base_url.as_ref().map(|base_url| format!("{base_url}/crl/{name}"))
            }
        }
    }
}

/// Reads the URLs of an authority's lists; changes nothing.
pub async fn list_urls(engine: &Engine, authority: &AuthorityId) -> Result<ListUrls, FlowError> {
    Ok(ListUrls {
        authority: authority.clone(),
        base_url: engine.settings().base_url.clone(),
        plan: shards::recorded_plan(engine, authority).await?.1,
    })
}
