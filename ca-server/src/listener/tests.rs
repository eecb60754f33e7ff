//! What a listener bears from strangers.

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn listening(connections: usize) -> (SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let router = Router::new().route("/", get(|| async { "here" }));
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind("test", address, router, None).await.expect("a free port");
    let address = listener.address().expect("it is bound");
    let (stop, stopped) = watch::channel(false);
    (address, stop, tokio::spawn(listener.serve_at_most(Arc::new(Semaphore::new(connections)), stopped)))
}

/// HTTP/2 is a matter of ALPN: octets that look like its preface are a request that cannot be read, not the beginning of
/// something to be waited for.
#[tokio::test]
async fn speaks_http_1_where_nothing_else_was_agreed_on() {
    let (address, _stop, _serving) = listening(8).await;
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let closing = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer));
    closing.await.expect("the connection is closed at once").expect("in order");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "an answer in HTTP/2: {answer:?}");
}

#[tokio::test]
async fn what_is_written_waits_for_no_acknowledgement() {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let calling = TcpStream::connect(socket.local_addr().expect("it is bound"));
    let (stream, _calling) = tokio::join!(accept(&socket), calling);
    assert!(stream.expect("a connection").nodelay().expect("an option"));
}

#[tokio::test]
async fn stops_though_a_silent_connection_is_open() {
    let (address, stop, serving) = listening(8).await;
    let silent = TcpStream::connect(address).await.expect("it listens");
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.send(true).expect("it serves");
    tokio::time::timeout(Duration::from_secs(5), serving).await.expect("it stopped").expect("without a panic");
    drop(silent);
}

#[tokio::test]
async fn stops_though_all_connections_are_taken() {
    let (address, stop, serving) = listening(1).await;
    let taken = TcpStream::connect(address).await.expect("it listens");
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.send(true).expect("it serves");
    tokio::time::timeout(Duration::from_secs(15), serving).await.expect("it stopped").expect("without a panic");
    drop(taken);
}
