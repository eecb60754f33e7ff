//! Enrolment tokens, as their columns give them.

use ca_core::id::TokenId;
use ca_core::principal::TokenBinding;
use ca_core::time::Timestamp;
use ca_engine::port::store::{StoreError, TokenRecord};
use sqlx::FromRow;

use super::inconsistent;

#[derive(FromRow)]
pub(crate) struct TokenRow {
    pub(crate) id: Vec<u8>,
    pub(crate) secret_sha256: Vec<u8>,
    pub(crate) profile: String,
    pub(crate) names: Vec<u8>,
    pub(crate) common_name: Option<String>,
    pub(crate) uses: i64,
    pub(crate) used: i64,
    pub(crate) expires_at: i64,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    pub(crate) withdrawn: bool,
}

impl TryFrom<TokenRow> for TokenRecord {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<Self, StoreError> {
        let id = TokenId::from_bytes(super::octets("enrolment_tokens.id", row.id)?);
        let place = format!("enrolment_tokens {id}");
        let count = |column| u32::try_from(column).map_err(|_| inconsistent(&place, "a count out of range"));
        Ok(Self {
            id,
            secret_sha256: super::octets(&place, row.secret_sha256)?,
            binding: TokenBinding {
                profile: super::profile(&place, &row.profile)?,
                names: super::general_names(&place, &row.names)?,
                common_name: row.common_name,
            },
            uses: count(row.uses)?,
            used: count(row.used)?,
            expires_at: Timestamp::from_unix_millis(row.expires_at),
            created_at: Timestamp::from_unix_millis(row.created_at),
            created_by: row.created_by,
            withdrawn: row.withdrawn,
        })
    }
}
