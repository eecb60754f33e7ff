//! Lists of certificates, and what they are found by.
//!
//! A page is a walk down one index, the one that leads to the fewest rows for what is asked; the other conditions are checked
//! on the way (a `+` keeps SQLite from choosing otherwise: it has no statistics here). Lists by time sort what they find.

use ca_engine::port::store::{CertificateFilter, PageCursor, StatusFilter};
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use super::certificate_record::{certificate_columns, term};
use super::error::Failure;
use crate::personal_data::PersonalDataKeys;
use crate::row::certificate::CertificateRow;
use crate::row::search::term_of;
use crate::row::state;

/// The rows of a page, newest id first: of one walk, or, when a name is asked for, of one for each way in which it may be on record:
/// in clear, and under each version of the key, oldest first. A row that is moved to a newer version between two walks is found by
/// the second. Each goes one row further than the page: that tells whether there is a next one.
pub(super) async fn walks(
    readers: &SqlitePool,
    filter: &CertificateFilter,
    after: Option<PageCursor>,
    limit: u32,
    keys: &PersonalDataKeys,
) -> Result<Vec<Vec<CertificateRow>>, Failure> {
    let terms = match &filter.name {
        Some(name) => {
            let (kind, text) = term_of(name);
            let sealers = keys.sealers();
            let ways = std::iter::once(None).chain(sealers.iter().map(Some));
            ways.map(|sealer| Some((kind, term(kind, &text, sealer)))).collect()
        }
        None => vec![None],
    };
    let mut walks = Vec::with_capacity(terms.len());
    for term in terms {
        walks.push(query(filter, term, after, limit + 1).build_query_as().fetch_all(readers).await?);
    }
    Ok(walks)
}

/// The index that leads to a list, and the column in it that the list is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Serial,
    Name,
    Key,
    Owner,
    Standing,
    End,
    Issuance,
    Profile,
    Authority,
    Id,
}

impl Lead {
    /// From what matches the fewest certificates to what matches them all.
    fn of(filter: &CertificateFilter) -> Self {
        match filter {
            CertificateFilter { serial: Some(_), .. } => Self::Serial,
            CertificateFilter { name: Some(_), .. } => Self::Name,
            CertificateFilter { spki_sha256: Some(_), .. } => Self::Key,
            CertificateFilter { owner: Some(_), .. } => Self::Owner,
            CertificateFilter { status: Some(StatusFilter::Revoked | StatusFilter::Held), .. } => Self::Standing,
            CertificateFilter { status: Some(StatusFilter::Expired), .. } => Self::End,
            CertificateFilter { expires_before: Some(_), .. } => Self::End,
            CertificateFilter { issued_after: Some(_), .. } => Self::Issuance,
            CertificateFilter { profile: Some(_), .. } => Self::Profile,
            CertificateFilter { authority: Some(_), .. } => Self::Authority,
            _ => Self::Id,
        }
    }

    /// The tables, the leading one first.
    fn tables(self) -> String {
        const STANDING: &str = "CROSS JOIN serials AS s ON s.serial = c.serial AND s.authority = c.authority";
        const WIDE: &str = "CROSS JOIN certificates AS c ON c.id =";
        let indexed = |index: &str| format!("certificates AS c INDEXED BY {index} {STANDING}");
        match self {
            Self::Serial => format!("serials AS s {WIDE} s.certificate_id"),
            Self::Standing => format!("serials AS s INDEXED BY serials_by_standing {WIDE} s.certificate_id"),
            Self::Name => format!("certificate_names AS n {WIDE} n.certificate_id {STANDING}"),
            Self::Key => indexed("certificates_by_key"),
            Self::Owner => indexed("certificates_by_owner"),
            Self::End => indexed("certificates_by_end"),
            Self::Issuance => indexed("certificates_by_issuance"),
            Self::Profile => indexed("certificates_by_profile"),
            Self::Authority => indexed("certificates_by_authority"),
            Self::Id => format!("certificates AS c {STANDING}"),
        }
    }

    /// The id in the leading table: what a walk down its index is ordered by.
    const fn id(self) -> &'static str {
        match self {
            Self::Serial | Self::Standing => "s.certificate_id",
            Self::Name => "n.certificate_id",
            _ => "c.id",
        }
    }

    /// How a condition on `column` is written: bare where this index answers it.
    fn column(self, answering: Self, column: &'static str) -> String {
        if self == answering { column.to_owned() } else { format!("+{column}") }
    }
}

/// The query of a page.
fn query(
    filter: &CertificateFilter,
    term: Option<(u8, String)>,
    after: Option<PageCursor>,
    limit: u32,
) -> QueryBuilder<Sqlite> {
    let lead = Lead::of(filter);
    let mut query = QueryBuilder::new(concat!("SELECT ", certificate_columns!(), " FROM "));
    query.push(lead.tables()).push(" WHERE TRUE");
    if let Some((kind, value)) = term {
        push_term(&mut query, lead, kind, value);
    }
    push_equalities(&mut query, lead, filter);
    push_standing(&mut query, lead, filter.status);
    push_times(&mut query, lead, filter);
    if let Some(after) = after {
        query.push(format_args!(" AND {} < ", lead.id())).push_bind(after.as_bytes().to_vec());
    }
    query.push(format_args!(" ORDER BY {} DESC LIMIT ", lead.id())).push_bind(i64::from(limit));
    query
}

fn push_term(query: &mut QueryBuilder<Sqlite>, lead: Lead, kind: u8, value: String) {
    if lead == Lead::Name {
        query.push(" AND n.kind = ").push_bind(kind).push(" AND n.value = ").push_bind(value);
    } else {
        query.push(" AND EXISTS (SELECT 1 FROM certificate_names WHERE certificate_id = c.id AND kind = ");
        query.push_bind(kind).push(" AND value = ").push_bind(value).push(")");
    }
}

fn push_equalities(query: &mut QueryBuilder<Sqlite>, lead: Lead, filter: &CertificateFilter) {
    let equals = |answering, column| format!(" AND {} = ", lead.column(answering, column));
    if let Some(serial) = &filter.serial {
        query.push(equals(Lead::Serial, "s.serial")).push_bind(serial.as_bytes().to_vec());
    }
    if let Some(spki_sha256) = &filter.spki_sha256 {
        query.push(equals(Lead::Key, "c.spki_sha256")).push_bind(spki_sha256.to_vec());
    }
    if let Some(owner) = &filter.owner {
        query.push(equals(Lead::Owner, "c.owner")).push_bind(owner.clone());
    }
    if let Some(profile) = &filter.profile {
        query.push(equals(Lead::Profile, "c.profile")).push_bind(profile.as_str().to_owned());
    }
    if let Some(authority) = &filter.authority {
        query.push(equals(Lead::Authority, "c.authority")).push_bind(authority.as_str().to_owned());
    }
}

fn push_standing(query: &mut QueryBuilder<Sqlite>, lead: Lead, status: Option<StatusFilter>) {
    let Some(status) = status else { return };
    let state = match status {
        StatusFilter::Active | StatusFilter::Expired => state::ACTIVE,
        StatusFilter::Held => state::HELD,
        StatusFilter::Revoked => state::REVOKED,
    };
    query.push(format_args!(" AND {} = ", lead.column(Lead::Standing, "s.state"))).push_bind(state);
    if lead == Lead::Standing {
        // Says that the partial index holds all that is asked for.
        query.push(" AND s.state >= 2");
    }
}

fn push_times(query: &mut QueryBuilder<Sqlite>, lead: Lead, filter: &CertificateFilter) {
    let end = lead.column(Lead::End, "c.not_after");
    let mut ends_before = filter.expires_before;
    match filter.status {
        // Both ends of a validity belong to it (RFC 5280 §4.1.2.5).
        Some(StatusFilter::Active) => {
            query.push(format_args!(" AND {end} >= ")).push_bind(filter.now.unix_millis());
        }
        Some(StatusFilter::Expired) => ends_before = Some(ends_before.map_or(filter.now, |end| end.min(filter.now))),
        Some(StatusFilter::Revoked | StatusFilter::Held) | None => {}
    }
    if let Some(from) = filter.ends_from {
        query.push(format_args!(" AND {end} >= ")).push_bind(from.unix_millis());
    }
    if let Some(before) = ends_before {
        query.push(format_args!(" AND {end} < ")).push_bind(before.unix_millis());
    }
    let issuance = lead.column(Lead::Issuance, "c.issued_at");
    if let Some(since) = filter.issued_after {
        query.push(format_args!(" AND {issuance} >= ")).push_bind(since.unix_millis());
    }
    if let Some(before) = filter.issued_before {
        query.push(format_args!(" AND {issuance} < ")).push_bind(before.unix_millis());
    }
}

/// The longest page.
pub(super) const MAX_PAGE: u32 = 1_000;
