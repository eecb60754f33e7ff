//! Enrolment tokens, as their columns give them.

use ca_core::id::TokenId;
use ca_core::principal::TokenBinding;
use ca_core::time::Timestamp;
use ca_engine::port::store::{StoreError, TokenRecord};
use sqlx::FromRow;

use super::inconsistent;
use crate::personal_data::{PersonalDataKeys, Sealer, version_of};

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

/// A token, and what of it columns hold otherwise than it is.
pub(crate) struct AddedToken {
    pub(crate) token: TokenRecord,
    pub(crate) names: Vec<u8>,
    /// In hexadecimal when it is encrypted, as the names are then.
    pub(crate) common_name: Option<String>,
    pub(crate) sealer: Option<Sealer>,
}

impl AddedToken {
    pub(crate) fn of(token: TokenRecord, keys: &PersonalDataKeys) -> Result<Self, StoreError> {
        let names = super::general_names_column(&token.binding.names);
        let common_name = token.binding.common_name.clone();
        if !token.personal_data {
            return Ok(Self { token, names, common_name, sealer: None });
        }
        let place = token_place(token.id);
        let sealer = keys.newest(&place)?;
        let (names, common_name) = seal(&sealer, &place, &names, common_name.as_deref())?;
        Ok(Self { token, names, common_name, sealer: Some(sealer) })
    }
}

/// What a token is called where its values are bound to it.
pub(crate) fn token_place(id: TokenId) -> String {
    format!("enrolment_tokens {id}")
}

/// The columns `names` and `common_name`, encrypted.
pub(crate) fn seal(
    sealer: &Sealer,
    place: &str,
    names: &[u8],
    common_name: Option<&str>,
) -> Result<(Vec<u8>, Option<String>), StoreError> {
    let seal_text = |text: &str| sealer.seal(place, "common_name", text.as_bytes()).map(hex::encode);
    Ok((sealer.seal(place, "names", names)?, common_name.map(seal_text).transpose()?))
}

/// Those columns in clear: the common name is encrypted when the names are.
pub(crate) fn open(
    keys: &PersonalDataKeys,
    place: &str,
    names: Vec<u8>,
    common_name: Option<String>,
) -> Result<(Vec<u8>, Option<String>), StoreError> {
    if version_of(&names).is_none() {
        return Ok((names, common_name));
    }
    let open_text = |text: String| {
        let octets = hex::decode(text).map_err(|_| inconsistent(place, "a common name that is not encrypted"))?;
        let clear = keys.open(place, "common_name", octets)?;
        String::from_utf8(clear).map_err(|_| inconsistent(place, "a common name that is no text"))
    };
    Ok((keys.open(place, "names", names)?, common_name.map(open_text).transpose()?))
}

impl TokenRow {
    /// The versions of the key of personal data that are needed to read it.
    pub(crate) fn key_versions(&self) -> impl Iterator<Item = u32> {
        version_of(&self.names).into_iter()
    }

    /// The token; `keys` open what of it is encrypted.
    pub(crate) fn record(self, keys: &PersonalDataKeys) -> Result<TokenRecord, StoreError> {
        let row = self;
        let id = TokenId::from_bytes(super::octets("enrolment_tokens.id", row.id)?);
        let place = token_place(id);
        let personal_data = version_of(&row.names).is_some();
        let (names, common_name) = open(keys, &place, row.names, row.common_name)?;
        let count = |column| u32::try_from(column).map_err(|_| inconsistent(&place, "a count out of range"));
        Ok(TokenRecord {
            id,
            secret_sha256: super::octets(&place, row.secret_sha256)?,
            binding: TokenBinding {
                profile: super::profile(&place, &row.profile)?,
                names: super::general_names(&place, &names)?,
                common_name,
            },
            personal_data,
            uses: count(row.uses)?,
            used: count(row.used)?,
            expires_at: Timestamp::from_unix_millis(row.expires_at),
            created_at: Timestamp::from_unix_millis(row.created_at),
            created_by: row.created_by,
            withdrawn: row.withdrawn,
        })
    }
}
