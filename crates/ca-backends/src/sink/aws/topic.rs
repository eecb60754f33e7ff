//! A topic of Amazon SNS as a sink.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ca_engine::port::sink::{Sink, SinkError, SinkEvent};

use super::message::Message;
use super::{Receiver, sink_error};
use crate::aws::{AwsAccess, Call, Caller, Protocol, Service, Tally, TopicArn};
use crate::sink::patience::{LONGEST_WAIT, PATIENCE};

/// The longest message with its attributes, in octets.
const LONGEST: usize = 256 << 10;
/// Calls in a second at most. AWS takes 300 of a FIFO topic in every region, and more of others.
const PER_SECOND: u32 = 250;
/// A million cost 0.50 US dollars: rounded up.
const PUBLISH: Call = Call { operation: "Publish", micro_dollars: 1 };

/// A topic.
pub struct SnsTopic {
    topic: TopicArn,
    name: String,
    service: Service,
    caller: Caller,
}

impl SnsTopic {
    pub(super) fn new(access: &AwsAccess, topic: TopicArn, attempt: Duration, tally: Arc<Tally>) -> Self {
        let service = Service::new(access, "sns", topic.region(), Protocol::Query { version: "2010-03-31" }, attempt);
        let caller = Caller::new(PER_SECOND, LONGEST_WAIT, PATIENCE, tally);
        Self { name: format!("topic {topic}"), topic, service, caller }
    }
}

impl fmt::Debug for SnsTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnsTopic").field("topic", &self.topic).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for SnsTopic {
    async fn deliver(&self, event: &SinkEvent) -> Result<(), SinkError> {
        let form = form(&self.topic, &Message::of(event, LONGEST)?);
        let attempt = || self.service.ask_form(PUBLISH.operation, &form);
        self.caller.call(PUBLISH, attempt).await.map_err(|error| {
            let receiver = Receiver { name: &self.name, service: "sns", region: self.topic.region() };
            sink_error(&receiver, PUBLISH.operation, error)
        })
    }
}

fn form(topic: &TopicArn, message: &Message<'_>) -> Vec<(String, String)> {
    let mut form = vec![("TopicArn".to_owned(), topic.to_string()), ("Message".to_owned(), message.body.to_owned())];
    for (index, (name, text)) in message.attributes.iter().enumerate() {
        let entry = format!("MessageAttributes.entry.{}", index + 1);
        form.push((format!("{entry}.Name"), (*name).to_owned()));
        form.push((format!("{entry}.Value.DataType"), "String".to_owned()));
        form.push((format!("{entry}.Value.StringValue"), text.clone()));
    }
    if topic.is_fifo() {
        form.push(("MessageGroupId".to_owned(), message.group.clone()));
        form.push(("MessageDeduplicationId".to_owned(), message.deduplication.clone()));
    }
    form
}
