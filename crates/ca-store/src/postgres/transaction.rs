//! Transactions: how changes are made, and made again.
//!
//! Isolation is READ COMMITTED; what must not change between a look and a write is locked by the look, in one order everywhere:
//! the advisory locks, leases, reservations, serials by certificate, idempotency keys, tokens, and last the counter of
//! revocations, which is held until the commit and makes everybody wait who needs it. Where callers still get into each other's
//! way (a deadlock, a row that another has just made), the transaction is taken back and made again.

use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Query, QueryAs};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Postgres};
use tokio::time::{sleep, timeout};

use super::address::{PATIENCE, Route, SETTINGS};
use super::error::{Failure, of_commit, unanswered_commit};
use super::pool::{Pool, Session};

/// One atomic change of the record. It may be made again after it was taken back.
#[async_trait]
pub(super) trait Change: Send + Sync {
    /// What the caller is told after the commit.
    type Answer: Send;

    /// Statements that take locks, or set time limits, before the first look, each behind a semicolon.
    const LOCKS: &'static str = "";

    /// How long the answer to its COMMIT is waited for.
    const COMMIT_PATIENCE: Duration = PATIENCE;

    /// Makes the change. After an error all of it is taken back.
    async fn apply(&self, transaction: &mut Transaction) -> Result<Self::Answer, Failure>;
}

/// Makes a change and commits it.
pub(super) async fn make<C: Change>(pool: &Pool, change: &C) -> Result<C::Answer, Failure> {
    let mut attempt = 1;
    loop {
        let failure = match attempt_to_make(pool, change).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        if failure.lost_connection() {
            pool.give_up_idle();
        }
        if !failure.is_passing() || attempt == ATTEMPTS {
            return Err(failure);
        }
        // Those in the way need a moment to be done.
        sleep(PAUSE * attempt).await;
        attempt += 1;
    }
}

async fn attempt_to_make<C: Change>(pool: &Pool, change: &C) -> Result<C::Answer, Failure> {
    let mut transaction = Transaction::begin(pool, C::LOCKS).await?;
    match change.apply(&mut transaction).await {
        Ok(answer) => transaction.commit(C::COMMIT_PATIENCE).await.map(|()| answer),
        Err(failure) => {
            transaction.take_back(&failure).await;
            Err(failure)
        }
    }
}

/// An open transaction. Dropping it closes the connection, and so takes it back.
pub(super) struct Transaction {
    session: Session,
}

impl Transaction {
    async fn begin(pool: &Pool, locks: &'static str) -> Result<Self, Failure> {
        let mut session = pool.take().await?;
        let begin = beginning(session.route, "ISOLATION LEVEL READ COMMITTED") + locks;
        run(&mut session, &begin).await?;
        Ok(Self { session })
    }

    /// The rows of a query.
    pub(super) async fn rows<R>(&mut self, query: QueryAs<'_, Postgres, R, PgArguments>) -> Result<Vec<R>, Failure>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let query = query.persistent(self.session.route == Route::Direct);
        within_patience(query.fetch_all(&mut self.session.connection)).await
    }

    /// The only row of a query, if there is one.
    pub(super) async fn row<R>(&mut self, query: QueryAs<'_, Postgres, R, PgArguments>) -> Result<Option<R>, Failure>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        Ok(self.rows(query).await?.into_iter().next())
    }

    /// As [`Self::row`], of what takes longer than anybody else would wait for.
    pub(super) async fn patient_row<R>(
        &mut self,
        query: QueryAs<'_, Postgres, R, PgArguments>,
        patience: Duration,
    ) -> Result<Option<R>, Failure>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let query = query.persistent(self.session.route == Route::Direct);
        within(patience, query.fetch_optional(&mut self.session.connection)).await
    }

    /// Hands on the rows of a query one by one, however many there are.
    pub(super) async fn each_row<R>(
        &mut self,
        query: QueryAs<'_, Postgres, R, PgArguments>,
        patience: Duration,
        mut take: impl FnMut(R) + Send,
    ) -> Result<(), Failure>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let query = query.persistent(self.session.route == Route::Direct);
        let mut rows = query.fetch(&mut self.session.connection);
        while let Some(row) = within(patience, rows.next().map(Option::transpose)).await? {
            take(row);
        }
        Ok(())
    }

    /// Runs a statement; returns how many rows it changed.
    pub(super) async fn execute(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<u64, Failure> {
        let query = query.persistent(self.session.route == Route::Direct);
        Ok(within_patience(query.execute(&mut self.session.connection)).await?.rows_affected())
    }

    async fn commit(mut self, patience: Duration) -> Result<(), Failure> {
        // Without a time limit of the server's: it would end the wait for a synchronous standby, and the commit would look
        // durable without being so.
        let commit = sqlx::raw_sql("SET LOCAL statement_timeout = 0; COMMIT").execute(&mut self.session.connection);
        match timeout(patience, commit).await {
            Ok(Ok(_)) => {
                self.session.give_back();
                Ok(())
            }
            Ok(Err(error)) => Err(of_commit(error)),
            Err(_) => Err(unanswered_commit()),
        }
    }

    async fn take_back(mut self, failure: &Failure) {
        if !failure.lost_connection() && run(&mut self.session, "ROLLBACK").await.is_ok() {
            self.session.give_back();
        }
    }
}

/// The rows of a query outside of any change. Tried again on another connection when one is lost.
pub(super) async fn read<'q, R>(
    pool: &Pool,
    query: impl Fn() -> QueryAs<'q, Postgres, R, PgArguments> + Send + Sync,
) -> Result<Vec<R>, Failure>
where
    R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let mut attempt = 1;
    loop {
        let failure = match attempt_to_read(pool, query()).await {
            Ok(rows) => return Ok(rows),
            Err(failure) => failure,
        };
        if failure.lost_connection() {
            pool.give_up_idle();
        }
        if !failure.is_passing() || attempt == ATTEMPTS {
            return Err(failure);
        }
        attempt += 1;
    }
}

async fn attempt_to_read<'q, R>(pool: &Pool, query: QueryAs<'q, Postgres, R, PgArguments>) -> Result<Vec<R>, Failure>
where
    R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let mut session = pool.take().await?;
    let rows = match session.route {
        Route::Direct => within_patience(query.fetch_all(&mut session.connection)).await,
        Route::Pooler => {
            // Preparing and running are two messages, and only a transaction brings both to the same server connection.
            run(&mut session, &beginning(Route::Pooler, "READ ONLY")).await?;
            let rows = within_patience(query.persistent(false).fetch_all(&mut session.connection)).await;
            run(&mut session, "COMMIT").await?;
            rows
        }
    };
    if !rows.as_ref().is_err_and(Failure::lost_connection) {
        session.give_back();
    }
    rows
}

/// The SQL that begins a transaction of some mode.
fn beginning(route: Route, mode: &str) -> String {
    let mut sql = format!("BEGIN {mode}");
    if route == Route::Pooler {
        for (name, value) in SETTINGS {
            sql.push_str(&format!("; SET LOCAL {name} = '{value}'"));
        }
    }
    sql
}

/// Runs statements without parameters.
async fn run(session: &mut Session, sql: &str) -> Result<(), Failure> {
    within_patience(simple(&mut session.connection, sql)).await
}

async fn simple(connection: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    // Made of constants alone.
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(|_| ())
}

async fn within_patience<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
    within(PATIENCE, answer).await
}

async fn within<T>(patience: Duration, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
    match timeout(patience, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::silent()),
    }
}

/// How often a change or a query is tried.
const ATTEMPTS: u32 = 8;

const PAUSE: Duration = Duration::from_millis(2);
