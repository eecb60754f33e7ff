//! Gateways and what they enforce.

use ca_api::gateway::{EnforcedList, Gateway, GatewayStatus};
use ca_engine::port::store::GatewayRecord;

/// A gateway on record.
pub fn gateway(record: &GatewayRecord) -> Gateway {
    let lists = record.lists.iter().map(|list| EnforcedList {
        authority: list.authority.to_string(),
        number: list.number,
        sha256: hex::encode(list.sha256),
    });
    Gateway {
        id: record.id.clone(),
        certificate: record.certificate.to_string(),
        registered_at: record.registered_at.to_rfc3339(),
        stated_at: record.stated_at.to_rfc3339(),
        status: GatewayStatus { generation: record.generation.clone(), lists: lists.collect() },
    }
}
