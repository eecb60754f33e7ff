//! What the threads of a token are asked for, and what they have in common: the queue, and what they know of the token.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use ca_core::hash::MessageDigest;
use ca_core::key::{KeyType, PublicKey, SignatureAlgorithm};
use ca_core::pkcs11_uri::Pkcs11Uri;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::fault::TokenFault;
use super::module::hold;
use super::token::Token;

/// For how long a token that was found to be away is not looked for again, by others than the one who found it.
const OUTAGE: Duration = Duration::from_millis(200);

/// A key of a token.
pub(super) struct TokenKey {
    pub(super) uri: Pkcs11Uri,
    /// What its public part must be; not known while a new authority looks for its key.
    pub(super) expected: Option<PublicKey>,
    /// It was found once in this process.
    pub(super) was_found: AtomicBool,
}

impl TokenKey {
    pub(super) fn new(uri: Pkcs11Uri, expected: Option<PublicKey>) -> Self {
        Self { uri, expected, was_found: AtomicBool::new(false) }
    }
}

/// What is signed.
pub(super) enum Input {
    Digest(MessageDigest),
    Whole(Vec<u8>),
}

/// What a token is asked for.
pub(super) enum Task {
    Sign {
        algorithm: SignatureAlgorithm,
        input: Input,
    },
    /// Whether it would sign by this.
    Check(SignatureAlgorithm),
    /// The public part of the key.
    Find,
    /// A pair.
    Make(KeyType),
}

/// What it answers.
pub(super) enum Answer {
    Signature(Vec<u8>),
    PublicKey(PublicKey),
    Ready,
}

pub(super) struct Job {
    pub(super) key: Arc<TokenKey>,
    pub(super) task: Task,
    pub(super) reply: oneshot::Sender<Result<Answer, TokenFault>>,
}

/// What the threads have in common.
pub(super) struct Shared {
    pub(super) token: Token,
    pub(super) queue: Mutex<Queue>,
    pub(super) more: Condvar,
    outage: Mutex<Option<(Instant, TokenFault)>>,
}

/// What waits.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) jobs: VecDeque<Job>,
    pub(super) is_closed: bool,
    pub(super) has_threads: bool,
}

impl Shared {
    /// Nothing waits, and nothing is known.
    pub(super) fn new(token: Token) -> Self {
        Self { token, queue: Mutex::default(), more: Condvar::new(), outage: Mutex::new(None) }
    }

    /// The next job that somebody still waits for; `None` when there will be none.
    pub(super) fn next(&self) -> Option<Job> {
        let mut queue = hold(&self.queue);
        loop {
            match queue.jobs.pop_front() {
                Some(job) if job.reply.is_closed() => {}
                Some(job) => return Some(job),
                None if queue.is_closed => return None,
                None => queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Why the token is away, if that was found out just now.
    pub(super) fn outage(&self) -> Option<TokenFault> {
        let outage = hold(&self.outage);
        outage.as_ref().filter(|(found, _)| found.elapsed() < OUTAGE).map(|(_, fault)| fault.clone())
    }

    /// Says whether the token did what it was asked, or was away.
    pub(super) fn report(&self, outage: Option<&TokenFault>) {
        *hold(&self.outage) = outage.map(|fault| (Instant::now(), fault.clone()));
    }
}
