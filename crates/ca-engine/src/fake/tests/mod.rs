//! The fakes keep the contracts, and do what a test tells them to.

mod contracts;
mod faults;
