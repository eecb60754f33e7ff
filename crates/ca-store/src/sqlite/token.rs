//! Enrolment tokens. Their uses are counted in [`super::reservation`].

use async_trait::async_trait;
use ca_core::id::TokenId;
use ca_engine::port::store::{Journal, StoreError, TokenRecord, TokenStore};
use sqlx::{SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use crate::personal_data::Sealer;
use crate::row::token::{AddedToken, TokenRow};

#[async_trait]
impl TokenStore for SqliteStore {
    async fn add_token(&self, token: TokenRecord, journal: Journal) -> Result<(), StoreError> {
        if token.personal_data {
            self.learn_keys().await?;
        }
        let added = AddedToken::of(token, &self.personal_data)?;
        self.change(Addition { added, journal }).await
    }

    async fn token(&self, id: TokenId) -> Result<Option<TokenRecord>, StoreError> {
        let row = by_id(&self.readers, id).await?;
        Ok(self.records(row.into_iter().collect()).await?.pop())
    }

    async fn tokens(&self, after: Option<TokenId>, limit: u32) -> Result<Vec<TokenRecord>, StoreError> {
        self.records(list(&self.readers, after, limit).await?).await
    }

    async fn withdraw_token(&self, id: TokenId, journal: Journal) -> Result<bool, StoreError> {
        self.change(Withdrawal { id, journal }).await
    }
}

impl SqliteStore {
    async fn records(&self, rows: Vec<TokenRow>) -> Result<Vec<TokenRecord>, StoreError> {
        self.know_keys(rows.iter().flat_map(TokenRow::key_versions)).await?;
        rows.into_iter().map(|row| row.record(&self.personal_data)).collect()
    }
}

async fn by_id(readers: &SqlitePool, id: TokenId) -> Result<Option<TokenRow>, Failure> {
    const SQL: &str = "SELECT id, secret_sha256, profile, names, common_name, uses, used, expires_at, created_at,
             created_by, withdrawn FROM enrolment_tokens WHERE id = $1";
    Ok(sqlx::query_as(SQL).bind(id.as_bytes().as_slice()).fetch_optional(readers).await?)
}

async fn list(readers: &SqlitePool, after: Option<TokenId>, limit: u32) -> Result<Vec<TokenRow>, Failure> {
    const SQL: &str = "SELECT id, secret_sha256, profile, names, common_name, uses, used, expires_at, created_at,
             created_by, withdrawn FROM enrolment_tokens WHERE id < $1 ORDER BY id DESC LIMIT $2";
    // 17 octets are above every id of 16.
    let before = after.map_or_else(|| vec![0xff; 17], |id| id.as_bytes().to_vec());
    Ok(sqlx::query_as(SQL).bind(before).bind(limit).fetch_all(readers).await?)
}

struct Addition {
    added: AddedToken,
    journal: Journal,
}

#[async_trait]
impl Change for Addition {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        const SQL: &str = concat!(
            journal_sql!(),
            "INSERT INTO enrolment_tokens (id, secret_sha256, profile, names, common_name, uses, used, expires_at,
                 created_at, created_by, withdrawn)
             VALUES ($7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17);
             INSERT INTO personal_data (id, kind, key_version) SELECT $7, 1, $18 WHERE $18 IS NOT NULL;"
        );
        let AddedToken { token, names, common_name, sealer } = &self.added;
        journal::bind(SQL, &self.journal)
            .bind(token.id.as_bytes().as_slice())
            .bind(token.secret_sha256.as_slice())
            .bind(token.binding.profile.as_str())
            .bind(names.as_slice())
            .bind(common_name.as_deref())
            .bind(token.uses)
            .bind(token.used)
            .bind(token.expires_at.unix_millis())
            .bind(token.created_at.unix_millis())
            .bind(token.created_by.as_str())
            .bind(token.withdrawn)
            .bind(sealer.as_ref().map(Sealer::column))
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct Withdrawal {
    id: TokenId,
    journal: Journal,
}

#[async_trait]
impl Change for Withdrawal {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const LOOK: &str = "SELECT EXISTS (SELECT 1 FROM enrolment_tokens WHERE id = $1 AND withdrawn = 0)";
        let open: bool =
            sqlx::query_scalar(LOOK).bind(self.id.as_bytes().as_slice()).fetch_one(&mut *connection).await?;
        if !open {
            return Ok(false);
        }
        const SQL: &str = concat!(journal_sql!(), "UPDATE enrolment_tokens SET withdrawn = 1 WHERE id = $7;");
        journal::bind(SQL, &self.journal).bind(self.id.as_bytes().as_slice()).execute(connection).await?;
        Ok(true)
    }
}
