//! What is SQLite's own: the contract of the port is checked in `tests/contract.rs`.

mod concurrency;
mod corruption;
mod durability;
mod fixture;
mod full_disk;
mod opening;
mod snapshot;
