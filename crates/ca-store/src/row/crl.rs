//! CRLs, as their columns give them, and the order in which they come.

use ca_core::id::AuthorityId;
use ca_core::time::Timestamp;
use ca_engine::port::store::{CrlIntent, CrlRecord, StoreError};
use sqlx::FromRow;

#[derive(FromRow)]
pub(crate) struct CrlRow {
    pub(crate) authority: String,
    pub(crate) number: i64,
    pub(crate) this_update: i64,
    pub(crate) next_update: i64,
    pub(crate) entries: i64,
    pub(crate) revocation_sequence: i64,
    pub(crate) to_be_signed_sha256: Vec<u8>,
    pub(crate) published: bool,
}

impl TryFrom<CrlRow> for CrlRecord {
    type Error = StoreError;

    fn try_from(row: CrlRow) -> Result<Self, StoreError> {
        let place = format!("crls {} {}", row.authority, row.number);
        let intent = CrlIntent {
            authority: super::authority(&place, &row.authority)?,
            number: super::unsigned(&place, row.number)?,
            this_update: Timestamp::from_unix_millis(row.this_update),
            next_update: Timestamp::from_unix_millis(row.next_update),
            entries: super::unsigned(&place, row.entries)?,
            revocation_sequence: super::unsigned(&place, row.revocation_sequence)?,
            to_be_signed_sha256: super::octets(&place, row.to_be_signed_sha256)?,
        };
        Ok(Self { intent, published: row.published })
    }
}

/// What stands in the way of a publication, or makes it needless.
#[derive(FromRow)]
pub(crate) struct PublicationCircumstances {
    pub(crate) intended: bool,
    pub(crate) published: Option<i64>,
    pub(crate) same_octets: Option<bool>,
}

impl PublicationCircumstances {
    /// Whether there is anything to do: the intent must be there and no higher number published. The same list once more is
    /// harmless: the acknowledgement of the first time was lost.
    pub(crate) fn is_due(&self, authority: &AuthorityId, number: i64) -> Result<bool, StoreError> {
        let conflict = |detail| Err(StoreError::Conflict { detail });
        if !self.intended {
            return conflict(format!("CRL {number} of {authority} was never intended"));
        }
        match self.published {
            Some(published) if published > number => {
                conflict(format!("CRL {published} of {authority} is published already, {number} comes too late"))
            }
            Some(published) if published == number && self.same_octets == Some(true) => Ok(false),
            Some(published) if published == number => {
                conflict(format!("CRL {number} of {authority} is published already, with other octets"))
            }
            _ => Ok(true),
        }
    }
}

/// A published list.
#[derive(FromRow)]
pub(crate) struct PublishedRow {
    #[sqlx(flatten)]
    pub(crate) crl: CrlRow,
    pub(crate) der: Vec<u8>,
}

/// Fails unless `intent` comes after the newest on record. That one has the latest time as well: none below it was ever let in
/// with a later one.
pub(crate) fn check_rises(intent: &CrlIntent, newest: Option<&CrlRecord>) -> Result<(), StoreError> {
    let Some(newest) = newest.map(|record| &record.intent) else { return Ok(()) };
    if intent.number <= newest.number || intent.this_update < newest.this_update {
        let detail = format!(
            "CRL {} of {} dated {} does not come after CRL {} dated {}",
            intent.number, intent.authority, intent.this_update, newest.number, newest.this_update
        );
        return Err(StoreError::Conflict { detail });
    }
    Ok(())
}

/// The published numbers of authorities.
pub(crate) fn published_numbers(rows: Vec<(String, i64)>) -> Result<Vec<(AuthorityId, u64)>, StoreError> {
    let place = "published_crls";
    let numbers = rows
        .into_iter()
        .map(|(authority, number)| Ok((super::authority(place, &authority)?, super::unsigned(place, number)?)));
    numbers.collect()
}

/// A list could not be put aside, or is no longer there.
pub(crate) fn not_kept(error: std::io::Error) -> StoreError {
    StoreError::Unavailable { detail: format!("a CRL on its way to or from the record: {error}") }
}
