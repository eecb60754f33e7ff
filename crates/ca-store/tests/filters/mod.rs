//! Asks a store for lists by every condition, so that its statements are seen.

use ca_core::time::Timestamp;
use ca_engine::port::store::{CertificateFilter, EventFilter, NameQuery, StatusFilter, Store};

/// Every condition alone, and the pairs that people ask for.
pub(crate) async fn list_by_everything(store: &dyn Store) {
    let now = Timestamp::from_unix_seconds(1_795_176_000);
    let all = || CertificateFilter::all(now);
    let profile = "server".parse().ok();
    let authority = "tls".parse().ok();
    let mut filters = vec![
        all(),
        CertificateFilter { profile, ..all() },
        CertificateFilter { authority, ..all() },
        CertificateFilter { expires_before: Some(now), ..all() },
        CertificateFilter { issued_after: Some(now), ..all() },
        CertificateFilter { owner: Some("local".to_owned()), ..all() },
        CertificateFilter { serial: "0aff".parse().ok(), ..all() },
        CertificateFilter { name: Some(NameQuery::AnyName("a".to_owned())), ..all() },
        CertificateFilter { name: Some(NameQuery::Subject("CN=a".to_owned())), ..all() },
        CertificateFilter { name: Some(NameQuery::AnyName("a".to_owned())), serial: "0aff".parse().ok(), ..all() },
        CertificateFilter { spki_sha256: Some([0; 32]), ..all() },
    ];
    for status in [StatusFilter::Active, StatusFilter::Revoked, StatusFilter::Held, StatusFilter::Expired] {
        let more: Vec<_> = filters
            .iter()
            .filter(|filter| filter.status.is_none())
            .cloned()
            .map(|filter| CertificateFilter { status: Some(status), ..filter })
            .collect();
        filters.extend(more);
    }
    let after = ca_core::id::CertificateId::new(now, [7; 10]);
    for filter in &filters {
        for after in [None, Some(after)] {
            store.list(filter, after, 10).await.expect("a page");
        }
    }
    let text = || Some("text".to_owned());
    for filter in [
        EventFilter::default(),
        EventFilter { action: text(), ..EventFilter::default() },
        EventFilter { principal: text(), ..EventFilter::default() },
        EventFilter { subject: text(), ..EventFilter::default() },
        EventFilter { action: text(), principal: text(), subject: text() },
    ] {
        store.events_after(0, &filter, 10).await.expect("events");
    }
}
