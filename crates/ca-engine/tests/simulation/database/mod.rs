//! A database no kinder than PostgreSQL, over the one fake that the contract suite judges ([`MemoryStore`]).
//!
//! A call of the store port becomes a [`Transaction`] in a queue, and whoever runs the simulation chooses which one commits
//! next, and with what [`Fate`]: so transactions commit in another order than they were asked for, answers arrive long after
//! what they tell, and a transaction whose caller died may still commit.

pub(crate) mod planted;
mod planted_elsewhere;
mod planted_outbox;
mod ports;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use ca_engine::fake::StoreMethod;
use ca_engine::port::store::{Lease, StoreError};

use self::planted::Planted;
use crate::executor::at_once;
use crate::lock;

/// The transactions that were asked for and have not come to their end.
#[derive(Clone, Default)]
pub(crate) struct Database {
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Transaction>,
    last: u64,
}

/// A call of the store port on its way.
pub(crate) struct Transaction {
    number: u64,
    /// Which call.
    pub(crate) method: StoreMethod,
    /// Who asked.
    pub(crate) replica: usize,
    /// The lease under which it writes.
    pub(crate) lease: Option<Lease>,
    /// Whether nobody waits for its answer any more.
    pub(crate) orphaned: bool,
    run: Box<dyn FnOnce(Fate) -> bool + Send>,
    cut: Box<dyn Fn() + Send>,
}

/// What becomes of a transaction.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It commits, and the answer arrives.
    Commit,
    /// It fails before the commit.
    Fail(StoreError),
    /// It commits, but the answer is lost.
    LoseAnswer,
}

impl Transaction {
    /// Runs it to its end; returns whether it did what was asked, whatever the caller hears.
    pub(crate) fn run(self, fate: Fate) -> bool {
        (self.run)(fate)
    }

    /// Whether it may change the record.
    pub(crate) fn is_write(&self) -> bool {
        is_write(self.method)
    }
}

impl Database {
    /// How many transactions wait.
    pub(crate) fn len(&self) -> usize {
        lock(&self.queue).waiting.len()
    }

    /// Whatever waits comes to nothing, and nobody hears of it.
    pub(crate) fn forget_all(&self) {
        let waiting = std::mem::take(&mut lock(&self.queue).waiting);
        drop(waiting);
    }

    /// Takes a transaction out of the queue.
    pub(crate) fn take(&self, index: usize) -> Transaction {
        lock(&self.queue).waiting.swap_remove(index)
    }

    /// Tells the caller of a change that nobody knows what became of it, while it is still under way. `false` for reads.
    pub(crate) fn cut_off(&self, index: usize) -> bool {
        let mut queue = lock(&self.queue);
        let transaction = &mut queue.waiting[index];
        if !is_write(transaction.method) || transaction.orphaned {
            return false;
        }
        transaction.orphaned = true;
        (transaction.cut)();
        true
    }

    fn ask(&self, mut transaction: Transaction) -> u64 {
        let mut queue = lock(&self.queue);
        queue.last += 1;
        transaction.number = queue.last;
        queue.waiting.push(transaction);
        queue.last
    }

    fn orphan(&self, number: u64) {
        if let Some(transaction) = lock(&self.queue).waiting.iter_mut().find(|waiting| waiting.number == number) {
            transaction.orphaned = true;
        }
    }
}

/// One replica's connections. Every method of the port is in [`ports`].
pub(crate) struct Connection {
    database: Database,
    planted: Planted,
    replica: usize,
}

impl Connection {
    pub(crate) fn new(database: Database, planted: Planted, replica: usize) -> Self {
        Self { database, planted, replica }
    }

    async fn call<T: Send + 'static>(
        &self,
        method: StoreMethod,
        lease: Option<Lease>,
        operation: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let slot: Arc<Mutex<Slot<T>>> = Arc::default();
        let (filled, emptied) = (slot.clone(), slot.clone());
        let lost = || StoreError::Unknown { detail: "the connection broke".to_owned() };
        let run = move |fate| match fate {
            Fate::Fail(error) => {
                fill(&filled, Err(error));
                false
            }
            Fate::Commit | Fate::LoseAnswer => {
                let outcome = at_once(operation);
                let done = outcome.is_ok();
                fill(&filled, if matches!(fate, Fate::LoseAnswer) && is_write(method) { Err(lost()) } else { outcome });
                done
            }
        };
        let number = self.database.ask(Transaction {
            number: 0,
            method,
            replica: self.replica,
            lease,
            orphaned: false,
            run: Box::new(run),
            cut: Box::new(move || fill(&emptied, Err(lost()))),
        });
        let mut answer = Answer { database: self.database.clone(), number, slot, arrived: false };
        std::future::poll_fn(|context| {
            let mut slot = lock(&answer.slot);
            match slot.answer.take() {
                Some(outcome) => {
                    drop(slot);
                    answer.arrived = true;
                    Poll::Ready(outcome)
                }
                None => {
                    slot.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

struct Slot<T> {
    answer: Option<Result<T, StoreError>>,
    waker: Option<Waker>,
    used: bool,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { answer: None, waker: None, used: false }
    }
}

/// The first answer counts.
fn fill<T>(slot: &Mutex<Slot<T>>, answer: Result<T, StoreError>) {
    let mut slot = lock(slot);
    if std::mem::replace(&mut slot.used, true) {
        return;
    }
    slot.answer = Some(answer);
    if let Some(waker) = slot.waker.take() {
        waker.wake();
    }
}

/// A caller that waits. Dropping it leaves the transaction under way.
struct Answer<T> {
    database: Database,
    number: u64,
    slot: Arc<Mutex<Slot<T>>>,
    arrived: bool,
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if !self.arrived {
            self.database.orphan(self.number);
        }
    }
}

fn is_write(method: StoreMethod) -> bool {
    use StoreMethod::*;
    matches!(
        method,
        Reserve
            | Complete
            | Abandon
            | DropExpiredIdempotency
            | ChangeStanding
            | BeginBulkRevocation
            | ChangeBatch
            | EndBulkRevocation
            | IntendCrl
            | PublishCrl
            | IntendPartialCrl
            | PublishPartialCrl
            | AddAuthority
            | ChangeAuthority
            | DestroyKey
            | AddKey
            | AddResponder
            | SetSetting
            | AppendEvent
            | ChainEvents
            | AddToken
            | WithdrawToken
            | GrantRole
            | WithdrawRole
            | AcquireLease
            | ReleaseLease
            | RecordLostSerial
            | LeaveGaps
            | AssignMessages
            | DropUnassigned
            | SettleDeliveries
            | HastenDeliveries
            | ReplayDelivery
            | DropDeliveries
            | AddWindowMove
            | RemoveWindowMove
            | NoteRepeatedRenewal
            | UseNonce
            | AddManaged
            | ChangeManaged
            | RemoveManaged
            | NoteExpiry
            | DropExpiryNotices
            | IntendUpstream
            | NameUpstream
            | AdoptSerial
            | ForgetSettledUpstream
    )
}
