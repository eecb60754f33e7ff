//! Where replicas share signed answers.

mod address;
#[cfg(feature = "redis")]
mod redis;

pub use address::{AddressProblem, RedisAddress};
#[cfg(feature = "redis")]
pub use redis::{RedisAnswers, RedisError};
