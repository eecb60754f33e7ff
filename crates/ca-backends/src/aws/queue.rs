//! The name of a queue of Amazon SQS: its URL.

use std::fmt;

use thiserror::Error;

use super::place::Region;
use super::topic::FIFO;

/// `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, or another host of an emulator or of an endpoint inside a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueUrl(String);

/// A text that names no queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "it is not the URL of a queue of Amazon SQS; write it like `https://sqs.sa-east-1.amazonaws.com/111122223333/ca-events` \
     (aws sqs get-queue-url tells it)"
)]
pub struct QueueProblem;

impl QueueUrl {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, QueueProblem> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(QueueProblem)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let [host, account, name] = parts[..] else { return Err(QueueProblem) };
        let bare = name.strip_suffix(FIFO).unwrap_or(name);
        let is_one = !host.is_empty()
            && !host.contains(['@', '?', '#'])
            && !host.contains(|letter: char| letter.is_whitespace() || letter.is_control())
            && account.len() == 12
            && account.bytes().all(|octet| octet.is_ascii_digit())
            && !bare.is_empty()
            && name.len() <= 80
            && bare.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'));
        if is_one { Ok(Self(text.to_owned())) } else { Err(QueueProblem) }
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The region that its host names; `None` when it names none.
    pub fn region(&self) -> Option<Region> {
        let host = self.0.split('/').nth(2)?;
        let mut labels = host.split('.');
        let service = labels.next()?;
        if !matches!(service, "sqs" | "sqs-fips") {
            return None;
        }
        Region::parse(labels.next()?).ok()
    }

    /// Whether it keeps an order and drops repetitions.
    pub fn is_fifo(&self) -> bool {
        self.0.ends_with(FIFO)
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_url_of_a_queue_and_nothing_else() {
        let url = QueueUrl::parse("https://sqs.sa-east-1.amazonaws.com/111122223333/ca-events").expect("a URL");
        assert_eq!(url.region().map(|region| region.to_string()), Some("sa-east-1".to_owned()));
        assert!(!url.is_fifo());
        let url = QueueUrl::parse("http://127.0.0.1:5000/111122223333/ca_events.fifo").expect("a URL");
        assert_eq!((url.region(), url.is_fifo()), (None, true));
        for text in [
            "",
            "ca-events",
            "arn:aws:sqs:sa-east-1:111122223333:ca-events",
            "https://sqs.sa-east-1.amazonaws.com/111122223333",
            "https://sqs.sa-east-1.amazonaws.com/1111/ca-events",
            "https://sqs.sa-east-1.amazonaws.com/111122223333/ca-events/",
            "https://sqs.sa-east-1.amazonaws.com/111122223333/ca.events",
            "https://sqs.sa-east-1.amazonaws.com/111122223333/.fifo",
            "https://key:hunter2@sqs.sa-east-1.amazonaws.com/111122223333/ca-events",
        ] {
            assert_eq!(QueueUrl::parse(text), Err(QueueProblem), "{text}");
        }
        assert!(!QueueProblem.to_string().contains("hunter2"));
    }
}
