//! `list`, and how certificates on record are shown in tables.

use ca_api::certificate::{Certificate as Record, CertificateStatus, SubjectAlternativeName};
use ca_api::page::{MAXIMUM_LIMIT, Page};
use ca_api::revocation::RevocationReason;
use ca_core::time::Timestamp;
use ca_engine::port::store::{CertificateFilter, NameQuery, StatusFilter};

use crate::args::{Instant, ListArgs, Status};
use crate::exit::{Exit, Failure};
use crate::printer::Printer;
use crate::service::{PageRequest, Service};

/// Lists certificates.
pub(super) async fn run(service: &dyn Service, args: &ListArgs, printer: &Printer) -> Result<Exit, Failure> {
    let filter = filter(args, super::now());
    let mut pages = Pages::new(args.limit);
    while let Some(request) = pages.next_request() {
        pages.add(service.certificates(&filter, request).await?);
    }
    let (items, more) = pages.finish();
    printer.result(&items, |items| {
        printer
            .table(["ID", "AUTHORITY", "PROFILE", "STATUS", "VALID UNTIL", "SUBJECT", "NAMES"], items.iter().map(row))
    })?;
    if more {
        printer.note(format!("there are more than {}; --limit 0 lists all of them", args.limit));
    }
    Ok(Exit::Done)
}

fn filter(args: &ListArgs, now: Timestamp) -> CertificateFilter {
    let name = match (&args.name, &args.subject) {
        (Some(name), _) => Some(NameQuery::AnyName(name.clone())),
        (None, Some(subject)) => Some(NameQuery::Subject(subject.clone())),
        (None, None) => None,
    };
    CertificateFilter {
        status: args.status.map(|status| match status {
            Status::Active => StatusFilter::Active,
            Status::Revoked => StatusFilter::Revoked,
            Status::Held => StatusFilter::Held,
            Status::Expired => StatusFilter::Expired,
        }),
        profile: args.profile.clone(),
        authority: args.authority.clone(),
        expires_before: args.expires_before.map(|instant| match instant {
            Instant::At(at) => at,
            Instant::Away(lifetime) => now.plus(lifetime),
        }),
        issued_after: args.issued_after.map(|instant| match instant {
            Instant::At(at) => at,
            Instant::Away(lifetime) => now.minus(lifetime),
        }),
        owner: args.owner.clone(),
        serial: args.serial.clone(),
        name,
        ..CertificateFilter::all(now)
    }
}

fn row(record: &Record) -> [String; 7] {
    [
        record.id.clone(),
        record.authority.clone(),
        record.profile.clone(),
        status_name(record.status).to_owned(),
        record.not_after.clone(),
        record.subject.clone(),
        names(&record.subject_alternative_names),
    ]
}

/// Subject alternative names on one line.
pub(super) fn names(names: &[SubjectAlternativeName]) -> String {
    let shown: Vec<String> = names.iter().map(|name| format!("{}:{}", wire_name(&name.kind), name.value)).collect();
    shown.join(" ")
}

/// A status as the API names it.
pub(super) fn status_name(status: CertificateStatus) -> String {
    wire_name(&status)
}

/// A reason as RFC 5280 names it.
pub(super) fn reason_name(reason: RevocationReason) -> String {
    wire_name(&reason)
}

/// A value that the API writes as one word.
pub(super) fn wire_name(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// A list that is fetched page by page, up to a number of items.
pub(super) struct Pages<T> {
    items: Vec<T>,
    limit: Option<usize>,
    cursor: Option<String>,
    ended: bool,
}

impl<T> Pages<T> {
    /// At most `limit` items; 0 for all of them.
    pub(super) fn new(limit: u64) -> Self {
        let limit = (limit > 0).then(|| usize::try_from(limit).unwrap_or(usize::MAX));
        Self { items: Vec::new(), limit, cursor: None, ended: false }
    }

    /// What to ask for next; `None` when there is enough.
    pub(super) fn next_request(&self) -> Option<PageRequest> {
        let missing = self.limit.map_or(usize::MAX, |limit| limit - self.items.len());
        if self.ended || missing == 0 {
            return None;
        }
        let limit = u32::try_from(missing).unwrap_or(u32::MAX).min(MAXIMUM_LIMIT);
        Some(PageRequest { limit, cursor: self.cursor.clone() })
    }

    /// Takes an answer.
    pub(super) fn add(&mut self, page: Page<T>) {
        self.items.extend(page.items);
        if let Some(limit) = self.limit {
            self.items.truncate(limit);
        }
        self.ended = page.next_cursor.is_none();
        self.cursor = page.next_cursor;
    }

    /// The items, and whether there are more.
    pub(super) fn finish(self) -> (Vec<T>, bool) {
        (self.items, !self.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: std::ops::Range<u32>, next: Option<&str>) -> Page<u32> {
        Page { items: items.collect(), next_cursor: next.map(str::to_owned) }
    }

    #[test]
    fn fetches_as_much_as_was_asked_for() {
        let mut pages = Pages::new(1_500);
        assert_eq!(pages.next_request(), Some(PageRequest { limit: 1_000, cursor: None }));
        pages.add(page(0..1_000, Some("a")));
        assert_eq!(pages.next_request(), Some(PageRequest { limit: 500, cursor: Some("a".to_owned()) }));
        pages.add(page(1_000..1_500, Some("b")));
        assert_eq!(pages.next_request(), None);
        let (items, more) = pages.finish();
        assert_eq!((items.len(), more), (1_500, true));
    }

    #[test]
    fn fetches_all_of_them_until_there_are_no_more() {
        let mut pages = Pages::new(0);
        pages.add(page(0..1_000, Some("a")));
        assert!(pages.next_request().is_some());
        pages.add(page(1_000..1_001, None));
        assert_eq!(pages.next_request(), None);
        assert!(!pages.finish().1);
    }

    #[test]
    fn lengths_of_time_count_from_now() {
        let now = Timestamp::from_unix_seconds(1_000_000);
        let args = ListArgs {
            status: None,
            profile: None,
            authority: None,
            expires_before: Some(Instant::Away(ca_core::time::Lifetime::from_seconds(10))),
            issued_after: Some(Instant::Away(ca_core::time::Lifetime::from_seconds(10))),
            owner: None,
            serial: None,
            name: None,
            subject: None,
            limit: 0,
        };
        let filter = filter(&args, now);
        assert_eq!(filter.expires_before, Some(Timestamp::from_unix_seconds(1_000_010)));
        assert_eq!(filter.issued_after, Some(Timestamp::from_unix_seconds(999_990)));
    }
}
