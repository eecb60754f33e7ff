//! Topics and queues: what lies there afterwards, at doubles and at moto, and what is told when AWS refuses.

use std::collections::BTreeMap;
use std::time::Duration;

use ca_core::id::{CertificateId, DeliveryId};
use ca_core::time::Lifetime;
use ca_engine::port::sink::{Sink, SinkError, SinkEvent};
use ca_test_doubles::{Fault, SnsDouble, SqsDouble};
use ca_test_services::MotoServer;
use serde_json::{Value, json};

use super::*;
use crate::aws::{Protocol, Service};

const TOPIC: &str = "arn:aws:sns:sa-east-1:111122223333:ca-events";
const FIFO_TOPIC: &str = "arn:aws:sns:sa-east-1:111122223333:ca-events.fifo";
const QUEUE: &str = "https://sqs.sa-east-1.amazonaws.com/111122223333/ca-events";
const FIFO_QUEUE: &str = "https://sqs.sa-east-1.amazonaws.com/111122223333/ca-events.fifo";
const REGION: &str = "sa-east-1";

async fn topic(double: &SnsDouble, arn: &str) -> SnsTopic {
    AwsSinks::of_tests(&double.endpoint_url()).await.topic(TopicArn::parse(arn).expect("an ARN"))
}

async fn queue(double: &SqsDouble, url: &str) -> SqsQueue {
    AwsSinks::of_tests(&double.endpoint_url()).await.queue(QueueUrl::parse(url).expect("a URL"), REGION.to_owned())
}

fn event(number: u8) -> SinkEvent {
    let body = json!({ "authority": "tls", "profile": "server", "sequence": number, "topic": "certificate.revoked" });
    SinkEvent {
        id: DeliveryId::from_bytes([number; 16]),
        topic: "certificate.revoked".to_owned(),
        certificate: Some(CertificateId::from_bytes([9; 16])),
        body: body.to_string(),
    }
}

fn told(outcome: Result<(), SinkError>) -> SinkError {
    outcome.expect_err("it is refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_gets_the_event_with_attributes_that_subscriptions_choose_by() {
    let double = SnsDouble::start(&[TOPIC]).expect("a double");
    topic(&double, TOPIC).await.deliver(&event(1)).await.expect("published");
    let published = double.published();
    assert_eq!(published.len(), 1);
    assert_eq!((&published[0]["TopicArn"], &published[0]["Message"]), (&TOPIC.to_owned(), &event(1).body));
    let named = |index: usize| {
        let part = |part: &str| published[0][&format!("MessageAttributes.entry.{index}.{part}")].clone();
        (part("Name"), part("Value.StringValue"))
    };
    let expected = [
        ("id".to_owned(), event(1).id.to_string()),
        ("topic".to_owned(), "certificate.revoked".to_owned()),
        ("authority".to_owned(), "tls".to_owned()),
        ("profile".to_owned(), "server".to_owned()),
    ];
    assert_eq!([named(1), named(2), named(3), named(4)], expected);
    assert!(!published[0].contains_key("MessageGroupId"), "only topics that keep an order have groups");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_queues_that_keep_an_order_keep_it_for_each_certificate() {
    let double = SnsDouble::start(&[FIFO_TOPIC]).expect("a double");
    topic(&double, FIFO_TOPIC).await.deliver(&event(1)).await.expect("published");
    let published = &double.published()[0];
    assert_eq!(published["MessageGroupId"], CertificateId::from_bytes([9; 16]).to_string());
    assert_eq!(published["MessageDeduplicationId"], event(1).id.to_string());

    let double = SqsDouble::start(&[FIFO_QUEUE]).expect("a double");
    let queue = queue(&double, FIFO_QUEUE).await;
    for number in [1, 1, 2] {
        queue.deliver(&event(number)).await.expect("sent");
    }
    let messages = double.messages(FIFO_QUEUE);
    assert_eq!(messages.len(), 2, "a repetition is no second message");
    assert!(messages.iter().all(|message| message.group == Some(CertificateId::from_bytes([9; 16]).to_string())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_gets_the_event_and_its_attributes() {
    let double = SqsDouble::start(&[QUEUE]).expect("a double");
    queue(&double, QUEUE).await.deliver(&event(1)).await.expect("sent");
    let messages = double.messages(QUEUE);
    assert_eq!(messages.iter().map(|message| &message.body).collect::<Vec<_>>(), [&event(1).body]);
    assert_eq!(messages[0].attributes["topic"], "certificate.revoked");
    assert_eq!(messages[0].group, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_told_apart_from_what_stays_and_from_what_is_gone() {
    let double = SnsDouble::start(&[TOPIC]).expect("a double");
    let sns = topic(&double, TOPIC).await;
    // One that fails once is asked again at once, and no more.
    double.fail([Fault::Refuse(500, "InternalError")]);
    assert_eq!(sns.deliver(&event(1)).await, Ok(()));
    assert_eq!(double.asked(), 2);
    double.fail([Fault::Refuse(400, "Throttled"), Fault::Refuse(400, "Throttled")]);
    assert!(matches!(told(sns.deliver(&event(2)).await), SinkError::Unavailable { retry_after: Some(_), .. }));
    for (status, code, part) in [
        (403, "AuthorizationError", "sns:Publish"),
        (403, "ExpiredToken", "renew them"),
        (403, "InvalidClientTokenId", "does not know"),
        (400, "KMSDisabled", "kms:GenerateDataKey"),
    ] {
        double.fail([Fault::Refuse(status, code)]);
        let error = told(sns.deliver(&event(3)).await);
        assert!(matches!(&error, SinkError::Unavailable { detail, .. } if detail.contains(part)), "{code}: {error}");
        assert!(error.to_string().contains(TOPIC), "{error}");
    }
    double.fail([Fault::Refuse(400, "InvalidParameter")]);
    assert!(matches!(told(sns.deliver(&event(4)).await), SinkError::Refused { .. }));
    let elsewhere = topic(&double, "arn:aws:sns:sa-east-1:111122223333:another").await;
    let error = told(elsewhere.deliver(&event(5)).await);
    assert!(matches!(&error, SinkError::Gone { detail } if detail.contains("outbox replay")), "{error}");

    let double = SqsDouble::start(&[QUEUE]).expect("a double");
    let sqs = queue(&double, QUEUE).await;
    double.deny("SendMessage");
    let error = told(sqs.deliver(&event(1)).await);
    assert!(matches!(&error, SinkError::Unavailable { detail, .. } if detail.contains("sqs:SendMessage")), "{error}");
    double.allow("SendMessage");
    double.set_there(QUEUE, false);
    assert!(matches!(told(sqs.deliver(&event(1)).await), SinkError::Gone { .. }));
    double.set_there(QUEUE, true);
    double.fail("SendMessage", [Fault::Refuse(400, "RequestThrottled"), Fault::Refuse(400, "RequestThrottled")]);
    let error = told(sqs.deliver(&event(1)).await);
    let second = Lifetime::from_seconds(1);
    assert!(matches!(&error, SinkError::Unavailable { retry_after: Some(after), .. } if *after == second), "{error}");
    assert_eq!(sqs.deliver(&event(1)).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_makes_a_repetition_that_is_told_by_its_id() {
    let double = SqsDouble::start(&[QUEUE]).expect("a double");
    double.fail("SendMessage", [Fault::LoseAnswer]);
    queue(&double, QUEUE).await.deliver(&event(1)).await.expect("sent");
    let ids: Vec<String> = double.messages(QUEUE).iter().map(|message| message.attributes["id"].clone()).collect();
    assert_eq!(ids, [event(1).id.to_string(), event(1).id.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_and_no_key_shows_in_what_is_told() {
    // Nobody listens there.
    let sinks = AwsSinks::of_tests("http://127.0.0.1:1").await;
    let sns = sinks.topic(TopicArn::parse(TOPIC).expect("an ARN"));
    let error = told(sns.deliver(&event(1)).await);
    assert!(matches!(error, SinkError::Unavailable { .. }), "{error}");
    let shown = format!("{error} {sns:?}");
    assert!(!shown.contains("a-secret-of-the-tests"), "{shown}");
    let counts = sinks.counts();
    assert!(counts.iter().any(|(service, count)| *service == "sns" && count.operation == "Publish"), "{counts:?}");
}

/// moto, which others wrote: that the doubles are not judged by themselves. A topic has two subscribers, and each gets what its filter
/// lets through.
#[tokio::test(flavor = "multi_thread")]
async fn moto_takes_what_is_published_and_sent_and_filters_by_attributes() {
    let moto = MotoServer::start().expect("moto");
    let access = AwsAccess::of_tests(&moto.endpoint_url()).await;
    let patience = Duration::from_secs(60);
    let sns = Service::new(&access, "sns", REGION, Protocol::Query { version: "2010-03-31" }, patience);
    let sqs = Service::new(&access, "sqs", REGION, Protocol::Json { version: "1.0", target: "AmazonSQS" }, patience);
    let (made, urls) =
        (sns_topic(&sns).await, [make_queue(&sqs, "revocations").await, make_queue(&sqs, "lists").await]);
    for (name, wanted) in [("revocations", "certificate.revoked"), ("lists", "crl.published")] {
        let form = [
            ("TopicArn", made.as_str().to_owned()),
            ("Protocol", "sqs".to_owned()),
            ("Endpoint", format!("arn:aws:sqs:{REGION}:123456789012:{name}")),
            ("Attributes.entry.1.key", "FilterPolicy".to_owned()),
            ("Attributes.entry.1.value", json!({ "topic": [wanted] }).to_string()),
            ("Attributes.entry.2.key", "RawMessageDelivery".to_owned()),
            ("Attributes.entry.2.value", "true".to_owned()),
        ];
        sns.ask_form("Subscribe", &form.map(|(name, value)| (name.to_owned(), value))).await.expect("subscribed");
    }
    let sinks = AwsSinks::of_tests(&moto.endpoint_url()).await;
    sinks.topic(made.clone()).deliver(&event(1)).await.expect("published");
    let received = [receive(&sqs, &urls[0]).await, receive(&sqs, &urls[1]).await];
    assert_eq!(received[0]["Messages"][0]["Body"], event(1).body);
    assert_eq!(received[0]["Messages"][0]["MessageAttributes"]["id"]["StringValue"], event(1).id.to_string());
    assert!(received[1]["Messages"].as_array().is_none_or(Vec::is_empty), "{}", received[1]);

    // A queue that keeps an order takes a repetition once.
    let url = make_queue(&sqs, "ordered.fifo").await;
    let ordered = sinks.queue(QueueUrl::parse(&url).expect("a URL"), REGION.to_owned());
    for number in [1, 1, 2] {
        ordered.deliver(&event(number)).await.expect("sent");
    }
    let answer = receive(&sqs, &url).await;
    let bodies: Vec<&Value> =
        answer["Messages"].as_array().into_iter().flatten().map(|message| &message["Body"]).collect();
    // What is received of one group keeps the rest of it back.
    assert!(!bodies.is_empty() && bodies.len() <= 2 && bodies[0] == &Value::from(event(1).body), "{answer}");

    // What is not there is gone by the name that AWS has for it.
    let (topic, queue) = (made.as_str().replace("ca-events", "nothing"), url.replace("ordered", "nothing"));
    let topic = sinks.topic(TopicArn::parse(&topic).expect("an ARN"));
    assert!(matches!(told(topic.deliver(&event(1)).await), SinkError::Gone { .. }));
    let queue = sinks.queue(QueueUrl::parse(&queue).expect("a URL"), REGION.to_owned());
    assert!(matches!(told(queue.deliver(&event(1)).await), SinkError::Gone { .. }));
}

/// The topic `ca-events` of moto's account.
async fn sns_topic(sns: &Service) -> TopicArn {
    sns.ask_form("CreateTopic", &[("Name".to_owned(), "ca-events".to_owned())]).await.expect("a topic");
    TopicArn::parse(&format!("arn:aws:sns:{REGION}:123456789012:ca-events")).expect("an ARN")
}

async fn make_queue(sqs: &Service, name: &str) -> String {
    let attributes: BTreeMap<&str, &str> =
        if name.ends_with(".fifo") { BTreeMap::from([("FifoQueue", "true")]) } else { BTreeMap::new() };
    let answer =
        sqs.ask("CreateQueue", &json!({ "QueueName": name, "Attributes": attributes })).await.expect("a queue");
    answer["QueueUrl"].as_str().expect("its URL").to_owned()
}

async fn receive(sqs: &Service, url: &str) -> Value {
    let input = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"] });
    sqs.ask("ReceiveMessage", &input).await.expect("an answer")
}
