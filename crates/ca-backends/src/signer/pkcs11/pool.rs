//! Threads that call a token, and the work that waits for one. What waits is bounded: more than that is refused at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::fault::TokenFault;
use super::module::hold;
use super::token::Token;
use super::work::{Answer, Job, Shared, Task, TokenKey};
use super::worker::Worker;

/// How much may wait for each session.
const WAITING_PER_SESSION: usize = 64;

/// How long an answer of the token is waited for, from when the question was put.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a key may take to be made: RSA 4096 takes a small token minutes.
const LONGEST_GENERATION: Duration = Duration::from_secs(600);

/// The threads of a token. They end when it is dropped.
pub(super) struct Pool(Arc<Shared>);

impl Pool {
    /// No thread runs before there is work.
    pub(super) fn new(token: Token) -> Self {
        Self(Arc::new(Shared::new(token)))
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
