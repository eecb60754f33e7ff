//! What a PostgreSQL must do for us, on a server that an operator names: `make test-postgres DSN=…`.
//!
//! The cases are those of `contract_postgres.rs` and `postgres/`, without what only a server of the tests' own can suffer.

#[path = "../filters/mod.rs"]
mod filters;
mod server;
#[path = "../statements/mod.rs"]
mod statements;
#[path = "../under_test/mod.rs"]
mod under_test;

#[path = "../postgres/contract.rs"]
mod contract;
#[path = "../postgres/fencing.rs"]
mod fencing;
#[path = "../postgres/fixture.rs"]
mod fixture;
#[path = "../postgres/order.rs"]
mod order;
#[path = "../postgres/outbox.rs"]
mod outbox;
#[path = "../postgres/rivals.rs"]
mod rivals;
