//! The record in one PostgreSQL database, for many replicas at once.
//!
//! One file per room of the port. [`transaction`] is how changes reach the database and are made again when others are in the
//! way, [`writer`] joins those of concurrent callers into one commit, [`pool`] has the connections, [`address`] says where the
//! database is, [`schema`] which version of the tables it has, [`month`] makes the tables that certificates are spread over.
//!
//! Nothing is kept in a session: no prepared statement that must survive, no setting, no lock. So it works through a pooler, and a
//! connection that is lost is replaced without anybody noticing. Replicas share nothing but the tables. Only [`hints`] listens,
//! where that is possible, and nothing but speed depends on it.

mod abandonment;
mod address;
mod audit;
mod authority;
mod bulk_revocation;
mod certificate;
mod certificate_list;
mod certificate_record;
mod column;
mod completion;
mod crl;
mod descent;
mod error;
mod gateway;
mod hints;
mod holder;
mod journal;
mod lease;
mod list_octets;
mod managed;
mod month;
mod newest_crl;
mod notice;
mod outbox;
mod partial_crl;
mod personal_data;
mod pool;
mod reader;
mod renewal;
mod reservation;
mod restore;
mod retention;
mod role;
mod schema;
mod selection;
mod snapshot;
mod status;
mod token;
mod transaction;
mod upstream;
mod writer;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use ca_core::time::Timestamp;
use ca_engine::port::personal_data::PersonalDataVault;
use ca_engine::port::spool::{MemorySpool, Spool};
use ca_engine::port::store::{Access, ShownCertificate, StandingChange, Store, StoreError};

pub use address::PostgresOptions;
pub use hints::PostgresHints;

use error::Failure;
use month::Months;
use pool::Pool;
use reader::Reader;
use transaction::{Change, make, read};
use writer::Writer;

use crate::open::{OpenError, OpenMode};
use crate::personal_data::PersonalDataKeys;
use crate::row::certificate::Completing;
use crate::row::reservation::Reserving;

/// The record in a PostgreSQL database.
///
/// Dropping it is safe at any time: what was acknowledged is in the database. [`PostgresStore::close`] also waits for the last
/// commits. At most [`PostgresStore::CONNECTIONS`] connections are open at once.
pub struct PostgresStore {
    reads: Arc<Pool>,
    holders: Reader<ShownCertificate>,
    /// For the status of serials and the sequence of revocations alone: what OCSP needs is not to wait behind slow queries.
    statuses: Pool,
    writers: Option<Writers>,
    personal_data: Arc<PersonalDataKeys>,
    /// Where lists are put that are read; in memory where nothing else was said.
    spool: OnceLock<Arc<dyn Spool>>,
}

/// What changes are made by.
struct Writers {
    pool: Arc<Pool>,
    /// For the lanes of reservations and completions.
    issuance: Arc<Pool>,
    months: Months,
    reservations: Writer<Reserving>,
    completions: Writer<Completing>,
    standings: Writer<StandingChange>,
}

impl PostgresStore {
    /// The most connections that one store has: what a server must let in for each replica.
    pub const CONNECTIONS: usize = READS + STATUSES + ISSUANCE + CHANGES;

    /// Opens the record; must be called inside a tokio runtime, which then runs the writers.
    ///
    /// The database must be there in every mode: making one is its administrator's business.
    pub async fn open(options: &PostgresOptions, mode: OpenMode) -> Result<Self, OpenError> {
        if options.trusts_the_network() {
            tracing::warn!(
                database = %options.database(),
                "the server of the database need not prove that it is the right one: set sslmode=verify-full and sslrootcert"
            );
        }
        if mode == OpenMode::Create {
            schema::migrate(options).await?;
        }
        schema::check(options, mode).await?;
        let writers = (mode != OpenMode::ReadOnly).then(|| Writers::start(options));
        let reads = Arc::new(Pool::new(options, READS));
        Ok(Self {
            holders: Reader::start(&reads),
            reads,
            statuses: Pool::new(options, STATUSES),
            writers,
            personal_data: Arc::default(),
            spool: OnceLock::new(),
        })
    }

    /// Gives the store a place for lists that are read from the record, once; without it they come into memory.
    pub fn hold_spool(&self, spool: Arc<dyn Spool>) {
        // The first one stays.
        let _held = self.spool.set(spool);
    }

    fn spool(&self) -> &dyn Spool {
        self.spool.get().map_or(&MemorySpool, |spool| &**spool)
    }

    /// Gives the store the key of personal data, and makes its first version when there is none and the record can be written.
    ///
    /// Without it, personal data can neither be read nor written.
    pub async fn hold_personal_data(&self, vault: Arc<dyn PersonalDataVault>) -> Result<(), StoreError> {
        self.personal_data.hold(vault);
        self.make_first_key().await?;
        self.learn_keys().await
    }

    /// Brings the tables of a database to the version of this build; returns the versions before and after.
    ///
    /// Replicas of the version before may go on meanwhile.
    pub async fn migrate(options: &PostgresOptions) -> Result<(i64, i64), OpenError> {
        schema::migrate(options).await
    }

    /// The version of the tables that this build reads and writes.
    pub fn schema_version() -> i64 {
        schema::newest_version()
    }

    /// Waits until the changes that were handed over are committed, and closes every connection. Changes that come later through
    /// a shared reference get [`StoreError::Unavailable`].
    pub async fn close(&self) {
        if let Some(writers) = &self.writers {
            writers.close().await;
        }
        self.holders.close();
        self.reads.close().await;
        self.statuses.close().await;
    }

    fn writers(&self) -> Result<&Writers, StoreError> {
        let closed = || StoreError::ReadOnly { detail: "the record was opened for reading only".to_owned() };
        self.writers.as_ref().ok_or_else(closed)
    }

    /// Makes a change in a transaction of its own.
    async fn change<C: Change>(&self, change: C) -> Result<C::Answer, StoreError> {
        Ok(make(&self.writers()?.pool, &change).await?)
    }

    /// Whether the server is a standby, or the database or user was told to change nothing.
    async fn is_read_only(&self) -> Result<bool, Failure> {
        const SQL: &str = "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean";
        let rows: Vec<(bool,)> = read(&self.statuses, || sqlx::query_as(SQL)).await?;
        Ok(rows.first().is_none_or(|(read_only,)| *read_only))
    }

    async fn now(&self) -> Result<Timestamp, Failure> {
        const SQL: &str = concat!("SELECT ", database_time!());
        let rows: Vec<(i64,)> = read(&self.reads, || sqlx::query_as(SQL)).await?;
        let (millis,) = rows.first().ok_or_else(|| crate::row::inconsistent("the clock", "no answer"))?;
        Ok(Timestamp::from_unix_millis(*millis))
    }
}

impl Writers {
    fn start(options: &PostgresOptions) -> Self {
        let pool = Arc::new(Pool::new(options, CHANGES));
        let issuance = Arc::new(Pool::new(&options.planning_once(), ISSUANCE));
        Self {
            months: Months::default(),
            reservations: Writer::start(&issuance, LANES),
            completions: Writer::start(&issuance, LANES),
            // The counter of revocations is one row: a second lane would wait for the first.
            standings: Writer::start(&pool, 1),
            issuance,
            pool,
        }
    }

    async fn close(&self) {
        self.reservations.close().await;
        self.completions.close().await;
        self.standings.close().await;
        self.issuance.close().await;
        self.pool.close().await;
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn database_time(&self) -> Result<Timestamp, StoreError> {
        Ok(self.now().await?)
    }

    async fn access(&self) -> Result<Access, StoreError> {
        match &self.writers {
            Some(_) if !self.is_read_only().await? => Ok(Access::ReadWrite),
            _ => Ok(Access::ReadOnly),
        }
    }
}

/// SQL of the server's clock in milliseconds, as it goes on within a transaction.
macro_rules! database_time {
    () => {
        "FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint"
    };
}
use database_time;

/// How many transactions of reservations, and of completions, are made at once.
const LANES: usize = 2;

/// Connections of the lanes of reservations and completions.
const ISSUANCE: usize = 2 * LANES;

/// Connections that change otherwise: that of the lane of standings, and some for changes of other kinds.
const CHANGES: usize = 1 + 4;

/// Connections that read.
const READS: usize = 8;

/// Connections that read what OCSP needs.
const STATUSES: usize = 4;
