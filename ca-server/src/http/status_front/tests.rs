//! Connections, octet by octet.

use ca_runtime::local::open_local;
use ca_runtime::open::Runtime;
use tokio::io::{DuplexStream, duplex};

use super::*;
use crate::serve::state_of;

/// What a request that is no OCSPRequest is answered with: `malformedRequest`.
const MALFORMED: &[u8] = b"\x30\x03\x0a\x01\x01";

const GET: &str = "GET /ocsp/MEUw HTTP/1.1\r\nHost: pki\r\n\r\n";

struct Service {
    front: StatusFront,
    _runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Service {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = ["ROOT", "TLS", "DOCUMENT"]
            .map(|authority| (format!("CA__AUTHORITY__{authority}__KEY"), "software:p256".to_owned()));
        let local = open_local(&folder.path().join("ca-data"), &keys, &|_| {}).await.expect("a service");
        let front = StatusFront::new(state_of(&local.runtime, "a server"));
        Self { front, _runtime: local.runtime, _folder: folder }
    }

    /// Serves a connection; the client's end and the task.
    fn connect(&self) -> (DuplexStream, tokio::task::JoinHandle<io::Result<Served>>) {
        let (client, mut server) = duplex(64 * 1024);
        let front = self.front.clone();
        (client, tokio::spawn(async move { front.serve(&mut server, std::future::pending()).await }))
    }
}

/// The answers in what a connection gave, each without its head.
fn bodies(mut octets: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while !octets.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut head = httparse::Response::new(&mut fields);
        let size = head.parse(octets).expect("HTTP").unwrap();
        assert_eq!(head.code, Some(200));
        let value = |name: &str| {
            let field = head.headers.iter().find(|field| field.name == name);
            field.map(|field| String::from_utf8_lossy(field.value).into_owned()).unwrap_or_default()
        };
        assert_eq!(value("content-type"), "application/ocsp-response");
        assert_eq!(value("cache-control"), "no-store");
        assert_eq!(value("x-content-type-options"), "nosniff");
        assert!(httpdate::parse_http_date(&value("date")).is_ok());
        let length: usize = value("content-length").parse().expect("a length");
        bodies.push(octets[size..size + length].to_vec());
        octets = &octets[size + length..];
    }
    bodies
}

#[tokio::test]
async fn answers_one_by_one_and_many_at_once() {
    let service = Service::open().await;
    for parts in [
        vec![GET.to_owned()],
        vec![GET.repeat(3)],
        vec![GET.to_owned(), format!("{GET}GET /oc"), "sp/M HTTP/1.1\r\n\r\n".to_owned()],
    ] {
        let requests = parts.concat().matches("GET ").count();
        let (mut client, serving) = service.connect();
        for part in parts {
            client.write_all(part.as_bytes()).await.expect("sent");
            tokio::task::yield_now().await;
        }
        client.shutdown().await.expect("closed");
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).await.expect("answered");
        assert_eq!(bodies(&answers), vec![MALFORMED; requests]);
        assert!(matches!(serving.await.expect("no panic"), Ok(Served::Over)));
    }
}

#[tokio::test]
async fn says_good_bye_where_the_client_does() {
    let service = Service::open().await;
    for last in ["GET /ocsp/MEUw HTTP/1.0\r\n\r\n", "GET /ocsp/MEUw HTTP/1.1\r\nConnection: close\r\n\r\n"] {
        let (mut client, serving) = service.connect();
        client.write_all(format!("{last}{GET}").as_bytes()).await.expect("sent");
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).await.expect("answered");
        let text = String::from_utf8_lossy(&answers);
        // Old clients look for their own version.
        let version = if last.contains("HTTP/1.0") { "HTTP/1.0 " } else { "HTTP/1.1 " };
        assert!(text.starts_with(version), "{text}");
        assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
        assert_eq!(bodies(&answers), [MALFORMED], "what comes after the last request is not answered");
        assert!(matches!(serving.await.expect("no panic"), Ok(Served::Over)));
    }
}

#[tokio::test]
async fn hands_on_whole_what_is_not_plain() {
    let service = Service::open().await;
    let slow = "POST /ocsp HTTP/1.1\r\nContent-Type: application/ocsp-request\r\nContent-Length: 9\r\n\r\n123";
    for other in ["GET /crl/tls.crl HTTP/1.1\r\n\r\nGET /roots.pem", slow, "GET /ocsp/MEUw HTT"] {
        let (mut client, serving) = service.connect();
        client.write_all(format!("{GET}{other}").as_bytes()).await.expect("sent");
        // The rest never comes, and the client waits.
        let Ok(Served::Others(octets)) = serving.await.expect("no panic") else { panic!("{other} was answered") };
        assert_eq!(String::from_utf8_lossy(&octets), other);
        let mut answers = Vec::new();
        client.read_to_end(&mut answers).await.expect("answered");
        assert_eq!(bodies(&answers), [MALFORMED], "what came before was answered");
    }
}

#[tokio::test]
async fn stops_between_two_requests() {
    let service = Service::open().await;
    let (mut client, mut server) = duplex(1_024);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let front = service.front.clone();
    let serving = tokio::spawn(async move { front.serve(&mut server, async { drop(stopped.await) }).await });
    client.write_all(GET.as_bytes()).await.expect("sent");
    let mut first = [0; 4];
    client.read_exact(&mut first).await.expect("answered");
    stop.send(()).expect("it serves");
    assert!(matches!(serving.await.expect("no panic"), Ok(Served::Over)));
}
