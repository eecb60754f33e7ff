//! What a handler leaves unread of a request's body is read and thrown away.
//!
//! Many answers need no more than the head of a request: nobody of that name, no permission, too large. Over HTTP/1.1 hyper then
//! closes the connection, and a client that still writes its body learns that the connection broke instead of why (RFC 9112
//! §9.6: a server that closes at once may cut off its own answer). HTTP/2 tells the client to stop by itself.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{Version, header};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// How much is thrown away, in octets; who sends more loses the connection.
const MAXIMUM: usize = 1024 * 1024;

/// How long the rest may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sees to it that the body is read to its end, by the handler or after it.
pub(crate) fn read_out(request: Request) -> Request {
    // Who waits for `100 Continue` sends nothing after a refusal.
    let waits = request.headers().contains_key(header::EXPECT);
    if request.version() >= Version::HTTP_2 || waits || request.body().is_end_stream() {
        return request;
    }
    request.map(|body| Body::new(ReadOut { rest: Some(body) }))
}

/// A body whose rest is read when it is dropped.
struct ReadOut {
    /// Nothing, once the end was seen.
    rest: Option<Body>,
}

impl HttpBody for ReadOut {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.rest else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.rest = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for ReadOut {
    fn drop(&mut self) {
        let Some(body) = self.rest.take().filter(|body| !body.is_end_stream()) else { return };
        // Outside of a runtime there is no connection either.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(PATIENCE, discard(body)));
        }
    }
}

async fn discard(mut body: Body) {
    let mut discarded = 0;
    while discarded < MAXIMUM {
        match std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            Some(Ok(frame)) => discarded += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::{Next, from_fn};
    use axum::routing::post;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn through(request: Request, next: Next) -> axum::response::Response {
        next.run(read_out(request)).await
    }

    /// Sends a body that nobody reads, larger than any buffer on the way, and only then looks for the answer.
    async fn answer_after(octets: usize) -> std::io::Result<String> {
        let router = Router::new().route("/", post(|| async { "no need to read that" })).layer(from_fn(through));
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let mut client = TcpStream::connect(socket.local_addr()?).await?;
        let server = tokio::spawn(async { axum::serve(socket, router).await });
        let head = format!("POST / HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {octets}\r\n\r\n");
        client.write_all(head.as_bytes()).await?;
        for _ in 0..octets / 1024 {
            client.write_all(&[b'x'; 1024]).await?;
            tokio::task::yield_now().await;
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await?;
        server.abort();
        Ok(answer)
    }

    #[tokio::test]
    async fn who_sends_a_body_that_nobody_reads_gets_the_answer() {
        let answer = answer_after(512 * 1024).await.expect("the connection holds until the body is sent");
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("no need to read that"), "{answer}");
    }

    #[tokio::test]
    async fn who_sends_without_end_loses_the_connection() {
        let answered = answer_after(64 * MAXIMUM).await;
        assert!(answered.is_err(), "{answered:?}");
    }
}
