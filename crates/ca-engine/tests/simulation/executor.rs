//! Runs tasks on one thread: a task is polled only when something woke it, in an order that others choose, and may be dropped
//! between any two polls.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A flow or a job under way in a replica.
pub(crate) struct Task {
    /// What it does, for the trace.
    pub(crate) name: String,
    /// The replica it runs in.
    pub(crate) replica: usize,
    /// The step before which it is not polled: its process stands still.
    pub(crate) asleep_until: u64,
    alarm: Arc<Alarm>,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

struct Alarm(AtomicBool);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The tasks under way.
#[derive(Default)]
pub(crate) struct Executor {
    tasks: Vec<Task>,
}

impl Executor {
    pub(crate) fn spawn(&mut self, replica: usize, name: String, future: impl Future<Output = ()> + 'static) {
        let alarm = Arc::new(Alarm(AtomicBool::new(true)));
        self.tasks.push(Task { name, replica, asleep_until: 0, alarm, future: Box::pin(future) });
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(crate) fn tasks_mut(&mut self) -> &mut [Task] {
        &mut self.tasks
    }

    /// The tasks that can go on at `step`.
    pub(crate) fn ready(&self, step: u64) -> Vec<usize> {
        let awake = |task: &Task| task.asleep_until <= step && task.alarm.0.load(Ordering::SeqCst);
        (0..self.tasks.len()).filter(|index| awake(&self.tasks[*index])).collect()
    }

    /// Polls a task once; returns its name, and whether it came to its end.
    pub(crate) fn poll(&mut self, index: usize) -> (String, bool) {
        let task = &mut self.tasks[index];
        let name = task.name.clone();
        task.alarm.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(task.alarm.clone());
        let done = task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if done {
            self.tasks.swap_remove(index);
        }
        (name, done)
    }

    /// Drops a task where it stands; returns its name.
    pub(crate) fn drop_task(&mut self, index: usize) -> String {
        self.tasks.swap_remove(index).name
    }

    /// Drops every task of a replica, as its death does.
    pub(crate) fn drop_replica(&mut self, replica: usize) {
        self.tasks.retain(|task| task.replica != replica);
    }

    /// Drops every task.
    pub(crate) fn drop_all(&mut self) {
        self.tasks.clear();
    }

    /// Whether nothing sleeps that could go on later.
    pub(crate) fn wake_all(&mut self) {
        for task in &mut self.tasks {
            task.asleep_until = 0;
        }
    }
}

/// Runs a future that waits for nobody to its end.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut context) {
            return outcome;
        }
    }
}

/// Lets others run.
pub(crate) async fn nap() {
    let mut napped = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut napped, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Lets others run so many times.
pub(crate) async fn naps(count: usize) {
    for _ in 0..count {
        nap().await;
    }
}
