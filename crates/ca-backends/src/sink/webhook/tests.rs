//! A webhook against receivers of a few lines: what it sends, and what it makes of every answer.

use std::collections::BTreeMap;

use ca_core::id::DeliveryId;
use ca_core::time::Timestamp;
use ca_engine::fake::FakeClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn event() -> SinkEvent {
    SinkEvent {
        id: DeliveryId::from_bytes([7; 16]),
        topic: "crl.published".to_owned(),
        certificate: None,
        body: "{\"topic\":\"crl.published\"}".to_owned(),
    }
}

fn webhook(url: &str) -> Webhook {
    let clock = Arc::new(FakeClock::at(Timestamp::from_unix_seconds(1_795_176_000)));
    let secrets = WebhookSecrets::read(SECRET).expect("a secret");
    Webhook::new(WebhookAddress::parse(url).expect("an address"), secrets, None, clock).expect("a webhook")
}

/// Answers one request with these octets, and gives the request; its URL is given first.
async fn receiver(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hooks/s3cret", listener.local_addr().expect("bound"));
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a caller");
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.ends_with(event().body.as_bytes()) {
            let read = stream.read(&mut buffer).await.expect("a request");
            assert!(read > 0, "it broke off");
            request.extend_from_slice(&buffer[..read]);
        }
        // A caller that has heard enough may have gone.
        let _ = stream.write_all(answer.as_bytes()).await;
        String::from_utf8(request).expect("text")
    });
    (url, asked)
}

async fn answered(answer: &'static str) -> Result<(), SinkError> {
    let (url, asked) = receiver(answer).await;
    let outcome = webhook(&url).deliver(&event()).await;
    asked.await.expect("asked");
    outcome
}

#[tokio::test]
async fn posts_the_body_with_id_time_and_signature() {
    let (url, asked) = receiver("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(webhook(&url).deliver(&event()).await, Ok(()));
    let request = asked.await.expect("asked");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, event().body);
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("POST /hooks/s3cret HTTP/1.1"));
    let headers: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["webhook-id"], event().id.to_string());
    assert_eq!(headers["webhook-timestamp"], "1795176000");
    let secrets = WebhookSecrets::read(SECRET).expect("a secret");
    assert_eq!(headers["webhook-signature"], secrets.sign(headers["webhook-id"], "1795176000", body));
    for absent in ["authorization", "cookie", "traceparent"] {
        assert!(!headers.contains_key(absent), "{absent}");
    }
}

#[tokio::test]
async fn what_is_not_2xx_is_tried_again_but_for_410() {
    assert_eq!(answered("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await, Ok(()));
    let gone = answered("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(gone, Err(SinkError::Gone { .. })), "{gone:?}");
    for answer in [
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 6\r\n\r\ns3cret",
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
    ] {
        let refused = answered(answer).await;
        let Err(SinkError::Refused { detail }) = &refused else { panic!("{answer}: {refused:?}") };
        assert!(detail.contains(&answer[9..12]) && !detail.contains("s3cret"), "{detail}");
    }
    for (answer, seconds) in [
        ("HTTP/1.1 503 Service Unavailable\r\nretry-after: 30\r\ncontent-length: 0\r\n\r\n", Some(30)),
        ("HTTP/1.1 429 Too Many Requests\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n", None),
        ("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n", None),
    ] {
        let busy = answered(answer).await;
        let Err(SinkError::Unavailable { detail, retry_after }) = &busy else { panic!("{answer}: {busy:?}") };
        assert!(detail.contains(&answer[9..12]), "{detail}");
        assert_eq!(*retry_after, seconds.map(Lifetime::from_seconds), "{answer}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let long: &'static str = Box::leak(
        format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n{}", "x".repeat(4 * LARGEST_ANSWER))
            .into_boxed_str(),
    );
    assert_eq!(answered(long).await, Ok(()));
}

#[tokio::test]
async fn nobody_there_and_a_certificate_of_a_stranger_make_it_unavailable_and_name_no_address() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let nobody = webhook(&format!("http://127.0.0.1:{port}/hooks/s3cret")).deliver(&event()).await;
    let Err(SinkError::Unavailable { detail, .. }) = &nobody else { panic!("{nobody:?}") };
    assert!(detail.contains("refused") && !detail.contains("s3cret"), "{detail}");
    // Speaks no TLS.
    let (url, _asked) = receiver("HTTP/1.1 200 OK\r\n\r\n").await;
    let plain = webhook(&url.replace("http://", "https://")).deliver(&event()).await;
    let Err(SinkError::Unavailable { detail, .. }) = &plain else { panic!("{plain:?}") };
    assert!(!detail.contains("s3cret"), "{detail}");
}

#[test]
fn roots_that_are_none_are_refused() {
    let clock = Arc::new(FakeClock::default());
    for roots in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let address = WebhookAddress::parse("https://events.example.org/").expect("an address");
        let secrets = WebhookSecrets::read(SECRET).expect("a secret");
        let made = Webhook::new(address, secrets, Some(roots.as_bytes()), clock.clone());
        assert!(matches!(made, Err(WebhookError::Roots { .. })), "{roots}");
    }
}
