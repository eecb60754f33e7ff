//! Threads that call a token, and the work that waits for one. What waits is bounded: more than that is refused at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ca_core::hash::MessageDigest;
use ca_core::key::{KeyType, PublicKey, SignatureAlgorithm};
use ca_core::pkcs11_uri::Pkcs11Uri;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::fault::TokenFault;
use super::module::hold;
use super::token::Token;
use super::worker::Worker;

/// How much may wait for each session.
const WAITING_PER_SESSION: usize = 64;

/// How long an answer of the token is waited for, from when the question was put.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a key may take to be made: RSA 4096 takes a small token minutes.
const LONGEST_GENERATION: Duration = Duration::from_secs(600);

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
    /// Whether it would sign.
    Check,
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
    reply: oneshot::Sender<Result<Answer, TokenFault>>,
}

/// The threads of a token. They end when it is dropped.
pub(super) struct Pool(Arc<Shared>);

/// What the threads have in common.
pub(super) struct Shared {
    pub(super) token: Token,
    queue: Mutex<Queue>,
    more: Condvar,
    outage: Mutex<Option<(Instant, TokenFault)>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    is_closed: bool,
    has_threads: bool,
}

impl Pool {
    /// No thread runs before there is work.
    pub(super) fn new(token: Token) -> Self {
        let (queue, more, outage) = (Mutex::default(), Condvar::new(), Mutex::new(None));
        Self(Arc::new(Shared { token, queue, more, outage }))
    }

    /// Has a task done by the next free thread.
    pub(super) async fn run(&self, key: &Arc<TokenKey>, task: Task) -> Result<Answer, TokenFault> {
        let longest = if matches!(task, Task::Make(_)) { LONGEST_GENERATION } else { LONGEST_WAIT };
        let (reply, answer) = oneshot::channel();
        self.put(Job { key: Arc::clone(key), task, reply })?;
        match tokio::time::timeout(longest, answer).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => Err(TokenFault::Lost { said: "its thread ended".to_owned() }),
            Err(_) => Err(TokenFault::NoAnswer { token: self.0.token.name(), waited: longest }),
        }
    }

    fn put(&self, job: Job) -> Result<(), TokenFault> {
        let shared = &self.0;
        let mut queue = hold(&shared.queue);
        let sessions = usize::from(shared.token.settings().sessions.max(1));
        if !queue.has_threads {
            for _ in 0..sessions {
                start_thread(shared)?;
            }
            queue.has_threads = true;
        }
        // Whoever went away needs no place.
        if queue.jobs.len() >= sessions * WAITING_PER_SESSION {
            queue.jobs.retain(|job| !job.reply.is_closed());
        }
        if queue.jobs.len() >= sessions * WAITING_PER_SESSION {
            return Err(TokenFault::Busy { token: shared.token.name(), waiting: queue.jobs.len() });
        }
        queue.jobs.push_back(job);
        drop(queue);
        shared.more.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = hold(&self.0.queue);
        queue.is_closed = true;
        queue.jobs.clear();
        drop(queue);
        self.0.more.notify_all();
    }
}

impl Shared {
    /// The next job that somebody still waits for; `None` when there will be none.
    fn next(&self) -> Option<Job> {
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

fn start_thread(shared: &Arc<Shared>) -> Result<(), TokenFault> {
    let shared = Arc::clone(shared);
    let run = move || {
        let mut worker = Worker::new(&shared);
        while let Some(job) = shared.next() {
            let answer = worker.perform(&job);
            if let Ok(Answer::Signature(_) | Answer::PublicKey(_) | Answer::Ready) = &answer {
                job.key.was_found.store(true, Ordering::Relaxed);
            }
            // Whoever asked may have gone away.
            let _sent = job.reply.send(answer);
        }
    };
    let started = thread::Builder::new().name("pkcs11".to_owned()).spawn(run);
    started.map(drop).map_err(|error| TokenFault::Thread { detail: error.to_string() })
}
