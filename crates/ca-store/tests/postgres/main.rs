//! What is PostgreSQL's own: the contract of the port is checked in `contract_postgres.rs`.

#[path = "../server/mod.rs"]
mod server;

mod fencing;
mod fixture;
mod hints;
mod opening;
mod order;
mod outbox;
mod recovery;
mod retention;
mod rivals;
mod snapshot;
