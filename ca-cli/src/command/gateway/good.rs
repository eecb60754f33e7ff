//! The last good bundle, in few words: what is in place, without its octets.

use std::collections::BTreeMap;

use ca_core::crl::{AuthorityMark, CrlBundle, ListMark};
use ca_core::hash::sha256;
use ca_core::time::Timestamp;
use serde::Serialize;

/// A bundle that was proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Good {
    /// SHA-256 over its PEM, hexadecimal: the generation of the gateway's configuration.
    pub(super) generation: String,
    lists: Vec<GoodList>,
    #[serde(skip)]
    pub(super) marks: BTreeMap<AuthorityMark, ListMark>,
}

/// One of its lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct GoodList {
    /// The authority's name.
    pub(super) issuer: String,
    /// The list's number.
    pub(super) number: u64,
    /// SHA-256 over its DER, hexadecimal.
    pub(super) sha256: String,
    /// How many entries it has.
    pub(super) entries: u64,
    /// When it ends.
    #[serde(serialize_with = "as_text")]
    pub(super) next_update: Timestamp,
    /// SHA-256 over the authority's certificate, hexadecimal.
    #[serde(skip)]
    pub(super) authority_fingerprint: String,
}

impl Good {
    /// What is kept of a bundle whose PEM this is.
    pub(super) fn of(bundle: &CrlBundle, pem: &str) -> Self {
        let lists = bundle.lists().iter().map(|list| GoodList {
            issuer: list.authority.subject().to_string(),
            number: list.number,
            sha256: hex::encode(sha256(list.list.as_der())),
            entries: list.list.entry_count(),
            next_update: list.next_update,
            authority_fingerprint: hex::encode(list.authority.fingerprint_sha256()),
        });
        Self { generation: generation(pem.as_bytes()), lists: lists.collect(), marks: bundle.marks() }
    }

    /// Its lists, roots' last.
    pub(super) fn lists(&self) -> &[GoodList] {
        &self.lists
    }

    /// The list that ends first.
    pub(super) fn first_to_end(&self) -> Option<&GoodList> {
        self.lists.iter().min_by_key(|list| list.next_update)
    }
}

/// The name of a bundle: SHA-256 over its PEM, hexadecimal.
pub(super) fn generation(pem: &[u8]) -> String {
    hex::encode(sha256(pem))
}

fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}
