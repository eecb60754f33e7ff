//! A connection on which nothing moves is given up.
//!
//! Every state of a connection is under it: before its first octet, in HTTP/2's preface, while a body is awaited, and when the
//! peer does not read its answer. What hyper limits by itself, a header that was begun, is the listener's business.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream that fails with `TimedOut` once nothing was read or written for a while, though somebody waits for it.
pub(super) struct Patient<S> {
    stream: S,
    patience: Duration,
    moved_at: Instant,
    /// Set anew only when it rings: most connections move long before.
    alarm: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, moved_at: Instant::now(), alarm: Box::pin(sleep(patience)) }
    }

    /// The stream, which is waited for as long as it takes.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// What `outcome` means for the patience: anything that is ready moved.
    fn watch<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.moved_at = Instant::now();
            return outcome;
        }
        while self.alarm.as_mut().poll(context).is_ready() {
            let end = self.moved_at + self.patience;
            if end <= Instant::now() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing moved on the connection")));
            }
            self.alarm.as_mut().reset(end);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, outcome)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, octets);
        self.watch(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watch(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A flush that had nothing to do is no movement, or every look at an idle connection would prolong it.
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Pending => self.watch(context, Poll::Pending),
            flushed => flushed,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn gives_up_a_peer_that_says_nothing() {
        let (_silent, ours) = duplex(64);
        let error = Patient::new(ours, PATIENCE).read_u8().await.expect_err("nothing was said");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn gives_up_a_peer_that_does_not_read_its_answer() {
        let (_deaf, ours) = duplex(64);
        let error = Patient::new(ours, PATIENCE).write_all(&[0; 1_000]).await.expect_err("nothing was read");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn bears_with_a_peer_that_is_slow() {
        let (mut slow, ours) = duplex(64);
        let mut patient = Patient::new(ours, PATIENCE);
        let speaking = tokio::spawn(async move {
            for octet in 0..4 {
                sleep(PATIENCE / 2).await;
                slow.write_u8(octet).await.expect("somebody listens");
            }
            slow
        });
        for octet in 0..4 {
            assert_eq!(patient.read_u8().await.expect("said in time"), octet);
        }
        drop(speaking.await.expect("it spoke"));
    }
}
