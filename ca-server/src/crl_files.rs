//! The published CRLs, ready to be served: a GET reads octets, from memory or where a large list was put aside, and signs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use ca_core::crl::{ListName, PartialScope};
use ca_core::hash::sha256;
use ca_core::id::AuthorityId;
use ca_engine::engine::Engine;
use ca_engine::error::FlowError;
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::store::CrlIntent;

use crate::served_list::ServedList;

/// One list.
pub(crate) struct CrlFile {
    pub(crate) intent: CrlIntent,
    pub(crate) der: ListOctets,
    pub(crate) served: ServedList,
}

/// Every list.
#[derive(Default)]
pub(crate) struct CrlFiles {
    by_authority: BTreeMap<AuthorityId, Arc<CrlFile>>,
    /// Shards and deltas.
    partial: BTreeMap<(AuthorityId, PartialScope), Arc<CrlFile>>,
    all_pem: ServedList,
}

impl CrlFiles {
    /// Reads the newest list of every authority. `all.pem` has the issuing authorities' first, from the oldest on (`tls`, which
    /// gateways look for, is the first that a hierarchy has), and the root's last: tools that read the first list of a file
    /// alone find the one that matters most.
    ///
    /// What was served `before` and is still the newest goes on with what was made of it.
    ///
    /// None while the record is not known to be the newest: clients may have newer lists than it has.
    pub(crate) async fn load(engine: &Engine, before: &Self) -> Result<Self, FlowError> {
        if engine.check_anchor().is_err() {
            return Ok(Self::default());
        }
        let numbers: BTreeMap<AuthorityId, u64> = engine.store().published_numbers().await?.into_iter().collect();
        let mut files = Self::default();
        let (mut tags, mut all) = (String::new(), Vec::new());
        let hierarchy = engine.hierarchy();
        let mut authorities: Vec<_> = hierarchy.authorities().iter().collect();
        // Ids begin with the time of issuance.
        authorities.sort_by_key(|authority| (authority.record().parent.is_none(), authority.record().certificate));
        for authority in authorities {
            let Some(number) = numbers.get(authority.id()) else { continue };
            let Some(list) = engine.published_list(authority.id(), *number).await? else { continue };
            let file = CrlFile::of(&list.intent, &list.der, before.by_authority.get(authority.id()));
            tags.push_str(&etag_of(&list.der.sha256()));
            all.push(list.der.clone());
            files.by_authority.insert(authority.id().clone(), file);
        }
        // One text for each sequence of lists, so their tags tell it apart.
        let all_pem = ServedList::pem(all, etag(tags.as_bytes()));
        files.all_pem = if all_pem == before.all_pem { before.all_pem.clone() } else { all_pem };
        for (authority, scope, number) in engine.store().published_partial_numbers().await? {
            let name = ListName::partial(authority, scope);
            let Some(list) = engine.published_partial(&name, number).await? else { continue };
            let place = (name.authority, scope);
            let file = CrlFile::of(&list.intent.crl, &list.der, before.partial.get(&place));
            files.partial.insert(place, file);
        }
        Ok(files)
    }

    /// An authority's complete list.
    pub(crate) fn get(&self, authority: &AuthorityId) -> Option<&CrlFile> {
        self.by_authority.get(authority).map(|file| &**file)
    }

    /// The list of a name.
    pub(crate) fn named(&self, name: &ListName) -> Option<&CrlFile> {
        match name.part {
            None => self.get(&name.authority),
            Some(scope) => self.partial.get(&(name.authority.clone(), scope)).map(|file| &**file),
        }
    }

    /// Shards and deltas.
    pub(crate) fn partial(&self) -> impl Iterator<Item = (&AuthorityId, PartialScope, &CrlFile)> {
        self.partial.iter().map(|((authority, scope), file)| (authority, *scope, &**file))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&AuthorityId, &CrlFile)> {
        self.by_authority.iter().map(|(authority, file)| (authority, &**file))
    }

    /// Every complete list as PEM.
    pub(crate) fn all_pem(&self) -> &ServedList {
        &self.all_pem
    }

    /// The numbers of shards and deltas, to see whether the record has others.
    pub(crate) fn partial_numbers(&self) -> Vec<(AuthorityId, PartialScope, u64)> {
        self.partial().map(|(authority, scope, file)| (authority.clone(), scope, file.intent.number)).collect()
    }

    /// The numbers of the complete lists, to see whether the record has newer ones.
    pub(crate) fn numbers(&self) -> Vec<(AuthorityId, u64)> {
        self.by_authority.iter().map(|(authority, file)| (authority.clone(), file.intent.number)).collect()
    }
}

impl CrlFile {
    /// The one of before, if it is the same list.
    fn of(intent: &CrlIntent, der: &ListOctets, before: Option<&Arc<Self>>) -> Arc<Self> {
        match before {
            Some(same) if same.intent.number == intent.number && same.der == *der => Arc::clone(same),
            _ => {
                let served = ServedList::der(der.clone(), etag_of(&der.sha256()));
                Arc::new(Self { intent: intent.clone(), der: der.clone(), served })
            }
        }
    }
}

/// A strong entity tag: the SHA-256 of the octets.
pub(crate) fn etag(octets: &[u8]) -> String {
    etag_of(&sha256(octets))
}

fn etag_of(digest: &[u8; 32]) -> String {
    format!("\"{}\"", hex::encode(digest))
}
