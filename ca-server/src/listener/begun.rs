//! A connection of which something was read already.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Gives what was read once more, then what comes.
pub(super) struct Begun<S> {
    octets: Vec<u8>,
    /// How many of them were given.
    given: usize,
    stream: S,
}

impl<S> Begun<S> {
    pub(super) fn new(octets: Vec<u8>, stream: S) -> Self {
        Self { octets, given: 0, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.octets[self.given..];
        if rest.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let size = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..size]);
        self.given += size;
        if self.given == self.octets.len() {
            (self.octets, self.given) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn gives_what_was_read_before_what_comes() {
        for size in [1, 3, 100] {
            let (mut theirs, ours) = duplex(64);
            theirs.write_all(b" and more").await.expect("sent");
            drop(theirs);
            let mut begun = Begun::new(b"the beginning".to_vec(), ours);
            let mut read = Vec::new();
            let mut part = vec![0; size];
            loop {
                match begun.read(&mut part).await.expect("in order") {
                    0 => break,
                    some => read.extend_from_slice(&part[..some]),
                }
            }
            assert_eq!(read, b"the beginning and more");
        }
    }
}
