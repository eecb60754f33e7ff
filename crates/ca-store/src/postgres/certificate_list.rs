//! Lists of certificates.
//!
//! A page is a walk down one index, or one in each month that can hold what is asked for, merged by id; then the rows are
//! fetched from where they lie. The walk has one table only: what is asked of other tables is asked of them row by row, as a
//! condition. (As a join it would be PostgreSQL's choice whether to walk, and by its statistics it would rather read everything
//! and sort.) Which index is walked PostgreSQL chooses by its statistics; months are left out by `not_after`.

use ca_engine::port::store::{CertificateFilter, PageCursor, StatusFilter};
use sqlx::AssertSqlSafe;

use super::certificate_record::{Place, in_places};
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
        walks.push(walk(reads, filter, term, after, limit + 1).await?);
    }
    Ok(walks)
}

async fn walk(
    reads: &Pool,
    filter: &CertificateFilter,
    term: Option<[u8; 32]>,
    after: Option<PageCursor>,
    limit: u32,
) -> Result<Vec<CertificateRow>, Failure> {
    let Selection { sql, arguments } = selection(filter, term, after, limit)?;
    let mut attempt = 1;
    loop {
        let query = || sqlx::query_as_with(AssertSqlSafe(sql.clone()), arguments.clone());
        let places: Vec<Place> = read(reads, query).await?;
        let rows = in_places(reads, &places).await?;
        // A page that is shorter than its walk would look like the last one.
        if rows.len() == places.len() || attempt == ATTEMPTS {
            return Ok(rows);
        }
        attempt += 1;
    }
}

/// The table that is walked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    /// Those that have a name.
    Names,
    /// The narrow table: those with a serial number, and the few that are revoked or held.
    Serials,
    /// The wide table.
    Certificates,
}

impl Lead {
    fn of(filter: &CertificateFilter) -> Self {
        // An owner or a key has fewer certificates than all that are revoked.
        let few = filter.owner.is_some() || filter.spki_sha256.is_some();
        match filter.status {
            _ if filter.name.is_some() => Self::Names,
            _ if filter.serial.is_some() => Self::Serials,
            Some(StatusFilter::Revoked | StatusFilter::Held) if !few => Self::Serials,
            _ => Self::Certificates,
        }
    }

    /// The columns that lead to a certificate: its id and its end.
    const fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Names => ("n.certificate_id", "n.not_after"),
            Self::Serials => ("s.certificate_id", "s.not_after"),
            Self::Certificates => ("c.id", "c.not_after"),
        }
    }

    const fn table(self) -> &'static str {
        match self {
            Self::Names => "certificate_names AS n",
            Self::Serials => "serials AS s",
            Self::Certificates => "certificates AS c",
        }
    }
}

fn selection(
    filter: &CertificateFilter,
    term: Option<[u8; 32]>,
    after: Option<PageCursor>,
    limit: u32,
) -> Result<Selection, Failure> {
    let lead = Lead::of(filter);
    let (id, end) = lead.columns();
    let mut selection =
        Selection::new(&format!("SELECT {id} AS id, {end} AS not_after FROM {} WHERE TRUE", lead.table()));
    if let Some(term) = term {
        selection.push_with(" AND n.term = ", term)?;
    }
    push_ends(&mut selection, filter, end)?;
    if let Some(after) = after {
        selection.push_with(&format!(" AND {id} < "), column::certificate(after))?;
    }
    push_narrow(&mut selection, filter, lead)?;
    push_wide(&mut selection, filter, lead)?;
    selection.push_with(&format!(" ORDER BY {id} DESC LIMIT "), i64::from(limit))?;
    Ok(selection)
}

/// Conditions on the end of the validity, which every table knows.
fn push_ends(selection: &mut Selection, filter: &CertificateFilter, end: &str) -> Result<(), Failure> {
    let mut ends_before = filter.expires_before;
    match filter.status {
        // Both ends of a validity belong to it (RFC 5280 §4.1.2.5).
        Some(StatusFilter::Active) => selection.push_with(&format!(" AND {end} >= "), filter.now.unix_millis())?,
        Some(StatusFilter::Expired) => ends_before = Some(ends_before.map_or(filter.now, |end| end.min(filter.now))),
        Some(StatusFilter::Revoked | StatusFilter::Held) | None => {}
    }
    if let Some(from) = filter.ends_from {
        selection.push_with(&format!(" AND {end} >= "), from.unix_millis())?;
    }
    if let Some(before) = ends_before {
        selection.push_with(&format!(" AND {end} < "), before.unix_millis())?;
    }
    Ok(())
}

/// Conditions that the narrow table answers.
fn push_narrow(selection: &mut Selection, filter: &CertificateFilter, lead: Lead) -> Result<(), Failure> {
    // The wide table knows the authority too.
    let authority = filter.authority.as_ref().filter(|_| lead != Lead::Certificates);
    if filter.serial.is_none() && authority.is_none() && filter.status.is_none() {
        return Ok(());
    }
    let (id, _) = lead.columns();
    if lead != Lead::Serials {
        selection.push(&format!(" AND (SELECT TRUE FROM serials AS s WHERE s.certificate_id = {id}"));
    }
    if let Some(serial) = &filter.serial {
        selection.push_with(" AND s.serial = ", serial.as_bytes())?;
    }
    if let Some(authority) = authority {
        selection.push_with(" AND s.authority = ", authority.as_str())?;
    }
    if let Some(status) = filter.status {
        // The first condition is that of an index.
        let (condition, state) = match status {
            StatusFilter::Active | StatusFilter::Expired => ("", state::ACTIVE),
            StatusFilter::Held => (" AND s.reason = 6", state::HELD),
            StatusFilter::Revoked => (" AND s.reason <> 6", state::REVOKED),
        };
        selection.push(condition);
        selection.push_with(" AND s.state = ", state)?;
    }
    if lead != Lead::Serials {
        selection.push(")");
    }
    Ok(())
}

/// Conditions that the wide table answers.
fn push_wide(selection: &mut Selection, filter: &CertificateFilter, lead: Lead) -> Result<(), Failure> {
    let authority = filter.authority.as_ref().filter(|_| lead == Lead::Certificates);
    let CertificateFilter { spki_sha256, owner, profile, issued_after, issued_before, .. } = filter;
    let asked = spki_sha256.is_some()
        || owner.is_some()
        || profile.is_some()
        || issued_after.is_some()
        || issued_before.is_some();
    // A serial number may be that of no certificate; what has a name is one.
    if !asked && authority.is_none() && lead != Lead::Serials {
        return Ok(());
    }
    let (id, end) = lead.columns();
    if lead != Lead::Certificates {
        selection.push(&format!(" AND (SELECT TRUE FROM certificates AS c WHERE c.id = {id} AND c.not_after = {end}"));
    }
    if let Some(spki_sha256) = spki_sha256 {
        selection.push_with(" AND c.spki_sha256 = ", spki_sha256.as_slice())?;
    }
    if let Some(owner) = owner {
        selection.push_with(" AND c.owner = ", owner.as_str())?;
    }
    if let Some(profile) = profile {
        selection.push_with(" AND c.profile = ", profile.as_str())?;
    }
    if let Some(authority) = authority {
        selection.push_with(" AND c.authority = ", authority.as_str())?;
    }
    if let Some(since) = issued_after {
        selection.push_with(" AND c.issued_at >= ", since.unix_millis())?;
    }
    if let Some(before) = issued_before {
        selection.push_with(" AND c.issued_at < ", before.unix_millis())?;
    }
    if lead != Lead::Certificates {
        selection.push(")");
    }
    Ok(())
}

/// The longest page.
pub(super) const MAX_PAGE: u32 = 1_000;

/// How often a page is looked for whose rows are removed meanwhile.
const ATTEMPTS: u32 = 4;
