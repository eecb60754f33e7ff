//! A queue of Amazon SQS as a sink.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ca_engine::port::sink::{Sink, SinkError, SinkEvent};
use serde_json::{Map, Value, json};

use super::message::Message;
use super::{Receiver, sink_error};
use crate::aws::{AwsAccess, Call, Caller, Protocol, QueueUrl, Service, Tally};
use crate::sink::patience::{LONGEST_WAIT, PATIENCE};

/// The longest message with its attributes, in octets.
const LONGEST: usize = 1 << 20;
/// Calls in a second at most. AWS takes 300 of a FIFO queue, and more of others.
const PER_SECOND: u32 = 250;
/// A million cost 0.40 to 0.50 US dollars: rounded up.
const SEND: Call = Call { operation: "SendMessage", micro_dollars: 1 };

/// A queue.
pub struct SqsQueue {
    queue: QueueUrl,
    name: String,
    region: String,
    service: Service,
    caller: Caller,
}

impl SqsQueue {
    pub(super) fn new(
        access: &AwsAccess,
        queue: QueueUrl,
        region: String,
        attempt: Duration,
        tally: Arc<Tally>,
    ) -> Self {
        let protocol = Protocol::Json { version: "1.0", target: "AmazonSQS" };
        let service = Service::new(access, "sqs", &region, protocol, attempt);
        let caller = Caller::new(PER_SECOND, LONGEST_WAIT, PATIENCE, tally);
        Self { name: format!("queue {queue}"), queue, region, service, caller }
    }
}

impl fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsQueue").field("queue", &self.queue).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for SqsQueue {
    async fn deliver(&self, event: &SinkEvent) -> Result<(), SinkError> {
        let input = input(&self.queue, &Message::of(event, LONGEST)?);
        let attempt = || self.service.ask(SEND.operation, &input);
        self.caller.call(SEND, attempt).await.map(drop).map_err(|error| {
            let receiver = Receiver { name: &self.name, service: "sqs", region: &self.region };
            sink_error(&receiver, SEND.operation, error)
        })
    }
}

fn input(queue: &QueueUrl, message: &Message<'_>) -> Value {
    let attribute =
        |(name, text): &(&str, String)| ((*name).to_owned(), json!({ "DataType": "String", "StringValue": text }));
    let attributes: Map<String, Value> = message.attributes.iter().map(attribute).collect();
    let mut input = json!({ "QueueUrl": queue.as_str(), "MessageBody": message.body, "MessageAttributes": attributes });
    if queue.is_fifo() {
        input["MessageGroupId"] = message.group.clone().into();
        input["MessageDeduplicationId"] = message.deduplication.clone().into();
    }
    input
}
