//! OCSP ahead of everything else, on the listener where clients ask for it: a request costs little more than finding its answer.
//!
//! A plain request is read where it lies (`request`) and answered with one write (`reply`). What others get from hyper and the
//! router costs several times what an answer from memory does. Whatever is not plain goes there with all that has arrived, and so
//! does the rest of its connection.

mod reply;
mod request;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::Duration;

use ca_core::ocsp::decode_get_path;
use ca_engine::flow::answer_status::{StatusAnswer, Unanswered, answer_at_once, answer_by_record, failed, try_later};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::time::Instant;

use self::reply::Circumstances;
use self::request::{Asked, Plain, Reading};
use super::guard::REQUEST_TIMEOUT;
use super::route::ocsp;
use crate::state::AppState;
use crate::telemetry::metrics;

/// How long the rest of a request may take to arrive; one that takes longer is read by hyper, with its limits.
const AT_ONCE: Duration = Duration::from_millis(200);

/// What most requests and most answers fit into, in octets.
const ROOM: usize = 2_048;

/// Answers OCSP requests.
#[derive(Clone)]
pub(crate) struct StatusFront {
    state: AppState,
    /// Where the record is asked: its connections belong to the threads that opened them.
    record: Handle,
}

/// How the serving of a connection ended.
pub(crate) enum Served {
    /// The connection is done with.
    Over,
    /// What has arrived is not ours.
    Others(Vec<u8>),
}

impl StatusFront {
    /// What it has to ask the record, it asks on the threads where this is called.
    pub(crate) fn new(state: AppState) -> Self {
        Self { state, record: Handle::current() }
    }

    /// Answers the plain requests of a connection, until another comes, the peer has no more, or `stop` is there.
    pub(crate) async fn serve<S>(&self, stream: &mut S, stop: impl Future<Output = ()>) -> io::Result<Served>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stop = pin!(stop);
        let mut arrived = Vec::with_capacity(ROOM);
        // How many of the octets that have arrived are answered.
        let mut done = 0;
        let mut answers = Vec::with_capacity(ROOM);
        let mut patience = None;
        loop {
            match request::read(&arrived[done..]) {
                Reading::Plain(plain) => {
                    self.answer(&plain, &mut answers).await;
                    done += plain.length;
                    patience = None;
                    if plain.is_last {
                        stream.write_all(&answers).await?;
                        stream.shutdown().await?;
                        return Ok(Served::Over);
                    }
                    continue;
                }
                unread => {
                    let is_others = unread == Reading::Other;
                    // Several that came together are answered together.
                    if !answers.is_empty() {
                        stream.write_all(&answers).await?;
                        answers.clear();
                    }
                    arrived.drain(..done);
                    done = 0;
                    if is_others {
                        return Ok(Served::Others(arrived));
                    }
                }
            }
            if arrived.is_empty() {
                tokio::select! {
                    biased;
                    size = stream.read_buf(&mut arrived) => if size? == 0 { return Ok(Served::Over) },
                    () = &mut stop => return Ok(Served::Over),
                }
            } else {
                let until = *patience.get_or_insert_with(|| Instant::now() + AT_ONCE);
                let size = tokio::time::timeout_at(until, stream.read_buf(&mut arrived)).await;
                // Slow, or cut off in the middle: hyper knows what to say.
                if size.unwrap_or(Ok(0))? == 0 {
                    return Ok(Served::Others(arrived));
                }
            }
        }
    }

    /// Appends the answer to a request.
    async fn answer(&self, plain: &Plain<'_>, answers: &mut Vec<u8>) {
        let started = Instant::now();
        let (route, answer, max_age, if_none_match) = match plain.asked {
            Asked::Get { path, if_none_match } => {
                // Not base64 or too long: what parses as nothing is `malformedRequest`.
                let request = decode_get_path(path).unwrap_or_default();
                (ca_api::route::OCSP_GET, self.ask(&request).await, Some(self.state.max_age()), if_none_match)
            }
            Asked::Post { body } => (ca_api::route::OCSP, self.ask(body).await, None, None),
        };
        let now = self.state.engine().now();
        let circumstances = Circumstances { now, max_age, if_none_match, minor: plain.minor, is_last: plain.is_last };
        let status = reply::append(answers, &answer, &circumstances);
        metrics::request(route, status, started.elapsed());
    }

    async fn ask(&self, request: &[u8]) -> StatusAnswer {
        let engine = self.state.engine();
        let at_once = catch_unwind(AssertUnwindSafe(|| answer_at_once(engine, request, ocsp::log_fault)));
        let answer = match at_once {
            Ok(Ok(answer)) => answer,
            Ok(Err(unanswered)) => self.ask_record(unanswered).await,
            // What panicked is not looked at again.
            Err(_panic) => panicked(),
        };
        metrics::ocsp_answer(answer.kind, answer.origin);
        answer
    }

    /// In a task of its own: a panic ends that alone.
    async fn ask_record(&self, unanswered: Unanswered) -> StatusAnswer {
        let state = self.state.clone();
        let mut asking =
            self.record.spawn(async move { answer_by_record(state.engine(), &unanswered, ocsp::log_fault).await });
        match tokio::time::timeout(REQUEST_TIMEOUT, &mut asking).await {
            Ok(answered) => answered.unwrap_or_else(|_panic| panicked()),
            Err(_) => {
                asking.abort();
                try_later()
            }
        }
    }
}

fn panicked() -> StatusAnswer {
    tracing::error!("an OCSP request made a handler panic");
    failed()
}

#[cfg(test)]
mod tests;
