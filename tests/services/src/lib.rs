//! Servers that tests start for themselves, from Debian's packages and from PyPI: each in a temporary folder, behind a socket there, gone with
//! the process that started it. `tests/install.sh` installs the packages; a missing one is an error that names it.
#![warn(missing_docs)]

mod keeper;
mod moto;
mod pgbouncer;
pub mod port;
mod postgres;
mod redis;
mod slow_way;
mod softhsm;

pub use moto::MotoServer;
pub use pgbouncer::PgBouncer;
pub use postgres::{PASSWORD, PostgresServer, USER, run_sql_at};
pub use redis::RedisServer;
pub use slow_way::SlowWay;
pub use softhsm::SoftHsm;
