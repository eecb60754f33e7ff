//! The outbox: events that a sink has not taken, of `GET /v1/outbox` and `POST …/{delivery}/replay`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Whether an event is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// It is, at `next_attempt_at` or once those before it of the same certificate are done.
    Pending,
    /// It is not, unless it is replayed.
    Dead,
}

/// An event on its way to one sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// Its name, a UUID: what receivers get as `webhook-id`, the same at every attempt.
    #[schema(format = "uuid")]
    pub id: String,
    /// The sink, as the configuration names it.
    #[schema(example = "inventory")]
    pub sink: String,
    /// Whether it is tried again.
    pub state: DeliveryState,
    /// What it tells of: `certificate.issued`, `certificate.revoked`, `crl.published` … The list may grow.
    #[schema(example = "certificate.revoked")]
    pub topic: String,
    /// The order of events: of two about one certificate the later change has the higher.
    #[schema(minimum = 1)]
    pub sequence: u64,
    /// The id of the certificate it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub certificate: Option<String>,
    /// When the change was made.
    #[schema(format = "date-time")]
    pub created_at: String,
    /// How often it was tried, since it was made or replayed.
    pub attempts: u32,
    /// When it is tried again, at the earliest; absent when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub next_attempt_at: Option<String>,
    /// When it was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub last_attempt_at: Option<String>,
    /// Why that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Query of `GET /v1/outbox`. Newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveryFilter {
    /// Only those of this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<DeliveryState>,
    /// At most so many items a page; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 512)]
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::page::Page;

    #[test]
    fn deliveries_have_their_golden_shapes() {
        let page = golden::round_trips::<Page<Delivery>>(include_str!("../testdata/outbox.json"));
        let states: Vec<DeliveryState> = page.items.iter().map(|delivery| delivery.state).collect();
        assert_eq!(states, [DeliveryState::Pending, DeliveryState::Dead]);
    }

    #[test]
    fn a_filter_refuses_an_unknown_parameter_and_state() {
        golden::round_trips::<DeliveryFilter>(include_str!("../testdata/outbox_filter.json"));
        let error = golden::refusal::<DeliveryFilter>(r#"{"sink": "inventory"}"#);
        assert!(error.contains("unknown field `sink`"), "{error}");
        let error = golden::refusal::<DeliveryFilter>(r#"{"state": "lost"}"#);
        assert!(error.contains("unknown variant `lost`"), "{error}");
    }
}
