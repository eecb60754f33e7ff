//! Rows that hold personal data, while they are moved from clear, or from an older version of the key, to the newest.

use ca_core::id::{CertificateId, TokenId};
use ca_core::time::Timestamp;
use ca_engine::port::store::{PersonalDataHolder, PersonalDataKeyVersion, StoreError};
use sqlx::FromRow;

use super::inconsistent;
use super::search::SearchTerms;
use super::token;
use crate::personal_data::{PersonalDataKeys, Sealer, certificate_place, version_of};

/// `personal_data.kind` of what `holder` names.
pub(crate) const fn kind(holder: PersonalDataHolder) -> i64 {
    match holder {
        PersonalDataHolder::Certificates | PersonalDataHolder::Reservations => CERTIFICATE,
        PersonalDataHolder::Tokens => TOKEN,
    }
}

/// `personal_data.kind` of a certificate or its reservation.
pub(crate) const CERTIFICATE: i64 = 0;
/// `personal_data.kind` of an enrolment token.
pub(crate) const TOKEN: i64 = 1;

/// A version of the key.
#[derive(FromRow)]
pub(crate) struct KeyVersionRow {
    pub(crate) version: i64,
    pub(crate) created_at: i64,
}

impl TryFrom<KeyVersionRow> for PersonalDataKeyVersion {
    type Error = StoreError;

    fn try_from(row: KeyVersionRow) -> Result<Self, StoreError> {
        Ok(Self { version: version(row.version)?, created_at: Timestamp::from_unix_millis(row.created_at) })
    }
}

/// A version from its column.
pub(crate) fn version(column: i64) -> Result<u32, StoreError> {
    u32::try_from(column).map_err(|_| inconsistent("personal_data_keys.version", "no version"))
}

/// What a row holds, encrypted or not; columns that its table does not have are NULL.
#[derive(FromRow)]
pub(crate) struct HeldRow {
    pub(crate) id: Vec<u8>,
    pub(crate) not_after: i64,
    pub(crate) subject: Option<Vec<u8>>,
    pub(crate) names: Vec<u8>,
    /// `certificates.der`, or `reservations.to_be_signed`.
    pub(crate) octets: Option<Vec<u8>>,
    pub(crate) common_name: Option<String>,
    pub(crate) audit_text: Option<Vec<u8>>,
}

/// The same under the newest version of the key.
pub(crate) struct Resealed {
    pub(crate) id: [u8; 16],
    pub(crate) not_after: i64,
    pub(crate) subject: Vec<u8>,
    pub(crate) names: Vec<u8>,
    pub(crate) octets: Vec<u8>,
    pub(crate) common_name: Option<String>,
    pub(crate) audit_text: Option<Vec<u8>>,
    /// What a certificate is found by, in clear; of others there is nothing to be found by.
    pub(crate) terms: Option<SearchTerms>,
    /// What its terms were under; `None`: they were plain.
    pub(crate) before: Option<Sealer>,
}

impl HeldRow {
    /// Whether it lies in clear: its names are encrypted whenever anything is, and a subject is never empty octets.
    pub(crate) fn is_clear(&self) -> bool {
        version_of(&self.names).is_none() && self.subject.as_deref().is_none_or(|subject| version_of(subject).is_none())
    }

    /// The versions of the key that are needed to read it.
    pub(crate) fn key_versions(&self) -> impl Iterator<Item = u32> {
        let columns = [self.subject.as_deref(), Some(&self.names), self.octets.as_deref(), self.audit_text.as_deref()];
        columns.into_iter().flatten().filter_map(version_of)
    }

    pub(crate) fn resealed(
        self,
        holder: PersonalDataHolder,
        keys: &PersonalDataKeys,
        sealer: &Sealer,
    ) -> Result<Resealed, StoreError> {
        let id = super::octets("personal_data.id", self.id.clone())?;
        match holder {
            PersonalDataHolder::Certificates => self.certificate(id, "der", keys, sealer),
            PersonalDataHolder::Reservations => self.certificate(id, "to_be_signed", keys, sealer),
            PersonalDataHolder::Tokens => self.token(id, keys, sealer),
        }
    }

    fn certificate(
        self,
        id: [u8; 16],
        octets_column: &str,
        keys: &PersonalDataKeys,
        sealer: &Sealer,
    ) -> Result<Resealed, StoreError> {
        let place = certificate_place(CertificateId::from_bytes(id));
        let subject = self.subject.unwrap_or_default();
        let before = keys.sealer_of(&place, &subject)?;
        let subject = keys.open(&place, "subject", subject)?;
        let names = keys.open(&place, "names", self.names)?;
        let octets = keys.open(&place, octets_column, self.octets.unwrap_or_default())?;
        let reseal = |text| sealer.seal(&place, "audit_text", &keys.open(&place, "audit_text", text)?);
        let is_issued = octets_column == "der";
        let terms = || -> Result<SearchTerms, StoreError> {
            let alternative_names = super::general_names(&place, &names)?;
            Ok(SearchTerms::of(&super::distinguished_name(&place, &subject)?, &alternative_names))
        };
        Ok(Resealed {
            id,
            not_after: self.not_after,
            terms: is_issued.then(terms).transpose()?,
            subject: sealer.seal(&place, "subject", &subject)?,
            names: sealer.seal(&place, "names", &names)?,
            octets: sealer.seal(&place, octets_column, &octets)?,
            common_name: None,
            audit_text: self.audit_text.map(reseal).transpose()?,
            before,
        })
    }

    fn token(self, id: [u8; 16], keys: &PersonalDataKeys, sealer: &Sealer) -> Result<Resealed, StoreError> {
        let place = token::token_place(TokenId::from_bytes(id));
        let (names, common_name) = token::open(keys, &place, self.names, self.common_name)?;
        let (names, common_name) = token::seal(sealer, &place, &names, common_name.as_deref())?;
        Ok(Resealed {
            id,
            not_after: 0,
            subject: Vec::new(),
            names,
            octets: Vec::new(),
            common_name,
            audit_text: None,
            terms: None,
            before: None,
        })
    }
}
