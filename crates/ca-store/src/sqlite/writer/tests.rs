//! Groups, savepoints and failures of the writer, with changes of our own making.
//!
//! The tests run on one thread: all callers put their change into the queue before the writer first looks, so that they form
//! one group.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use ca_engine::port::store::StoreError;
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};
use tempfile::TempDir;

use super::super::change::Change;
use super::super::error::Failure;
use super::super::pool;
use super::{GROUP, Writer};

struct Bench {
    writer: Writer,
    readers: SqlitePool,
    commits: Arc<AtomicUsize>,
    folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("writer.db");
        pool::create_file(&path).expect("made");
        let mut connection = pool::connect_writer(&path).await.expect("connects");
        sqlx::query(
            "CREATE TABLE parents (id INTEGER PRIMARY KEY) STRICT;
             CREATE TABLE numbers (number INTEGER PRIMARY KEY,
                 parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED) STRICT",
        )
        .execute(&mut connection)
        .await
        .expect("tables");
        let commits = Arc::new(AtomicUsize::new(0));
        let counter = commits.clone();
        let mut handle = connection.lock_handle().await.expect("the connection is ours");
        handle.set_commit_hook(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            true
        });
        drop(handle);
        Self { writer: Writer::start(connection), readers: pool::readers(&path), commits, folder }
    }

    async fn numbers(&self) -> Vec<i64> {
        sqlx::query_scalar("SELECT number FROM numbers ORDER BY number")
            .fetch_all(&self.readers)
            .await
            .expect("numbers")
    }

    /// Hands over all of them before the writer sees the first.
    async fn together<C: Change<Answer = i64>>(&self, changes: Vec<C>) -> Vec<Result<i64, StoreError>> {
        let mut waiting = tokio::task::JoinSet::new();
        let count = changes.len();
        for (position, change) in changes.into_iter().enumerate() {
            let writer = Writer { queue: self.writer.queue.clone() };
            waiting.spawn(async move { (position, writer.change(change).await) });
        }
        let mut answers: Vec<_> = (0..count).map(|_| None).collect();
        for (position, answer) in waiting.join_all().await {
            answers[position] = Some(answer);
        }
        answers.into_iter().map(|answer| answer.expect("answered")).collect()
    }
}

/// Inserts a number, and then does what the test is about.
struct Insert {
    number: i64,
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    /// Nothing more.
    Succeed,
    /// Fails after the insertion.
    Fail,
    /// Leaves a foreign key open, which only the commit minds.
    BreakTheCommit,
    /// Loses the transaction as SQLite does by itself when the disk is full, and fails.
    LoseTheTransaction,
    /// Loses the transaction and believes that all is well.
    LoseTheTransactionUnawares,
}

fn insert(number: i64) -> Insert {
    Insert { number, then: Then::Succeed }
}

fn insert_then(number: i64, then: Then) -> Insert {
    Insert { number, then }
}

#[async_trait]
impl Change for Insert {
    type Answer = i64;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<i64, Failure> {
        let parent = matches!(self.then, Then::BreakTheCommit).then_some(1);
        sqlx::query("INSERT INTO numbers (number, parent) VALUES ($1, $2)")
            .bind(self.number)
            .bind(parent)
            .execute(&mut *connection)
            .await?;
        if let Then::LoseTheTransaction | Then::LoseTheTransactionUnawares = self.then {
            sqlx::query("ROLLBACK").execute(connection).await?;
        }
        match self.then {
            Then::Fail => Err(StoreError::Inconsistent { detail: "of its own".to_owned() }.into()),
            Then::LoseTheTransaction => Err(StoreError::Full { detail: "of its own".to_owned() }.into()),
            _ => Ok(self.number),
        }
    }
}

/// As [`Insert`], made by one trip where four wait.
struct Joined(Insert);

#[async_trait]
impl Change for Joined {
    type Answer = i64;

    const TOGETHER: &'static [usize] = &[4];

    const TURN: u8 = 0;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<i64, Failure> {
        self.0.apply(connection).await
    }
}

#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let bench = Bench::new().await;
    let answers = bench.together((0..200).map(insert).collect()).await;
    assert_eq!(answers, (0..200).map(Ok).collect::<Vec<_>>());
    assert_eq!(bench.numbers().await.len(), 200);
    assert_eq!(bench.commits.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_group_is_bounded() {
    let bench = Bench::new().await;
    let answers = bench.together((0..GROUP as i64 + 1).map(insert).collect()).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(bench.commits.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_failed_change_takes_back_only_itself() {
    let bench = Bench::new().await;
    let answers = bench.together(vec![insert(1), insert_then(2, Then::Fail), insert(3), insert(3), insert(4)]).await;
    assert_eq!(answers[0], Ok(1));
    assert_eq!(answers[1], Err(StoreError::Inconsistent { detail: "of its own".to_owned() }));
    assert_eq!(answers[2], Ok(3));
    assert!(matches!(answers[3], Err(StoreError::Conflict { .. })), "a number twice: {:?}", answers[3]);
    assert_eq!(answers[4], Ok(4));
    assert_eq!(bench.numbers().await, [1, 3, 4]);
    assert_eq!(bench.commits.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn of_changes_made_by_one_trip_only_the_failed_one_is_taken_back() {
    let bench = Bench::new().await;
    let joined =
        (0..10).map(|number| Joined(insert_then(number, if number == 6 { Then::Fail } else { Then::Succeed })));
    let answers = bench.together(joined.collect()).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.is_ok(), number != 6, "{number}: {answer:?}");
    }
    assert_eq!(bench.numbers().await, [0, 1, 2, 3, 4, 5, 7, 8, 9]);
    assert_eq!(bench.commits.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_transaction_lost_by_one_trip_is_told_to_all_of_it_and_to_those_before() {
    let bench = Bench::new().await;
    let lost = |number| number == 6;
    let joined = (0..10)
        .map(|number| Joined(insert_then(number, if lost(number) { Then::LoseTheTransaction } else { Then::Succeed })));
    let answers = bench.together(joined.collect()).await;
    for (number, answer) in answers.into_iter().enumerate() {
        // Two trips of four, then two more in a transaction of their own.
        assert_eq!(answer.is_ok(), number >= 8, "{number}: {answer:?}");
    }
    assert_eq!(bench.numbers().await, [8, 9]);
}

#[tokio::test]
async fn changes_of_an_earlier_turn_are_made_first_and_keep_their_order() {
    let bench = Bench::new().await;
    // Both want the number 1; the one handed over last has the earlier turn.
    let (late, early) = tokio::join!(bench.writer.change(insert(1)), bench.writer.change(Joined(insert(1))));
    assert_eq!(early, Ok(1));
    assert!(late.is_err(), "{late:?}");
}

#[tokio::test]
async fn a_failed_commit_is_told_to_every_caller_of_the_group() {
    let bench = Bench::new().await;
    let answers = bench.together(vec![insert(1), insert_then(2, Then::BreakTheCommit), insert(3)]).await;
    for answer in answers {
        assert!(matches!(answer, Err(StoreError::Conflict { .. })), "{answer:?}");
    }
    assert_eq!(bench.numbers().await, [0; 0]);
    assert_eq!(bench.writer.change(insert(4)).await, Ok(4), "the writer goes on");
    assert_eq!(bench.numbers().await, [4]);
}

#[tokio::test]
async fn a_lost_transaction_is_told_to_every_caller_and_nothing_of_it_is_kept() {
    for then in [Then::LoseTheTransaction, Then::LoseTheTransactionUnawares] {
        let bench = Bench::new().await;
        let answers = bench.together(vec![insert(1), insert_then(2, then), insert(3)]).await;
        assert!(answers[0].is_err() && answers[1].is_err(), "{answers:?}");
        // The third comes into the next group, a transaction of its own.
        assert_eq!(answers[2], Ok(3));
        assert_eq!(bench.numbers().await, [3]);
    }
}

#[tokio::test]
async fn a_change_whose_caller_went_away_is_made_whole() {
    let bench = Bench::new().await;
    let writer = Writer { queue: bench.writer.queue.clone() };
    let caller = tokio::spawn(async move { writer.change(insert(1)).await });
    tokio::task::yield_now().await;
    caller.abort();
    assert!(caller.await.is_err(), "aborted");
    assert_eq!(bench.writer.change(insert(2)).await, Ok(2));
    assert_eq!(bench.numbers().await, [1, 2]);
}

#[tokio::test]
async fn closing_commits_what_was_handed_over_and_refuses_what_comes_later() {
    let bench = Bench::new().await;
    let (answer, ()) = tokio::join!(bench.writer.change(insert(1)), bench.writer.close());
    assert_eq!(answer, Ok(1));
    assert!(matches!(bench.writer.change(insert(2)).await, Err(StoreError::Unavailable { .. })));
    bench.writer.close().await;
    assert_eq!(bench.numbers().await, [1]);
}

#[tokio::test]
async fn a_commit_is_durable_and_the_log_is_written_ahead() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("writer.db");
    pool::create_file(&path).expect("made");
    let mut connection = pool::connect_writer(&path).await.expect("connects");
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.expect("a mode");
    assert_eq!(journal, "wal");
    // 2 is FULL (https://www.sqlite.org/pragma.html#pragma_synchronous).
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut connection).await.expect("a level");
    assert_eq!(synchronous, 2);
    let foreign_keys: bool =
        sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut connection).await.expect("a switch");
    assert!(foreign_keys);
}

#[tokio::test]
async fn a_database_that_another_process_keeps_locked_refuses_whoever_waits() {
    let bench = Bench::new().await;
    let path = bench.folder.path().join("writer.db");
    let mut other = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.expect("connects");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("begun");
    let answers = bench.together((0..20).map(insert).collect()).await;
    for answer in answers {
        assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    }
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("ended");
    assert_eq!(bench.writer.change(insert(1)).await, Ok(1), "the writer goes on");
}

#[tokio::test]
async fn another_process_that_writes_makes_the_writer_wait() {
    let bench = Bench::new().await;
    let path = bench.folder.path().join("writer.db");
    let mut other = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.expect("connects");
    sqlx::query("BEGIN IMMEDIATE; INSERT INTO numbers (number) VALUES (7)").execute(&mut other).await.expect("begun");
    let (answer, committed) = tokio::join!(bench.writer.change(insert(1)), sqlx::query("COMMIT").execute(&mut other));
    committed.expect("committed");
    assert_eq!(answer, Ok(1));
    assert_eq!(bench.numbers().await, [1, 7]);
}
