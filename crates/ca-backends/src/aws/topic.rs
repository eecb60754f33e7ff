//! The name of a topic of Amazon SNS: its ARN.

use std::fmt;

use thiserror::Error;

/// `arn:aws:sns:REGION:ACCOUNT:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicArn(String);

/// A text that names no topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is not the ARN of a topic of Amazon SNS; write it like `arn:aws:sns:sa-east-1:111122223333:ca-events`")]
pub struct TopicProblem;

impl TopicArn {
    /// Reads an ARN, of any partition. That of a subscription is none.
    pub fn parse(text: &str) -> Result<Self, TopicProblem> {
        let parts: Vec<&str> = text.split(':').collect();
        let [arn, partition, service, region, account, name] = parts[..] else { return Err(TopicProblem) };
        let is_plain =
            |part: &str| !part.is_empty() && part.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        let bare = name.strip_suffix(FIFO).unwrap_or(name);
        let is_name = !bare.is_empty()
            && name.len() <= 256
            && bare.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'));
        let is_one = arn == "arn"
            && service == "sns"
            && partition.starts_with("aws")
            && is_plain(partition)
            && is_plain(region)
            && account.len() == 12
            && account.bytes().all(|octet| octet.is_ascii_digit())
            && is_name;
        if is_one { Ok(Self(text.to_owned())) } else { Err(TopicProblem) }
    }

    /// The ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The region that it is in.
    pub fn region(&self) -> &str {
        // Checked when it was read: there are six parts.
        self.0.split(':').nth(3).unwrap_or_default()
    }

    /// Whether it keeps an order and drops repetitions.
    pub fn is_fifo(&self) -> bool {
        self.0.ends_with(FIFO)
    }
}

impl fmt::Display for TopicArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the names of topics and queues end that keep an order.
pub(super) const FIFO: &str = ".fifo";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_arn_of_a_topic_and_nothing_else() {
        let arn = TopicArn::parse("arn:aws-cn:sns:cn-north-1:111122223333:ca_events-1").expect("an ARN");
        assert_eq!((arn.region(), arn.is_fifo()), ("cn-north-1", false));
        assert!(TopicArn::parse("arn:aws:sns:sa-east-1:111122223333:ca-events.fifo").expect("an ARN").is_fifo());
        for text in [
            "",
            "ca-events",
            "arn:aws:sqs:sa-east-1:111122223333:ca-events",
            "arn:aws:sns:sa-east-1:1111:ca-events",
            "arn:aws:sns::111122223333:ca-events",
            "arn:aws:sns:sa-east-1:111122223333:",
            "arn:aws:sns:sa-east-1:111122223333:.fifo",
            "arn:aws:sns:sa-east-1:111122223333:ca.events",
            "arn:aws:sns:sa-east-1:111122223333:ca-events:0199f0c2-5b1f-7c51-9d2e-7a3e0a6c4d21",
        ] {
            assert_eq!(TopicArn::parse(text), Err(TopicProblem), "{text}");
        }
    }
}
