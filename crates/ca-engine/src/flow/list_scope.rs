//! What tells one kind of list from another while it is made: which entries it has, and what it says of itself.

use ca_core::crl::{CrlEntry, IssuingDistributionPoint, ListName, PartialScope};
use ca_core::id::AuthorityId;
use ca_core::name::Uri;
use ca_core::serial::ShardNumber;
use ca_core::time::Lifetime;

use crate::engine::Engine;
use crate::error::FlowError;

/// A list to be made.
#[derive(Clone, Debug)]
pub(super) struct ListScope {
    /// What it lists.
    pub(super) entries: Entries,
    /// The complete list that a delta starts from.
    pub(super) base_number: Option<u64>,
    /// What a shard covers; a list without covers everything.
    pub(super) issuing_distribution_point: Option<IssuingDistributionPoint>,
    /// Where the delta to a complete list is.
    pub(super) freshest_crl: Option<Uri>,
    /// How long it may be relied on at the most, where that is less than other lists of the authority may.
    pub(super) validity: Option<Lifetime>,
    /// Whether no list of the authority comes after it: it may be relied on as long as the authority's certificate.
    pub(super) is_last: bool,
}

/// What a list lists.
#[derive(Clone, Debug)]
pub(super) enum Entries {
    /// Everything that the authority has revoked.
    All,
    /// What of it is in a shard.
    InShard(ShardNumber),
    /// These, in the order of their serials.
    Given(Vec<CrlEntry>),
}

impl ListScope {
    /// The complete list of an authority, which says where its delta is, if it has one (RFC 5280 §5.2.6).
    pub(super) fn complete(engine: &Engine, authority: &AuthorityId) -> Result<Self, FlowError> {
        let has_delta = engine.settings().partial_lists_of(authority).delta;
        let freshest_crl = engine.settings().base_url.as_deref().filter(|_| has_delta).map(|base_url| {
            let name = ListName::partial(authority.clone(), PartialScope::Delta);
            Uri::parse(&format!("{base_url}/crl/{name}")).map_err(FlowError::internal)
        });
        Ok(Self {
            entries: Entries::All,
            base_number: None,
            issuing_distribution_point: None,
            freshest_crl: freshest_crl.transpose()?,
            validity: None,
            is_last: false,
        })
    }

    /// A shard: the URI is octet for octet the one in its certificates (§5.2.5), of which none is an authority's.
    pub(super) fn shard(number: ShardNumber, uri: &str) -> Result<Self, FlowError> {
        let uri = Uri::parse(uri).map_err(FlowError::internal)?;
        Ok(Self {
            entries: Entries::InShard(number),
            base_number: None,
            issuing_distribution_point: Some(IssuingDistributionPoint { uri, only_user: true, only_ca: false }),
            freshest_crl: None,
            validity: None,
            is_last: false,
        })
    }

    /// A delta (§5.2.4): these changes since the complete list of this number.
    pub(super) fn delta(base_number: u64, changes: Vec<CrlEntry>, validity: Lifetime) -> Self {
        Self {
            entries: Entries::Given(changes),
            base_number: Some(base_number),
            issuing_distribution_point: None,
            freshest_crl: None,
            validity: Some(validity),
            is_last: false,
        }
    }
}
