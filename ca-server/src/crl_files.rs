//! The published CRLs, ready to be served: a GET reads octets, from memory or where a large list was put aside, and signs nothing.

use std::collections::BTreeMap;
use std::io;
use std::sync::OnceLock;

use ca_core::crl::{ListName, PartialScope};
use ca_core::hash::sha256;
use ca_core::id::AuthorityId;
use ca_core::{crl, pem};
use ca_engine::engine::Engine;
use ca_engine::error::FlowError;
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::spool::{Spool, SpoolWriter};
use ca_engine::port::store::CrlIntent;

/// One list.
pub(crate) struct CrlFile {
    pub(crate) intent: CrlIntent,
    pub(crate) der: ListOctets,
    pub(crate) etag: String,
}

/// Every list.
#[derive(Default)]
pub(crate) struct CrlFiles {
    by_authority: BTreeMap<AuthorityId, CrlFile>,
    /// Shards and deltas.
    partial: BTreeMap<(AuthorityId, PartialScope), CrlFile>,
    /// In the order of [`Self::all_pem`].
    order: Vec<AuthorityId>,
    all_etag: String,
    /// Made when somebody asks for it first: most services have nobody who does, and it is larger than the lists.
    all_pem: OnceLock<ListOctets>,
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
        let numbers: BTreeMap<AuthorityId, u64> = engine.store().published_numbers().await?.into_iter().collect();
        let mut files = Self::default();
        let mut tags = String::new();
        let hierarchy = engine.hierarchy();
        let mut authorities: Vec<_> = hierarchy.authorities().iter().collect();
        // Ids begin with the time of issuance.
        authorities.sort_by_key(|authority| (authority.record().parent.is_none(), authority.record().certificate));
        for authority in authorities {
            let Some(number) = numbers.get(authority.id()) else { continue };
            let Some(list) = engine.published_list(authority.id(), *number).await? else { continue };
            let file = CrlFile::of(&list.intent, &list.der);
            tags.push_str(&file.etag);
            files.order.push(authority.id().clone());
            files.by_authority.insert(authority.id().clone(), file);
        }
        // One text for each sequence of lists, so their tags tell it apart.
        files.all_etag = etag(tags.as_bytes());
        for (authority, scope, number) in engine.store().published_partial_numbers().await? {
            let name = ListName::partial(authority, scope);
            let Some(list) = engine.published_partial(&name, number).await? else { continue };
            files
                .partial
                .insert((name.authority, scope), CrlFile::of(&list.intent.crl, &ListOctets::from(&list.der[..])));
        }
        Ok(files)
    }

    /// An authority's complete list.
    pub(crate) fn get(&self, authority: &AuthorityId) -> Option<&CrlFile> {
        self.by_authority.get(authority)
    }

    /// The list of a name.
    pub(crate) fn named(&self, name: &ListName) -> Option<&CrlFile> {
        match name.part {
            None => self.get(&name.authority),
            Some(scope) => self.partial.get(&(name.authority.clone(), scope)),
        }
    }

    /// Shards and deltas.
    pub(crate) fn partial(&self) -> impl Iterator<Item = (&AuthorityId, PartialScope, &CrlFile)> {
        self.partial.iter().map(|((authority, scope), file)| (authority, *scope, file))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&AuthorityId, &CrlFile)> {
        self.by_authority.iter()
    }

    /// Every complete list as PEM. Takes a while when it is asked for first: not for a thread that others wait for.
    pub(crate) fn all_pem(&self, spool: &dyn Spool) -> io::Result<ListOctets> {
        if let Some(made) = self.all_pem.get() {
            return Ok(made.clone());
        }
        let mut writer = spool.begin()?;
        for file in self.order.iter().filter_map(|authority| self.by_authority.get(authority)) {
            write_pem(&file.der, &mut *writer)?;
        }
        let made = ListOctets::spooled(writer.finish()?)?;
        Ok(self.all_pem.get_or_init(|| made).clone())
    }

    /// The entity tag of [`Self::all_pem`].
    pub(crate) fn all_etag(&self) -> &str {
        &self.all_etag
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
    fn of(intent: &CrlIntent, der: &ListOctets) -> Self {
        Self { intent: intent.clone(), etag: etag_of(&der.sha256()), der: der.clone() }
    }
}

/// Appends a list as PEM, in pieces of whole lines.
fn write_pem(der: &ListOctets, writer: &mut dyn SpoolWriter) -> io::Result<()> {
    const PIECE: u64 = 16_384 * pem::LINE_OCTETS as u64;
    writer.append(format!("-----BEGIN {}-----\n", crl::PEM_LABEL).as_bytes())?;
    let (mut from, mut piece, mut text) = (0, Vec::new(), String::new());
    while from < der.count() {
        piece.resize((der.count() - from).min(PIECE) as usize, 0);
        der.read(from, &mut piece)?;
        text.clear();
        pem::append_lines(&mut text, &piece);
        writer.append(text.as_bytes())?;
        from += piece.len() as u64;
    }
    writer.append(format!("-----END {}-----\n", crl::PEM_LABEL).as_bytes())
}

/// A strong entity tag: the SHA-256 of the octets.
pub(crate) fn etag(octets: &[u8]) -> String {
    etag_of(&sha256(octets))
}

fn etag_of(digest: &[u8; 32]) -> String {
    format!("\"{}\"", hex::encode(digest))
}
