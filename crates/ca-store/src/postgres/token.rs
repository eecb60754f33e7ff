//! Enrolment tokens. Their uses are counted in [`super::reservation`].

use async_trait::async_trait;
use ca_core::id::TokenId;
use ca_engine::port::store::{Journal, StoreError, TokenRecord, TokenStore};

use super::error::Failure;
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, column, journal};
use crate::row::personal_data;
use crate::row::token::{AddedToken, TokenRow};

/// The columns of a [`TokenRow`].
macro_rules! token_columns {
    () => {
        "uuid_send(id) AS id, secret_sha256, profile, names, common_name, uses, used, expires_at, created_at, created_by,
         withdrawn"
    };
}

#[async_trait]
impl TokenStore for PostgresStore {
    async fn add_token(&self, token: TokenRecord, journal: Journal) -> Result<(), StoreError> {
        if token.personal_data {
            self.learn_keys().await?;
        }
        let added = AddedToken::of(token, &self.personal_data)?;
        self.change(Addition { added, journal }).await
    }

    async fn token(&self, id: TokenId) -> Result<Option<TokenRecord>, StoreError> {
        const SQL: &str = concat!("SELECT ", token_columns!(), " FROM enrolment_tokens WHERE id = $1");
        let rows: Vec<TokenRow> = read(&self.reads, || sqlx::query_as(SQL).bind(column::token(id))).await?;
        Ok(self.records(rows).await?.pop())
    }

    async fn tokens(&self, after: Option<TokenId>, limit: u32) -> Result<Vec<TokenRecord>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            token_columns!(),
            " FROM enrolment_tokens AS t WHERE t.id < $1 ORDER BY t.id DESC LIMIT $2"
        );
        // No UUIDv7 is the largest that 16 octets can be.
        let before = after.unwrap_or(TokenId::from_bytes([0xff; 16]));
        let query = || sqlx::query_as(SQL).bind(column::token(before)).bind(i64::from(limit));
        let rows: Vec<TokenRow> = read(&self.reads, query).await?;
        self.records(rows).await
    }

    async fn withdraw_token(&self, id: TokenId, journal: Journal) -> Result<bool, StoreError> {
        self.change(Withdrawal { id, journal }).await
    }
}

impl PostgresStore {
    async fn records(&self, rows: Vec<TokenRow>) -> Result<Vec<TokenRecord>, StoreError> {
        self.know_keys(rows.iter().flat_map(TokenRow::key_versions)).await?;
        rows.into_iter().map(|row| row.record(&self.personal_data)).collect()
    }
}

struct Addition {
    added: AddedToken,
    journal: Journal,
}

#[async_trait]
impl Change for Addition {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        const SQL: &str = "INSERT INTO enrolment_tokens (id, secret_sha256, profile, names, common_name, uses, used,
                 expires_at, created_at, created_by, withdrawn)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let AddedToken { token, names, common_name, sealer } = &self.added;
        let query = sqlx::query(SQL)
            .bind(column::token(token.id))
            .bind(token.secret_sha256.as_slice())
            .bind(token.binding.profile.as_str())
            .bind(names.as_slice())
            .bind(common_name.as_deref())
            .bind(i64::from(token.uses))
            .bind(i64::from(token.used))
            .bind(token.expires_at.unix_millis())
            .bind(token.created_at.unix_millis())
            .bind(token.created_by.as_str())
            .bind(token.withdrawn);
        transaction.execute(query).await?;
        if let Some(sealer) = sealer {
            const HOLD: &str =
                "INSERT INTO personal_data (id, kind, key_version) VALUES ($1, $2::smallint, $3::integer)";
            let hold = sqlx::query(HOLD).bind(column::token(token.id)).bind(personal_data::TOKEN).bind(sealer.column());
            transaction.execute(hold).await?;
        }
        journal::store(&[&self.journal], transaction).await
    }
}

struct Withdrawal {
    id: TokenId,
    journal: Journal,
}

#[async_trait]
impl Change for Withdrawal {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        const SQL: &str = "UPDATE enrolment_tokens SET withdrawn = TRUE WHERE id = $1 AND NOT withdrawn";
        if transaction.execute(sqlx::query(SQL).bind(column::token(self.id))).await? == 0 {
            return Ok(false);
        }
        journal::store(&[&self.journal], transaction).await?;
        Ok(true)
    }
}
