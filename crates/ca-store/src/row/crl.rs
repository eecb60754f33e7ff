//! CRLs, as their columns give them, and the order in which they come.

use ca_core::crl::PartialScope;
use ca_core::id::AuthorityId;
use ca_core::time::Timestamp;
use ca_engine::port::store::{CrlIntent, CrlRecord, PartialIntent, PartialRecord, StoreError};
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

/// Columns of `partial_crls`.
#[derive(FromRow)]
pub(crate) struct PartialRow {
    #[sqlx(flatten)]
    pub(crate) crl: CrlRow,
    pub(crate) scope: i64,
    pub(crate) base_number: Option<i64>,
}

impl TryFrom<PartialRow> for PartialRecord {
    type Error = StoreError;

    fn try_from(row: PartialRow) -> Result<Self, StoreError> {
        let place = format!("partial_crls {} {} {}", row.crl.authority, row.scope, row.crl.number);
        let scope = partial_scope(&place, row.scope)?;
        let base_number = row.base_number.map(|number| super::unsigned(&place, number)).transpose()?;
        let CrlRecord { intent: crl, published } = row.crl.try_into()?;
        Ok(Self { intent: PartialIntent { scope, base_number, crl }, published })
    }
}

/// The scope of a column.
pub(crate) fn partial_scope(place: &str, column: i64) -> Result<PartialScope, StoreError> {
    let scope = u32::try_from(column).ok().and_then(PartialScope::from_column);
    scope.ok_or_else(|| super::inconsistent(place, format_args!("{column} is no scope of a list")))
}

/// Fails unless `intent` comes after the newest of its scope, and a delta after the newest complete list too.
pub(crate) fn check_partial_rises(
    intent: &PartialIntent,
    newest: Option<&PartialRecord>,
    complete: Option<&CrlRecord>,
) -> Result<(), StoreError> {
    let newest = newest.map(|newest| CrlRecord { intent: newest.intent.crl.clone(), published: newest.published });
    check_rises(&intent.crl, newest.as_ref())?;
    match complete {
        Some(complete) if intent.scope == PartialScope::Delta => check_above(&intent.crl, complete.intent.number),
        _ => Ok(()),
    }
}

/// Fails unless an intent's number is above one of the same sequence: complete lists and deltas share it (RFC 5280 §5.2.3).
pub(crate) fn check_above(intent: &CrlIntent, number: u64) -> Result<(), StoreError> {
    if intent.number > number {
        return Ok(());
    }
    let detail = format!(
        "CRL {} of {} is not above {number}: complete lists and deltas have one sequence",
        intent.number, intent.authority
    );
    Err(StoreError::Conflict { detail })
}

/// The published numbers of scopes.
pub(crate) fn published_partial_numbers(
    rows: Vec<(String, i64, i64)>,
) -> Result<Vec<(AuthorityId, PartialScope, u64)>, StoreError> {
    let place = "published_partial_crls";
    let numbers = rows.into_iter().map(|(authority, scope, number)| {
        Ok((super::authority(place, &authority)?, partial_scope(place, scope)?, super::unsigned(place, number)?))
    });
    numbers.collect()
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
