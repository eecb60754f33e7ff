//! Lists of certificates.
//!
//! A page is a walk down one index in each month that can hold what is asked for, merged by id; PostgreSQL chooses the index by
//! its statistics, and leaves out months by `not_after`. The other conditions are checked on the way.

use ca_engine::port::store::{CertificateFilter, PageCursor, StatusFilter};
use sqlx::AssertSqlSafe;

use super::certificate_record::certificate_columns;
use super::column;
use super::error::Failure;
use super::pool::Pool;
use super::selection::Selection;
use super::transaction::read;
use crate::personal_data::PersonalDataKeys;
use crate::row::certificate::CertificateRow;
use crate::row::search::term_of;
use crate::row::state;

/// The rows of a page, newest id first: of one walk, or, when a name is asked for, of one for each way in which it may be on record.
/// Each goes one row further than the page: that tells whether there is a next one.
pub(super) async fn walks(
    reads: &Pool,
    filter: &CertificateFilter,
    after: Option<PageCursor>,
    limit: u32,
    keys: &PersonalDataKeys,
) -> Result<Vec<Vec<CertificateRow>>, Failure> {
    let terms = match &filter.name {
        Some(name) => {
            let (kind, text) = term_of(name);
            column::terms_of(kind, &text, keys).into_iter().map(Some).collect()
        }
        None => vec![None],
    };
    let mut walks = Vec::with_capacity(terms.len());
    for term in terms {
        let Selection { sql, arguments } = selection(filter, term, after, limit + 1)?;
        let query = || sqlx::query_as_with(AssertSqlSafe(sql.clone()), arguments.clone());
        walks.push(read(reads, query).await?);
    }
    Ok(walks)
}

fn selection(
    filter: &CertificateFilter,
    term: Option<[u8; 32]>,
    after: Option<PageCursor>,
    limit: u32,
) -> Result<Selection, Failure> {
    const NAMES: &str = "certificate_names AS n
         JOIN certificates AS c ON c.id = n.certificate_id AND c.not_after = n.not_after
         JOIN serials AS s ON s.certificate_id = n.certificate_id";
    const SERIALS: &str =
        "serials AS s JOIN certificates AS c ON c.id = s.certificate_id AND c.not_after = s.not_after";
    let mut selection = Selection::new(concat!("SELECT ", certificate_columns!(), " FROM "));
    selection.push(if term.is_some() { NAMES } else { SERIALS });
    selection.push(" WHERE TRUE");
    if let Some(term) = term {
        selection.push_with(" AND n.term = ", term)?;
    }
    push_equalities(&mut selection, filter)?;
    push_standing(&mut selection, filter.status)?;
    push_times(&mut selection, filter)?;
    // Of equal columns the leading table's, so that a walk down its index is in order.
    let id = if term.is_some() { "n.certificate_id" } else { "c.id" };
    if let Some(after) = after {
        selection.push_with(&format!(" AND {id} < "), column::certificate(after))?;
    }
    selection.push_with(&format!(" ORDER BY {id} DESC LIMIT "), i64::from(limit))?;
    Ok(selection)
}

fn push_equalities(selection: &mut Selection, filter: &CertificateFilter) -> Result<(), Failure> {
    if let Some(serial) = &filter.serial {
        selection.push_with(" AND s.serial = ", serial.as_bytes())?;
    }
    if let Some(spki_sha256) = &filter.spki_sha256 {
        selection.push_with(" AND c.spki_sha256 = ", spki_sha256.as_slice())?;
    }
    if let Some(owner) = &filter.owner {
        selection.push_with(" AND c.owner = ", owner.as_str())?;
    }
    if let Some(profile) = &filter.profile {
        selection.push_with(" AND c.profile = ", profile.as_str())?;
    }
    if let Some(authority) = &filter.authority {
        selection.push_with(" AND c.authority = ", authority.as_str())?;
    }
    Ok(())
}

fn push_standing(selection: &mut Selection, status: Option<StatusFilter>) -> Result<(), Failure> {
    let Some(status) = status else { return Ok(()) };
    // The first condition is that of an index.
    let (condition, state) = match status {
        StatusFilter::Active | StatusFilter::Expired => ("", state::ACTIVE),
        StatusFilter::Held => (" AND s.reason = 6", state::HELD),
        StatusFilter::Revoked => (" AND s.reason <> 6", state::REVOKED),
    };
    selection.push(condition);
    selection.push_with(" AND s.state = ", state)
}

fn push_times(selection: &mut Selection, filter: &CertificateFilter) -> Result<(), Failure> {
    let mut ends_before = filter.expires_before;
    match filter.status {
        // Both ends of a validity belong to it (RFC 5280 §4.1.2.5).
        Some(StatusFilter::Active) => selection.push_with(" AND c.not_after >= ", filter.now.unix_millis())?,
        Some(StatusFilter::Expired) => ends_before = Some(ends_before.map_or(filter.now, |end| end.min(filter.now))),
        Some(StatusFilter::Revoked | StatusFilter::Held) | None => {}
    }
    if let Some(before) = ends_before {
        selection.push_with(" AND c.not_after < ", before.unix_millis())?;
    }
    if let Some(since) = filter.issued_after {
        selection.push_with(" AND c.issued_at >= ", since.unix_millis())?;
    }
    Ok(())
}

/// The longest page.
pub(super) const MAX_PAGE: u32 = 1_000;
