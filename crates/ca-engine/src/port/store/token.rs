//! Enrolment tokens. Their secrets are never stored, only digests.

use async_trait::async_trait;
use ca_core::id::TokenId;
use ca_core::principal::TokenBinding;
use ca_core::time::Timestamp;

use super::{Journal, StoreError};

/// An enrolment token on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its id.
    pub id: TokenId,
    /// SHA-256 of its secret (32 random octets, so that a plain digest is enough).
    pub secret_sha256: [u8; 32],
    /// What it may ask for.
    pub binding: TokenBinding,
    /// Whether its names are personal data: they are kept encrypted then.
    pub personal_data: bool,
    /// How often it may be used in all, at least 1.
    pub uses: u32,
    /// How often it was used.
    pub used: u32,
    /// Until when.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// Principal reference of who made it.
    pub created_by: String,
    /// Whether it was withdrawn.
    pub withdrawn: bool,
}

/// Enrolment tokens on record. Their uses are counted by reservations.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Adds a token.
    async fn add_token(&self, token: TokenRecord, journal: Journal) -> Result<(), StoreError>;

    /// One token.
    async fn token(&self, id: TokenId) -> Result<Option<TokenRecord>, StoreError>;

    /// Tokens, newest first, after `after`, at most `limit`.
    async fn tokens(&self, after: Option<TokenId>, limit: u32) -> Result<Vec<TokenRecord>, StoreError>;

    /// Withdraws a token; `false` when it is unknown or withdrawn already.
    async fn withdraw_token(&self, id: TokenId, journal: Journal) -> Result<bool, StoreError>;
}
