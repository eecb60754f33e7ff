//! From the values of the core to parameters, where PostgreSQL's differ from octets, text and numbers.

use ca_core::hash::sha256;
use ca_core::id::{
    BulkRevocationId, CertificateId, DeliveryId, ManagedCertificateId, RotationId, TokenId, WindowMoveId,
};
use sqlx::types::Uuid;

use crate::personal_data::{PersonalDataKeys, Sealer};
use crate::row::search::SearchTerms;

/// The id of a certificate or reservation.
pub(super) fn certificate(id: CertificateId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// The id of a bulk revocation.
pub(super) fn bulk_revocation(id: BulkRevocationId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// The id of a token.
pub(super) fn token(id: TokenId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// The id of a delivery.
pub(super) fn delivery(id: DeliveryId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// The id of a managed certificate.
pub(super) fn managed(id: ManagedCertificateId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// The id of a rotation.
pub(super) fn rotation(id: RotationId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// The id of a move of renewal windows.
pub(super) fn window_move(id: WindowMoveId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// Everything a certificate is found by, as the column `reservations.terms`.
pub(super) fn terms(terms: &SearchTerms, sealer: Option<&Sealer>) -> Vec<u8> {
    let each: Vec<[u8; 32]> = terms.all().map(|(kind, text)| term(kind, text, sealer)).collect();
    each.concat()
}

/// What is looked for, as the column `certificate_names.term` has it: in clear, and under each version of the key, oldest first. A row
/// that is moved to a newer version between two looks is found by the second.
pub(super) fn terms_of(kind: u8, text: &str, keys: &PersonalDataKeys) -> Vec<[u8; 32]> {
    let keyed = keys.sealers();
    let keyed = keyed.iter().map(|sealer| term(kind, text, Some(sealer)));
    std::iter::once(term(kind, text, None)).chain(keyed).collect()
}

/// A term, as the column `certificate_names.term`: a plain digest, or under the key of personal data.
pub(super) fn term(kind: u8, text: &str, sealer: Option<&Sealer>) -> [u8; 32] {
    match sealer {
        Some(sealer) => sealer.blind(kind, text),
        None => sha256(&[&[kind], text.as_bytes()].concat()),
    }
}
