//! A connection to the API that a client keeps, by TLS and HTTP/1.1: just as much of both as it takes to be answered, since a driver
//! shares the processors with what it measures.

use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The longest answer that is read, in octets.
const LONGEST: usize = 1024 * 1024;

/// What an answer's length stands behind, in lower case.
const LENGTH: &[u8] = b"content-length:";

/// A connection, and what was read from it last.
pub(crate) struct KeptConnection {
    stream: TlsStream<TcpStream>,
    read: Vec<u8>,
}

/// An answer.
pub(crate) struct Answer<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: &'a [u8],
}

impl KeptConnection {
    /// Connects to `localhost` and shakes hands.
    pub(crate) async fn open(port: u16, tls: Arc<rustls::ClientConfig>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("localhost", port)).await.context("the API cannot be reached")?;
        stream.set_nodelay(true).context("no delay")?;
        let name = ServerName::try_from("localhost").context("a name")?;
        let stream = TlsConnector::from(tls).connect(name, stream).await.context("the TLS handshake failed")?;
        Ok(Self { stream, read: Vec::with_capacity(8 * 1024) })
    }

    /// Sends a request, head and body, and waits for the answer, which must say how long it is.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        self.stream.write_all(request).await.context("the service takes no request")?;
        self.stream.flush().await.context("the service takes no request")?;
        self.read.clear();
        let (body, end) = loop {
            ensure!(self.read.len() <= LONGEST, "the answer has no end");
            let octets = self.stream.read_buf(&mut self.read).await.context("the service breaks off")?;
            ensure!(octets > 0, "the service closed the connection");
            let Some(head) = self.read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let end = head + 4 + content_length(&self.read[..head])?;
            if self.read.len() >= end {
                break (head + 4, end);
            }
        };
        ensure!(self.read.len() == end, "the service sends more than its answer");
        let status = self.read.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status = status.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
        Ok(Answer { status: status.context("no HTTP/1.1")?, body: &self.read[body..] })
    }
}

fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let mut lines = head.split(|octet| *octet == b'\n');
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(LENGTH.len())?;
        name.eq_ignore_ascii_case(LENGTH).then_some(value)
    });
    let value = value.and_then(|value| str::from_utf8(value).ok()?.trim().parse().ok());
    value.context("the answer does not say how long it is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_length_however_it_is_written() {
        for head in ["HTTP/1.1 201 Created\r\nContent-Length: 17\r\na: b", "HTTP/1.1 200 OK\r\ncontent-length:17"] {
            assert_eq!(content_length(head.as_bytes()).expect("a length"), 17);
        }
        assert!(content_length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked").is_err());
    }
}
