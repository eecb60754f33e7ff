//! Gateways and what they enforce.

use ca_api::gateway::{ComparedList, Gateway, ListComparison as Wire};
use ca_engine::flow::gateway::{ComparedGateway, ListComparison};

/// A gateway on record.
pub fn gateway(gateway: &ComparedGateway) -> Gateway {
    let record = &gateway.record;
    let lists = record.lists.iter().zip(&gateway.comparisons).map(|(list, comparison)| ComparedList {
        authority: list.authority.to_string(),
        number: list.number,
        sha256: hex::encode(list.sha256),
        octets: match comparison {
            ListComparison::Same => Wire::Same,
            ListComparison::Other => Wire::Other,
            ListComparison::Unknown => Wire::Unknown,
        },
    });
    Gateway {
        id: record.id.clone(),
        certificate: record.certificate.to_string(),
        registered_at: record.registered_at.to_rfc3339(),
        stated_at: record.stated_at.to_rfc3339(),
        generation: record.generation.clone(),
        lists: lists.collect(),
    }
}
