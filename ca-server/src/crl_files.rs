//! The published CRLs in memory, ready to be served: a GET reads bytes and signs nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use ca_core::hash::sha256;
use ca_core::id::AuthorityId;
use ca_core::time::Timestamp;
use ca_engine::engine::Engine;
use ca_engine::error::FlowError;
use ca_engine::port::store::PublishedCrl;

/// One list.
pub(crate) struct CrlFile {
    pub(crate) number: u64,
    pub(crate) this_update: Timestamp,
    pub(crate) next_update: Timestamp,
    pub(crate) entries: u64,
    pub(crate) der: Bytes,
    pub(crate) etag: String,
}

/// Every list, and all of them together as PEM.
#[derive(Default)]
pub(crate) struct CrlFiles {
    by_authority: BTreeMap<AuthorityId, CrlFile>,
    all_pem: Bytes,
    all_etag: String,
}

impl CrlFiles {
    /// Reads the newest list of every authority. `all.pem` has the issuing authorities' first, from the oldest on (`tls`, which
    /// gateways look for, is the first that a hierarchy has), and the root's last: tools that read the first list of a file
    /// alone find the one that matters most.
    ///
    /// None while the record is not known to be the newest: clients may have newer lists than it has.
    pub(crate) async fn load(engine: &Engine) -> Result<Self, FlowError> {
        if engine.check_anchor().is_err() {
            return Ok(Self::default());
        }
        let mut by_authority = BTreeMap::new();
        let mut all = String::new();
        let hierarchy = engine.hierarchy();
        let mut authorities: Vec<_> = hierarchy.authorities().iter().collect();
        // Ids begin with the time of issuance.
        authorities.sort_by_key(|authority| (authority.record().parent.is_none(), authority.record().certificate));
        for authority in authorities {
            if let Some(published) = engine.store().published_crl(authority.id()).await? {
                all.push_str(&ca_core::pem::encode("X509 CRL", &published.der));
                by_authority.insert(authority.id().clone(), CrlFile::of(published));
            }
        }
        let all_etag = etag(all.as_bytes());
        Ok(Self { by_authority, all_pem: Bytes::from(all), all_etag })
    }

    pub(crate) fn get(&self, authority: &AuthorityId) -> Option<&CrlFile> {
        self.by_authority.get(authority)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&AuthorityId, &CrlFile)> {
        self.by_authority.iter()
    }

    /// Every complete list as PEM, and its entity tag.
    pub(crate) fn all_pem(&self) -> (Bytes, &str) {
        (self.all_pem.clone(), &self.all_etag)
    }

    /// The numbers of the lists, to see whether the record has newer ones.
    pub(crate) fn numbers(&self) -> Vec<(AuthorityId, u64)> {
        self.by_authority.iter().map(|(authority, file)| (authority.clone(), file.number)).collect()
    }
}

impl CrlFile {
    fn of(published: PublishedCrl) -> Self {
        Self {
            number: published.intent.number,
            this_update: published.intent.this_update,
            next_update: published.intent.next_update,
            entries: published.intent.entries,
            etag: etag(&published.der),
            der: Bytes::from(published.der),
        }
    }
}

/// A strong entity tag: the SHA-256 of the octets.
pub(crate) fn etag(octets: &[u8]) -> String {
    format!("\"{}\"", hex::encode(sha256(octets)))
}
