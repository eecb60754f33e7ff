//! One atomic change of the record, and the caller who waits for it.
//!
//! When changes are run, and what becomes of those that fail, is [`super::writer`]'s business.

use std::any::{Any, TypeId};

use async_trait::async_trait;
use ca_engine::port::store::StoreError;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::error::Failure;
use crate::row::inconsistent;

/// One atomic change of the record. It may be run in the same transaction as others, in any order with those of other
/// callers, and again after it was taken back.
#[async_trait]
pub(super) trait Change: Send + Sync + Sized + 'static {
    /// What the caller is told after the commit.
    type Answer: Send + 'static;

    /// How many of its kind one trip to the database's thread can make, largest first; such a trip costs more than most
    /// changes.
    const TOGETHER: &'static [usize] = &[];

    /// Its place among what waits together: reservations come before completions, those before everything else, so that what
    /// belongs to one issuance keeps its order.
    const TURN: u8 = u8::MAX;

    /// Makes the change. What it did until an error is taken back by the caller.
    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Self::Answer, Failure>;

    /// Makes several, as many as [`Self::TOGETHER`] names, as if one after the other; one answer each. After an error, whatever
    /// it is, all are taken back, and made one by one.
    async fn apply_together(
        changes: &[&Self],
        connection: &mut SqliteConnection,
    ) -> Result<Vec<Self::Answer>, Failure> {
        let mut answers = Vec::with_capacity(changes.len());
        for change in changes {
            answers.push(change.apply(connection).await?);
        }
        Ok(answers)
    }
}

/// A change whose caller waits, whatever its kind.
#[async_trait]
pub(super) trait Queued: Any + Send {
    /// Of two with the same kind the types are the same.
    fn kind(&self) -> TypeId;

    /// [`Change::TURN`].
    fn turn(&self) -> u8;

    /// How many of `waiting` of its kind are to be made by one trip; at least 1.
    fn stride(&self, waiting: usize) -> usize;

    /// Makes the change and keeps its answer.
    async fn apply(&mut self, connection: &mut SqliteConnection) -> Result<(), Failure>;

    /// Makes the change and those of `peers`, which are of its kind, and keeps the answers.
    async fn apply_together(
        &mut self,
        peers: &mut [Box<dyn Queued>],
        connection: &mut SqliteConnection,
    ) -> Result<(), Failure>;

    /// Gives the answer that was kept.
    fn acknowledge(self: Box<Self>);

    /// Answers that nothing came of it.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// A change, and where its answer goes.
pub(super) struct Waiting<C: Change> {
    change: C,
    answer: Option<C::Answer>,
    reply: oneshot::Sender<Result<C::Answer, StoreError>>,
}

impl<C: Change> Waiting<C> {
    pub(super) fn new(change: C, reply: oneshot::Sender<Result<C::Answer, StoreError>>) -> Self {
        Self { change, answer: None, reply }
    }
}

#[async_trait]
impl<C: Change> Queued for Waiting<C> {
    fn kind(&self) -> TypeId {
        TypeId::of::<C>()
    }

    fn turn(&self) -> u8 {
        C::TURN
    }

    fn stride(&self, waiting: usize) -> usize {
        C::TOGETHER.iter().copied().find(|stride| *stride <= waiting).unwrap_or(1)
    }

    async fn apply(&mut self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        self.answer = Some(self.change.apply(connection).await?);
        Ok(())
    }

    async fn apply_together(
        &mut self,
        peers: &mut [Box<dyn Queued>],
        connection: &mut SqliteConnection,
    ) -> Result<(), Failure> {
        let mut all = vec![self];
        for peer in peers {
            let peer: &mut dyn Any = peer.as_mut();
            all.push(
                peer.downcast_mut().ok_or_else(|| inconsistent("the writer", "changes of several kinds at once"))?,
            );
        }
        let changes: Vec<&C> = all.iter().map(|waiting| &waiting.change).collect();
        let answers = C::apply_together(&changes, connection).await?;
        if answers.len() != all.len() {
            return Err(inconsistent("the writer", "not one answer for each change").into());
        }
        for (waiting, answer) in all.into_iter().zip(answers) {
            waiting.answer = Some(answer);
        }
        Ok(())
    }

    fn acknowledge(self: Box<Self>) {
        // Cannot be missing: whoever acknowledges has applied it. A caller that has gone away needs no answer; the same below.
        let unmade = || StoreError::Unknown { detail: "the change was acknowledged before it was made".to_owned() };
        let _gone = self.reply.send(self.answer.ok_or_else(unmade));
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _gone = self.reply.send(Err(error));
    }
}
