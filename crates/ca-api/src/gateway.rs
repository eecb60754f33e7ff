//! What gateways enforce: `GET /v1/gateways`, `PUT /v1/gateways/{gateway}/status`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `PUT /v1/gateways/{gateway}/status`: a statement under the gateway's mTLS identity, made after a handshake with the
/// gateway itself proved it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayStatus {
    /// Which configuration the gateway runs by, in its own words.
    #[schema(
        min_length = 1,
        max_length = 128,
        example = "7767314dfe61d2e5724f403a0b6c90eb3e72c030f0bf1b9e5cc08e9374629e53"
    )]
    pub generation: String,
    /// The revocation lists that it judges by.
    #[schema(min_items = 1, max_items = 64)]
    pub lists: Vec<EnforcedList>,
}

/// A revocation list that a gateway judges by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnforcedList {
    /// The authority's id.
    #[schema(min_length = 1, max_length = 64, example = "tls")]
    pub authority: String,
    /// The list's number.
    pub number: u64,
    /// SHA-256 over the list's DER, hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
}

/// A gateway on record. Item of `GET /v1/gateways`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gateway {
    /// Its name, which its certificate has.
    #[schema(example = "gw1.example.com")]
    pub id: String,
    /// The id of the certificate whose holder spoke for it last.
    #[schema(format = "uuid")]
    pub certificate: String,
    /// When it was heard of first.
    #[schema(format = "date-time")]
    pub registered_at: String,
    /// When it spoke last, by the service's clock.
    #[schema(format = "date-time")]
    pub stated_at: String,
    /// Which configuration it runs by, in its own words.
    #[schema(example = "7767314dfe61d2e5724f403a0b6c90eb3e72c030f0bf1b9e5cc08e9374629e53")]
    pub generation: String,
    /// The revocation lists that it judges by.
    pub lists: Vec<ComparedList>,
}

/// A revocation list that a gateway judges by, compared with the service's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComparedList {
    /// The authority's id.
    #[schema(example = "tls")]
    pub authority: String,
    /// The list's number.
    pub number: u64,
    /// SHA-256 over the list's DER, hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
    /// How its octets compare with those of the service's list of that number.
    pub octets: ListComparison,
}

/// How the octets that a gateway enforces compare with the list of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ListComparison {
    /// They are that list's.
    Same,
    /// They are another's. Such a gateway does not count as one that enforces the list.
    Other,
    /// The list is not the newest, and who answers has not seen it: nothing can be said until the gateway has a newer one.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::page::Page;

    #[test]
    fn gateways_have_their_golden_shapes() {
        let page = golden::round_trips::<Page<Gateway>>(include_str!("../testdata/gateways.json"));
        assert_eq!(page.items[0].lists.len(), 2);
        assert_eq!(page.items[0].lists[1].octets, ListComparison::Same);
    }

    #[test]
    fn a_statement_refuses_an_unknown_field() {
        golden::round_trips::<GatewayStatus>(include_str!("../testdata/gateway_status.json"));
        let error = golden::refusal::<GatewayStatus>(r#"{"generation": "a", "lists": [], "certificate": "b"}"#);
        assert!(error.contains("unknown field `certificate`"), "{error}");
    }
}
