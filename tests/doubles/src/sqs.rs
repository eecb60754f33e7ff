//! Amazon SQS: queues, and what was sent to them.
//!
//! What the adapter needs: messages with attributes, first in first out with a group and what tells repetitions, and the limits that the
//! API reference names. Nobody receives here: tests look at what lies there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::json_protocol::{AwsError, Input, JsonDouble, JsonService};

/// A message in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// Its body.
    pub body: String,
    /// Its attributes, which are all texts.
    pub attributes: BTreeMap<String, String>,
    /// Its group, in a queue that keeps an order.
    pub group: Option<String>,
}

/// The queues of one account in one region.
#[derive(Default)]
pub struct Sqs {
    queues: BTreeMap<String, Queue>,
}

#[derive(Default)]
struct Queue {
    messages: Vec<SentMessage>,
    /// What tells repetitions, of messages that came already.
    seen: Vec<String>,
}

/// Amazon SQS in memory.
pub type SqsDouble = JsonDouble<Sqs>;

/// The longest message, in octets.
const LONGEST: usize = 1 << 20;

impl SqsDouble {
    /// With these queues, by their URLs.
    pub fn start(urls: &[&str]) -> anyhow::Result<Self> {
        let queues = urls.iter().map(|url| ((*url).to_owned(), Queue::default())).collect();
        Self::of(Sqs { queues })
    }

    /// Makes a queue, or takes one away.
    pub fn set_there(&self, url: &str, there: bool) {
        self.with(|sqs| match there {
            true => drop(sqs.queues.entry(url.to_owned()).or_default()),
            false => drop(sqs.queues.remove(url)),
        });
    }

    /// What lies in a queue, in the order in which it came.
    pub fn messages(&self, url: &str) -> Vec<SentMessage> {
        self.with(|sqs| sqs.queues.get(url).map(|queue| queue.messages.clone()).unwrap_or_default())
    }
}

impl JsonService for Sqs {
    const TARGET: &'static str = "AmazonSQS";
    const SIGNING_NAME: &'static str = "sqs";
    const VERSION: &'static str = "1.0";

    fn serve(&mut self, operation: &str, input: &Input) -> Result<Value, AwsError> {
        match operation {
            "SendMessage" => self.send(input),
            _ => {
                Err(AwsError::new("UnknownOperationException", format!("the double of SQS does not know {operation}")))
            }
        }
    }
}

impl Sqs {
    fn send(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&[
            "QueueUrl",
            "MessageBody",
            "MessageAttributes",
            "MessageGroupId",
            "MessageDeduplicationId",
        ])?;
        let (url, body) = (input.required_text("QueueUrl")?, input.required_text("MessageBody")?);
        let (group, token) = (input.text("MessageGroupId")?, input.text("MessageDeduplicationId")?);
        let queue = self.queues.get_mut(url).ok_or_else(|| {
            AwsError::new("com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.")
        })?;
        let attributes = attributes(input)?;
        let length = body.len() + attributes.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>();
        if length > LONGEST || attributes.len() > 10 {
            let message = "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.";
            return Err(AwsError::new("com.amazonaws.sqs#InvalidParameterValue", message));
        }
        if url.ends_with(".fifo") {
            if group.is_none() || token.is_none() {
                let message = "The request must contain the parameter MessageGroupId.";
                return Err(AwsError::new("com.amazonaws.sqs#MissingParameter", message));
            }
            if let Some(token) = token {
                if queue.seen.iter().any(|seen| seen == token) {
                    return Ok(json!({ "MessageId": "0" }));
                }
                queue.seen.push(token.to_owned());
            }
        }
        let (body, group) = (body.to_owned(), group.map(str::to_owned));
        queue.messages.push(SentMessage { body, attributes, group });
        Ok(json!({ "MessageId": queue.messages.len().to_string() }))
    }
}

fn attributes(input: &Input) -> Result<BTreeMap<String, String>, AwsError> {
    let wrong = || AwsError::new("com.amazonaws.sqs#InvalidParameterValue", "The message attribute is not valid.");
    let Some(given) = input.member("MessageAttributes") else { return Ok(BTreeMap::new()) };
    let text = |(name, value): (&String, &Value)| {
        let text = value["StringValue"].as_str().filter(|text| !text.is_empty() && value["DataType"] == "String")?;
        Some((name.clone(), text.to_owned()))
    };
    given.as_object().ok_or_else(wrong)?.iter().map(text).collect::<Option<_>>().ok_or_else(wrong)
}
