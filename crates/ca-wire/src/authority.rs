//! Authorities and their newest lists.

use ca_api::authority::{
    Authority as WireAuthority, AuthorityKey, AuthorityStatus, IssuerElsewhere, IssuerList, KeyHome, PublishedList,
    RevocationList, RevocationLists, SHARDS_TOLD, ShardLists,
};
use ca_core::crl::PartialScope;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::flow::follow_issuer_list::{INTERVAL, LATEST, ListLag, ListSource};
use ca_engine::flow::list_urls::ListUrls;
use ca_engine::hierarchy::Authority;
use ca_engine::port::store::{AuthorityState, CrlIntent, KeyHome as StoredHome};

use crate::certificate::pem_of;

/// A list that is in place.
#[derive(Clone, Copy, Debug)]
pub struct ListInPlace<'a> {
    /// Which part it covers; `None` for the complete one.
    pub part: Option<PartialScope>,
    /// What is on it.
    pub intent: &'a CrlIntent,
    /// How long it is.
    pub octets: u64,
}

/// What an issuer elsewhere publishes, and how far its list is behind.
pub fn issuer_elsewhere(source: ListSource, lag: ListLag, ocsp_visible_within: Lifetime) -> IssuerElsewhere {
    IssuerElsewhere {
        list: match source {
            ListSource::Unknown => IssuerList::Unknown,
            ListSource::NotPublished => IssuerList::NotPublished,
            ListSource::NotMadeYet => IssuerList::NotMadeYet,
            ListSource::Published => IssuerList::Published,
        },
        ocsp_visible_within: ocsp_visible_within.to_string(),
        unlisted_revocations: lag.revocations,
        unlisted_since: lag.since.map(Timestamp::to_rfc3339),
    }
}

/// How long it takes at the worst until OCSP and list tell of a revocation: the list is its issuer's, where there is one.
pub fn visible_by_issuer_within(source: ListSource, ocsp_visible_within: Lifetime) -> Lifetime {
    match source {
        ListSource::NotPublished => ocsp_visible_within,
        _ => Lifetime::from_seconds(LATEST.seconds() + INTERVAL.seconds()),
    }
}

/// An authority as it stands at `now`; `lists` are those of all kinds that are in place, `key_is_here` whether its key can be used where this is asked, `visible_within` how
/// long it takes at the worst until a revocation is seen, `issuer` what is known of an issuer elsewhere.
pub fn authority(
    authority: &Authority,
    now: Timestamp,
    lists: RevocationLists,
    key_is_here: bool,
    visible_within: Lifetime,
    issuer: Option<IssuerElsewhere>,
) -> WireAuthority {
    let certificate = authority.certificate();
    let record = authority.record();
    WireAuthority {
        id: authority.id().to_string(),
        status: match record.state {
            AuthorityState::Active => AuthorityStatus::Active,
            AuthorityState::Retiring => AuthorityStatus::Retiring,
            AuthorityState::Retired => AuthorityStatus::Retired,
        },
        issues_from: (now < record.issues_from).then(|| record.issues_from.to_rfc3339()),
        parent: record.parent.as_ref().map(ToString::to_string),
        subject: certificate.subject().to_string(),
        serial: certificate.serial().to_string(),
        not_before: certificate.validity().not_before.to_rfc3339(),
        not_after: certificate.validity().not_after.to_rfc3339(),
        fingerprint_sha256: hex::encode(certificate.fingerprint_sha256()),
        key: AuthorityKey {
            kind: certificate.public_key().key_type().to_string(),
            home: match record.key_home {
                StoredHome::Kms(_) => KeyHome::Kms,
                StoredHome::Pkcs11(_) => KeyHome::Pkcs11,
                StoredHome::AcmPca(_) => KeyHome::AcmPca,
                _ => KeyHome::Software,
            },
            available: key_is_here,
        },
        crl: lists.complete.as_ref().map(|list| RevocationList {
            number: list.number,
            this_update: list.this_update.clone(),
            next_update: list.next_update.clone(),
            entries: list.entries,
        }),
        revocation_lists: lists,
        revocation_visible_within: visible_within.to_string(),
        issuer,
        certificate: certificate.to_pem(),
        chain: authority
            .ancestors()
            .split_last()
            .map(|(_root, between)| pem_of(between.iter().map(Vec::as_slice)))
            .unwrap_or_default(),
    }
}

/// The lists of an authority that are in place, shards by their numbers.
pub fn revocation_lists(lists: &[ListInPlace<'_>], urls: &ListUrls) -> RevocationLists {
    let told = |list: &ListInPlace<'_>| published(list, urls);
    let of = |part: Option<PartialScope>| lists.iter().find(|list| list.part == part).map(told);
    let shards: Vec<_> = lists.iter().filter(|list| matches!(list.part, Some(PartialScope::Shard(_)))).collect();
    let oldest = shards.iter().map(|list| list.intent.this_update).min();
    let first_end = shards.iter().map(|list| list.intent.next_update).min();
    RevocationLists {
        complete: of(None),
        delta: of(Some(PartialScope::Delta)),
        shards: oldest.zip(first_end).map(|(oldest, first_end)| ShardLists {
            count: shards.len() as u64,
            entries: shards.iter().map(|list| list.intent.entries).sum(),
            octets: shards.iter().map(|list| list.octets).sum(),
            oldest_this_update: oldest.to_rfc3339(),
            first_next_update: first_end.to_rfc3339(),
            lists: if shards.len() <= SHARDS_TOLD { shards.into_iter().map(told).collect() } else { Vec::new() },
        }),
    }
}

fn published(list: &ListInPlace<'_>, urls: &ListUrls) -> PublishedList {
    let shard = list.part.and_then(|part| match part {
        PartialScope::Shard(number) => Some(number.get()),
        PartialScope::Delta => None,
    });
    PublishedList {
        shard,
        url: urls.of(list.part),
        number: list.intent.number,
        this_update: list.intent.this_update.to_rfc3339(),
        next_update: list.intent.next_update.to_rfc3339(),
        entries: list.intent.entries,
        octets: list.octets,
    }
}
