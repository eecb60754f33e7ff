//! An event as topics and queues take it: the body as it is, and beside it attributes, by which subscriptions choose.

use ca_engine::port::sink::{SinkError, SinkEvent};
use serde_json::{Map, Value};

/// The fields of events that become attributes, where they are texts: who subscribes chooses by them. SQS takes ten attributes, and two
/// are there always.
const FIELDS: [&str; 7] = ["authority", "profile", "owner", "reason", "managed", "name", "urgency"];

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) body: &'a str,
    /// Names and texts.
    pub(super) attributes: Vec<(&'static str, String)>,
    /// What has an order among itself: the certificate, else the topic.
    pub(super) group: String,
    /// By what repetitions are told: AWS drops those of the last five minutes.
    pub(super) deduplication: String,
}

impl<'a> Message<'a> {
    /// The message of an event. [`SinkError::Gone`] when it is longer than `most` octets: no attempt would shorten it.
    pub(super) fn of(event: &'a SinkEvent, most: usize) -> Result<Self, SinkError> {
        let fields: Map<String, Value> = serde_json::from_str(&event.body).unwrap_or_default();
        let text = |name: &'static str| {
            let text = fields.get(name)?.as_str().filter(|text| !text.is_empty())?;
            Some((name, text.to_owned()))
        };
        let mut attributes = vec![("id", event.id.to_string()), ("topic", event.topic.clone())];
        attributes.extend(FIELDS.into_iter().filter_map(text));
        let message = Self {
            body: &event.body,
            attributes,
            group: event.certificate.map_or_else(|| event.topic.clone(), |certificate| certificate.to_string()),
            deduplication: event.id.to_string(),
        };
        let length = message.length();
        if length > most {
            let detail = format!(
                "the event is {length} octets long with its attributes, and {most} are taken; a webhook takes it, and the API tells \
                 what is in it"
            );
            return Err(SinkError::Gone { detail });
        }
        Ok(message)
    }

    /// In octets, as AWS counts it: the body, and names, types and texts of the attributes.
    fn length(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, text)| name.len() + "String".len() + text.len());
        self.body.len() + attributes.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use ca_core::id::{CertificateId, DeliveryId};

    use super::*;

    #[test]
    fn what_is_a_text_becomes_an_attribute_and_a_certificate_is_a_group() {
        let event = SinkEvent {
            id: DeliveryId::from_bytes([7; 16]),
            topic: "certificate.revoked".to_owned(),
            certificate: Some(CertificateId::from_bytes([9; 16])),
            body: r#"{"authority":"tls","profile":"client","reason":"keyCompromise","serial":"01","sequence":4,"owner":""}"#
                .to_owned(),
        };
        let message = Message::of(&event, 4_000).expect("short");
        let names: Vec<&str> = message.attributes.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["id", "topic", "authority", "profile", "reason"]);
        assert_eq!(message.group, CertificateId::from_bytes([9; 16]).to_string());
        let length = message.length();
        assert!(Message::of(&event, length).is_ok());
        let error = Message::of(&event, length - 1).expect_err("too long");
        assert!(matches!(&error, SinkError::Gone { detail } if detail.contains("webhook")), "{error}");
        let event = SinkEvent { certificate: None, topic: "crl.published".to_owned(), ..event };
        assert_eq!(Message::of(&event, 4_000).expect("short").group, "crl.published");
    }
}
