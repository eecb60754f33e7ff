//! Authorities and their newest lists.

use ca_api::authority::{Authority as WireAuthority, AuthorityKey, AuthorityStatus, KeyHome, RevocationList};
use ca_core::time::Lifetime;
use ca_engine::hierarchy::Authority;
use ca_engine::port::store::{AuthorityState, CrlIntent, KeyHome as StoredHome};

use crate::certificate::pem_of;

/// An authority; `crl` is its newest list, `key_is_here` whether its key can be used where this is asked, `visible_within` how
/// long it takes at the worst until a revocation is seen.
pub fn authority(
    authority: &Authority,
    crl: Option<RevocationList>,
    key_is_here: bool,
    visible_within: Lifetime,
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
        crl,
        revocation_visible_within: visible_within.to_string(),
        certificate: certificate.to_pem(),
        chain: authority
            .ancestors()
            .split_last()
            .map(|(_root, between)| pem_of(between.iter().map(Vec::as_slice)))
            .unwrap_or_default(),
    }
}

/// A list on record.
pub fn revocation_list(crl: &CrlIntent) -> RevocationList {
    RevocationList {
        number: crl.number,
        this_update: crl.this_update.to_rfc3339(),
        next_update: crl.next_update.to_rfc3339(),
        entries: crl.entries,
    }
}
