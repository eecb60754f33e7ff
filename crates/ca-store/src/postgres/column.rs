//! From the values of the core to parameters, where PostgreSQL's differ from octets, text and numbers.

use ca_core::hash::sha256;
use ca_core::id::{CertificateId, DeliveryId, TokenId};
use ca_engine::port::store::NameQuery;
use sqlx::types::Uuid;

use crate::row::search::SearchTerms;

/// The id of a certificate or reservation.
pub(super) fn certificate(id: CertificateId) -> Uuid {
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

/// Everything a certificate is found by, as the column `reservations.terms`.
pub(super) fn terms(terms: &SearchTerms) -> Vec<u8> {
    let names = terms.names.iter().map(|name| term(0, name));
    names.chain([term(1, &terms.subject)]).flatten().collect()
}

/// What is looked for, as the column `certificate_names.term`.
pub(super) fn term_of(query: &NameQuery) -> [u8; 32] {
    match query {
        NameQuery::AnyName(name) => term(0, &name.to_lowercase()),
        NameQuery::Subject(subject) => term(1, &subject.to_lowercase()),
    }
}

fn term(kind: u8, text: &str) -> [u8; 32] {
    sha256(&[&[kind], text.as_bytes()].concat())
}
