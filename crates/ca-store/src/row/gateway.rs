//! Gateways, as their columns give them.

use ca_core::id::CertificateId;
use ca_core::time::Timestamp;
use ca_engine::port::store::{EnforcedList, GatewayRecord, StoreError};
use sqlx::FromRow;

use super::inconsistent;

#[derive(FromRow)]
pub(crate) struct GatewayRow {
    pub(crate) id: String,
    pub(crate) certificate_id: Vec<u8>,
    pub(crate) registered_at: i64,
    pub(crate) stated_at: i64,
    pub(crate) generation: String,
    pub(crate) lists: String,
}

impl TryFrom<GatewayRow> for GatewayRecord {
    type Error = StoreError;

    fn try_from(row: GatewayRow) -> Result<Self, StoreError> {
        let place = format!("gateways {}", row.id);
        let lists: Vec<(String, u64, String)> =
            serde_json::from_str(&row.lists).map_err(|_| inconsistent(&place, "lists that are not of their shape"))?;
        let lists = lists.into_iter().map(|(authority, number, sha256)| {
            let octets = hex::decode(sha256).map_err(|_| inconsistent(&place, "a digest that is none"))?;
            Ok(EnforcedList {
                authority: super::parse("gateways.lists", &authority)?,
                number,
                sha256: super::octets(&place, octets)?,
            })
        });
        Ok(Self {
            lists: lists.collect::<Result<_, StoreError>>()?,
            certificate: CertificateId::from_bytes(super::octets("gateways.certificate_id", row.certificate_id)?),
            registered_at: Timestamp::from_unix_millis(row.registered_at),
            stated_at: Timestamp::from_unix_millis(row.stated_at),
            generation: row.generation,
            id: row.id,
        })
    }
}

/// The column `lists`.
pub(crate) fn lists_column(lists: &[EnforcedList]) -> String {
    let rows =
        lists.iter().map(|list| serde_json::json!([list.authority.as_str(), list.number, hex::encode(list.sha256)]));
    serde_json::Value::Array(rows.collect()).to_string()
}
