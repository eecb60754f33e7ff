//! Enrolment tokens.

use async_trait::async_trait;
use ca_core::id::TokenId;

use super::{MemoryStore, StoreMethod};
use crate::port::store::{Journal, StoreError, TokenRecord, TokenStore};

#[async_trait]
impl TokenStore for MemoryStore {
    async fn add_token(&self, token: TokenRecord, journal: Journal) -> Result<(), StoreError> {
        self.transact(StoreMethod::AddToken, |record, _| {
            if record.tokens.contains_key(&token.id) {
                return Err(StoreError::Conflict { detail: format!("token {} exists", token.id) });
            }
            if token.personal_data {
                record.hold(*token.id.as_bytes(), None);
            }
            record.tokens.insert(token.id, token);
            record.write_journal(journal);
            Ok(())
        })
        .await
    }

    async fn token(&self, id: TokenId) -> Result<Option<TokenRecord>, StoreError> {
        self.transact(StoreMethod::Token, |record, _| Ok(record.tokens.get(&id).cloned())).await
    }

    async fn tokens(&self, after: Option<TokenId>, limit: u32) -> Result<Vec<TokenRecord>, StoreError> {
        self.transact(StoreMethod::Tokens, |record, _| {
            let newest_first = record.tokens.values().rev();
            let following = newest_first.filter(|token| after.is_none_or(|after| token.id < after));
            Ok(following.take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn withdraw_token(&self, id: TokenId, journal: Journal) -> Result<bool, StoreError> {
        self.transact(StoreMethod::WithdrawToken, |record, _| {
            let Some(token) = record.tokens.get_mut(&id).filter(|token| !token.withdrawn) else {
                return Ok(false);
            };
            token.withdrawn = true;
            record.write_journal(journal);
            Ok(true)
        })
        .await
    }
}
